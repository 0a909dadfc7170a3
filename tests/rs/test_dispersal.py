"""``disperse`` and ``gather``: what comes out, what a relay sees, and that nothing else comes out."""

import itertools
import math
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce import rs
from sottovoce._ext.padme import padme
from sottovoce.rs import ParameterError, ShardKey, TooManyErasures, disperse, gather, shard_bytes
from sottovoce.rs.dispersal import decode_group
from sottovoce.rs.shard import open_shard
from support import rs_twin

KEY = ShardKey.generate()
PACKET = b"in an undertone" * 40


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 3), (2, 3), (3, 5), (5, 5), (4, 8)])
def test_every_subset_of_k_in_any_order_gives_the_packet(k, n):
    shards = disperse(PACKET, k, n, KEY.public_key, context=b"c")
    for subset in itertools.combinations(shards, k):
        assert gather(subset, KEY, context=b"c") == [PACKET]
        assert gather(reversed(subset), KEY, context=b"c") == [PACKET]
    for few in itertools.combinations(shards, k - 1):
        with pytest.raises(TooManyErasures) as caught:
            gather(few, KEY, context=b"c")
        assert (caught.value.needed, caught.value.present) == ((k, k - 1) if few else (1, 0))


@given(st.data())
def test_any_packet_any_code(data):
    packet = data.draw(st.binary(max_size=300))
    n = data.draw(st.integers(1, 12))
    k = data.draw(st.integers(1, n))
    size = data.draw(st.none() | st.integers(len(packet), 400))
    shards = disperse(packet, k, n, KEY.public_key, packet_bytes=size)
    assert {len(s) for s in shards} == {shard_bytes(padme(len(packet)) if size is None else size, k, n)}
    kept = data.draw(st.permutations(shards))[: data.draw(st.integers(k, n))]
    assert gather(kept, KEY) == [packet]


@pytest.mark.parametrize(("k", "n"), [(1, 255), (255, 255), (128, 255)])
def test_the_largest_codes(k, n):
    shards = disperse(PACKET, k, n, KEY.public_key)
    assert gather(shards[n - k :], KEY) == [PACKET]


def test_packets_of_many_senders_are_sorted_out():
    packets = [os.urandom(50) for _ in range(4)]
    mixed = [s for p in packets for s in disperse(p, 2, 3, KEY.public_key)]
    order = mixed[::-1]
    assert gather(order, KEY) == packets[::-1]
    assert sorted(gather(mixed[:2] + mixed[3:5] + mixed[6:7], KEY)) == sorted(packets[:2])


def test_altered_foreign_and_repeated_shards_do_no_harm():
    shards = disperse(PACKET, 3, 5, KEY.public_key, context=b"c")
    stranger = ShardKey.generate()
    noise = [
        b"",
        b"\0" * 200,
        os.urandom(len(shards[0])),
        shards[0][:-1],
        shards[1] + b"\0",
        shards[0][:40] + b"\xff" + shards[0][41:],
        *disperse(PACKET, 3, 5, stranger.public_key, context=b"c"),
        *disperse(PACKET, 3, 5, KEY.public_key, context=b"d"),
        *disperse(PACKET, 3, 5, KEY.public_key, context=b"c")[:2],
    ]
    assert gather([*noise, *shards[:3], *noise, shards[0], shards[0]], KEY, context=b"c") == [PACKET]
    with pytest.raises(TooManyErasures, match="3 shards needed, 2 present"):
        gather([*noise, *shards[:2], shards[0], shards[1]], KEY, context=b"c")


def reseal(bodies, context=b""):
    return [rs_twin.hpke_seal(os.urandom(32), KEY.public_key, rs_twin.info_of(context), b) for b in bodies]


def opened(shards, context=b""):
    return [rs_twin.hpke_open(KEY.to_bytes(), rs_twin.info_of(context), s) for s in shards]


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("at", [27, 58, 59, -1], ids=["share", "share end", "piece", "piece end"])
def test_a_sender_whose_shards_contradict_each_other_gives_nothing(index, at):
    bodies = opened(disperse(PACKET, 3, 5, KEY.public_key))
    wrong = bytearray(bodies[index])
    wrong[at] ^= 1
    bodies[index] = bytes(wrong)
    shards = reseal(bodies)
    for order in (shards, shards[::-1]):
        with pytest.raises(TooManyErasures, match="3 shards needed, 0 present"):
            gather(order, KEY)
    # And does not touch others.
    assert gather(shards + disperse(b"other", 3, 5, KEY.public_key), KEY) == [b"other"]


