"""Reed-Solomon words: tables of a code, buffers checked once, and the call into C without the GIL."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libc.stdlib cimport free, malloc

from .errors import KernelUnavailable, ParameterError

cdef extern from "rsword.h":
    enum:
        SV_RS_OK
        SV_RS_NO_BACKEND
        SV_RS_NOT_PRIMITIVE
    ctypedef struct sv_rs_code:
        unsigned bits
        unsigned order
        unsigned nsym
        uint16_t *gen
    ctypedef struct sv_rs_batch:
        size_t words
        size_t n
        const uint8_t *inputs "in"
        size_t in_stride
        uint8_t *out
        size_t out_stride
        const uint8_t *erased
        size_t erased_stride
        int32_t *status
    size_t sv_rs_table_bytes(unsigned bits, unsigned nsym, int backend)
    size_t sv_rs_scratch_bytes(const sv_rs_code *code, size_t n)
    int sv_rs_init(sv_rs_code *code, uint8_t *memory, unsigned bits, uint32_t prim, unsigned generator,
                   unsigned fcr, unsigned nsym, int backend) nogil
    void sv_rs_encode(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) nogil
    void sv_rs_check(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) nogil
    void sv_rs_decode(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) nogil

ctypedef fused symbol:
    uint8_t
    uint16_t


cdef class Code:
    """Tables of one code; ``rsword.code`` has checked the numbers.  Immutable, threads may share it."""

    cdef sv_rs_code code
    cdef uint8_t *memory
    cdef readonly int bits
    cdef readonly int nsym

    def __cinit__(
        self, int bits, uint32_t prim, unsigned generator, unsigned fcr, unsigned nsym, int backend
    ):
        if not 2 <= bits <= 16 or prim >> bits != 1 or not 2 <= generator < 1u << bits:
            raise ParameterError("code: no such field")
        if not 1 <= nsym < (1u << bits) - 1:
            raise ParameterError(f"nsym: 1 to {(1 << bits) - 2} expected, got {nsym}")
        self.memory = <uint8_t *> PyMem_Malloc(sv_rs_table_bytes(bits, nsym, backend))
        if self.memory == NULL:
            raise MemoryError
        cdef int result
        with nogil:  # milliseconds for the largest field
            result = sv_rs_init(&self.code, self.memory, bits, prim, generator, fcr, nsym, backend)
        if result == SV_RS_NOT_PRIMITIVE:
            raise ParameterError(f"prim, generator: {generator} does not generate the field of {prim:#x}")
        if result == SV_RS_NO_BACKEND:
            raise KernelUnavailable(f"rsword: back end {backend} is not in this build")
        self.bits = bits
        self.nsym = nsym

    def __dealloc__(self):
        PyMem_Free(self.memory)

    def generator_polynomial(self):
        """Its ``nsym + 1`` coefficients, the leading 1 first."""
        return [self.code.gen[i] for i in range(self.code.nsym + 1)]

    cdef int _symbols(self, size_t itemsize) except -1:
        if itemsize != (1 if self.code.bits <= 8 else 2):
            raise ParameterError(f"symbols: {'uint8' if self.code.bits <= 8 else 'uint16'} expected")
        return 0

    cdef int _length(self, size_t n) except -1:
        if not self.code.nsym < n <= self.code.order:
            raise ParameterError(
                f"word: {self.code.nsym + 1} to {self.code.order} symbols expected, got {n}"
            )
        return 0

    cdef int _run(self, int what, sv_rs_batch *batch) except -1:
        cdef uint8_t *scratch = <uint8_t *> malloc(sv_rs_scratch_bytes(&self.code, batch.n))
        if scratch == NULL:
            raise MemoryError
        with nogil:
            if what == 0:
                sv_rs_encode(&self.code, batch, scratch)
            elif what == 1:
                sv_rs_check(&self.code, batch, scratch)
            else:
                sv_rs_decode(&self.code, batch, scratch)
        free(scratch)
        return 0

    def encode(self, symbol[:, :] out not None, const symbol[:, :] messages not None):
        """Messages of k symbols to words of k + nsym; ``out[:, :k]`` may be ``messages`` itself."""
        cdef sv_rs_batch batch
        self._symbols(sizeof(symbol))
        if out.shape[0] != messages.shape[0] or out.shape[1] != messages.shape[1] + self.nsym:
            raise ParameterError("out: another shape expected")
        self._length(out.shape[1])
        if out.shape[0] == 0:
            return
        batch.words = out.shape[0]
        batch.n = out.shape[1]
        batch.inputs = <const uint8_t *> &messages[0, 0]
        batch.in_stride = messages.strides[0]
        batch.out = <uint8_t *> &out[0, 0]
        batch.out_stride = out.strides[0]
        batch.erased = NULL
        batch.erased_stride = 0
        batch.status = NULL
        contiguous(messages.strides[1], messages.shape[1], sizeof(symbol))
        contiguous(out.strides[1], out.shape[1], sizeof(symbol))
        check_rows(&batch, sizeof(symbol) * messages.shape[1], sizeof(symbol) * batch.n)
        self._run(0, &batch)

    def check(self, int32_t[::1] status not None, const symbol[:, :] words not None):
        """1 for words that are codewords, else 0."""
        cdef sv_rs_batch batch
        self._symbols(sizeof(symbol))
        self._length(words.shape[1])
        if status.shape[0] != words.shape[0]:
            raise ParameterError("status: one number a word expected")
        if words.shape[0] == 0:
            return
        batch.words = words.shape[0]
        batch.n = words.shape[1]
        batch.inputs = <const uint8_t *> &words[0, 0]
        batch.in_stride = words.strides[0]
        batch.out = <uint8_t *> &words[0, 0]
        batch.out_stride = words.strides[0]
        batch.erased = NULL
        batch.erased_stride = 0
        batch.status = &status[0]
        contiguous(words.strides[1], words.shape[1], sizeof(symbol))
        check_rows(&batch, sizeof(symbol) * batch.n, sizeof(symbol) * batch.n)
        self._run(1, &batch)

    def decode(self, symbol[:, :] out not None, int32_t[::1] status not None,
               const symbol[:, :] words not None, const uint8_t[:, :] erased=None):
        """Correct words into ``out``, which may be ``words``; ``erased`` has one row, or one a word."""
        cdef sv_rs_batch batch
        self._symbols(sizeof(symbol))
        self._length(words.shape[1])
        if out.shape[0] != words.shape[0] or out.shape[1] != words.shape[1]:
            raise ParameterError("out: another shape expected")
        if status.shape[0] != words.shape[0]:
            raise ParameterError("status: one number a word expected")
        if words.shape[0] == 0:
            return
        batch.words = words.shape[0]
        batch.n = words.shape[1]
        batch.inputs = <const uint8_t *> &words[0, 0]
        batch.in_stride = words.strides[0]
        batch.out = <uint8_t *> &out[0, 0]
        batch.out_stride = out.strides[0]
        batch.erased = NULL
        batch.erased_stride = 0
        if erased is not None:
            if erased.shape[1] != words.shape[1] or erased.shape[0] not in (1, words.shape[0]):
                raise ParameterError("erased: one row of flags, or one a word, expected")
            contiguous(erased.strides[1], erased.shape[1], 1)
            batch.erased = &erased[0, 0]
            batch.erased_stride = 0 if erased.shape[0] == 1 else erased.strides[0]
        batch.status = &status[0]
        contiguous(words.strides[1], words.shape[1], sizeof(symbol))
        contiguous(out.strides[1], out.shape[1], sizeof(symbol))
        check_rows(&batch, sizeof(symbol) * batch.n, sizeof(symbol) * batch.n)
        self._run(2, &batch)


cdef int contiguous(Py_ssize_t stride, Py_ssize_t count, Py_ssize_t itemsize) except -1:
    if count > 1 and stride != itemsize:
        raise ParameterError("rows: contiguous ones expected")
    return 0


cdef int check_rows(const sv_rs_batch *batch, size_t in_bytes, size_t out_bytes) except -1:
    """Rows run upwards and apart; ``out`` begins where the input does, row by row, or touches none of it."""
    if batch.words > 1 and (<Py_ssize_t> batch.in_stride < <Py_ssize_t> in_bytes
                            or <Py_ssize_t> batch.out_stride < <Py_ssize_t> out_bytes):
        raise ParameterError("rows: each beyond the one before expected")
    if batch.out == batch.inputs and (batch.words == 1 or batch.in_stride == batch.out_stride):
        return 0
    # Both run upwards, so the one that ends before the other begins is passed.
    cdef size_t i = 0, j = 0
    cdef uintptr_t given, target
    while i < batch.words and j < batch.words:
        given = <uintptr_t> batch.inputs + i * batch.in_stride
        target = <uintptr_t> batch.out + j * batch.out_stride
        if given + in_bytes <= target:
            i += 1
        elif target + out_bytes <= given:
            j += 1
        else:
            raise ParameterError("out: overlaps the input without being it")
    return 0
