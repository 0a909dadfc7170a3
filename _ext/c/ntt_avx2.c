#include "ntt.h"

#if SV_X86
#include <immintrin.h>

/* Four residues in the doubles of a vector, as signed integers below 2^53 in size; q < 2^50.

   Product with a root w, |w| < q/2, w' = w/q rounded to nearest, so |w' - w/q| <= 2^-55:
     h = x w rounded, l = x w - h exactly, b = x w' rounded to an integer, product = (h - b q) + l.
   Adding MAGIC = 1.5 * 2^52 rounds to an integer (once: fma) where |x w'| <= 2^51, that is |x| <= 4q.
   |b - x w/q| <= 1/2 + |x| 2^-55, so with |x| <= a q the product is within (1/2 + a/32) q.
   All is exact: h and b q are integers, |l| <= |h| 2^-53 <= a q/16, so h - b q and what l is added to
   are integers below 2^53.  x alone is reduced the same way, by 1/q, to q/2 + 1 at most.

   In units of q, forward: a pass does three layers (eight vectors) or two (four), and reduces its first
   vector, the only one that no layer of the pass multiplies, save in the first pass of all.
     first pass      1 -> 1.54 -> 2.08 -> 2.65
     then, from A    y0 = 1 + A/32, y = 33A/32 + 1/2;  z0 = y0 + 1/2 + y/32, z = 33y/32 + 1/2;
                     z0 + 1/2 + z/32:   2.65 -> 2.31 -> 2.27 -> ..., z <= 3.84
   No product sees 4q, no sum reaches 8q, and less than 3q is stored by store_any.

   Inverse: sums are not multiplied and double.  First pass, from [0, q): differences up to 1, 2, 4 (times
   q - 1, so |x w'| < 2^51), vectors 0..3 come to 8, 2.13, 1.13, 1.07 and are reduced; the others are
   within 0.63.  Then from A = 0.63, three layers: 0 and 4 are reduced after the second, being 4A <= 2.5,
   0..3 after the third (1, 2.2, 1.2, 1.1).  Two layers: 0 and 1 are reduced after the second (2.5, 1.1).
   Differences stay within 2.5, so products within 0.5 + 2.5/32 < 0.63.  The last layer multiplies its sums
   by 1/n and its differences by v[1]/n, so all are within 0.63, and q is added to what is negative.

   No index and no branch depends on data.  Tail rule: n is a multiple of the 32 coefficients of a block. */

#define INLINE static inline __attribute__((always_inline)) SV_TARGET("avx2,fma")
enum { LANES = 4 };
typedef __m256d vec;

typedef struct {
    vec q, q_inv, half, magic;
} constants;

INLINE constants constants_of(const sv_ntt_tables *t) {
    const double q = (double)t->q;
    const constants k = {
        _mm256_set1_pd(q),
        _mm256_set1_pd(1.0 / q),
        _mm256_set1_pd((q - 1.0) / 2.0),
        _mm256_set1_pd(0x1.8p52),
    };
    return k;
}

typedef struct {
    vec r, l; /* h - b q, l */
} product;

INLINE product parts(vec x, vec w, vec w_over_q, const constants *k) {
    const vec h = _mm256_mul_pd(x, w);
    const vec b = _mm256_sub_pd(_mm256_fmadd_pd(x, w_over_q, k->magic), k->magic);
    const product out = {_mm256_fnmadd_pd(b, k->q, h), _mm256_fmsub_pd(x, w, h)};
    return out;
}

INLINE vec times(vec x, vec w, vec w_over_q, const constants *k) {
    const product p = parts(x, w, w_over_q, k);
    return _mm256_add_pd(p.r, p.l);
}

INLINE vec reduced(vec x, const constants *k) {
    const vec b = _mm256_sub_pd(_mm256_fmadd_pd(x, k->q_inv, k->magic), k->magic);
    return _mm256_fnmadd_pd(b, k->q, x);
}

