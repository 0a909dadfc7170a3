"""Known answers of dispersal: bodies and seals, valid and with one fault each."""

import numpy as np
import pytest

import sottovoce.rs
from sottovoce.rs import Collector, ShardKey, dispersal, gather, sharing
from support import rs_twin, rs_vectors

VALID_FIELDS = [
    "packet",
    "k",
    "n",
    "packetBytes",
    "groupId",
    "key",
    "randomness",
    "bodies",
    "shards",
    "count",
]
DATA, TESTS = rs_vectors.load("dispersal.json", ["secretKey", "publicKey", "context"], VALID_FIELDS)
VALID = [t for t in TESTS if t["result"] == "valid"]
INVALID = [t for t in TESTS if t["result"] == "invalid"]
KEY = ShardKey.from_bytes(bytes.fromhex(DATA["secretKey"]))
CONTEXT = bytes.fromhex(DATA["context"])
INFO = rs_twin.info_of(CONTEXT)


def name(case):
    return f"{case['tcId']} {case['comment']}"


def test_public_key():
    assert KEY.public_key.hex() == DATA["publicKey"]


@pytest.mark.parametrize("case", VALID, ids=name)
def test_bodies(case):
    # What disperse seals, from the randomness of the vector.
    packet, k, n = bytes.fromhex(case["packet"]), case["k"], case["n"]
    key = bytes.fromhex(case["key"])
    shares = sharing._split_derand(key, k, n, bytes.fromhex(case["randomness"]))
    want = [bytes.fromhex(body) for body in case["bodies"]]
    pieces = np.empty((n, len(want[0]) - 59), np.uint8)
    dispersal._fill(pieces, packet, key, k)
    head = bytes.fromhex(case["groupId"])
    for i in range(n):
        fields = head + bytes([i, k, n]) + len(packet).to_bytes(8, "big") + shares[i].tobytes()
        assert want[i] == fields + pieces[i].tobytes()


@pytest.mark.parametrize("case", VALID, ids=name)
def test_shards_open(case):
    shards = rs_vectors.unhex(case["shards"])
    packet, k, n = bytes.fromhex(case["packet"]), case["k"], case["n"]
    assert {len(s) for s in shards} == {sottovoce.rs.shard_bytes(case["packetBytes"], k, n)}
    assert gather(shards, KEY, context=CONTEXT) == [packet]
    assert gather(shards[n - k :], KEY, context=CONTEXT) == [packet]
    collector = Collector(KEY, context=CONTEXT)
    assert [p for s in shards if (p := collector.add(s)) is not None] == [packet]


@pytest.mark.parametrize("case", VALID, ids=name)
def test_second_implementation_opens_what_disperse_makes(case):
    packet, k, n = bytes.fromhex(case["packet"]), case["k"], case["n"]
    shards = dispersal.disperse(
        packet, k, n, KEY.public_key, context=CONTEXT, packet_bytes=case["packetBytes"]
    )
    bodies = [rs_twin.hpke_open(KEY.to_bytes(), INFO, s) for s in shards]
    assert len({b[:16] for b in bodies}) == 1
    assert [b[16:27] for b in bodies] == [bytes([i, k, n]) + len(packet).to_bytes(8, "big") for i in range(n)]
    assert rs_twin.open_packet(bodies[:k]) == packet
    assert rs_twin.open_packet(bodies[n - k :]) == packet


@pytest.mark.parametrize("case", INVALID, ids=name)
def test_fault_is_noticed_at_its_layer_and_nowhere_else(case):
    shards = rs_vectors.unhex(case["shards"])
    with pytest.raises(getattr(sottovoce.rs, case["error"])) as caught:
        gather(shards, KEY, context=CONTEXT)
    assert caught.value.__cause__ is None
    collector = Collector(KEY, context=CONTEXT)
    assert [collector.add(s) for s in shards] == [None, None]
    got = {k: v for k, v in collector.stats.items() if v and not k.startswith("pending")}
    want = {"received": 2, "accepted": 1}
    if case["count"] in ("accepted", "inconsistent"):
        want["accepted"] = 2
    if case["count"] == "contradicting":
        want["inconsistent"] = 1
    if case["count"] != "accepted":
        want[case["count"]] = 1
    assert got == want
