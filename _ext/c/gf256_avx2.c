#include "gf256.h"

#if SV_X86 && !defined(SV_EMULATE_AVX512)
#include <immintrin.h>

/* c * x = low[x & 15] + high[x >> 4]: both tables in registers (vpshufb reads only its operands, so
   nothing depends on the data but the result).  Groups of 4 rows x 2 vectors: 8 sums, 4 operands, 2 tables
   and a mask are 15 of 16 registers.  Whole vectors only. */

#define TARGET "avx2"
#define WIDTH 32
#define VECTOR __m256i
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define STORE(p, a) _mm256_storeu_si256((__m256i *)(p), a)
#define STREAM(p, a) _mm256_stream_si256((__m256i *)(p), a)
#define ZERO _mm256_setzero_si256()
#define XOR _mm256_xor_si256
#define ENTRY 32
#define OPERAND nibbles
#define SPLIT split
#define TABLE nibbles
#define FETCH fetch
#define PRODUCT product

typedef struct {
    __m256i low, high;
} nibbles;

static inline __attribute__((always_inline)) SV_TARGET(TARGET) nibbles split(__m256i x) {
    const __m256i mask = _mm256_set1_epi8(15);
    const nibbles r = {_mm256_and_si256(x, mask), _mm256_and_si256(_mm256_srli_epi64(x, 4), mask)};
    return r;
}

static inline __attribute__((always_inline)) SV_TARGET(TARGET) nibbles fetch(const uint8_t *p) {
    const nibbles r = {_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                       _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(p + 16)))};
    return r;
}

static inline __attribute__((always_inline)) SV_TARGET(TARGET) __m256i product(nibbles t, nibbles x) {
    return _mm256_xor_si256(_mm256_shuffle_epi8(t.low, x.low), _mm256_shuffle_epi8(t.high, x.high));
}

#include "gf256_lanes.h"

SWEEP(1, 4)
SWEEP(2, 2)
SWEEP(3, 2)
SWEEP(4, 2)

SV_TARGET(TARGET) void sv_gf256_avx2(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables,
                                     size_t rows, size_t cols, size_t at, size_t count, int accumulate,
                                     int stream, sv_gf256_ahead *ahead) {
    for (size_t r = 0; r < rows;) {
        const uint8_t *table = tables + ENTRY * r * cols;
        const size_t height = sv_gf256_height(rows - r, SV_GF256_AVX2);
        switch (height) {
        case 1: sweep_1(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 2: sweep_2(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 3: sweep_3(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        default: sweep_4(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        }
        r += height;
    }
    if (stream) {
        _mm_sfence();
    }
}
#endif
