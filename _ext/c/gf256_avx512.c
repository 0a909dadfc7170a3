#include "gf256.h"

#if SV_X86
#include <immintrin.h>
#include <string.h>

/* 64-byte vectors; c * x as one 8x8 bit matrix (gf2p8affineqb), which 0x11D needs no change of basis for.  Of 32
   registers, groups of 10 rows x 2 vectors take 20 sums, 2 operands and 1 map; 6 x 2, 15; 5 x 4 and 4 x 4,
   25 and 21.  More vectors where rows are few: a map, once fetched, serves them all.  Whole vectors only. */

#define TARGET "avx512f,avx512bw,avx512vl,gfni"
#define WIDTH 64
#define VECTOR __m512i
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, a) _mm512_storeu_si512(p, a)
#define STREAM(p, a) _mm512_stream_si512((void *)(p), a)
#define ZERO _mm512_setzero_si512()
#define XOR _mm512_xor_si512
#define ENTRY 8
#define OPERAND __m512i
#define SPLIT(x) (x)
#define TABLE __m512i
#define FETCH fetch
#define PRODUCT(t, x) _mm512_gf2p8affine_epi64_epi8(x, t, 0)

static inline __attribute__((always_inline)) SV_TARGET(TARGET) __m512i fetch(const uint8_t *p) {
    long long bits;
    memcpy(&bits, p, 8);
    return _mm512_set1_epi64(bits);
}

#include "gf256_lanes.h"

SWEEP(1, 4)
SWEEP(2, 4)
SWEEP(3, 4)
SWEEP(4, 4)
SWEEP(5, 4)
SWEEP(6, 2)
SWEEP(10, 2)

SV_TARGET(TARGET) void sv_gf256_avx512_gfni(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables,
                                            size_t rows, size_t cols, size_t at, size_t count, int accumulate,
                                            int stream, sv_gf256_ahead *ahead) {
    for (size_t r = 0; r < rows;) {
        const uint8_t *table = tables + ENTRY * r * cols;
        const size_t height = sv_gf256_height(rows - r, SV_GF256_AVX512_GFNI);
        switch (height) {
        case 1: sweep_1(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 2: sweep_2(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 3: sweep_3(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 4: sweep_4(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 5: sweep_5(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 6: sweep_6(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        default: sweep_10(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        }
        r += height;
    }
    if (stream) {
        _mm_sfence();
    }
}
#endif