@pytest.mark.parametrize("at", [27, 59], ids=["share", "piece"])
@pytest.mark.parametrize("first", [True, False])
def test_two_versions_of_one_shard_give_nothing(at, first):
    shards = disperse(PACKET, 3, 5, KEY.public_key)
    other = bytearray(opened(shards[:1])[0])
    other[at] ^= 1
    [version] = reseal([bytes(other)])
    with pytest.raises(TooManyErasures, match="3 shards needed, 0 present"):
        gather([version, *shards] if first else [*shards, version], KEY)


def test_two_packets_in_one_group_are_never_mixed():
    # One group id, two packets: whatever set of shards comes, it gives one of the two or nothing.
    ids = {"group_id": os.urandom(16)}
    a = rs_twin.bodies(b"A" * 30, 2, 4, 32, key=os.urandom(32), randomness=os.urandom(32), **ids)
    b = rs_twin.bodies(b"B" * 30, 2, 4, 32, key=os.urandom(32), randomness=os.urandom(32), **ids)
    for choice in itertools.product((a, b), repeat=4):
        mixed = reseal([chosen[i] for i, chosen in enumerate(choice)])
        if all(c is a for c in choice) or all(c is b for c in choice):
            assert gather(mixed, KEY) == [(b"A" if choice[0] is a else b"B") * 30]
        else:
            with pytest.raises(TooManyErasures):
                gather(mixed, KEY)


def test_every_single_bit_flip_of_a_shard_makes_it_missing():
    shards = disperse(b"short", 2, 2, KEY.public_key, packet_bytes=5)
    for at in range(len(shards[0]) * 8):
        flipped = bytearray(shards[0])
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(TooManyErasures, match="2 shards needed, 1 present"):
            gather([bytes(flipped), shards[1]], KEY)


# -- what a relay sees -------------------------------------------------------------------------------


def test_a_relay_sees_strings_of_one_length_without_anything_in_common():
    packet = b"\0" * 3000  # the worst packet: nothing but repetition
    groups = [disperse(packet, 3, 5, KEY.public_key, context=b"round", packet_bytes=3000) for _ in range(4)]
    seen = [s for group in groups for s in group]
    assert len({len(s) for s in seen}) == 1
    ids = {body[:16] for group in groups for body in opened(group, b"round")}
    assert len(ids) == 4
    for s in seen:
        assert not any(group_id in s for group_id in ids)
        assert KEY.public_key not in s
        assert b"round" not in s
        assert bytes(8) not in s
    # No run of 8 bytes occurs twice, in one shard or in two (by chance: once in 10^11 runs of this).
    windows = [s[i : i + 8] for s in seen for i in range(len(s) - 7)]
    assert len(set(windows)) == len(windows)


def test_length_does_not_depend_on_the_packet_if_its_size_is_given():
    sizes = {
        len(s) for p in (b"", b"x", b"y" * 999) for s in disperse(p, 3, 5, KEY.public_key, packet_bytes=1000)
    }
    assert sizes == {shard_bytes(1000, 3, 5)}


def test_bytes_of_shards_are_spread_evenly():
    # Chi-square over all bytes but the encapsulated keys, whose top bit is zero as documented.
    shards = disperse(bytes(200_000), 2, 3, KEY.public_key)
    data = b"".join(s[32:] for s in shards)
    expected = len(data) / 256
    chi_square = sum((data.count(bytes([v])) - expected) ** 2 / expected for v in range(256))
    assert chi_square < 400  # 255 degrees of freedom
    assert all(s[31] < 0x80 for s in shards)


def test_the_same_packet_twice_shares_nothing():
    first, second = (opened(disperse(PACKET, 2, 3, KEY.public_key)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a[:16] != b[:16]
        assert a[27:59] != b[27:59]
        assert a[59:] != b[59:]


# -- sizes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packet_bytes", "k", "n", "want"),
    [
        (0, 1, 1, 155),
        (0, 48, 60, 108),
        (0, 255, 255, 108),
        (24, 2, 3, 143),
        (25, 2, 3, 144),
        (1 << 20, 3, 5, 349649),
    ],
)
def test_shard_bytes(packet_bytes, k, n, want):
    assert shard_bytes(packet_bytes, k, n) == want
    assert want == 107 + math.ceil((packet_bytes + 48) / k)


@pytest.mark.parametrize(
    ("length", "want"),
    [(0, 0), (1, 1), (7, 7), (8, 8), (9, 10), (100, 104), (1000, 1024), (1025, 1088), (10**6, 1015808)],
)
def test_padme(length, want):
    assert padme(length) == want


@given(st.integers(0, 1 << 30))
def test_padme_is_monotone_idempotent_and_cheap(length):
    padded = padme(length)
    assert length <= padded <= length * 1.12 + 1
    assert padme(padded) == padded
    assert padme(length + 1) >= padded


# -- arguments ---------------------------------------------------------------------------------------

GOOD = {"packet": b"x", "k": 2, "n": 3, "recipient": KEY.public_key}


def call(**change):
    arguments = {**GOOD, **change}
    positional = [arguments.pop(name) for name in ("packet", "k", "n", "recipient")]
    return disperse(*positional, **arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"packet": "x"},
        {"packet": bytearray(b"x")},
        {"packet": None},
        {"k": 2.0},
        {"n": "3"},
        {"k": True},
        {"recipient": KEY.public_key.hex()},
        {"recipient": KEY},
        {"context": "c"},
        {"context": None},
        {"packet_bytes": 1.5},
    ],
)
def test_disperse_rejects_other_types(change):
    assert call()
    with pytest.raises(TypeError):
        call(**change)


