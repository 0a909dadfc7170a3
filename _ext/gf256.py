"""Matrix times rows of bytes over GF(2^8)/0x11D: the one hot loop of erasure coding.

Encoding, decoding and secret sharing are all this product, with another matrix.  The matrix is
public; the rows may be secret: every back end is free of look-ups and branches that depend on them.
Back ends, lane drawings and how to add one: docs/kernels.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import _gf256
from .kernel import Backend, choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    # NumPy's stubs declare the buffer protocol from Python 3.12 on only.
    Row = Buffer | NDArray[np.uint8]

POLYNOMIAL = 0x11D
"""x^8 + x^4 + x^3 + x^2 + 1, with x as a generator of the multiplicative group."""

MAX_SIDE = _gf256.MAX_SIDE

# Slowest first; the last one that runs here is taken.
BACKENDS = (
    Backend("portable", "portable", frozenset(), 0),
    Backend("avx2", "avx2", frozenset(), 1),
    Backend("avx2-gfni", "avx2", frozenset({"gfni"}), 2),
    Backend("avx512-gfni", "avx512", frozenset({"gfni"}), 3),
    Backend("neon", "neon", frozenset(), 4),
)
_BACKEND = choose("gf256", BACKENDS)


Matrix = _gf256.Matrix
"""A matrix with the tables that a back end makes of it; by :func:`prepare`."""


def prepare(matrix: Row, rows: int, cols: int, backend: Backend = _BACKEND) -> Matrix:
    """Make the tables of a matrix that is used more than once; up to 34 bytes a coefficient.

    Args:
        matrix: ``rows * cols`` coefficients, one byte each, row by row, in one contiguous buffer of one or
            two dimensions.  Public.  Copied.
        rows, cols: 1 to 256.
        backend: One of :data:`BACKENDS` that this processor runs; tests and benchmarks only.

    Returns:
        An immutable object, safe to share between threads.

    Raises:
        TypeError: No buffer.
        ParameterError: Another size, or not bytes.

    Timing: depends on the size; the matrix is public.
    Source: docs/kernels.md, "GF(2^8)".
    """
    return Matrix(matrix, rows, cols, backend.code)


def multiply(
    matrix: Row | Matrix,
    inputs: Sequence[Row] | NDArray[np.uint8],
    outputs: Sequence[Row] | NDArray[np.uint8],
    *,
    accumulate: bool = False,
    backend: Backend = _BACKEND,
    begin: int = 0,
    end: int = -1,
) -> None:
    """Write ``outputs[r] = sum_j matrix[r, j] * inputs[j]``, or add it to what is there.

    Args:
        matrix: By :func:`prepare`; or ``len(outputs) * len(inputs)`` coefficients as there.  Public.
        inputs: 1 to 256 rows of bytes of one length (zero allowed), any alignment; a two-dimensional array
            with contiguous rows is the quickest form.  Read, never kept.
        outputs: 1 to 256 writable rows of the same length, none overlapping another row.
        accumulate: Add to the outputs (exclusive or) instead of overwriting them.
        backend: As :func:`prepare`; not looked at for a prepared matrix.
        begin, end: Columns to do, all by default (-1: up to the last).  Overlap is looked for in whole rows,
            so threads may do the columns of one product side by side.

    Raises:
        TypeError, BufferError: A row is no buffer, or an output is read-only.
        ParameterError: A row is not one-dimensional contiguous bytes, lengths differ, the matrix has
            another size, an output overlaps something, or columns out of range.  Nothing was written.
        KernelUnavailable: ``backend`` is not in this build.

    Timing: depends on lengths and on the matrix, not on the rows.  The GIL is released.
    Source: docs/kernels.md, "GF(2^8)".
    """
    if not isinstance(matrix, Matrix):
        matrix = Matrix(matrix, len(outputs), len(inputs), backend.code)
    _gf256.multiply(matrix, inputs, outputs, accumulate, begin, end)
