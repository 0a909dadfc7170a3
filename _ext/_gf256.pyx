"""GF(2^8) matrix times rows: buffers are checked here once, then the C core runs without the GIL."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    Py_buffer,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport uint8_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc

from .errors import KernelUnavailable, ParameterError

cdef extern from "gf256.h":
    enum:
        SV_GF256_OK
        SV_GF256_SCRATCH_BYTES
    int sv_gf256_multiply(
        uint8_t **out, const uint8_t **inputs, const uint8_t *matrix, size_t rows, size_t cols,
        size_t length, int accumulate, uint8_t *scratch, int backend,
    ) nogil

MAX_SIDE = 256  # no code of ours has more rows or columns: there are 256 points


cdef int take(
    object row, Py_buffer *view, int flags, int dimensions, str name, Py_ssize_t index
) except -1:
    """Lock one buffer: contiguous, single bytes, at most so many dimensions."""
    PyObject_GetBuffer(row, view, flags | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    cdef bytes kind = view.format if view.format != NULL else b"B"
    if not 1 <= view.ndim <= dimensions or view.itemsize != 1 or kind not in (b"B", b"b", b"c"):
        PyBuffer_Release(view)
        raise ParameterError(f"{name} {index}: contiguous bytes, at most {dimensions}-d, expected")
    return 0


def multiply(
    object matrix, list inputs, list outputs, bint accumulate, int backend, Py_ssize_t begin, Py_ssize_t end
):
    """``outputs[r] (+)= sum_j matrix[r * cols + j] * inputs[j]``; see the front, gf256.py."""
    cdef Py_ssize_t rows = len(outputs), cols = len(inputs), count = 1 + rows + cols, held = 0
    cdef Py_ssize_t i, j, length
    cdef uintptr_t start, other
    cdef Py_buffer *views = NULL
    cdef uint8_t **out = NULL
    cdef const uint8_t **rows_in = NULL
    cdef uint8_t *scratch = NULL
    cdef int code
    if not 1 <= rows <= MAX_SIDE or not 1 <= cols <= MAX_SIDE:
        raise ParameterError(f"1 to {MAX_SIDE} rows and columns expected, got {rows} and {cols}")
    try:
        views = <Py_buffer *> calloc(count, sizeof(Py_buffer))
        out = <uint8_t **> malloc(rows * sizeof(uint8_t *))
        rows_in = <const uint8_t **> malloc(cols * sizeof(uint8_t *))
        scratch = <uint8_t *> malloc(rows * cols * SV_GF256_SCRATCH_BYTES)
        if views == NULL or out == NULL or rows_in == NULL or scratch == NULL:
            raise MemoryError
        take(matrix, &views[0], 0, 2, "matrix", 0)
        held = 1
        if views[0].len != rows * cols:
            raise ParameterError(f"matrix: {rows * cols} coefficients expected, got {views[0].len}")
        for i in range(cols):
            take(inputs[i], &views[held], 0, 1, "input", i)
            held += 1
            rows_in[i] = <const uint8_t *> views[held - 1].buf
        for i in range(rows):
            take(outputs[i], &views[held], PyBUF_WRITABLE, 1, "output", i)
            held += 1
            out[i] = <uint8_t *> views[held - 1].buf
        length = views[1].len
        for i in range(1, count):
            if views[i].len != length:
                raise ParameterError(f"rows: equal lengths expected, got {length} and {views[i].len}")
        # An output is read again by the next group of rows, or written before another row is read.
        for i in range(1 + cols, count):
            start = <uintptr_t> views[i].buf
            for j in range(0, i):
                other = <uintptr_t> views[j].buf
                if start < other + <size_t> views[j].len and other < start + <size_t> length:
                    raise ParameterError("output: overlaps an input, the matrix or another output")
        # The whole rows were checked, so that threads on different columns do not meet either.
        if end < 0:
            end = length
        if not 0 <= begin <= end <= length:
            raise ParameterError(f"columns: within 0 to {length} expected, got {begin} to {end}")
        for i in range(cols):
            rows_in[i] += begin
        for i in range(rows):
            out[i] += begin
        with nogil:
            code = sv_gf256_multiply(
                out, rows_in, <const uint8_t *> views[0].buf, rows, cols, end - begin, accumulate, scratch,
                backend,
            )
        if code != SV_GF256_OK:
            raise KernelUnavailable(f"gf256: back end {backend} is not in this build")
    finally:
        for i in range(held):
            PyBuffer_Release(&views[i])
        free(views)
        free(out)
        free(rows_in)
        free(scratch)
