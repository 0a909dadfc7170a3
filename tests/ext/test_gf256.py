"""The kernel of GF(2^8): every back end equals the portable one, and that one equals the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext import gf256, kernel
from sottovoce._ext.errors import KernelUnavailable, ParameterError
from support import rs_twin

USABLE = kernel.usable(gf256.BACKENDS)
PORTABLE = gf256.BACKENDS[0]
MUL = np.array(rs_twin.MUL, np.uint8)
RNG_SEED = 0x5EED
GUARD = 0xA5


def each_backend(*, vectorised=False):
    backends = [b for b in USABLE if not (vectorised and b is PORTABLE)]
    return pytest.mark.parametrize("backend", backends, ids=lambda b: b.name)


def by_definition(matrix, rows):
    out = np.zeros((matrix.shape[0], rows.shape[1]), np.uint8)
    for i, coefficients in enumerate(matrix):
        for j, c in enumerate(coefficients):
            out[i] ^= MUL[c][rows[j]]
    return out


def run(matrix, rows, backend, start=None):
    out = np.zeros((matrix.shape[0], rows.shape[1]), np.uint8) if start is None else start.copy()
    gf256.multiply(matrix, list(rows), list(out), accumulate=start is not None, backend=backend)
    return out


@each_backend()
def test_every_product_of_two_elements_is_right(backend):
    everything = np.arange(256, dtype=np.uint8)[None, :]
    for c in range(256):
        assert np.array_equal(run(np.array([[c]], np.uint8), everything, backend)[0], MUL[c])


@each_backend(vectorised=True)
def test_equals_portable_for_every_constant_length_and_offset_and_leaves_guards_alone(backend):
    # A 16 x 16 matrix with each of the 256 constants once, so that all of them meet all 131 lengths
    # and all 64 offsets; the sums cannot hide a wrong product, for every input row is random.
    rng = np.random.default_rng(RNG_SEED)
    base = rng.integers(0, 256, (16, 256), np.uint8)
    matrix = rng.permutation(256).astype(np.uint8).reshape(16, 16)
    for length in range(131):
        for offset in range(64):
            rows = [row[offset : offset + length] for row in base]
            expected = np.full((16, 256), GUARD, np.uint8)
            got = expected.copy()
            for target, chosen in ((expected, PORTABLE), (got, backend)):
                gf256.multiply(matrix, rows, [t[offset : offset + length] for t in target], backend=chosen)
            assert np.array_equal(expected, got)
            assert (got[:, :offset] == GUARD).all()
            assert (got[:, offset + length :] == GUARD).all()


@pytest.mark.slow
@each_backend(vectorised=True)
def test_equals_the_definition_for_each_single_constant_length_and_offset(backend):
    rng = np.random.default_rng(RNG_SEED)
    base = rng.integers(0, 256, 256, np.uint8)
    for c in range(256):
        matrix, products = bytes([c]), MUL[c][base]
        for length in range(131):
            for offset in range(64):
                got = np.full(256, GUARD, np.uint8)
                gf256.multiply(
                    matrix, [base[offset : offset + length]], [got[offset : offset + length]], backend=backend
                )
                assert np.array_equal(got[offset : offset + length], products[offset : offset + length])
                assert (got[:offset] == GUARD).all()
                assert (got[offset + length :] == GUARD).all()


@each_backend()
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 17])
@pytest.mark.parametrize("length", [1, 31, 64, 127, 128, 4095, 4096 + 65, 2 * 4096 + 33])
def test_every_row_group_and_column_block_equals_the_definition(backend, rows, length):
    rng = np.random.default_rng([rows, length])
    matrix = rng.integers(0, 256, (rows, 5), np.uint8)
    data = rng.integers(0, 256, (5, length), np.uint8)
    assert np.array_equal(run(matrix, data, backend), by_definition(matrix, data))


@each_backend()
def test_accumulates_when_asked_and_overwrites_otherwise(backend):
    rng = np.random.default_rng(RNG_SEED)
    matrix, data = rng.integers(0, 256, (9, 3), np.uint8), rng.integers(0, 256, (3, 333), np.uint8)
    before = rng.integers(0, 256, (9, 333), np.uint8)
    assert np.array_equal(run(matrix, data, backend, before), by_definition(matrix, data) ^ before)
    gf256.multiply(matrix, list(data), list(before), backend=backend)
    assert np.array_equal(before, by_definition(matrix, data))


@each_backend()
def test_largest_matrix(backend):
    rng = np.random.default_rng(RNG_SEED)
    matrix, data = rng.integers(0, 256, (256, 256), np.uint8), rng.integers(0, 256, (256, 70), np.uint8)
    assert np.array_equal(run(matrix, data, backend), by_definition(matrix, data))


@given(
    a=st.integers(1, 6),
    b=st.integers(1, 6),
    c=st.integers(1, 6),
    length=st.integers(0, 200),
    seed=st.integers(0, 2**32),
)
def test_product_is_linear_and_associative(a, b, c, length, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 256, (a, b), np.uint8), rng.integers(0, 256, (b, c), np.uint8)
    x, y = rng.integers(0, 256, (2, c, length), np.uint8)
    best = USABLE[-1]
    assert np.array_equal(run(right, x, best) ^ run(right, y, best), run(right, x ^ y, best))
    assert np.array_equal(run(left, run(right, x, best), best), run(by_definition(left, right), x, best))


def test_accepts_bytes_bytearrays_and_views():
    out = bytearray(4)
    gf256.multiply(b"\x02\x01", [b"\x80\x01\x00\xff", memoryview(bytearray(4))], [out])
    assert out == bytes([0x1D, 2, 0, MUL[2][255]])


@pytest.mark.parametrize(
    ("matrix", "inputs", "outputs"),
    [
        (b"", [], [bytearray(4)]),
        (b"", [b"abcd"], []),
        (b"\1", [b"a"] * 257, [bytearray(1)]),
        (b"\1\1", [b"abcd"], [bytearray(4)]),
        (b"\1", [b"abc"], [bytearray(4)]),
        (b"\1\1", [b"abcd", b"abc"], [bytearray(4)]),
        (b"\1", [np.zeros(4, np.float64)], [bytearray(4)]),
        (b"\1", [np.zeros((2, 2), np.uint8)], [bytearray(4)]),
        (b"\1", [np.zeros(4, np.uint8)], [np.zeros(4, bool)]),
    ],
    ids=[
        "no input",
        "no output",
        "257 inputs",
        "matrix size",
        "lengths",
        "input lengths",
        "floats",
        "2-d",
        "bools",
    ],
)
def test_rejects_impossible_shapes(matrix, inputs, outputs):
    with pytest.raises(ParameterError):
        gf256.multiply(matrix, inputs, outputs)


def test_rejects_rows_that_overlap_and_writes_nothing():
    memory = np.arange(64, dtype=np.uint8)
    before = memory.copy()
    for inputs, outputs in (
        ([memory[:32]], [memory[31:63]]),
        ([memory[:32]], [memory[:32]]),
        ([b"\0" * 8], [memory[:8]] * 2),
    ):
        with pytest.raises(ParameterError, match="overlaps"):
            gf256.multiply(bytes([1] * len(outputs)), inputs, outputs)
        assert np.array_equal(memory, before)


def test_a_matrix_is_copied_so_it_may_be_overwritten():
    memory = bytearray(b"\x02")
    prepared = gf256.prepare(memory, 1, 1)
    memory[0] = 0
    out = bytearray(2)
    gf256.multiply(prepared, [b"\x80\x01"], [out])
    assert out == b"\x1d\x02"


def test_rejects_wrong_python_types():
    with pytest.raises(TypeError):
        gf256.multiply(b"\1", [17], [bytearray(1)])
    with pytest.raises(BufferError):
        gf256.multiply(b"\1", [b"a"], [b"b"])
    with pytest.raises((BufferError, ValueError)):
        gf256.multiply(b"\1", [np.zeros(8, np.uint8)[::2]], [bytearray(4)])


def test_a_locked_buffer_is_released_after_an_error():
    row = bytearray(4)
    with pytest.raises(ParameterError):
        gf256.multiply(b"\1\1", [row], [bytearray(4)])
    row.append(1)  # BufferError if a lock were left


def test_unknown_back_end_is_refused():
    with pytest.raises(KernelUnavailable):
        gf256.multiply(
            b"\1", [b"a"], [bytearray(1)], backend=kernel.Backend("no", "portable", frozenset(), 99)
        )


def test_the_best_usable_back_end_is_in_use():
    assert kernel.chosen()["gf256"] == USABLE[-1].name