/* Integers below 2^52 in and out of doubles: as the fraction of 2^52. */
INLINE vec load_words(const uint64_t *x) {
    const vec two52 = _mm256_set1_pd(0x1p52);
    const vec bits = _mm256_castsi256_pd(_mm256_loadu_si256((const __m256i *)(const void *)x));
    return _mm256_sub_pd(_mm256_or_pd(bits, two52), two52);
}

/* From |x| < 3q to [0, q).  x - q/2 is at least 1/2 away from the middle between two multiples of q, that is
   2^-51 in units of q, and the product by 1/q is wrong by 3.5 * 2^-53 at most: the nearest one is found,
   and it is that below x. */
INLINE void store_any(uint64_t *x, vec v, const constants *k) {
    const vec two52 = _mm256_set1_pd(0x1p52);
    const vec b = _mm256_sub_pd(_mm256_fmadd_pd(_mm256_sub_pd(v, k->half), k->q_inv, k->magic), k->magic);
    const vec bits = _mm256_xor_pd(_mm256_fnmadd_pd(b, k->q, _mm256_add_pd(v, two52)), two52);
    _mm256_storeu_si256((__m256i *)(void *)x, _mm256_castpd_si256(bits));
}

/* From (-q, q). */
INLINE void store_words(uint64_t *x, vec r, const constants *k) {
    const vec two52 = _mm256_set1_pd(0x1p52);
    const vec negative = _mm256_cmp_pd(r, _mm256_setzero_pd(), _CMP_LT_OQ);
    const vec whole = _mm256_add_pd(r, _mm256_and_pd(negative, k->q));
    const vec bits = _mm256_xor_pd(_mm256_add_pd(whole, two52), two52);
    _mm256_storeu_si256((__m256i *)(void *)x, _mm256_castpd_si256(bits));
}

INLINE vec load(const uint64_t *x) { return _mm256_loadu_pd((const double *)(const void *)x); }
INLINE void store(uint64_t *x, vec v) { _mm256_storeu_pd((double *)(void *)x, v); }

/* Where the roots of a pass are.  Layer `layer` of a pass has root g in [0, 2^layer): broadcast from
   pair (m << layer) + (i << layer) + g, or the vectors of place 2^layer - 1 + g of a block. */
typedef struct {
    const double *pairs;
    size_t first; /* m + i */
} place;

INLINE vec root(place p, const int layer, const int g, const int second, const int block) {
    if (block) {
        return _mm256_loadu_pd(p.pairs + (2 * ((1 << layer) - 1 + g) + second) * LANES);
    }
    return _mm256_broadcast_sd(p.pairs + 2 * ((p.first << layer) + (size_t)g) + second);
}

INLINE void forward_layers(vec *x, const int layers, place p, const int block, const constants *k) {
    const int pairs = 1 << (layers - 1);
#pragma GCC unroll 3
    for (int layer = 0; layer < layers; layer++) {
        const int half = pairs >> layer;
#pragma GCC unroll 4
        for (int j = 0; j < pairs; j++) {
            const int g = j / half, a = g * half + j, b = a + half;
            const product v = parts(x[b], root(p, layer, g, 0, block), root(p, layer, g, 1, block), k);
            /* The sum with l does not wait for b. */
            x[b] = _mm256_sub_pd(_mm256_sub_pd(x[a], v.l), v.r);
            x[a] = _mm256_add_pd(_mm256_add_pd(x[a], v.l), v.r);
        }
    }
}

