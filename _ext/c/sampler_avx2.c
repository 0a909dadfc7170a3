#include "sampler.h"

#if SV_X86
#include <immintrin.h>

/* 32-byte vectors; how the lanes lie is said at each function.  Tail rule: whole vectors, the rest by the
   portable function. */

#define AVX2 SV_TARGET("avx2")
#define INLINE static inline __attribute__((always_inline)) AVX2

/* Set bits of each byte: the table of counts is an operand in a register, so no address depends on x. */
INLINE __m256i count_bytes(__m256i x) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
                                            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(x, nibble)),
                           _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
}

/* Four samples a vector of four words; counts of 8 bytes are summed by vpsadbw. */
INLINE size_t cbd21(int64_t *out, const uint8_t *random, size_t n) {
    const __m256i mask = _mm256_set1_epi64x(0x3ffffffffff), flip = _mm256_set1_epi64x(0x3ffffe00000);
    const __m256i eta = _mm256_set1_epi64x(21);
    size_t i = 0;
    for (; n - i >= 4; i += 4) {
        const __m256i w = _mm256_loadu_si256((const __m256i *)(random + 8 * i));
        const __m256i counts = count_bytes(_mm256_xor_si256(_mm256_and_si256(w, mask), flip));
        const __m256i sum = _mm256_sad_epu8(counts, _mm256_setzero_si256());
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_sub_epi64(sum, eta));
    }
    return i;
}

/* Four samples of two vectors (a0 b0 a1 b1), (a2 b2 a3 b3), by popcount(a) + popcount(~b) - 42. */
INLINE size_t cbd42(int64_t *out, const uint8_t *random, size_t n) {
    const __m256i mask = _mm256_set1_epi64x(0x3ffffffffff), eta = _mm256_set1_epi64x(42);
    size_t i = 0;
    for (; n - i >= 4; i += 4) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(random + 16 * i));
        const __m256i y = _mm256_loadu_si256((const __m256i *)(random + 16 * i + 32));
        const __m256i a = _mm256_and_si256(_mm256_unpacklo_epi64(x, y), mask);    /* a0 a2 a1 a3 */
        const __m256i b = _mm256_andnot_si256(_mm256_unpackhi_epi64(x, y), mask); /* b0 b2 b1 b3 */
        const __m256i counts = _mm256_add_epi8(count_bytes(a), count_bytes(b));
        const __m256i sum = _mm256_sub_epi64(_mm256_sad_epu8(counts, _mm256_setzero_si256()), eta);
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_permute4x64_epi64(sum, 0xd8));
    }
    return i;
}

AVX2 void sv_sampler_cbd_avx2(int64_t *out, const uint8_t *random, size_t n, int eta) {
    const size_t done = eta == 21 ? cbd21(out, random, n) : cbd42(out, random, n);
    sv_sampler_cbd_portable(out + done, random + (eta == 21 ? 8 : 16) * done, n - done, eta);
}

/* Sixteen words, compared as signed numbers with the top bit flipped; each comparison that holds is -1. */
AVX2 size_t sv_sampler_ternary_avx2(int64_t *out, const uint16_t *random, size_t n) {
    const __m256i flip = _mm256_set1_epi16(-32768);
    const __m256i low = _mm256_set1_epi16((short)(21844 - 32768)), high = _mm256_set1_epi16(43689 - 32768);
    const __m256i last = _mm256_set1_epi16(65534 - 32768), one = _mm256_set1_epi16(1);
    __m256i rejected = _mm256_setzero_si256(); /* lanes of 32 bits */
    size_t i = 0;
    for (; n - i >= 16; i += 16) {
        const __m256i r = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(random + i)), flip);
        const __m256i top = _mm256_cmpgt_epi16(r, last);
        __m256i v = _mm256_add_epi16(_mm256_cmpgt_epi16(r, low), _mm256_cmpgt_epi16(r, high));
        v = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_add_epi16(_mm256_add_epi16(v, top), one));
        rejected = _mm256_sub_epi32(rejected, _mm256_madd_epi16(top, one));
        const __m128i half[2] = {_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)};
        for (int k = 0; k < 2; k++) {
            _mm256_storeu_si256((__m256i *)(out + i + 8 * k), _mm256_cvtepi16_epi64(half[k]));
            _mm256_storeu_si256((__m256i *)(out + i + 8 * k + 4),
                                _mm256_cvtepi16_epi64(_mm_unpackhi_epi64(half[k], half[k])));
        }
    }
    uint32_t counts[8];
    size_t sum = 0;
    _mm256_storeu_si256((__m256i *)counts, rejected);
    for (int k = 0; k < 8; k++) {
        sum += counts[k];
    }
    return sum + sv_sampler_ternary_portable(out + i, random + i, n - i);
}

/* Blocks of sixteen words, all of which are nearly always kept; words and bound are below 2^63, so a signed
   comparison does.  What is written lies at or before what was read. */
AVX2 size_t sv_sampler_uniform_avx2(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                                    uint64_t bound) {
    const __m256i mask = _mm256_set1_epi64x((long long)(((uint64_t)1 << bits) - 1));
    const __m256i limit = _mm256_set1_epi64x((long long)bound);
    size_t done = 0, i = 0;
    for (; m - i >= 16 && n - done >= 16; i += 16) {
        __m256i w[4], kept = _mm256_set1_epi64x(-1);
        for (int k = 0; k < 4; k++) {
            w[k] = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(words + i + 4 * k)), mask);
            kept = _mm256_and_si256(kept, _mm256_cmpgt_epi64(limit, w[k]));
        }
        if (_mm256_movemask_epi8(kept) == -1) {
            for (int k = 0; k < 4; k++) {
                _mm256_storeu_si256((__m256i *)(out + done + 4 * k), w[k]);
            }
            done += 16;
        } else {
            uint64_t block[16];
            for (int k = 0; k < 4; k++) {
                _mm256_storeu_si256((__m256i *)(block + 4 * k), w[k]);
            }
            for (int k = 0; k < 16; k++) {
                out[done] = block[k];
                done += (size_t)(block[k] < bound);
            }
        }
    }
    return done + sv_sampler_uniform_portable(out + done, n - done, words + i, m - i, bits, bound);
}

/* Four numbers a vector. */
AVX2 void sv_sampler_residues_avx2(uint64_t *out, const int64_t *x, size_t n, uint64_t q) {
    const __m256i modulus = _mm256_set1_epi64x((long long)q);
    size_t i = 0;
    for (; n - i >= 4; i += 4) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(x + i));
        const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), v);
        _mm256_storeu_si256((__m256i *)(out + i), _mm256_add_epi64(v, _mm256_and_si256(negative, modulus)));
    }
    sv_sampler_residues_portable(out + i, x + i, n - i, q);
}
#endif
