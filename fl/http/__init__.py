"""The roles of :mod:`sottovoce.fl` as processes that speak HTTP (extra ``http``).

* :class:`RelayService` takes shards of one size from anybody, holds a batch, shuffles it and forwards it.
* :class:`AggregatorService` opens rounds, collects, drives the closing at the members, and publishes.
* :class:`MemberService` co-signs, checks and answers when it is asked.
* :class:`PeerService` is a peer where nobody is the server: member, client, and aggregator on its turn.
* :class:`IssuerService` answers requests for keys over any :class:`IssuerDesk`.
* :class:`Courier` is the client's side: fetches a header, sends shards over relays, fetches the result.
* :func:`serve` runs one service until SIGTERM or SIGINT.

Services are ASGI applications (``service.app``) over the state machines, which stay synchronous and are
called from one thread each.  docs/fl-http.md has endpoints, limits and status codes.
"""

from __future__ import annotations

from . import _extra  # noqa: F401  # before what needs it
from .aggregator import AggregatorService
from .courier import Courier, Delivery
from .errors import TransportError
from .issuer import IssuerDesk, IssuerService
from .member import MemberService
from .peer import PeerService
from .peer_plan import PeerPlan
from .relay import RelayService
from .round_plan import RoundPlan
from .runner import Binding, serve

__all__ = [
    "AggregatorService",
    "Binding",
    "Courier",
    "Delivery",
    "IssuerDesk",
    "IssuerService",
    "MemberService",
    "PeerPlan",
    "PeerService",
    "RelayService",
    "RoundPlan",
    "TransportError",
    "serve",
]
