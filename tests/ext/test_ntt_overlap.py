"""Outputs that share memory with what is still read are refused, before anything is written."""

import numpy as np
import pytest

from sottovoce._ext import ntt

N, Q, PSI = 2048, 0x3FFFFFFFFC001, 0x2B86CE7575F16


def test_a_product_may_be_in_place_and_overlap_in_no_other_way():
    ring = ntt.ring(N, Q, PSI)
    room = np.arange(4 * N, dtype=np.uint64)
    before = room.copy()
    rows, b = room[: 2 * N].reshape(2, N), room[2 * N : 3 * N]
    shifted = room[8 : 8 + 2 * N].reshape(2, N)
    for out, a, factor in (
        (shifted, rows, b),
        (rows, shifted, b[:].copy()),
        (rows, rows, rows[1]),
        (room[N : 3 * N].reshape(2, N), np.zeros((2, N), np.uint64), b),
    ):
        with pytest.raises(ValueError, match="overlaps"):
            ring.multiply(out, a, factor)
    assert np.array_equal(room, before)
    expected = np.empty_like(rows)
    ring.multiply(expected, rows.copy(), b)
    ring.multiply(rows, rows, b)  # touches b, without overlapping it
    assert np.array_equal(rows, expected)
