"""Inner loops of public-key additive encryption: checked buffers and calls into C without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from .lattice import WORD, check_slots, limbs, modulus

cdef extern from "rlwe.h":
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
        SV_RLWE_CBD_BYTES
    ctypedef struct sv_rlwe_rounding:
        sv_modulus m
        unsigned scale_bits
        unsigned slots
        unsigned slot_bits
        unsigned drop_bits
        unsigned wire_bits
        sv_limbs limbs
    ctypedef struct sv_rlwe_weight:
        int64_t value
        uint64_t[2] low
        uint64_t[2] low_shoup
        uint64_t[2] high
        uint64_t[2] high_shoup
    ctypedef struct sv_rlwe_kernel:
        void (*encrypt)(uint8_t *packed, const uint64_t *const *y, const int32_t *values,
                        const uint8_t *random, size_t n, const sv_rlwe_rounding *s) noexcept nogil
        void (*pack)(uint8_t *packed, const uint64_t *const *y, size_t n,
                     const sv_rlwe_rounding *s) noexcept nogil
        void (*unpack)(uint64_t *const *y, const uint8_t *packed, size_t n,
                       const sv_rlwe_rounding *s) noexcept nogil
        size_t (*check)(const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) noexcept nogil
        void (*accumulate)(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight,
                           size_t n, const sv_rlwe_rounding *s) noexcept nogil
        void (*add)(uint64_t *const *total, const uint64_t *const *y, const sv_rlwe_weight *weight, size_t n,
                    const sv_rlwe_rounding *s) noexcept nogil
        void (*open)(int64_t *values, uint64_t *max_r, const uint64_t *const *y, size_t n,
                     const sv_rlwe_rounding *s) noexcept nogil
    const sv_rlwe_kernel *sv_rlwe_kernel_of(int backend)

CBD_BYTES = SV_RLWE_CBD_BYTES
MAX_DROP_BITS = 23
MAX_WEIGHT = (1 << 24) - 1


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


cdef class Rounding:
    """Scaling and rounding of one set and wire format; immutable, so any number of threads may use it."""

    cdef sv_rlwe_rounding rounding
    cdef const sv_rlwe_kernel *kernel
    cdef tuple primes

    def __cinit__(self, int code, tuple primes, int scale_bits, int slots, int slot_bits, int drop_bits):
        fields = modulus(primes)
        bits = fields["bits"]
        check_slots(bits, scale_bits, slots, slot_bits)
        if not 0 <= drop_bits <= min(MAX_DROP_BITS, bits - 2):
            raise ValueError(f"drop_bits: 0 to {min(MAX_DROP_BITS, bits - 2)} expected")
        self.kernel = sv_rlwe_kernel_of(code)
        if self.kernel == NULL:
            raise ValueError("unknown back end")
        self.primes = primes
        self.rounding.m = fields
        self.rounding.scale_bits = scale_bits
        self.rounding.slots = slots
        self.rounding.slot_bits = slot_bits
        self.rounding.drop_bits = drop_bits
        self.rounding.wire_bits = bits - drop_bits
        self.rounding.limbs = limbs(primes, scale_bits, slots, slot_bits)

    def encrypt(self, uint8_t[::1] packed not None, const uint64_t[:, :, :] y not None,
                const int32_t[::1] values, const uint8_t[::1] random not None):
        cdef size_t rows = y.shape[1], N = y.shape[2], slots = self.rounding.slots, r
        cdef size_t step = N * self.rounding.wire_bits // 8
        cdef const int32_t *message = NULL
        cdef const uint64_t *at[2]
        cdef sv_extents x
        self._check(y, packed.shape[0])
        if <size_t> random.shape[0] != rows * N * SV_RLWE_CBD_BYTES:
            raise ValueError(f"random: {CBD_BYTES} bytes a coefficient expected")
        x.count = 0
        sv_note(&x, &packed[0], packed.shape[0])
        note_planes(&x, y)
        sv_note(&x, &random[0], random.shape[0])
        if values is not None:
            if <size_t> values.shape[0] != rows * N * slots:
                raise ValueError(f"values: {rows * N * slots} expected, got {values.shape[0]}")
            message = &values[0]
            sv_note(&x, message, 4 * values.shape[0])
        check_apart(&x, 1)
        with nogil:
            for r in range(rows):
                at[0] = &y[0, r, 0]
                at[1] = &y[self.rounding.m.primes - 1, r, 0]
                self.kernel.encrypt(&packed[r * step], at,
                                    message + r * N * slots if message != NULL else NULL,
                                    &random[r * N * SV_RLWE_CBD_BYTES], N, &self.rounding)

    def pack(self, uint8_t[::1] packed not None, const uint64_t[:, :, :] y not None):
        cdef size_t rows = y.shape[1], N = y.shape[2], step = N * self.rounding.wire_bits // 8, r
        cdef const uint64_t *at[2]
        cdef sv_extents x
        self._check(y, packed.shape[0])
        x.count = 0
        sv_note(&x, &packed[0], packed.shape[0])
        note_planes(&x, y)
        check_apart(&x, 1)
        with nogil:
            for r in range(rows):
                at[0] = &y[0, r, 0]
                at[1] = &y[self.rounding.m.primes - 1, r, 0]
                self.kernel.pack(&packed[r * step], at, N, &self.rounding)

    def unpack(self, uint64_t[:, :, :] y not None, const uint8_t[::1] packed not None):
        cdef size_t rows = y.shape[1], N = y.shape[2], step = N * self.rounding.wire_bits // 8, r
        cdef uint64_t *at[2]
        cdef sv_extents x
        self._check(y, packed.shape[0])
        x.count = 0
        note_planes(&x, y)
        sv_note(&x, &packed[0], packed.shape[0])
        check_apart(&x, self.rounding.m.primes)
        with nogil:
            for r in range(rows):
                at[0] = &y[0, r, 0]
                at[1] = &y[self.rounding.m.primes - 1, r, 0]
                self.kernel.unpack(at, &packed[r * step], N, &self.rounding)

    def check(self, const uint8_t[::1] packed not None):
        cdef size_t size = packed.shape[0], W = self.rounding.wire_bits, n = size // W * 8, first
        if n == 0 or n // 8 * W != size:
            raise ValueError(f"packed: a multiple of {W} bytes expected, got {size}")
        with nogil:
            first = self.kernel.check(&packed[0], n, &self.rounding)
        return -1 if first == n else first

    def accumulate(self, uint64_t[:, :, :] total not None, const uint8_t[::1] packed not None, weight):
        self._check(total, packed.shape[0])
        self._accumulate(total, &packed[0], packed.shape[0], 1, 0, weight)

    def accumulate_blocks(self, uint64_t[:, :, :] total not None, const uint8_t[:, :] packed not None,
                          weight):
        cdef Py_ssize_t blocks = packed.shape[0], size = packed.shape[1]
        if blocks == 0 or total.shape[1] % blocks or size == 0 or packed.strides[1] != 1:
            raise ValueError("packed: blocks of contiguous bytes, as many rows in each, expected")
        if blocks > 1 and packed.strides[0] < size:
            raise ValueError("packed: blocks one after the other expected")
        self._check(total, blocks * size)
        self._accumulate(total, &packed[0, 0], size, blocks, packed.strides[0], weight)

    cdef int _accumulate(self, uint64_t[:, :, :] total, const uint8_t *packed, size_t size, size_t blocks,
                         size_t stride, weight) except -1:
        """Rows in blocks of equal length; ``stride`` bytes from one block to the next."""
        cdef size_t rows = total.shape[1] // blocks, N = total.shape[2], b, r
        cdef size_t step = N * self.rounding.wire_bits // 8
        cdef sv_rlwe_weight factor = self._weight(weight)
        cdef uint64_t *at[2]
        cdef sv_extents x
        x.count = 0
        note_planes(&x, total)
        sv_note(&x, packed, (blocks - 1) * stride + size)
        check_apart(&x, self.rounding.m.primes)
        with nogil:
            for b in range(blocks):
                for r in range(rows):
                    at[0] = &total[0, b * rows + r, 0]
                    at[1] = &total[self.rounding.m.primes - 1, b * rows + r, 0]
                    self.kernel.accumulate(at, packed + b * stride + r * step, &factor, N, &self.rounding)
        return 0

    def add(self, uint64_t[:, :, :] total not None, const uint64_t[:, :, :] y not None, weight):
        cdef size_t rows = total.shape[1], N = total.shape[2], r
        cdef sv_rlwe_weight factor = self._weight(weight)
        cdef uint64_t *at[2]
        cdef const uint64_t *y_at[2]
        cdef sv_extents x
        self._check_planes(total)
        self._check_planes(y)
        if <size_t> y.shape[1] != rows or <size_t> y.shape[2] != N:
            raise ValueError("total and y: equal shapes expected")
        x.count = 0
        note_planes(&x, total)
        note_planes(&x, y)
        check_apart(&x, self.rounding.m.primes)
        with nogil:
            for r in range(rows):
                at[0] = &total[0, r, 0]
                at[1] = &total[self.rounding.m.primes - 1, r, 0]
                y_at[0] = &y[0, r, 0]
                y_at[1] = &y[self.rounding.m.primes - 1, r, 0]
                self.kernel.add(at, y_at, &factor, N, &self.rounding)

    def open(self, int64_t[:, :] values not None, uint64_t[::1] max_r not None,
             const uint64_t[:, :, :] y not None):
        cdef size_t rows = y.shape[1], N = y.shape[2], r
        cdef Py_ssize_t width = 8 * values.shape[1]
        cdef const uint64_t *at[2]
        cdef sv_extents x
        self._check_planes(y)
        if <size_t> values.shape[0] != rows or <size_t> max_r.shape[0] != rows:
            raise ValueError("values, max_r and y: as many rows expected")
        if <size_t> values.shape[1] != N * self.rounding.slots:
            raise ValueError(f"values: rows of {N * self.rounding.slots} expected, got {values.shape[1]}")
        check_row(values.strides[1], values.strides[0], rows, width)
        x.count = 0
        sv_note(&x, &values[0, 0], (rows - 1) * values.strides[0] + width)
        sv_note(&x, &max_r[0], 8 * rows)
        note_planes(&x, y)
        check_apart(&x, 2)
        with nogil:
            for r in range(rows):
                at[0] = &y[0, r, 0]
                at[1] = &y[self.rounding.m.primes - 1, r, 0]
                self.kernel.open(&values[r, 0], &max_r[r], at, N, &self.rounding)

    cdef int _check_planes(self, const uint64_t[:, :, :] y) except -1:
        if <unsigned> y.shape[0] != self.rounding.m.primes:
            raise ValueError(f"planes: {self.rounding.m.primes} expected, got {y.shape[0]}")
        if y.shape[1] == 0 or y.shape[2] == 0 or y.shape[2] % 8:
            raise ValueError("rows: at least one, of a multiple of 8 coefficients, expected")
        return 0

    cdef int _check(self, const uint64_t[:, :, :] y, Py_ssize_t packed) except -1:
        self._check_planes(y)
        if packed != y.shape[1] * (y.shape[2] // 8) * <Py_ssize_t> self.rounding.wire_bits:
            raise ValueError("packed: rows * N * (L - d) / 8 bytes expected")
        return 0

    cdef sv_rlwe_weight _weight(self, weight) except *:
        if type(weight) is not int or not -MAX_WEIGHT <= weight <= MAX_WEIGHT:
            raise ValueError(f"weight: an integer within +-{MAX_WEIGHT} expected")
        cdef sv_rlwe_weight out
        out.value = weight
        half = 2**int(self.rounding.m.prime_bits - 1)
        for j, p in enumerate(self.primes):
            out.low[j] = weight % p
            out.low_shoup[j] = weight % p * WORD // p
            out.high[j] = weight * half % p
            out.high_shoup[j] = weight * half % p * WORD // p
        return out
