"""Inner loops of key-additive encryption: checked buffers and calls into C without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from .lattice import WORD, check_slots, limbs, modulus

cdef extern from "kahe.h":
    ctypedef struct sv_pair:
        uint64_t lo
        uint64_t hi
    ctypedef struct sv_modulus:
        unsigned primes
        unsigned prime_bits
        unsigned bits
        uint64_t[2] p
        sv_pair q
        uint64_t inverse
        uint64_t inverse_shoup
        uint64_t[2] half_shoup
        uint64_t[2] top
    ctypedef struct sv_limbs:
        unsigned slots
        unsigned count
        uint64_t[3][2] factor
    ctypedef struct sv_extents:
        unsigned count
    void sv_note(sv_extents *x, const void *at, size_t size)
    bint sv_apart(const sv_extents *x, unsigned outputs)

    enum:
        SV_KAHE_CBD_BYTES
        SV_KAHE_WORD_BITS
    ctypedef struct sv_kahe_scale:
        sv_modulus m
        unsigned wire_bits
        unsigned scale_bits
        unsigned slots
        unsigned slot_bits
        unsigned digits
        unsigned[3] digit_bits
        uint64_t[3][2] recip
        sv_limbs limbs
    ctypedef struct sv_kahe_kernel:
        void (*encrypt)(uint8_t *packed, const uint64_t *const *ak, const int32_t *values,
                        const uint8_t *random, size_t n, const sv_kahe_scale *s) noexcept nogil
        void (*accumulate)(uint64_t *const *total, const uint8_t *packed, size_t n, unsigned wire_bits,
                           int negative) noexcept nogil
        void (*pack)(uint8_t *packed, const uint64_t *const *total, size_t n,
                     unsigned wire_bits) noexcept nogil
        void (*open)(int64_t *values, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *const *total,
                     const uint64_t *const *ak, size_t n, const sv_kahe_scale *s) noexcept nogil
    const sv_kahe_kernel *sv_kahe_kernel_of(int backend)

CBD_BYTES = SV_KAHE_CBD_BYTES
WORD_BITS = SV_KAHE_WORD_BITS


cdef int check_apart(const sv_extents *x, unsigned outputs) except -1:
    if not sv_apart(x, outputs):
        raise ValueError("output: overlaps an input or another output")
    return 0


cdef int check_row(Py_ssize_t within, Py_ssize_t between, Py_ssize_t rows, Py_ssize_t width) except -1:
    if within != 8 or rows > 1 and (between < width or between % 8):
        raise ValueError("rows: contiguous, in ascending order, apart from each other, expected")
    return 0


cdef int note_planes(sv_extents *x, const uint64_t[:, :, :] planes) except -1:
    """Every plane on its own: planes of several arrays may be interleaved."""
    cdef Py_ssize_t rows = planes.shape[1], step = planes.strides[1], width = 8 * planes.shape[2], j
    check_row(planes.strides[2], step, rows, width)
    for j in range(planes.shape[0]):
        sv_note(x, &planes[j, 0, 0], (rows - 1) * step + width)
    return 0


cdef class Scale:
    """Scaling between ``Z_q`` and ``Z_(2**W)``; immutable, so any number of threads may use it."""

    cdef sv_kahe_scale scale
    cdef const sv_kahe_kernel *kernel
    cdef unsigned words

    def __cinit__(self, int code, tuple primes, int wire_bits, int slots, int slot_bits, int scale_bits=0):
        fields = modulus(primes)
        bits = fields["bits"]
        if scale_bits == 0:
            scale_bits = bits - slots * slot_bits
        check_slots(bits, scale_bits, slots, slot_bits)
        if not 1 <= wire_bits < bits:
            raise ValueError(f"wire_bits: 1 to {bits - 1} expected")
        if len(primes) == 2 and wire_bits + scale_bits > bits + 40:
            raise ValueError("wire_bits: with two primes at most 40 more than the slots expected")
        self.kernel = sv_kahe_kernel_of(code)
        if self.kernel == NULL:
            raise ValueError("unknown back end")
        # Digits below the length of a prime, of nearly equal width, the highest first.
        digits = -(-wire_bits // (fields["prime_bits"] - 1))
        widths = [wire_bits // digits + (d < wire_bits % digits) for d in range(digits)] + [0, 0]
        self.scale.m = fields
        self.scale.wire_bits = wire_bits
        self.scale.scale_bits = scale_bits
        self.scale.slots = slots
        self.scale.slot_bits = slot_bits
        self.scale.digits = digits
        self.scale.limbs = limbs(primes, scale_bits, slots, slot_bits)
        for d in range(digits):
            self.scale.digit_bits[d] = widths[d]
            for j, p in enumerate(primes):
                self.scale.recip[d][j] = (WORD << widths[d]) // p
        self.words = 1 if wire_bits <= SV_KAHE_WORD_BITS else 2

    def encrypt(self, uint8_t[::1] packed not None, const uint64_t[:, :, :] ak not None,
                const int32_t[::1] values not None, const uint8_t[::1] random not None):
        cdef size_t rows = ak.shape[1], N = ak.shape[2], slots = self.scale.slots, r
        cdef size_t step = N * self.scale.wire_bits // 8
        cdef const uint64_t *at[2]
        cdef sv_extents x
        self._check(rows, N, packed.shape[0], ak.shape[0])
        if <size_t> values.shape[0] != rows * N * slots:
            raise ValueError(f"values: {rows * N * slots} expected, got {values.shape[0]}")
        if <size_t> random.shape[0] != rows * N * SV_KAHE_CBD_BYTES:
            raise ValueError(f"random: {CBD_BYTES} bytes a coefficient expected")
        x.count = 0
        sv_note(&x, &packed[0], packed.shape[0])
        note_planes(&x, ak)
        sv_note(&x, &values[0], 4 * values.shape[0])
        sv_note(&x, &random[0], random.shape[0])
        check_apart(&x, 1)
        with nogil:
            for r in range(rows):
                at[0] = &ak[0, r, 0]
                at[1] = &ak[self.scale.m.primes - 1, r, 0]
                self.kernel.encrypt(&packed[r * step], at, &values[r * N * slots],
                                    &random[r * N * SV_KAHE_CBD_BYTES], N, &self.scale)

    def accumulate(self, uint64_t[:, :] total not None, const uint8_t[::1] packed not None, bint negative):
        cdef size_t n = total.shape[1]
        cdef uint64_t *at[2]
        cdef sv_extents x
        self._check_sum(total, packed.shape[0])
        at[0] = &total[0, 0]
        at[1] = &total[self.words - 1, 0]
        x.count = 0
        sv_note(&x, at[0], 8 * n)
        if self.words == 2:
            sv_note(&x, at[1], 8 * n)
        sv_note(&x, &packed[0], packed.shape[0])
        check_apart(&x, self.words)
        with nogil:
            self.kernel.accumulate(at, &packed[0], n, self.scale.wire_bits, negative)

    def pack(self, uint8_t[::1] packed not None, const uint64_t[:, :] total not None):
        cdef size_t n = total.shape[1]
        cdef const uint64_t *at[2]
        cdef sv_extents x
        self._check_sum(total, packed.shape[0])
        at[0] = &total[0, 0]
        at[1] = &total[self.words - 1, 0]
        x.count = 0
        sv_note(&x, &packed[0], packed.shape[0])
        sv_note(&x, at[0], 8 * n)
        sv_note(&x, at[1], 8 * n)
        check_apart(&x, 1)
        with nogil:
            self.kernel.pack(&packed[0], at, n, self.scale.wire_bits)

    def open(self, int64_t[:, :] values not None, uint64_t[::1] max_r not None, uint64_t[::1] sum_r2 not None,
             const uint64_t[:, :, :] total not None, const uint64_t[:, :, :] ak not None):
        cdef size_t rows = ak.shape[1], N = ak.shape[2], r
        cdef Py_ssize_t width = 8 * values.shape[1]
        cdef const uint64_t *sum_at[2]
        cdef const uint64_t *ak_at[2]
        cdef sv_extents x
        if rows == 0 or N == 0 or N % 8 or N > 1 << 14:
            raise ValueError("ak: rows of 8 to 2**14 coefficients, a multiple of 8, expected")
        if <unsigned> ak.shape[0] != self.scale.m.primes or <unsigned> total.shape[0] != self.words:
            raise ValueError(f"ak: {self.scale.m.primes} planes, and total: {self.words} expected")
        if not (<size_t> values.shape[0] == <size_t> max_r.shape[0] == <size_t> sum_r2.shape[0]
                == <size_t> total.shape[1] == rows):
            raise ValueError("values, max_r, sum_r2, total and ak: as many rows expected")
        if <size_t> total.shape[2] != N or <size_t> values.shape[1] != N * self.scale.slots:
            raise ValueError("values, total and ak: rows of other lengths expected")
        check_row(values.strides[1], values.strides[0], rows, width)
        x.count = 0
        sv_note(&x, &values[0, 0], (rows - 1) * values.strides[0] + width)
        sv_note(&x, &max_r[0], 8 * rows)
        sv_note(&x, &sum_r2[0], 8 * rows)
        note_planes(&x, total)
        note_planes(&x, ak)
        check_apart(&x, 3)
        with nogil:
            for r in range(rows):
                sum_at[0] = &total[0, r, 0]
                sum_at[1] = &total[self.words - 1, r, 0]
                ak_at[0] = &ak[0, r, 0]
                ak_at[1] = &ak[self.scale.m.primes - 1, r, 0]
                self.kernel.open(&values[r, 0], &max_r[r], &sum_r2[r], sum_at, ak_at, N, &self.scale)

    cdef int _check(self, size_t rows, size_t N, Py_ssize_t packed, Py_ssize_t planes) except -1:
        if <unsigned> planes != self.scale.m.primes:
            raise ValueError(f"ak: {self.scale.m.primes} planes expected, got {planes}")
        if rows == 0 or N == 0 or N % 8 or <size_t> packed != rows * (N * self.scale.wire_bits // 8):
            raise ValueError("packed: N a multiple of 8, and rows * N * W / 8 bytes, expected")
        return 0

    cdef int _check_sum(self, const uint64_t[:, :] total, Py_ssize_t packed) except -1:
        cdef size_t n = total.shape[1]
        if <unsigned> total.shape[0] != self.words:
            raise ValueError(f"total: {self.words} words a coefficient expected, got {total.shape[0]}")
        if n == 0 or n % 8 or <size_t> packed != n // 8 * self.scale.wire_bits:
            raise ValueError("packed: n a multiple of 8, and n * W / 8 bytes, expected")
        return check_row(total.strides[1], 0, 1, 0)
