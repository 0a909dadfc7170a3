"""Negacyclic NTT: tables, checked buffers, and the call into C without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport uint64_t, uintptr_t

import numpy as np

cdef extern from "ntt.h":
    ctypedef struct sv_ntt_tables:
        uint64_t q
        size_t n
        const uint64_t *w
        const uint64_t *w_shoup
        const uint64_t *v
        const uint64_t *v_shoup
        uint64_t n_inv
        uint64_t n_inv_shoup
        unsigned bits
        uint64_t barrett
        const void *vector_w
        const void *vector_v
    enum:
        SV_NTT_AVX512
        SV_NTT_AVX2_LEAST
        SV_NTT_AVX512_LEAST
        SV_NTT_VECTOR_BITS
    void sv_ntt_forward(uint64_t *x, size_t rows, const sv_ntt_tables *t, int backend) nogil
    void sv_ntt_inverse(uint64_t *x, size_t rows, const sv_ntt_tables *t, int backend) nogil
    void sv_ntt_multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                         const sv_ntt_tables *t, int backend) nogil

VECTOR_BITS = SV_NTT_VECTOR_BITS
AVX2_LEAST = SV_NTT_AVX2_LEAST
AVX512_LEAST = SV_NTT_AVX512_LEAST


cdef inline bint overlap(const void *a, size_t a_size, const void *b, size_t b_size) noexcept:
    return <uintptr_t> a < <uintptr_t> b + b_size and <uintptr_t> b < <uintptr_t> a + a_size


cdef class Transform:
    """Tables of one ``(n, q)`` and the three operations; ``ntt.Ntt`` has made and checked the numbers.

    Immutable once made, so any number of threads may use it.
    """

    cdef sv_ntt_tables tables
    cdef object keep  # the arrays into which ``tables`` points
    cdef int code

    def __cinit__(self, int code, uint64_t q, const uint64_t[::1] w, const uint64_t[::1] w_shoup,
                  const uint64_t[::1] v, const uint64_t[::1] v_shoup, uint64_t n_inv, uint64_t n_inv_shoup,
                  uint64_t barrett, const uint64_t[::1] vector_w=None, const uint64_t[::1] vector_v=None):
        cdef size_t n = w.shape[0]
        if not 0 <= code <= SV_NTT_AVX512:
            raise ValueError("unknown back end")
        if n < 2 or n & (n - 1) or not (w_shoup.shape[0] == v.shape[0] == v_shoup.shape[0] == w.shape[0]):
            raise ValueError("tables: equal lengths, a power of two")
        if q < 17 or q >> 60 or q & 1 == 0:
            raise ValueError("modulus: odd, above 16 and below 2**60")
        if (vector_w is None) != (vector_v is None):
            raise ValueError("vector tables: both or none")
        if vector_w is not None and (
            n < SV_NTT_AVX2_LEAST or (code == SV_NTT_AVX512 and n < SV_NTT_AVX512_LEAST)
            or q >> SV_NTT_VECTOR_BITS
            or not (<size_t> vector_w.shape[0] == <size_t> vector_v.shape[0] == 2 * n)
        ):
            raise ValueError("vector tables: 2n words, for n and q that the vector back ends take")
        self.keep = (w, w_shoup, v, v_shoup, vector_w, vector_v)
        self.code = code
        self.tables.q = q
        self.tables.n = n
        self.tables.w = &w[0]
        self.tables.w_shoup = &w_shoup[0]
        self.tables.v = &v[0]
        self.tables.v_shoup = &v_shoup[0]
        self.tables.n_inv = n_inv
        self.tables.n_inv_shoup = n_inv_shoup
        self.tables.bits = int(q).bit_length()
        self.tables.barrett = barrett
        self.tables.vector_w = self.tables.vector_v = NULL
        if vector_w is not None:
            self.tables.vector_w = &vector_w[0]
            self.tables.vector_v = &vector_v[0]

    def forward(self, uint64_t[:, ::1] x not None):
        self._check(x.shape[1])
        cdef size_t rows = x.shape[0]
        if rows:
            with nogil:
                sv_ntt_forward(&x[0, 0], rows, &self.tables, self.code)

    def inverse(self, uint64_t[:, ::1] x not None):
        self._check(x.shape[1])
        cdef size_t rows = x.shape[0]
        if rows:
            with nogil:
                sv_ntt_inverse(&x[0, 0], rows, &self.tables, self.code)

    def multiply(self, uint64_t[:, ::1] out not None, const uint64_t[:, ::1] a not None,
                 const uint64_t[::1] b not None):
        self._check(out.shape[1])
        self._check(a.shape[1])
        self._check(b.shape[0])
        cdef size_t rows = out.shape[0], size
        if a.shape[0] != out.shape[0]:
            raise ValueError("out and a: as many rows expected")
        if rows:
            size = rows * self.tables.n * sizeof(uint64_t)
            if overlap(&out[0, 0], size, &b[0], self.tables.n * sizeof(uint64_t)) or (
                &out[0, 0] != &a[0, 0] and overlap(&out[0, 0], size, &a[0, 0], size)
            ):
                raise ValueError("out: overlaps b, or a without being it")
            with nogil:
                sv_ntt_multiply(&out[0, 0], &a[0, 0], &b[0], rows, &self.tables, self.code)

    cdef int _check(self, Py_ssize_t n) except -1:
        if <size_t> n != self.tables.n:
            raise ValueError(f"rows of {self.tables.n} expected, got {n}")
        return 0


def uint64_table(values):
    """Read-only uint64 array of Python integers below 2**64."""
    table = np.array(values, dtype=np.uint64)
    table.flags.writeable = False
    return table
