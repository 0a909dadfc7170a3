"""Inner loops of key-additive encryption: checked buffers and calls into C without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t

cdef extern from "kahe.h":
    ctypedef struct sv_kahe_scale:
        uint64_t q
        uint64_t recip
        unsigned wire_bits
        unsigned scale_bits
    int SV_KAHE_CBD_BYTES
    void sv_kahe_cbd_portable(int64_t *out, const uint8_t *random, size_t n) nogil
    void sv_kahe_encrypt_portable(uint8_t *packed, const uint64_t *ak, const int64_t *m,
                                  const uint8_t *random, size_t n, const sv_kahe_scale *s) nogil
    void sv_kahe_accumulate_portable(uint64_t *sum, const uint8_t *packed, size_t n, unsigned wire_bits,
                                     int sign) nogil
    void sv_kahe_pack_portable(uint8_t *packed, const uint64_t *sum, size_t n, unsigned wire_bits) nogil
    void sv_kahe_open_portable(int64_t *m, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *sum,
                               const uint64_t *ak, size_t n, const sv_kahe_scale *s) nogil

CBD_BYTES = SV_KAHE_CBD_BYTES


cdef int apart(const void *a, size_t a_size, const void *b, size_t b_size) except -1:
    """Refuse an output that shares memory with another argument; sizes in bytes."""
    if <uintptr_t> a < <uintptr_t> b + b_size and <uintptr_t> b < <uintptr_t> a + a_size:
        raise ValueError("output: overlaps an input or another output")
    return 0


def cbd(int64_t[::1] out not None, const uint8_t[::1] random not None):
    cdef size_t n = out.shape[0]
    if <size_t> random.shape[0] != n * SV_KAHE_CBD_BYTES:
        raise ValueError(f"random: {CBD_BYTES} bytes a coefficient expected")
    if n:
        apart(&out[0], 8 * n, &random[0], n * SV_KAHE_CBD_BYTES)
        with nogil:
            sv_kahe_cbd_portable(&out[0], &random[0], n)


cdef class Scale:
    """Scaling between ``Z_q`` and ``Z_(2**W)``; immutable, so any number of threads may use it."""

    cdef sv_kahe_scale scale
    cdef int code

    def __cinit__(self, int code, q, int wire_bits, int scale_bits):
        bits = int(q).bit_length()
        cdef object one = 1  # a Python integer: with a C shift count, 1 << n would be computed in 64 bits
        if code != 0:
            raise ValueError("unknown back end")
        if not 17 <= bits <= 56 or q & 1 == 0 or q - (one << (bits - 1)) <= 42:
            raise ValueError("q: odd, of 17 to 56 bits, not just above a power of two")
        if not (1 <= wire_bits < bits and 1 <= scale_bits < bits):
            raise ValueError("wire_bits and scale_bits: between 1 and the bit length of q")
        self.code = code
        self.scale.q = q
        self.scale.recip = (one << (wire_bits + 64)) // q
        self.scale.wire_bits = wire_bits
        self.scale.scale_bits = scale_bits

    def encrypt(self, uint8_t[::1] packed not None, const uint64_t[::1] ak not None,
                const int64_t[::1] m not None, const uint8_t[::1] random not None):
        cdef size_t n = ak.shape[0]
        self._check(n, packed.shape[0])
        if <size_t> m.shape[0] != n or <size_t> random.shape[0] != n * SV_KAHE_CBD_BYTES:
            raise ValueError("ak, m and random: lengths differ")
        apart(&packed[0], packed.shape[0], &ak[0], 8 * n)
        apart(&packed[0], packed.shape[0], &m[0], 8 * n)
        apart(&packed[0], packed.shape[0], &random[0], n * SV_KAHE_CBD_BYTES)
        with nogil:
            sv_kahe_encrypt_portable(&packed[0], &ak[0], &m[0], &random[0], n, &self.scale)

    def accumulate(self, uint64_t[::1] total not None, const uint8_t[::1] packed not None, bint negative):
        cdef size_t n = total.shape[0]
        self._check(n, packed.shape[0])
        apart(&total[0], 8 * n, &packed[0], packed.shape[0])
        with nogil:
            sv_kahe_accumulate_portable(&total[0], &packed[0], n, self.scale.wire_bits, negative)

    def pack(self, uint8_t[::1] packed not None, const uint64_t[::1] total not None):
        cdef size_t n = total.shape[0]
        self._check(n, packed.shape[0])
        apart(&packed[0], packed.shape[0], &total[0], 8 * n)
        with nogil:
            sv_kahe_pack_portable(&packed[0], &total[0], n, self.scale.wire_bits)

    def open(self, int64_t[:, ::1] m not None, uint64_t[::1] max_r not None, uint64_t[::1] sum_r2 not None,
             const uint64_t[:, ::1] total not None, const uint64_t[:, ::1] ak not None):
        cdef size_t rows = m.shape[0], n = m.shape[1], r
        if n == 0 or n > 1 << 14:
            raise ValueError("rows of 1 to 2**14 coefficients expected")
        if not (<size_t> max_r.shape[0] == <size_t> sum_r2.shape[0] == <size_t> total.shape[0]
                == <size_t> ak.shape[0] == rows) or <size_t> total.shape[1] != n or <size_t> ak.shape[1] != n:
            raise ValueError("m, max_r, sum_r2, total and ak: shapes differ")
        if rows == 0:
            return
        apart(&max_r[0], 8 * rows, &sum_r2[0], 8 * rows)
        apart(&m[0, 0], 8 * rows * n, &total[0, 0], 8 * rows * n)
        apart(&m[0, 0], 8 * rows * n, &ak[0, 0], 8 * rows * n)
        apart(&max_r[0], 8 * rows, &total[0, 0], 8 * rows * n)
        apart(&max_r[0], 8 * rows, &ak[0, 0], 8 * rows * n)
        apart(&sum_r2[0], 8 * rows, &total[0, 0], 8 * rows * n)
        apart(&sum_r2[0], 8 * rows, &ak[0, 0], 8 * rows * n)
        apart(&m[0, 0], 8 * rows * n, &max_r[0], 8 * rows)
        apart(&m[0, 0], 8 * rows * n, &sum_r2[0], 8 * rows)
        with nogil:
            for r in range(rows):
                sv_kahe_open_portable(&m[r, 0], &max_r[r], &sum_r2[r], &total[r, 0], &ak[r, 0], n,
                                      &self.scale)

    cdef int _check(self, size_t n, Py_ssize_t packed) except -1:
        if n == 0 or n % 8 or <size_t> packed != n * self.scale.wire_bits // 8:
            raise ValueError("packed: n a multiple of 8, and n * W / 8 bytes, expected")
        return 0
