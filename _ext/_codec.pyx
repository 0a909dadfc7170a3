"""The codec: checked buffers and calls into C without the GIL."""

from libc.math cimport INFINITY
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uintptr_t

cdef extern from "codec.h":
    int SV_CODEC_F16
    int SV_CODEC_F32
    int SV_CODEC_F64
    int64_t sv_codec_quantize(int64_t *out, const void *x, int kind, size_t n, double clip, int64_t weight,
                              const uint32_t *random, int backend) nogil
    int64_t sv_codec_dequantize(void *out, int kind, const int64_t *total, size_t n, double clip,
                                int64_t weights, int backend) nogil
    int64_t sv_codec_narrow(int32_t *out, const int64_t *values, size_t n, int64_t bound, int backend) nogil
    void sv_codec_extremes(int64_t *low, int64_t *high, const int64_t *values, size_t n, int backend) nogil

F16, F32, F64 = SV_CODEC_F16, SV_CODEC_F32, SV_CODEC_F64


cdef int apart(const void *a, size_t a_size, const void *b, size_t b_size) except -1:
    """Refuse an output that shares memory with an input; sizes in bytes."""
    if <uintptr_t> a < <uintptr_t> b + b_size and <uintptr_t> b < <uintptr_t> a + a_size:
        raise ValueError("output: overlaps an input")
    return 0


cdef int scaling(double clip, int64_t number, int64_t limit) except -1:
    if not 0 < clip < INFINITY:
        raise ValueError("clip: finite and positive expected")
    if not 1 <= number < limit:
        raise ValueError(f"weight: 1 to {limit - 1} expected")
    return 0


def quantize(int64_t[::1] out not None, x, int kind, double clip, int64_t weight, random, int backend):
    cdef const uint16_t[::1] half
    cdef const float[::1] single
    cdef const double[::1] double_
    cdef const uint32_t[::1] words
    cdef const uint32_t *r = NULL
    cdef const void *start = NULL
    cdef size_t n = out.shape[0], m, width
    cdef int64_t at
    scaling(clip, weight, 1 << 24)
    if kind == SV_CODEC_F16:
        half = x
        m, width = half.shape[0], 2
        start = &half[0] if m else NULL
    elif kind == SV_CODEC_F32:
        single = x
        m, width = single.shape[0], 4
        start = &single[0] if m else NULL
    elif kind == SV_CODEC_F64:
        double_ = x
        m, width = double_.shape[0], 8
        start = &double_[0] if m else NULL
    else:
        raise ValueError("kind: F16, F32 or F64 expected")
    if m != n:
        raise ValueError("out and x: lengths differ")
    if random is not None:
        words = random
        if <size_t> words.shape[0] != n:
            raise ValueError("random: one word of 32 bits a number expected")
        if n:
            r = &words[0]
            apart(&out[0], 8 * n, r, 4 * n)
    if n == 0:
        return -1
    apart(&out[0], 8 * n, start, width * n)
    with nogil:
        at = sv_codec_quantize(&out[0], start, kind, n, clip, weight, r, backend)
    return at


def dequantize(out, int kind, const int64_t[::1] total not None, double clip, int64_t weights, int backend):
    cdef uint16_t[::1] half
    cdef float[::1] single
    cdef double[::1] double_
    cdef void *start = NULL
    cdef size_t n = total.shape[0], m, width
    cdef int64_t at
    scaling(clip, weights, (<int64_t> 1) << 51)
    if kind == SV_CODEC_F16:
        half = out
        m, width = half.shape[0], 2
        start = &half[0] if m else NULL
    elif kind == SV_CODEC_F32:
        single = out
        m, width = single.shape[0], 4
        start = &single[0] if m else NULL
    elif kind == SV_CODEC_F64:
        double_ = out
        m, width = double_.shape[0], 8
        start = &double_[0] if m else NULL
    else:
        raise ValueError("kind: F16, F32 or F64 expected")
    if m != n:
        raise ValueError("out and total: lengths differ")
    if n == 0:
        return -1
    apart(start, width * n, &total[0], 8 * n)
    with nogil:
        at = sv_codec_dequantize(start, kind, &total[0], n, clip, weights, backend)
    return at


def narrow(int32_t[::1] out not None, const int64_t[::1] values not None, int64_t bound, int backend):
    cdef size_t n = out.shape[0]
    cdef int64_t at
    if <size_t> values.shape[0] != n:
        raise ValueError("out and values: lengths differ")
    if not 0 <= bound < (<int64_t> 1) << 31:
        raise ValueError("bound: 0 to 2**31 - 1 expected")
    if n == 0:
        return -1
    apart(&out[0], 4 * n, &values[0], 8 * n)
    with nogil:
        at = sv_codec_narrow(&out[0], &values[0], n, bound, backend)
    return at


def extremes(const int64_t[::1] values not None, int backend):
    cdef size_t n = values.shape[0]
    cdef int64_t low, high
    if n == 0:
        raise ValueError("values: at least one expected")
    with nogil:
        sv_codec_extremes(&low, &high, &values[0], n, backend)
    return low, high
