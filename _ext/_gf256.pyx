"""GF(2^8) matrix times rows: buffers are checked here once, then the C core runs without the GIL."""

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_STRIDED_RO,
    PyBUF_WRITABLE,
    Py_buffer,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport uint8_t, uintptr_t
from libc.string cimport memcpy

from .errors import KernelUnavailable, ParameterError

cdef extern from "gf256.h":
    enum:
        SV_GF256_OK
    size_t sv_gf256_entry_bytes(int backend) nogil
    void sv_gf256_prepare(
        uint8_t *tables, const uint8_t *matrix, size_t rows, size_t cols, int backend
    ) nogil
    size_t sv_gf256_scratch_bytes(size_t rows, size_t cols, size_t length, int backend) nogil
    int sv_gf256_multiply(
        uint8_t **out, const uint8_t **inputs, const uint8_t *matrix, const uint8_t *tables, size_t rows,
        size_t cols, size_t length, int accumulate, uint8_t *scratch, int backend,
    ) nogil

MAX_SIDE = 256  # no code of ours has more rows or columns: there are 256 points


cdef class Matrix:
    """A matrix and what a back end has made of it; immutable.  See the front, gf256.py."""

    cdef uint8_t *coefficients
    cdef uint8_t *tables
    cdef readonly Py_ssize_t rows
    cdef readonly Py_ssize_t cols
    cdef readonly int backend

    def __cinit__(self, object matrix, Py_ssize_t rows, Py_ssize_t cols, int backend):
        cdef Py_buffer view
        if not 1 <= rows <= MAX_SIDE or not 1 <= cols <= MAX_SIDE:
            raise ParameterError(f"1 to {MAX_SIDE} rows and columns expected, got {rows} and {cols}")
        take(matrix, &view, 0, 2, "matrix", 0)
        try:
            if view.len != rows * cols:
                raise ParameterError(f"matrix: {rows * cols} coefficients expected, got {view.len}")
            self.coefficients = <uint8_t *> PyMem_RawMalloc(rows * cols)
            self.tables = <uint8_t *> PyMem_RawMalloc(rows * cols * sv_gf256_entry_bytes(backend) + 1)
            if self.coefficients == NULL or self.tables == NULL:
                raise MemoryError
            memcpy(self.coefficients, view.buf, rows * cols)
        finally:
            PyBuffer_Release(&view)
        self.rows, self.cols, self.backend = rows, cols, backend
        sv_gf256_prepare(self.tables, self.coefficients, rows, cols, backend)

    def __dealloc__(self):
        PyMem_RawFree(self.coefficients)
        PyMem_RawFree(self.tables)

    def __reduce__(self):
        raise TypeError("gf256.Matrix cannot be pickled")