/* `last`: the pass ends with the last layer of all. */
INLINE void inverse_layers(vec *x, const int layers, place p, const int block, const int last,
                           const constants *k) {
    const int pairs = 1 << (layers - 1);
#pragma GCC unroll 3
    for (int layer = layers - 1; layer >= 0; layer--) {
        const int half = pairs >> layer;
#pragma GCC unroll 4
        for (int j = 0; j < pairs; j++) {
            const int g = j / half, a = g * half + j, b = a + half;
            const vec difference = _mm256_sub_pd(x[a], x[b]);
            x[a] = _mm256_add_pd(x[a], x[b]);
            x[b] = times(difference, root(p, layer, g, 0, block), root(p, layer, g, 1, block), k);
            if (layer == 0 && last) {
                x[a] = times(x[a], _mm256_broadcast_sd(p.pairs), _mm256_broadcast_sd(p.pairs + 1), k);
            } else if (layer == 0 || (layer == 1 && layers == 3 && !block && a % 4 == 0)) {
                x[a] = reduced(x[a], k);
            }
        }
    }
}

/* Two or three layers over strides of n / (m 2^layers), a multiple of 8 here. */
INLINE void forward_pass(uint64_t *x, const sv_ntt_tables *t, size_t m, const int layers, const int first,
                         const constants *k) {
    const int size = 1 << layers;
    const size_t stride = t->n / m >> layers;
    for (size_t i = 0; i < m; i++, x += stride << layers) {
        const place p = {t->vector_w, m + i};
        for (size_t j = 0; j < stride; j += LANES) {
            vec v[8];
#pragma GCC unroll 8
            for (int r = 0; r < size; r++) {
                v[r] = first ? load_words(x + (size_t)r * stride + j) : load(x + (size_t)r * stride + j);
            }
            if (!first) {
                v[0] = reduced(v[0], k);
            }
            forward_layers(v, layers, p, 0, k);
#pragma GCC unroll 8
            for (int r = 0; r < size; r++) {
                store(x + (size_t)r * stride + j, v[r]);
            }
        }
    }
}

INLINE void inverse_pass(uint64_t *x, const sv_ntt_tables *t, size_t m, const int layers, const int last,
                         const constants *k) {
    const int size = 1 << layers;
    const size_t stride = t->n / m >> layers;
    for (size_t i = 0; i < m; i++, x += stride << layers) {
        const place p = {t->vector_v, m + i};
        for (size_t j = 0; j < stride; j += LANES) {
            vec v[8];
#pragma GCC unroll 8
            for (int r = 0; r < size; r++) {
                v[r] = load(x + (size_t)r * stride + j);
            }
            inverse_layers(v, layers, p, 0, last, k);
#pragma GCC unroll 8
            for (int r = 0; r < size; r++) {
                if (last) {
                    store_words(x + (size_t)r * stride + j, v[r], k);
                } else {
                    store(x + (size_t)r * stride + j, v[r]);
                }
            }
        }
    }
}

/* v[r] lane c <-> v[c] lane r. */
INLINE void transpose(vec *v) {
    const vec a = _mm256_unpacklo_pd(v[0], v[1]), b = _mm256_unpackhi_pd(v[0], v[1]);
    const vec c = _mm256_unpacklo_pd(v[2], v[3]), d = _mm256_unpackhi_pd(v[2], v[3]);
    v[0] = _mm256_permute2f128_pd(a, c, 0x20);
    v[1] = _mm256_permute2f128_pd(b, d, 0x20);
    v[2] = _mm256_permute2f128_pd(a, c, 0x31);
    v[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

/* A block: four groups of eight consecutive coefficients.  Vector r gets coefficient r of each group,
   so that the last three layers are between vectors too. */
INLINE void forward_blocks(uint64_t *x, const sv_ntt_tables *t, const constants *k) {
    place p = {(const double *)t->vector_w + t->n / 4, 0};
    for (size_t i = 0; i < t->n; i += 8 * LANES, p.pairs += 14 * LANES) {
        vec v[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            v[r] = load(x + i + 8 * (r % 4) + 4 * (r / 4));
        }
        transpose(v);
        transpose(v + 4);
        v[0] = reduced(v[0], k);
        forward_layers(v, 3, p, 1, k);
        transpose(v);
        transpose(v + 4);
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            store_any(x + i + 8 * (r % 4) + 4 * (r / 4), v[r], k);
        }
    }
}

INLINE void inverse_blocks(uint64_t *x, const sv_ntt_tables *t, const constants *k) {
    place p = {(const double *)t->vector_v + t->n / 4, 0};
    for (size_t i = 0; i < t->n; i += 8 * LANES, p.pairs += 14 * LANES) {
        vec v[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            v[r] = load_words(x + i + 8 * (r % 4) + 4 * (r / 4));
        }
        transpose(v);
        transpose(v + 4);
        inverse_layers(v, 3, p, 1, 0, k);
        transpose(v);
        transpose(v + 4);
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            store(x + i + 8 * (r % 4) + 4 * (r / 4), v[r]);
        }
    }
}

