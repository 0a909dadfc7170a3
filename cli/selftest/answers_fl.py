"""Known answers of ``sottovoce.fl``: who does what in a round among equals."""

from __future__ import annotations

from collections.abc import Iterator

from ...clsc import BlsPublicKey
from ...fl import choose_peers
from ...fl.beacon import beacon_text
from ...fl.peer_choice import rank_peers
from ..bench.areas import Area
from .answers import Vector, each, load, raw, tests
from .check import Case, known_answers
from .expect import same


@known_answers(Area.FL, "committee and aggregator drawn from a beacon (py_ecc and hashlib)")
def choice() -> Iterator[Case]:
    def drawn(t: Vector) -> None:
        beacon, names = raw(t["beacon"]), [raw(name) for name in t["names"]]
        same(beacon_text(raw(t["epoch"]), t["round"]), raw(t["text"]), "text of the beacon")
        BlsPublicKey.from_bytes(raw(t["key"])).verify(raw(t["text"]), beacon)
        same([name.hex() for name in rank_peers(names, beacon)], t["ranked"], "order")
        committee = [raw(name) for name in t["committee"]]
        for view, aggregator in enumerate(t["aggregators"]):
            chosen = choose_peers(names, beacon, len(committee), view)
            same(chosen, (raw(aggregator), committee), f"view {view}")

    yield from each(tests(load("fl/choice.json")), drawn)
