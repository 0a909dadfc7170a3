"""Sinks: what is put in comes out, in the same memory."""

import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext import _memory
from sottovoce._ext.enc import enc
from sottovoce._ext.room import Room, Through, joined, put

MIB = 1 << 20
pieces = st.lists(st.binary(max_size=40), max_size=6)


def address(data):
    return np.frombuffer(data, np.uint8).ctypes.data


@given(parts=pieces, spare=st.integers(0, 9))
def test_a_room_gives_what_was_put_in(parts, spare):
    room = Room(sum(map(len, parts)) + spare)
    for part in parts:
        put(room, part)
    assert room.value() == b"".join(parts)


@given(parts=pieces)
def test_through_hands_on_each_piece(parts):
    out, sizes = io.BytesIO(), []
    sink = Through(lambda data: (out.write(data), sizes.append(len(data))))
    for part in parts:
        put(sink, part)
    assert out.getvalue() == b"".join(parts)
    assert sizes == [len(part) for part in parts if part]


@pytest.mark.parametrize("make", [lambda: Room(8), lambda: Through(out.append)], ids=["room", "through"])
def test_what_was_not_taken_is_not_there(make):
    out.clear()
    sink = make()
    sink.place(4)[:] = b"none"
    sink.place(4)[:] = b"some"
    sink.take(2)
    sink.place(2)[:] = b"ul"
    sink.take(2)
    assert (sink.value() if isinstance(sink, Room) else b"".join(out)) == b"soul"


class Kept(list):
    def append(self, view):
        super().append(bytes(view))


out = Kept()


def test_a_room_holds_no_more_than_it_was_made_for():
    room = Room(3)
    assert len(room.place(9)) == 3
    with pytest.raises(ValueError):
        put(room, b"four")
    for n_bytes in (4, 9, -1):
        with pytest.raises(ValueError, match="0 to 3 expected"):
            room.take(n_bytes)
    room.take(3)
    with pytest.raises(ValueError):
        room.take(1)  # nobody has written it
    assert len(room.value()) == 3


@pytest.mark.parametrize("n_bytes", [0, 1, 100, 2 * MIB - 1, 2 * MIB, 3 * MIB + 17])
def test_what_comes_out_is_the_memory_that_was_filled(n_bytes):
    room = Room(n_bytes)
    place = room.place(n_bytes)
    place[:] = bytes([7]) * n_bytes
    at = address(place) if n_bytes else 0
    del place
    room.take(n_bytes)
    value = room.value()
    assert value == bytes([7]) * n_bytes
    assert n_bytes < 2 or address(value) == at  # those of one byte exist once
    assert n_bytes < 2 or sys.getrefcount(value) <= 3  # nobody else could change it


def test_nothing_goes_in_after_the_value():
    room = Room(4)
    room.value()
    with pytest.raises(ValueError, match="released"):
        room.place(1)


def test_joined_is_join_on_both_sides_of_a_large_page():
    for n in (0, 5, 2 * MIB - 5, 2 * MIB):
        parts = [b"begin", memoryview(bytes([1]) * n), b""]
        assert joined(parts) == b"".join(parts)


def test_a_long_field_is_encoded_as_a_short_one():
    long = bytes(range(256)) * (3 << 12)
    assert enc("T", long, 1) == enc("T") + len(long).to_bytes(4, "big") + long + enc(1)


def test_advice_changes_nothing():
    memory = np.arange(3 * MIB, dtype=np.uint8)
    before = memory.copy()
    _memory.advise_large(memory)
    _memory.advise_large(memory[:0])
    assert np.array_equal(memory, before)
    assert memory.flags.writeable
    with pytest.raises(ValueError):
        _memory.unwritten(-1)
    with pytest.raises(ValueError, match=r"contiguous"):
        _memory.advise_large(memory[::2])
