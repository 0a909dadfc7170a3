"""The parser of opened shards and the openers, fed with anything."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.rs import Collector, ShardKey, TooManyErasures, disperse, gather
from sottovoce.rs.shard import HEADER_BYTES, MalformedError, parse_body
from support import rs_twin

KEY = ShardKey.generate()
INFO = rs_twin.info_of(b"")
GOOD = rs_twin.bodies(b"p" * 20, 2, 3, 24, group_id=bytes(16), key=bytes(32), randomness=bytes(32))[1]


def encode(body):
    head = body.group_id + bytes([body.index, body.k, body.n]) + body.packet_length.to_bytes(8, "big")
    return head + body.key_share + bytes(body.piece)


def valid(data):
    """The rules of the wire format, written down a second time."""
    if len(data) <= 59:
        return False
    index, k, n, length = data[16], data[17], data[18], int.from_bytes(data[19:27], "big")
    return 0 < k <= n < 256 and index < n and length <= 2**30 and length + 48 <= k * (len(data) - 59)


def laid_out(i, k, n, length, size):
    return bytes(16) + bytes([i, k, n]) + length.to_bytes(8, "big") + bytes(32) + bytes(size)


LIKELY = st.builds(
    laid_out,
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 300) | st.sampled_from([2**30, 2**30 + 1, 2**63, 2**64 - 1]),
    st.integers(0, 120),
)


@given(LIKELY | st.binary(max_size=200))
def test_parses_exactly_what_the_rules_allow_and_nothing_is_lost(data):
    if valid(data):
        assert encode(parse_body(data)) == data
    else:
        with pytest.raises(MalformedError):
            parse_body(data)


@pytest.mark.parametrize("at", range(16, 27))
@pytest.mark.parametrize("value", range(0, 256, 5))
def test_every_field_at_many_values(at, value):
    data = GOOD[:at] + bytes([value]) + GOOD[at + 1 :]
    if valid(data):
        assert encode(parse_body(data)) == data
    else:
        with pytest.raises(MalformedError):
            parse_body(data)


@pytest.mark.parametrize("length", [2**30, 2**30 + 1])
def test_packet_length_is_bounded_even_if_its_pieces_could_hold_it(length):
    body = laid_out(0, 255, 255, length, (2**30 + 49) // 255 + 1)
    if valid(body):
        assert parse_body(body).packet_length == length == 2**30
    else:
        with pytest.raises(MalformedError):
            parse_body(body)


def test_every_prefix_is_refused_or_short_of_its_packet():
    for cut in range(len(GOOD)):
        if cut < HEADER_BYTES + (20 + 48) // 2:
            with pytest.raises(MalformedError):
                parse_body(GOOD[:cut])


SEALED = LIKELY.map(lambda body: rs_twin.hpke_seal(os.urandom(32), KEY.public_key, INFO, body))


@given(st.lists(st.binary(max_size=300) | SEALED, max_size=8))
def test_anything_at_all_gives_the_documented_error_or_nothing(shards):
    with pytest.raises(TooManyErasures):
        gather(shards, KEY)
    collector = Collector(KEY, max_bytes=1 << 16)
    for shard in shards:
        assert collector.add(shard) is None


@given(st.data())
def test_mutated_shards_never_give_wrong_data(data):
    packet = data.draw(st.binary(max_size=60))
    shards = disperse(packet, 2, 4, KEY.public_key)
    touched = data.draw(st.sets(st.integers(0, 3), max_size=4))
    for index in touched:
        mutated = bytearray(shards[index])
        kind = data.draw(st.sampled_from(["flip", "cut", "extend", "swap head"]))
        if kind == "flip":
            mutated[data.draw(st.integers(0, len(mutated) - 1))] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del mutated[data.draw(st.integers(0, len(mutated) - 1)) :]
        elif kind == "extend":
            mutated += data.draw(st.binary(min_size=1, max_size=9))
        else:
            mutated[:32] = shards[(index + 1) % 4][:32]
        shards[index] = bytes(mutated)
    # No change of these leaves a seal whole: exactly the untouched shards count.
    if len(touched) <= 2:
        assert gather(shards, KEY) == [packet]
        return
    with pytest.raises(TooManyErasures) as caught:
        gather(shards, KEY)
    assert caught.value.present == 4 - len(touched)
