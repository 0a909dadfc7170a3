#include "ntt.h"

#if SV_X86
#include <immintrin.h>

/* Eight residues in the 64-bit lanes of a vector; q < 2^50, so that 4q < 2^52.

   Harvey's butterflies with 52-bit products: for any x < 2^52 and w' = floor(w 2^52 / q)
   e = floor(x w' / 2^52) misses floor(x w / q) by at most one, so r = x w - e q is in [0, 2q), and its
   low 52 bits are all of it.  Forward: values entering a layer are < 4q, sums are made of one < 2q and a
   product.  Inverse: values entering a layer are < 2q.  x - m if x >= m is min(x, x - m), unsigned.

   Passes of three layers over eight vectors, or two over four, as in ntt_avx2.c; the last three layers
   on eight groups of eight consecutive coefficients, transposed.

   No index and no branch depends on data.  Tail rule: n is a multiple of the 64 coefficients of a block. */

#define TARGET "avx512f,avx512ifma"
#define INLINE static inline __attribute__((always_inline)) SV_TARGET(TARGET)
enum { LANES = 8 };
typedef __m512i vec;

typedef struct {
    vec q, q2, minus_q, low52, zero;
} constants;

INLINE constants constants_of(const sv_ntt_tables *t) {
    const uint64_t two52 = (uint64_t)1 << 52;
    const constants k = {
        _mm512_set1_epi64((long long)t->q),
        _mm512_set1_epi64((long long)(2 * t->q)),
        _mm512_set1_epi64((long long)(two52 - t->q)),
        _mm512_set1_epi64((long long)(two52 - 1)),
        _mm512_setzero_si512(),
    };
    return k;
}

/* [0, 2q) from x < 2^52. */
INLINE vec times(vec x, vec w, vec w_shoup, const constants *k) {
    const vec e = _mm512_madd52hi_epu64(k->zero, x, w_shoup);
    const vec low = _mm512_madd52lo_epu64(k->zero, x, w);
    return _mm512_and_si512(_mm512_madd52lo_epu64(low, e, k->minus_q), k->low52);
}

INLINE vec less(vec x, vec m) { return _mm512_min_epu64(x, _mm512_sub_epi64(x, m)); }

INLINE vec load(const uint64_t *x) { return _mm512_loadu_si512(x); }
INLINE void store(uint64_t *x, vec v) { _mm512_storeu_si512(x, v); }

/* Where the roots of a pass are.  Layer `layer` of a pass has root g in [0, 2^layer): broadcast from
   pair (m << layer) + (i << layer) + g, or the vectors of place 2^layer - 1 + g of a block. */
typedef struct {
    const uint64_t *pairs;
    size_t first; /* m + i */
} place;

INLINE vec root(place p, const int layer, const int g, const int second, const int block) {
    if (block) {
        return load(p.pairs + (2 * ((1 << layer) - 1 + g) + second) * LANES);
    }
    return _mm512_set1_epi64((long long)p.pairs[2 * ((p.first << layer) + (size_t)g) + (size_t)second]);
}

INLINE void forward_layers(vec *x, const int layers, place p, const int block, const constants *k) {
    const int pairs = 1 << (layers - 1);
#pragma GCC unroll 3
    for (int layer = 0; layer < layers; layer++) {
        const int half = pairs >> layer;
#pragma GCC unroll 4
        for (int j = 0; j < pairs; j++) {
            const int g = j / half, a = g * half + j, b = a + half;
            const vec u = less(x[a], k->q2);
            const vec v = times(x[b], root(p, layer, g, 0, block), root(p, layer, g, 1, block), k);
            x[a] = _mm512_add_epi64(u, v);
            x[b] = _mm512_sub_epi64(_mm512_add_epi64(u, k->q2), v);
        }
    }
}

/* `last`: the pass ends with the last layer of all, whose sums are multiplied by 1/n. */
INLINE void inverse_layers(vec *x, const int layers, place p, const int block, const int last,
                           const constants *k) {
    const int pairs = 1 << (layers - 1);
#pragma GCC unroll 3
    for (int layer = layers - 1; layer >= 0; layer--) {
        const int half = pairs >> layer;
#pragma GCC unroll 4
        for (int j = 0; j < pairs; j++) {
            const int g = j / half, a = g * half + j, b = a + half;
            const vec sum = _mm512_add_epi64(x[a], x[b]);
            const vec difference = _mm512_sub_epi64(_mm512_add_epi64(x[a], k->q2), x[b]);
            x[b] = times(difference, root(p, layer, g, 0, block), root(p, layer, g, 1, block), k);
            if (layer == 0 && last) {
                x[a] = times(sum, _mm512_set1_epi64((long long)p.pairs[0]),
                             _mm512_set1_epi64((long long)p.pairs[1]), k);
            } else {
                x[a] = less(sum, k->q2);
            }
        }
    }
}

/* Two or three layers over strides of n / (m 2^layers), a multiple of 8 here. */
INLINE void forward_pass(uint64_t *x, const sv_ntt_tables *t, size_t m, const int layers, const constants *k) {
    const int size = 1 << layers;
    const size_t stride = t->n / m >> layers;
    for (size_t i = 0; i < m; i++, x += stride << layers) {
        const place p = {t->vector_w, m + i};
        for (size_t j = 0; j < stride; j += LANES) {
            vec v[8];
#pragma GCC unroll 8
            for (int r = 0; r < size; r++) {
                v[r] = load(x + (size_t)r * stride + j);
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
                store(x + (size_t)r * stride + j, last ? less(v[r], k->q) : v[r]);
            }
        }
    }
}

