#ifndef SOTTOVOCE_CODEC_LOOPS_H
#define SOTTOVOCE_CODEC_LOOPS_H

/* The loops of the codec, once for all back ends.  Each is without branches on values and without calls,
   over lanes of 64 bits, so that a compiler makes vectors of it in whatever the including file targets:
   a back end is this header compiled under another SV_CODEC_FN.  IEEE operations in a fixed order and
   -ffp-contract=off make the bits the same. */

#include <float.h>
#include <string.h>

#include "codec.h"

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 2
#error "doubles must be computed as doubles (on 32-bit x86: -msse2 -mfpmath=sse)"
#endif

/* Numbers of a block: its doubles stay in the first-level cache. */
enum { SV_CODEC_BLOCK = 512 };

/* 1.5 * 2^52.  Adding it to |y| < 2^51 leaves the integer nearest to y (ties to even) in the low bits of
   the sum; the same way round an integer becomes a double. */
#define SV_CODEC_MAGIC 6755399441055744.0
#define SV_CODEC_EXPONENT 0x7ff0000000000000u

SV_CODEC_FN uint64_t sv_bits(double x) {
    uint64_t out;
    memcpy(&out, &x, 8);
    return out;
}

SV_CODEC_FN double sv_double(uint64_t bits) {
    double out;
    memcpy(&out, &bits, 8);
    return out;
}

/* a where the mask is all ones, b where it is zero.  A conditional expression would do, but compilers make
   branches of it where its arms are floating-point operations. */
SV_CODEC_FN uint64_t sv_select(uint64_t mask, uint64_t a, uint64_t b) { return b ^ ((a ^ b) & mask); }

SV_CODEC_FN uint64_t sv_mask(int condition) { return (uint64_t)0 - (uint64_t)condition; }

/* Half precision, exactly.  Neither operand nor result of the subtraction is subnormal, so it holds where
   another library has switched those off. */
SV_CODEC_FN double sv_half_to_double(uint16_t half) {
    const uint64_t size = half & 0x7fffu, sign = (uint64_t)(half & 0x8000u) << 48;
    /* The exponent moves from bias 15 to 1023; all ones stay all ones. */
    const uint64_t special = SV_CODEC_EXPONENT - ((uint64_t)1039 << 52);
    const uint64_t normal = (size << 42) + ((uint64_t)1008 << 52) + (special & sv_mask(size >= 0x7c00u));
    /* 2^-14 (1 + m / 1024) - 2^-14 = m 2^-24. */
    const uint64_t small = sv_bits(sv_double((size << 42) + ((uint64_t)1009 << 52)) - 0x1p-14);
    return sv_double(sv_select(sv_mask(size < 0x400u), small, normal) | sign);
}

/* To half precision, nearest and ties to even; infinity from 65520 on. */
SV_CODEC_FN uint16_t sv_double_to_half(double x) {
    const uint64_t sign = sv_bits(x) >> 63, size = sv_bits(x) & ~((uint64_t)1 << 63);
    /* 2^(e+42) for 2^e <= |x| < 2^(e+1), e at least -14: one unit in its last place is one of the half. */
    const uint64_t least = (uint64_t)(1023 - 14) << 52;
    const uint64_t exponent = (size & SV_CODEC_EXPONENT) > least ? size & SV_CODEC_EXPONENT : least;
    /* Beyond the range: anything that ends as infinity, without overflow in between. */
    const uint64_t most = (uint64_t)(1023 + 16) << 52;
    const double held = sv_double(size < most ? size : most);
    const double unit = sv_double((exponent < most ? exponent : most) + ((uint64_t)42 << 52));
    const double rounded = (held + unit) - unit;
    const uint64_t normal = (sv_bits(rounded) >> 42) - ((uint64_t)1008 << 10);
    const uint64_t small = sv_bits(rounded * 0x1p24 + SV_CODEC_MAGIC) - sv_bits(SV_CODEC_MAGIC);
    return (uint16_t)(sv_select(sv_mask(rounded < 0x1p-14), small, normal) | sign << 15);
}

