"""Measurements of :mod:`sottovoce.fl`: whole steps of a round."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...fl import simulate
from . import fl_secagg
from .areas import Area
from .fl_world import MEMBERS, world
from .measurement import Operation, Work, measurement

_D: Final = 100_000
_CLIENTS: Final = 8

_WORK: Final = {"client": "parameter", "server": "client"}
_SIZES: Final = (10_000, 100_000, 1_000_000)
_FEDERATIONS: Final = (5, 10)
_QUICK: Final = (100_000, 5)
_CLIENT_AIMS: Final = {5: 1 / 0.75, 10: 2.0}
"""How many times faster at a million parameters; with smaller models most of the time is pairings: no aim."""


@measurement(
    Area.FL,
    "seal an update",
    work=Work(_D, "parameter"),
    size={"parameters": _D, "members": MEMBERS, "shards": "3 of 5 shards"},
    one_core=True,
)
def seal() -> Operation:
    """All that a client does in a round: check the header, encode, encrypt, share, signcrypt, cut."""
    federation = world(_D, 5)
    _ = federation.signed_header
    return Operation(lambda client: federation.seal(0, client).shards(), lambda: (federation.client(0),))


@measurement(
    Area.FL,
    "a round in memory",
    work=Work(_CLIENTS, "client"),
    size={"parameters": _D, "clients": _CLIENTS, "members": MEMBERS},
    one_core=True,
    quick=False,
)
def whole_round() -> Operation:
    """All roles of a round without faults, in one process, one after the other."""
    template = [np.zeros(_D)]
    simulation = simulate.Simulation(template, n_clients=_CLIENTS, clip=1.0, n_members=MEMBERS)
    rng = np.random.default_rng(1)

    def fresh() -> tuple[list[NDArray[np.float64]], dict[int, tuple[list[NDArray[np.float64]], int]]]:
        # No client answers twice for one model.
        model = [rng.normal(size=_D)]
        return model, {i: ([rng.normal(0.0, 0.1, size=_D)], 1) for i in range(_CLIENTS)}

    return Operation(lambda model, updates: simulation.run_round(model, updates), fresh)


# -- next to SecAgg+ --------------------------------------------------------------------------------
def _client(n_parameters: int, n_clients: int) -> Operation:
    """One client's packet, from the signed header on; the same for any number of clients."""
    federation = world(n_parameters, n_clients)
    size = len(federation.seal(0).packet)
    return Operation(lambda client: federation.seal(0, client), lambda: (federation.client(0),), n_bytes=size)


def _server(n_parameters: int, n_clients: int) -> Operation:
    """The aggregator from the proposed header to the signed result."""
    federation = world(n_parameters, n_clients)
    _ = federation.answers
    return Operation(federation.serve)


for _n_parameters in _SIZES:
    for _n_clients in _FEDERATIONS:
        _large = _n_parameters == _SIZES[-1]
        _size = {"parameters": _n_parameters, "clients": _n_clients, "members": MEMBERS}
        for _role, _prepare, _theirs, _aim in (
            ("client", _client, fl_secagg.client, _CLIENT_AIMS[_n_clients] if _large else None),
            ("server", _server, fl_secagg.server, 1.0 if _large else None),
        ):
            measurement(
                Area.FL,
                f"{_role}, {_n_parameters} parameters, {_n_clients} clients",
                work=Work(_n_parameters if _role == "client" else _n_clients, _WORK[_role]),
                size=_size,
                peers=(fl_secagg.peer(functools.partial(_theirs, _n_parameters, _n_clients), _aim),),
                one_core=True,
                quick=(_n_parameters, _n_clients) == _QUICK,
            )(functools.partial(_prepare, _n_parameters, _n_clients))
