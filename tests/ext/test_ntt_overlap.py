"""Outputs that share memory with what is still read are refused, before anything is written."""

import numpy as np
import pytest

from sottovoce._ext import kahe, ntt

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


def views(*kinds):
    """Arrays over one and the same memory."""
    room = np.zeros(4096, np.uint8)
    return room, [room.view(kind) for kind in kinds]


def test_key_additive_kernels_refuse_any_overlap():
    scale = kahe.scale(Q, 32, 8)
    fresh = {
        "packed": np.zeros(32, np.uint8),
        "ak": np.zeros(8, np.uint64),
        "m": np.zeros(8, np.int64),
        "random": np.zeros(128, np.uint8),
    }
    scale.encrypt(**fresh)
    for shared in ("ak", "m", "random"):
        room, (octets, typed) = views(np.uint8, fresh[shared].dtype)
        room[:] = 7
        size = len(fresh[shared])
        changed = {**fresh, shared: typed[:size]}
        for at in (0, 5, typed[:size].nbytes - 1):
            with pytest.raises(ValueError, match="overlaps"):
                scale.encrypt(**{**changed, "packed": octets[at : at + 32]})
        assert (room == 7).all()
        end = typed[:size].nbytes
        room[:] = 0
        scale.encrypt(**{**changed, "packed": octets[end : end + 32]})
    _, (octets, words, signed) = views(np.uint8, np.uint64, np.int64)
    with pytest.raises(ValueError, match="overlaps"):
        scale.accumulate(words[:8], octets[63:95], False)
    with pytest.raises(ValueError, match="overlaps"):
        scale.pack(octets[63:95], words[:8])
    with pytest.raises(ValueError, match="overlaps"):
        kahe.cbd(signed[:8], octets[63 : 63 + 128])
    scale.accumulate(words[:8], octets[64:96], False)
    scale.pack(octets[64:96], words[:8])
    kahe.cbd(signed[:8], octets[64 : 64 + 128])


NAMES = ("m", "max_r", "sum_r2", "total", "ak")


@pytest.mark.parametrize("pair", [(a, b) for i, a in enumerate(NAMES[:3]) for b in NAMES[i + 1 :]])
def test_opening_refuses_any_overlap_with_an_output(pair):
    scale = kahe.scale(Q, 32, 8)
    shapes = {"m": (2, 8), "max_r": (2,), "sum_r2": (2,), "total": (2, 8), "ak": (2, 8)}
    kinds = {name: np.int64 if name == "m" else np.uint64 for name in NAMES}
    arrays = {name: np.zeros(shapes[name], kinds[name]) for name in NAMES}
    scale.open(**arrays)
    scale.open(**{**arrays, "ak": arrays["total"]})  # both are only read
    room = np.zeros(256, np.uint8)
    for name in pair:
        size = int(np.prod(shapes[name]))
        arrays[name] = room[: 8 * size].view(kinds[name]).reshape(shapes[name])
    with pytest.raises(ValueError, match="overlaps"):
        scale.open(**arrays)
