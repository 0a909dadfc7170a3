"""Sealed averaging for Flower apps: the server sees one mean, and no client's update.

Two lines of an existing app change:

* at the nodes ``app = install(ClientApp(mods=[seal_mod]))``: :func:`seal_mod` replaces the arrays of every
  train reply by one sealed packet, :func:`install` adds the actions of committee members and of enrolment;
* at the server ``strategy = SealedStrategy(FedAvg(...), clip=...)``: :class:`SealedStrategy` makes the header
  of every round, and gives the averaging strategy inside ONE averaged reply.

What a node agrees to, its keys and its memory are in a folder of its own (:class:`NodeFolder`), which no
message and no run configuration can change; :class:`ServerFolder` is the server's.  :func:`enrol` gets nodes
their keys of a new epoch; :func:`provision` makes all folders, for trials.  docs/fl-flower.md: the steps,
what the server still sees, and the honest limits.

Needs the extra ``flower``; nothing else in the package imports this module.
"""

try:
    import flwr.app as _flwr_app  # noqa: F401  # asked first, for a clear hint
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "flwr":
        raise
    raise ModuleNotFoundError(
        'sottovoce.fl.flower needs Flower: pip install "sottovoce[flower]"', name=error.name
    ) from error

from .actions import install
from .enrolment import enrol
from .folders import NodeFolder, ServerFolder
from .mod import seal_mod
from .provisioning import provision
from .results import SealedRound
from .strategy import SealedStrategy

__all__ = [
    "NodeFolder",
    "SealedRound",
    "SealedStrategy",
    "ServerFolder",
    "enrol",
    "install",
    "provision",
    "seal_mod",
]