cdef int take(
    object row, Py_buffer *view, int flags, int dimensions, str name, Py_ssize_t index
) except -1:
    """Lock one buffer: contiguous, single bytes, at most so many dimensions."""
    PyObject_GetBuffer(row, view, flags | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    if not 1 <= view.ndim <= dimensions or not is_bytes(view):
        PyBuffer_Release(view)
        raise ParameterError(f"{name} {index}: contiguous bytes, at most {dimensions}-d, expected")
    return 0


cdef bint is_bytes(Py_buffer *view):
    cdef const char *kind = view.format
    if view.itemsize != 1:
        return False
    return kind == NULL or (kind[0] in b"Bbc" and kind[1] == 0)


cdef class Rows:
    """Rows of one length, locked: a sequence of buffers, or one two-dimensional one with contiguous rows."""

    cdef Py_buffer *views
    cdef uint8_t **start
    cdef Py_ssize_t held, count, length

    def __cinit__(self, object given, Py_ssize_t count, bint writable, str name):
        cdef Py_ssize_t i
        cdef int flags = PyBUF_WRITABLE if writable else 0
        self.start = <uint8_t **> PyMem_RawMalloc(count * sizeof(uint8_t *))
        self.views = <Py_buffer *> PyMem_RawMalloc(count * sizeof(Py_buffer))
        if self.start == NULL or self.views == NULL:
            raise MemoryError
        self.count = count
        if not isinstance(given, (list, tuple)):
            self._take_array(given, flags | PyBUF_STRIDED_RO | PyBUF_FORMAT, name)
            return
        if len(given) != count:
            raise ParameterError(f"{name}: {count} rows expected, got {len(given)}")
        for i in range(count):
            take(given[i], &self.views[i], flags, 1, name, i)
            self.held = i + 1
            self.start[i] = <uint8_t *> self.views[i].buf
        self.length = self.views[0].len
        for i in range(count):
            if self.views[i].len != self.length:
                raise ParameterError(
                    f"rows: equal lengths expected, got {self.length} and {self.views[i].len}"
                )

    cdef int _take_array(self, object given, int flags, str name) except -1:
        cdef Py_buffer *view = self.views
        cdef Py_ssize_t i
        PyObject_GetBuffer(given, view, flags)
        self.held = 1
        if view.ndim != 2 or not is_bytes(view) or (view.shape[1] > 1 and view.strides[1] != 1):
            raise ParameterError(f"{name}: two dimensions of bytes with contiguous rows expected")
        if view.shape[0] != self.count:
            raise ParameterError(f"{name}: {self.count} rows expected, got {view.shape[0]}")
        self.length = view.shape[1]
        for i in range(self.count):
            self.start[i] = <uint8_t *> view.buf + i * view.strides[0]
        return 0

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.held):
            PyBuffer_Release(&self.views[i])
        PyMem_RawFree(self.views)
        PyMem_RawFree(self.start)


cdef bint meet(const uint8_t *a, Py_ssize_t a_length, const uint8_t *b, Py_ssize_t b_length):
    cdef uintptr_t start = <uintptr_t> a, other = <uintptr_t> b
    return start < other + <size_t> b_length and other < start + <size_t> a_length


def multiply(
    Matrix matrix not None, object inputs, object outputs, bint accumulate, Py_ssize_t begin, Py_ssize_t end
):
    """``outputs[r] (+)= sum_j matrix[r * cols + j] * inputs[j]``; see the front, gf256.py."""
    cdef Rows read = Rows(inputs, matrix.cols, False, "inputs")
    cdef Rows written = Rows(outputs, matrix.rows, True, "outputs")
    cdef Py_ssize_t i, j, length = read.length
    cdef uint8_t *scratch
    cdef int code
    if written.length != length:
        raise ParameterError(f"rows: equal lengths expected, got {length} and {written.length}")
    if end < 0:
        end = length
    if not 0 <= begin <= end <= length:
        raise ParameterError(f"columns: within 0 to {length} expected, got {begin} to {end}")
    # An output is read again by the next group of rows, or written before another row is read.  Whole rows
    # are looked at, so that threads on different columns do not meet either.
    for i in range(written.count):
        for j in range(read.count):
            if meet(written.start[i], length, read.start[j], length):
                raise ParameterError("output: overlaps an input")
        for j in range(i):
            if meet(written.start[i], length, written.start[j], length):
                raise ParameterError("output: overlaps another output")
    for i in range(read.count):
        read.start[i] += begin
    for i in range(written.count):
        written.start[i] += begin
    length = end - begin
    scratch = <uint8_t *> PyMem_RawMalloc(
        sv_gf256_scratch_bytes(matrix.rows, matrix.cols, length, matrix.backend)
    )
    if scratch == NULL:
        raise MemoryError
    try:
        with nogil:
            code = sv_gf256_multiply(
                written.start, <const uint8_t **> read.start, matrix.coefficients, matrix.tables, matrix.rows,
                matrix.cols, length, accumulate, scratch, matrix.backend,
            )
    finally:
        PyMem_RawFree(scratch)
    if code != SV_GF256_OK:
        raise KernelUnavailable(f"gf256: back end {matrix.backend} is not in this build")
