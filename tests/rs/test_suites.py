"""The two suites that shards are sealed with, and their keys."""

import hashlib
import pickle

import pytest
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from sottovoce import rs
from sottovoce.rs import (
    Collector,
    ParameterError,
    ShardKey,
    TooManyErasures,
    disperse,
    gather,
    shard_bytes,
    shardkey,
    suites,
)
from support import rs_twin

HYBRID = "MLKEM768X25519"
KEY = ShardKey.generate(HYBRID)
SEED = KEY.to_bytes()[1:]
PACKET = b"in an undertone" * 40
INFO = rs_twin.info_of(b"")


def test_published_key():
    # draft-connolly-cfrg-xwing-kem, appendix C, vector 1: a seed; its public key by start, end and hash.
    key = ShardKey.from_bytes(
        b"\x02" + bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    )
    assert key.public_key.hex().startswith("e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5")
    assert key.public_key.hex().endswith("859edb06eff389b27dce59844570216223593d4ba32d9abac8cd049040ef6534")
    assert len(key.public_key) == 1216
    assert hashlib.sha256(key.public_key).hexdigest() == (
        "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb"
    )


@pytest.mark.parametrize("suite", ["X25519", HYBRID])
@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (3, 5)])
def test_shards_of_either_suite_give_the_packet(suite, k, n):
    key = ShardKey.generate(suite)
    shards = disperse(PACKET, k, n, key.public_key, context=b"c", packet_bytes=700)
    assert {len(s) for s in shards} == {shard_bytes(700, k, n, suite)}
    assert gather(shards[n - k :], key, context=b"c") == [PACKET]
    collector = Collector(key, context=b"c", k=k, n=n, shard_bytes=shard_bytes(700, k, n, suite))
    assert [p for s in shards if (p := collector.add(s)) is not None] == [PACKET]
    with pytest.raises(TooManyErasures):
        gather(shards, key, context=b"d")


def test_hybrid_shards_are_longer_by_the_lattice_ciphertext():
    assert shard_bytes(700, 3, 5, HYBRID) - shard_bytes(700, 3, 5) == 1088


@given(st.binary(max_size=200))
def test_second_implementation_opens_and_seals_hybrid_shards(packet):
    [shard] = disperse(packet, 1, 1, KEY.public_key, packet_bytes=200)
    body = rs_twin.xwing_open(SEED, INFO, shard)
    assert rs_twin.open_packet([body]) == packet
    assert gather([rs_twin.xwing_seal(KEY.public_key, INFO, body)], KEY) == [packet]


def test_no_bit_of_a_hybrid_shard_may_change():
    [shard] = disperse(b"x", 1, 1, KEY.public_key)
    for at in (0, 500, 1087, 1088, 1100, 1119, 1120, 1150, len(shard) - 1):
        changed = bytearray(shard)
        changed[at] ^= 1
        with pytest.raises(TooManyErasures):
            gather([bytes(changed)], KEY)
        with pytest.raises(InvalidTag):
            rs_twin.xwing_open(SEED, INFO, bytes(changed))
    small_order = shard[:1088] + bytes(32) + shard[1120:]
    for bad in (small_order, shard[:1120], shard[:5], b""):
        with pytest.raises(TooManyErasures):
            gather([bad], KEY)


def test_a_suite_does_not_open_the_other_ones_shards():
    # The same X25519 scalar in both keys, so that nothing but the suite differs.
    classical = rs_twin.xwing_keys(SEED)[1]
    other = ShardKey(classical)
    assert KEY.public_key[1184:] == other.public_key
    for sender, reader in ((KEY, other), (other, KEY)):
        shards = disperse(PACKET, 2, 3, sender.public_key)
        with pytest.raises(TooManyErasures):
            gather(shards, reader)
        with pytest.raises(TooManyErasures):
            gather([s[1088:] for s in shards], reader)


# -- keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["X25519", HYBRID])
def test_key_round_trip(suite):
    key = ShardKey.generate(suite)
    again = ShardKey.from_bytes(key.to_bytes())
    assert (again.suite, again.public_key, again.to_bytes()) == (suite, key.public_key, key.to_bytes())
    assert gather(disperse(b"x", 1, 1, key.public_key), again) == [b"x"]


@given(st.binary(min_size=30, max_size=36))
def test_what_parses_as_a_key_is_written_the_same(data):
    try:
        key = ShardKey.from_bytes(data)
    except rs.DecodeError:
        assert len(data) not in (32, 33) or (len(data) == 33 and data[0] != 2)
    else:
        assert key.to_bytes() == data


@pytest.mark.parametrize("tag", [0, 1, 3, 255])
def test_hybrid_key_needs_its_tag(tag):
    with pytest.raises(rs.DecodeError, match="first of 33 bytes: 2 expected"):
        ShardKey.from_bytes(bytes([tag]) + SEED)


def test_hybrid_key_shows_no_secret_and_cannot_be_pickled():
    assert SEED.hex()[:8] not in repr(KEY)
    assert HYBRID in repr(KEY)
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(KEY)
    for name in ("_bytes", "_secret", "_suite"):
        with pytest.raises(AttributeError):
            setattr(KEY, name, None)


def test_unknown_suites_are_refused():
    for name in ("", "x25519", "P256", "X25519 "):
        with pytest.raises(ParameterError, match="one of X25519, MLKEM768X25519 expected"):
            ShardKey.generate(name)
        with pytest.raises(ParameterError, match="one of X25519, MLKEM768X25519 expected"):
            shard_bytes(1, 1, 1, name)
    for name in (None, b"X25519", 1):
        with pytest.raises(TypeError, match="suite: str expected"):
            ShardKey.generate(name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        # The first two coefficients are 12 bits each; 0xfff is not below 3329.
        (lambda key: b"\xff\xff\xff" + key[3:], "not a reduced ML-KEM-768 public key"),
        (lambda key: b"\x01\x0d" + bytes([key[2] & 0xF0]) + key[3:], "not a reduced ML-KEM-768"),
        (lambda key: key[:1184] + bytes(32), "small order"),
        (lambda key: key[:1184] + b"\xff" * 32, "not a reduced X25519 public key"),
        (lambda key: key[:-1], r"32 bytes \(X25519\) or 1216 \(MLKEM768X25519\) expected, got 1215"),
        (lambda key: key + b"\0", "got 1217"),
        (lambda key: key[:1184], "got 1184"),
    ],
)
def test_bad_hybrid_recipients_are_refused(change, says):
    assert disperse(b"x", 1, 1, KEY.public_key)
    with pytest.raises(ParameterError, match=says):
        disperse(b"x", 1, 1, change(KEY.public_key))


def test_a_build_without_mlkem_says_so(monkeypatch):
    class Missing:
        @staticmethod
        def from_seed_bytes(data):
            raise UnsupportedAlgorithm("no")

        from_public_bytes = from_seed_bytes

    suites._recipient_key.cache_clear()
    monkeypatch.setattr(shardkey, "MLKEM768PrivateKey", Missing)
    monkeypatch.setattr(suites, "MLKEM768PublicKey", Missing)
    for call in (
        lambda: ShardKey.generate(HYBRID),
        lambda: ShardKey.from_bytes(KEY.to_bytes()),
        lambda: disperse(b"x", 1, 1, KEY.public_key),
    ):
        with pytest.raises(ParameterError, match="no ML-KEM"):
            call()
    assert ShardKey.generate().suite == "X25519"