/* v[r] lane c <-> v[c] lane r. */
INLINE void transpose(vec *v) {
    vec pairs[2][4]; /* [h][i]: lanes h, h + 2, h + 4, h + 6 of v[2i], v[2i+1] */
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        pairs[0][i] = _mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]);
        pairs[1][i] = _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        const vec *p = pairs[h];
        const vec a = _mm512_shuffle_i64x2(p[0], p[1], 0x88), b = _mm512_shuffle_i64x2(p[2], p[3], 0x88);
        const vec c = _mm512_shuffle_i64x2(p[0], p[1], 0xDD), d = _mm512_shuffle_i64x2(p[2], p[3], 0xDD);
        v[h] = _mm512_shuffle_i64x2(a, b, 0x88);
        v[h + 2] = _mm512_shuffle_i64x2(c, d, 0x88);
        v[h + 4] = _mm512_shuffle_i64x2(a, b, 0xDD);
        v[h + 6] = _mm512_shuffle_i64x2(c, d, 0xDD);
    }
}

/* A block: eight groups of eight consecutive coefficients.  Vector r gets coefficient r of each group,
   so that the last three layers are between vectors too. */
INLINE void forward_blocks(uint64_t *x, const sv_ntt_tables *t, const constants *k) {
    place p = {(const uint64_t *)t->vector_w + t->n / 4, 0};
    for (size_t i = 0; i < t->n; i += 8 * LANES, p.pairs += 14 * LANES) {
        vec v[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            v[r] = load(x + i + 8 * r);
        }
        transpose(v);
        forward_layers(v, 3, p, 1, k);
        transpose(v);
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            store(x + i + 8 * r, less(less(v[r], k->q2), k->q));
        }
    }
}

INLINE void inverse_blocks(uint64_t *x, const sv_ntt_tables *t, const constants *k) {
    place p = {(const uint64_t *)t->vector_v + t->n / 4, 0};
    for (size_t i = 0; i < t->n; i += 8 * LANES, p.pairs += 14 * LANES) {
        vec v[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            v[r] = load(x + i + 8 * r);
        }
        transpose(v);
        inverse_layers(v, 3, p, 1, 0, k);
        transpose(v);
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            store(x + i + 8 * r, v[r]);
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

SV_TARGET(TARGET) void sv_ntt_forward_avx512(uint64_t *x, size_t rows, const sv_ntt_tables *t) {
    const constants k = constants_of(t);
    const int twos = passes_of_two(t->n);
    for (size_t r = 0; r < rows; r++, x += t->n) {
        size_t m = 1;
        for (int i = 0; i < twos; i++, m *= 4) {
            forward_pass(x, t, m, 2, &k);
        }
        for (; m < t->n / 8; m *= 8) {
            forward_pass(x, t, m, 3, &k);
        }
        forward_blocks(x, t, &k);
    }
}

SV_TARGET(TARGET) void sv_ntt_inverse_avx512(uint64_t *x, size_t rows, const sv_ntt_tables *t) {
    const constants k = constants_of(t);
    const int twos = passes_of_two(t->n);
    const size_t least = twos == 0 ? 8 : (size_t)1 << (2 * twos); /* m of the first pass of three layers */
    for (size_t r = 0; r < rows; r++, x += t->n) {
        inverse_blocks(x, t, &k);
        for (size_t m = t->n / 64; m >= least; m /= 8) {
            inverse_pass(x, t, m, 3, 0, &k);
        }
        if (twos == 0) {
            inverse_pass(x, t, 1, 3, 1, &k);
            continue;
        }
        if (twos == 2) {
            inverse_pass(x, t, 4, 2, 0, &k);
        }
        inverse_pass(x, t, 1, 2, 1, &k);
    }
}

/* Barrett with 52-bit products, as in the portable one: z = a b < q^2, top = floor(z / 2^(L-1)) < 2^51,
   e = floor(top floor(2^(L+51) / q) / 2^52) misses floor(z / q) by at most 2, so z - e q < 3q. */
SV_TARGET(TARGET) void sv_ntt_multiply_avx512(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                                              const sv_ntt_tables *t) {
    const constants k = constants_of(t);
    const vec barrett = _mm512_set1_epi64((long long)(t->barrett >> 12));
    const vec down = _mm512_set1_epi64((long long)t->bits - 1), up = _mm512_set1_epi64(53 - (long long)t->bits);
    for (size_t r = 0; r < rows; r++, a += t->n, out += t->n) {
        for (size_t i = 0; i < t->n; i += LANES) {
            const vec x = load(a + i), y = load(b + i);
            const vec high = _mm512_madd52hi_epu64(k.zero, x, y), low = _mm512_madd52lo_epu64(k.zero, x, y);
            const vec top = _mm512_or_si512(_mm512_sllv_epi64(high, up), _mm512_srlv_epi64(low, down));
            const vec e = _mm512_madd52hi_epu64(k.zero, top, barrett);
            const vec z = _mm512_and_si512(_mm512_madd52lo_epu64(low, e, k.minus_q), k.low52);
            store(out + i, less(less(z, k.q2), k.q));
        }
    }
}
#endif