/* Copy a block and make doubles of it: from here on the caller's memory is not read again. */
SV_CODEC_FN void sv_codec_widen(double *to, const void *from, int kind, size_t at, size_t n) {
    if (kind == SV_CODEC_F64) {
        memcpy(to, (const double *)from + at, 8 * n);
    } else if (kind == SV_CODEC_F32) {
        const float *x = (const float *)from + at;
        for (size_t i = 0; i < n; i++) {
            to[i] = (double)x[i];
        }
    } else {
        const uint16_t *x = (const uint16_t *)from + at;
        for (size_t i = 0; i < n; i++) {
            to[i] = sv_half_to_double(x[i]);
        }
    }
}

SV_CODEC_FN uint64_t sv_codec_not_finite(const double *x, size_t n) {
    uint64_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        bad |= (sv_bits(x[i]) & SV_CODEC_EXPONENT) + ((uint64_t)1 << 52); /* carries into the top bit */
    }
    return bad >> 63;
}

SV_CODEC_FN int64_t sv_codec_first_not_finite(const double *x, size_t at) {
    for (size_t i = 0;; i++) {
        if (sv_codec_not_finite(x + i, 1)) {
            return (int64_t)(at + i);
        }
    }
}

/* NaN gives -clip; it is refused before. */
SV_CODEC_FN double sv_codec_scaled(double x, double clip, double weight) {
    x = x > -clip ? x : -clip;
    x = x < clip ? x : clip;
    return x / clip * weight;
}

SV_CODEC_FN void sv_codec_nearest(int64_t *out, const double *x, size_t n, double clip, double weight) {
    for (size_t i = 0; i < n; i++) {
        /* |x / clip| <= 1, so no clamp. */
        out[i] = (int64_t)(sv_bits(sv_codec_scaled(x[i], clip, weight) + SV_CODEC_MAGIC) - sv_bits(SV_CODEC_MAGIC));
    }
}

SV_CODEC_FN void sv_codec_stochastic(int64_t *out, const double *x, size_t n, double clip, double weight,
                                     const uint32_t *random) {
    for (size_t i = 0; i < n; i++) {
        /* 2^52 + r - 2^52: no back end needs a conversion of unsigned integers. */
        const double r = sv_double(0x4330000000000000u | random[i]) - 0x1p52;
        const double y = sv_codec_scaled(x[i], clip, weight) + r * 0x1p-32;
        double v = (y + SV_CODEC_MAGIC) - SV_CODEC_MAGIC;
        v -= sv_double(sv_bits(1.0) & sv_mask(v > y));
        v = v < weight ? v : weight; /* weight + r 2^-32 may round up to weight + 1 */
        v = v > -weight ? v : -weight;
        out[i] = (int64_t)(sv_bits(v + SV_CODEC_MAGIC) - sv_bits(SV_CODEC_MAGIC));
    }
}

SV_CODEC_FN int64_t sv_codec_quantize_loop(int64_t *out, const void *x, int kind, size_t n, double clip,
                                           int64_t weight, const uint32_t *random) {
    double block[SV_CODEC_BLOCK];
    for (size_t at = 0; at < n; at += SV_CODEC_BLOCK) {
        const size_t m = n - at < SV_CODEC_BLOCK ? n - at : SV_CODEC_BLOCK;
        sv_codec_widen(block, x, kind, at, m);
        if (sv_codec_not_finite(block, m)) {
            return sv_codec_first_not_finite(block, at);
        }
        if (random) {
            sv_codec_stochastic(out + at, block, m, clip, (double)weight, random + at);
        } else {
            sv_codec_nearest(out + at, block, m, clip, (double)weight);
        }
    }
    return -1;
}

