#include "gf256.h"

#if SV_X86
#include <immintrin.h>
#include <string.h>

/* Two back ends on 32-byte vectors; lane i is column at + i.

   avx2:       c * x = low[x & 15] + high[x >> 4], both tables in registers (vpshufb reads only its
               operands, so nothing depends on the data but the result).
   avx2-gfni:  c * x as one 8x8 bit matrix (gf2p8affineqb); 0x11D needs no change of basis.

   Column blocks of BLOCK bytes keep the inputs of all row groups in cache.  Tail rule: whole vectors
   only; the number of columns done is returned. */

enum { BLOCK = 4096, WIDTH = 32 };

#define INLINE(features) static inline __attribute__((always_inline, target(features)))

/* One group of R rows, V vectors wide.  R and V are constants at every call, so the loops unroll and
   sum lives in registers: R * V + V + 4 <= 16. */
INLINE("avx2") void group_avx2(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables, size_t cols,
                               size_t at, int accumulate, const int R, const int V) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i sum[4][2];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[r][v] = accumulate ? _mm256_loadu_si256((const __m256i *)(out[r] + at + WIDTH * v))
                                   : _mm256_setzero_si256();
        }
    }
    for (size_t j = 0; j < cols; j++) {
        __m256i low[2], high[2];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            const __m256i x = _mm256_loadu_si256((const __m256i *)(in[j] + at + WIDTH * v));
            low[v] = _mm256_and_si256(x, nibble);
            high[v] = _mm256_and_si256(_mm256_srli_epi64(x, 4), nibble);
        }
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
            const uint8_t *table = tables + 32 * ((size_t)r * cols + j);
            const __m256i t_low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
            const __m256i t_high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16)));
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sum[r][v] = _mm256_xor_si256(sum[r][v], _mm256_xor_si256(_mm256_shuffle_epi8(t_low, low[v]),
                                                                         _mm256_shuffle_epi8(t_high, high[v])));
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            _mm256_storeu_si256((__m256i *)(out[r] + at + WIDTH * v), sum[r][v]);
        }
    }
}

INLINE("avx2,gfni") void group_gfni(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables,
                                    size_t cols, size_t at, int accumulate, const int R, const int V) {
    __m256i sum[4][2];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[r][v] = accumulate ? _mm256_loadu_si256((const __m256i *)(out[r] + at + WIDTH * v))
                                   : _mm256_setzero_si256();
        }
    }
    for (size_t j = 0; j < cols; j++) {
        __m256i x[2];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            x[v] = _mm256_loadu_si256((const __m256i *)(in[j] + at + WIDTH * v));
        }
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
            long long bits;
            memcpy(&bits, tables + 8 * ((size_t)r * cols + j), 8);
            const __m256i map = _mm256_set1_epi64x(bits);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sum[r][v] = _mm256_xor_si256(sum[r][v], _mm256_gf2p8affine_epi64_epi8(x[v], map, 0));
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            _mm256_storeu_si256((__m256i *)(out[r] + at + WIDTH * v), sum[r][v]);
        }
    }
}

/* All columns of [at, stop) for one group of R rows: pairs of vectors, then a single one. */
#define SWEEP(group, R)                                                        \
    do {                                                                       \
        size_t c = at;                                                         \
        for (; stop - c >= 2 * WIDTH; c += 2 * WIDTH) {                        \
            group(out + r, in, table, cols, c, accumulate, R, 2);              \
        }                                                                      \
        if (stop - c >= WIDTH) {                                               \
            group(out + r, in, table, cols, c, accumulate, R, 1);              \
        }                                                                      \
    } while (0)

#define DRIVER(name, features, group, bytes)                                                                   \
    __attribute__((target(features))) size_t name(uint8_t *const *out, const uint8_t *const *in,               \
                                                  const uint8_t *tables, size_t rows, size_t cols,             \
                                                  size_t length, int accumulate) {                             \
        const size_t end = length - length % WIDTH;                                                            \
        for (size_t at = 0; at < end;) {                                                                       \
            const size_t stop = end - at < BLOCK ? end : at + BLOCK;                                           \
            for (size_t r = 0; r < rows;) {                                                                    \
                const uint8_t *table = tables + (bytes) * r * cols;                                            \
                switch (rows - r) {                                                                            \
                case 1: SWEEP(group, 1); r += 1; break;                                                        \
                case 2: SWEEP(group, 2); r += 2; break;                                                        \
                case 3: SWEEP(group, 3); r += 3; break;                                                        \
                default: SWEEP(group, 4); r += 4; break;                                                       \
                }                                                                                              \
            }                                                                                                  \
            at = stop;                                                                                         \
        }                                                                                                      \
        return end;                                                                                            \
    }

DRIVER(sv_gf256_avx2, "avx2", group_avx2, 32)
DRIVER(sv_gf256_avx2_gfni, "avx2,gfni", group_gfni, 8)
#endif