P25519 = 2**255 - 19


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": 0}, "got k = 0"),
        ({"k": 4}, "got k = 4, n = 3"),
        ({"n": 256}, "n <= 255 expected"),
        ({"packet_bytes": 0}, "at most packet_bytes = 0"),
        ({"packet_bytes": -1}, "got -1"),
        ({"packet_bytes": 2**30 + 1}, "packet_bytes"),
        ({"recipient": b""}, "expected, got 0"),
        ({"recipient": bytes(33)}, "32 bytes .* expected, got 33"),
        ({"recipient": bytes(32)}, "small order"),
        ({"recipient": (1).to_bytes(32, "little")}, "small order"),
        ({"recipient": (P25519 - 1).to_bytes(32, "little")}, "small order"),
        ({"recipient": P25519.to_bytes(32, "little")}, "not a reduced"),
        ({"recipient": (P25519 + 9).to_bytes(32, "little")}, "not a reduced"),
        ({"recipient": (9 + 2**255).to_bytes(32, "little")}, "not a reduced"),
    ],
)
def test_disperse_rejects_impossible_arguments(change, says):
    with pytest.raises(ParameterError, match=says):
        call(**change)


@pytest.mark.parametrize("arguments", [(-1, 2, 3), (2**30 + 1, 2, 3), (10, 0, 3), (10, 4, 3), (10, 2, 256)])
def test_shard_bytes_rejects(arguments):
    with pytest.raises(ParameterError):
        shard_bytes(*arguments)


def test_gather_rejects_other_types():
    shards = disperse(b"x", 2, 3, KEY.public_key)
    for bad in (shards[0], "abc", [*shards, None], [bytearray(shards[0])], 7):
        with pytest.raises(TypeError):
            gather(bad, KEY)
    with pytest.raises(TypeError):
        gather(shards, KEY.to_bytes())
    with pytest.raises(TypeError):
        gather(shards, KEY, context="c")


def test_gather_of_nothing_says_so():
    with pytest.raises(TooManyErasures, match="1 shards needed, 0 present"):
        gather([], KEY)


# -- the key -----------------------------------------------------------------------------------------


def test_key_shows_no_secret_and_cannot_be_pickled():
    secret = KEY.to_bytes()
    assert secret.hex()[:8] not in repr(KEY)
    assert KEY.public_key.hex()[:16] in repr(KEY)
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(KEY)
    with pytest.raises(AttributeError):
        KEY.other = 1


def test_key_cannot_be_changed():
    key = ShardKey.generate()
    public, secret = key.public_key, key.to_bytes()
    for name in ("_public", "_secret", "public_key"):
        with pytest.raises(AttributeError):
            setattr(key, name, getattr(KEY, name))
        with pytest.raises(AttributeError):
            delattr(key, name)
    assert (key.public_key, key.to_bytes()) == (public, secret)


def test_repr_of_an_opened_shard_shows_no_secret():
    [shard] = disperse(b"x" * 40, 1, 1, KEY.public_key)
    body = open_shard(shard, KEY, rs_twin.info_of(b""))
    share, piece = body.key_share, bytes(body.piece)
    for shown in (repr(body), str(body)):
        assert "packet_length=40" in shown
        for secret in (share, piece):
            assert repr(secret)[2:-1] not in shown
            assert secret.hex() not in shown
        assert "share" not in shown
    decoded = repr(decode_group({0: body}))
    assert "x" * 40 not in decoded
    assert repr(share)[2:-1] not in decoded


def test_key_round_trip():
    again = ShardKey.from_bytes(KEY.to_bytes())
    assert again.public_key == KEY.public_key
    assert gather(disperse(b"x", 1, 1, KEY.public_key), again) == [b"x"]


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(34)])
def test_key_rejects_other_lengths(data):
    with pytest.raises(rs.DecodeError, match=f"32 bytes .* expected, got {len(data)}"):
        ShardKey.from_bytes(data)


def test_key_rejects_other_types():
    for bad in ("00" * 32, bytearray(32), None):
        with pytest.raises(TypeError):
            ShardKey.from_bytes(bad)
    with pytest.raises(TypeError):
        ShardKey(bytes(32))
