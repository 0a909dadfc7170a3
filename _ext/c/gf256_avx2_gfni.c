#include "gf256.h"

#if SV_X86
#include <immintrin.h>
#include <string.h>

/* c * x as one 8x8 bit matrix (gf2p8affineqb); 0x11D needs no change of basis.  Groups of 6 rows x 2 vectors:
   12 sums, 2 operands and 1 map are 15 of 16 registers.  Whole vectors only. */

#define TARGET "avx2,gfni"
#define WIDTH 32
#define VECTOR __m256i
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define STORE(p, a) _mm256_storeu_si256((__m256i *)(p), a)
#define STREAM(p, a) _mm256_stream_si256((__m256i *)(p), a)
#define ZERO _mm256_setzero_si256()
#define XOR _mm256_xor_si256
#define ENTRY 8
#define OPERAND __m256i
#define SPLIT(x) (x)
#define TABLE __m256i
#define FETCH fetch
#define PRODUCT(t, x) _mm256_gf2p8affine_epi64_epi8(x, t, 0)

static inline __attribute__((always_inline)) SV_TARGET(TARGET) __m256i fetch(const uint8_t *p) {
    long long bits;
    memcpy(&bits, p, 8);
    return _mm256_set1_epi64x(bits);
}

#include "gf256_lanes.h"

SWEEP(1, 4)
SWEEP(2, 4)
SWEEP(3, 4)
SWEEP(4, 2)
SWEEP(5, 2)
SWEEP(6, 2)

SV_TARGET(TARGET) void sv_gf256_avx2_gfni(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables,
                                          size_t rows, size_t cols, size_t at, size_t count, int accumulate,
                                          int stream, sv_gf256_ahead *ahead) {
    for (size_t r = 0; r < rows;) {
        const uint8_t *table = tables + ENTRY * r * cols;
        const size_t height = sv_gf256_height(rows - r, SV_GF256_AVX2_GFNI);
        switch (height) {
        case 1: sweep_1(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 2: sweep_2(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 3: sweep_3(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 4: sweep_4(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 5: sweep_5(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        default: sweep_6(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        }
        r += height;
    }
    if (stream) {
        _mm_sfence();
    }
}
#endif
