"""Samplers: checked buffers and calls into C without the GIL."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t, uintptr_t

cdef extern from "sampler.h":
    int SV_SAMPLER_REJECTED
    void sv_sampler_cbd(int64_t *out, const uint8_t *random, size_t n, int eta, int backend) nogil
    size_t sv_sampler_ternary(int64_t *out, const uint16_t *random, size_t n, int backend) nogil
    size_t sv_sampler_uniform(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                              uint64_t bound, int backend) nogil
    void sv_sampler_residues(uint64_t *out, const int64_t *x, size_t n, uint64_t q, int backend) nogil

REJECTED = SV_SAMPLER_REJECTED


cdef int apart(const void *a, size_t a_size, const void *b, size_t b_size) except -1:
    """Refuse an output that shares memory with an input; sizes in bytes."""
    if <uintptr_t> a < <uintptr_t> b + b_size and <uintptr_t> b < <uintptr_t> a + a_size:
        raise ValueError("output: overlaps an input")
    return 0


def cbd(int64_t[::1] out not None, const uint8_t[::1] random not None, int eta, int backend):
    cdef size_t n = out.shape[0], width
    if eta != 21 and eta != 42:
        raise ValueError("eta: 21 or 42 expected")
    width = 8 if eta == 21 else 16
    if <size_t> random.shape[0] != width * n:
        raise ValueError(f"random: {width} bytes a sample expected")
    if n:
        apart(&out[0], 8 * n, &random[0], width * n)
        with nogil:
            sv_sampler_cbd(&out[0], &random[0], n, eta, backend)


def ternary(int64_t[::1] out not None, const uint16_t[::1] random not None, int backend):
    cdef size_t n = out.shape[0], rejected
    if <size_t> random.shape[0] != n:
        raise ValueError("random: one word of 16 bits a sample expected")
    if n == 0:
        return 0
    apart(&out[0], 8 * n, &random[0], 2 * n)
    with nogil:
        rejected = sv_sampler_ternary(&out[0], &random[0], n, backend)
    return rejected


def uniform(uint64_t[::1] out not None, const uint64_t[::1] words not None, int bits, uint64_t bound,
            int backend):
    cdef size_t n = out.shape[0], m = words.shape[0], done
    if not 1 <= bits <= 63:
        raise ValueError("bits: 1 to 63 expected")
    if not 1 <= bound < (<uint64_t> 1) << 63:
        raise ValueError("bound: 1 to 2**63 - 1 expected")
    if n == 0 or m == 0:
        return 0
    if &out[0] != &words[0]:
        apart(&out[0], 8 * n, &words[0], 8 * m)
    with nogil:
        done = sv_sampler_uniform(&out[0], n, &words[0], m, bits, bound, backend)
    return done


def residues(uint64_t[::1] out not None, const int64_t[::1] x not None, uint64_t q, int backend):
    cdef size_t n = out.shape[0]
    if <size_t> x.shape[0] != n:
        raise ValueError("out and x: lengths differ")
    if not 1 <= q < (<uint64_t> 1) << 63:
        raise ValueError("q: 1 to 2**63 - 1 expected")
    if n:
        apart(&out[0], 8 * n, &x[0], 8 * n)
        with nogil:
            sv_sampler_residues(&out[0], &x[0], n, q, backend)