/* Passes of two layers before those of three: log2 n = 3 (the blocks) + 2 twos + 3 threes. */
INLINE int passes_of_two(size_t n) {
    int layers = 0;
    while (n >> (layers + 4)) {
        layers++;
    }
    return (3 - layers % 3) % 3;
}

INLINE void forward_one(uint64_t *x, const sv_ntt_tables *t, const constants *k) {
    const int twos = passes_of_two(t->n);
    size_t m = 8;
    if (twos == 0) {
        forward_pass(x, t, 1, 3, 1, k);
    } else {
        forward_pass(x, t, 1, 2, 1, k);
        m = 4;
        if (twos == 2) {
            forward_pass(x, t, 4, 2, 0, k);
            m = 16;
        }
    }
    for (; m < t->n / 8; m *= 8) {
        forward_pass(x, t, m, 3, 0, k);
    }
    forward_blocks(x, t, k);
}

INLINE void inverse_one(uint64_t *x, const sv_ntt_tables *t, const constants *k) {
    const int twos = passes_of_two(t->n);
    const size_t least = twos == 0 ? 8 : (size_t)1 << (2 * twos); /* m of the first pass of three layers */
    inverse_blocks(x, t, k);
    for (size_t m = t->n / 64; m >= least; m /= 8) {
        inverse_pass(x, t, m, 3, 0, k);
    }
    if (twos == 0) {
        inverse_pass(x, t, 1, 3, 1, k);
        return;
    }
    if (twos == 2) {
        inverse_pass(x, t, 4, 2, 0, k);
    }
    inverse_pass(x, t, 1, 2, 1, k);
}

SV_TARGET("avx2,fma") void sv_ntt_forward_avx2(uint64_t *x, size_t rows, const sv_ntt_tables *t) {
    const constants k = constants_of(t);
    for (size_t r = 0; r < rows; r++) {
        forward_one(x + r * t->n, t, &k);
    }
}

SV_TARGET("avx2,fma") void sv_ntt_inverse_avx2(uint64_t *x, size_t rows, const sv_ntt_tables *t) {
    const constants k = constants_of(t);
    for (size_t r = 0; r < rows; r++) {
        inverse_one(x + r * t->n, t, &k);
    }
}

/* b is no constant of the table: the quotient comes from h.  h/q is missed by h 2^-52 / q < q 2^-52,
   so |r| <= (1/2 + 1/4) q; the quotient is below 2^50. */
SV_TARGET("avx2,fma") void sv_ntt_multiply_avx2(uint64_t *out, const uint64_t *a, const uint64_t *b,
                                                size_t rows, const sv_ntt_tables *t) {
    const constants k = constants_of(t);
    for (size_t r = 0; r < rows; r++, a += t->n, out += t->n) {
        for (size_t i = 0; i < t->n; i += LANES) {
            const vec x = load_words(a + i), y = load_words(b + i);
            const vec h = _mm256_mul_pd(x, y);
            const vec l = _mm256_fmsub_pd(x, y, h);
            const vec e = _mm256_sub_pd(_mm256_fmadd_pd(h, k.q_inv, k.magic), k.magic);
            store_words(out + i, _mm256_add_pd(_mm256_fnmadd_pd(e, k.q, h), l), &k);
        }
    }
}
#endif
