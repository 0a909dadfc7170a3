#include "gf256.h"

#if SV_X86
#include <immintrin.h>
#include <string.h>

/* 64-byte vectors; lane i is column at + i.  c * x as one 8x8 bit matrix (gf2p8affineqb); 0x11D needs
   no change of basis.  Groups of 6 rows x 2 vectors: 12 sums, 2 operands and 1 map of 32 registers.
   Column blocks of BLOCK bytes keep the inputs of all row groups in cache.  Tail rule: whole vectors
   only; the number of columns done is returned. */

enum { BLOCK = 4096, WIDTH = 64 };

#define TARGET "avx512f,avx512bw,avx512vl,gfni"

static inline __attribute__((always_inline, target(TARGET))) void group(uint8_t *const *out,
                                                                        const uint8_t *const *in,
                                                                        const uint8_t *tables, size_t cols,
                                                                        size_t at, int accumulate, const int R,
                                                                        const int V) {
    __m512i sum[6][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[r][v] = accumulate ? _mm512_loadu_si512(out[r] + at + WIDTH * v) : _mm512_setzero_si512();
        }
    }
    for (size_t j = 0; j < cols; j++) {
        __m512i x[2];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            x[v] = _mm512_loadu_si512(in[j] + at + WIDTH * v);
        }
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            long long bits;
            memcpy(&bits, tables + 8 * ((size_t)r * cols + j), 8);
            const __m512i map = _mm512_set1_epi64(bits);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                sum[r][v] = _mm512_xor_si512(sum[r][v], _mm512_gf2p8affine_epi64_epi8(x[v], map, 0));
            }
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            _mm512_storeu_si512(out[r] + at + WIDTH * v, sum[r][v]);
        }
    }
}

/* All columns of [at, stop) for one group of R rows: pairs of vectors, then a single one. */
#define SWEEP(R)                                                               \
    do {                                                                       \
        size_t c = at;                                                         \
        for (; stop - c >= 2 * WIDTH; c += 2 * WIDTH) {                        \
            group(out + r, in, table, cols, c, accumulate, R, 2);              \
        }                                                                      \
        if (stop - c >= WIDTH) {                                               \
            group(out + r, in, table, cols, c, accumulate, R, 1);              \
        }                                                                      \
        r += (R);                                                              \
    } while (0)

__attribute__((target(TARGET))) size_t sv_gf256_avx512_gfni(uint8_t *const *out, const uint8_t *const *in,
                                                            const uint8_t *tables, size_t rows, size_t cols,
                                                            size_t length, int accumulate) {
    const size_t end = length - length % WIDTH;
    for (size_t at = 0; at < end;) {
        const size_t stop = end - at < BLOCK ? end : at + BLOCK;
        for (size_t r = 0; r < rows;) {
            const uint8_t *table = tables + 8 * r * cols;
            switch (rows - r) {
            case 1: SWEEP(1); break;
            case 2: SWEEP(2); break;
            case 3: SWEEP(3); break;
            case 4: SWEEP(4); break;
            case 5: SWEEP(5); break;
            default: SWEEP(6); break;
            }
        }
        at = stop;
    }
    return end;
}
#endif