SV_CODEC_FN int64_t sv_codec_dequantize_loop(void *out, int kind, const int64_t *total, size_t n, double clip,
                                             int64_t weights) {
    double block[SV_CODEC_BLOCK];
    for (size_t at = 0; at < n; at += SV_CODEC_BLOCK) {
        const size_t m = n - at < SV_CODEC_BLOCK ? n - at : SV_CODEC_BLOCK;
        for (size_t i = 0; i < m; i++) {
            const double t = sv_double((uint64_t)total[at + i] + sv_bits(SV_CODEC_MAGIC)) - SV_CODEC_MAGIC;
            block[i] = clip * (t / (double)weights);
        }
        if (kind == SV_CODEC_F64) {
            memcpy((double *)out + at, block, 8 * m);
        } else if (kind == SV_CODEC_F32) {
            float *to = (float *)out + at;
            for (size_t i = 0; i < m; i++) {
                to[i] = (float)block[i];
                block[i] = (double)to[i];
            }
        } else {
            uint16_t *to = (uint16_t *)out + at;
            for (size_t i = 0; i < m; i++) {
                to[i] = sv_double_to_half(block[i]);
                block[i] = sv_half_to_double(to[i]);
            }
        }
        if (sv_codec_not_finite(block, m)) {
            return sv_codec_first_not_finite(block, at);
        }
    }
    return -1;
}

SV_CODEC_FN int64_t sv_codec_narrow_loop(int32_t *out, const int64_t *values, size_t n, int64_t bound) {
    for (size_t at = 0; at < n; at += SV_CODEC_BLOCK) {
        int64_t block[SV_CODEC_BLOCK];
        const size_t m = n - at < SV_CODEC_BLOCK ? n - at : SV_CODEC_BLOCK;
        uint64_t bad = 0;
        memcpy(block, values + at, 8 * m);
        for (size_t i = 0; i < m; i++) {
            /* One of the two is negative exactly if |value| > bound, of the least integer both. */
            bad |= ((uint64_t)bound - (uint64_t)block[i]) | ((uint64_t)bound + (uint64_t)block[i]);
            out[at + i] = (int32_t)(uint32_t)(uint64_t)block[i];
        }
        if (bad >> 63) {
            for (size_t i = 0;; i++) {
                if (block[i] > bound || block[i] < -bound) {
                    return (int64_t)(at + i);
                }
            }
        }
    }
    return -1;
}

SV_CODEC_FN void sv_codec_extremes_loop(int64_t *low, int64_t *high, const int64_t *values, size_t n) {
    int64_t least = values[0], largest = values[0];
    for (size_t i = 1; i < n; i++) {
        least = values[i] < least ? values[i] : least;
        largest = values[i] > largest ? values[i] : largest;
    }
    *low = least;
    *high = largest;
}

/* The four functions of a back end; (type, rounding) are constants at every call, so each gets loops of
   its own. */
#define SV_CODEC_BACKEND(suffix, attributes)                                                                   \
    attributes int64_t sv_codec_quantize_##suffix(int64_t *out, const void *x, int kind, size_t n, double clip, \
                                                  int64_t weight, const uint32_t *random) {                    \
        return sv_codec_quantize_loop(out, x, kind, n, clip, weight, random);                                  \
    }                                                                                                          \
    attributes int64_t sv_codec_dequantize_##suffix(void *out, int kind, const int64_t *total, size_t n,       \
                                                    double clip, int64_t weights) {                            \
        return sv_codec_dequantize_loop(out, kind, total, n, clip, weights);                                   \
    }                                                                                                          \
    attributes int64_t sv_codec_narrow_##suffix(int32_t *out, const int64_t *values, size_t n, int64_t bound) { \
        return sv_codec_narrow_loop(out, values, n, bound);                                                    \
    }                                                                                                          \
    attributes void sv_codec_extremes_##suffix(int64_t *low, int64_t *high, const int64_t *values, size_t n) { \
        sv_codec_extremes_loop(low, high, values, n);                                                          \
    }

#endif
