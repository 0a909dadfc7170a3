#include "sampler.h"

#if SV_X86
#include <immintrin.h>

/* 64-byte vectors; how the lanes lie is said at each function.  Tail rule: whole vectors, the rest by the
   portable function. */

#define AVX512 SV_TARGET("avx512f,avx512bw,avx512dq,avx512vl")
#define INLINE static inline __attribute__((always_inline)) AVX512

/* Set bits of each byte: the table of counts is an operand in a register, so no address depends on x. */
INLINE __m512i count_bytes(__m512i x) {
    static const uint8_t nibbles[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
    const __m512i counts = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)nibbles));
    const __m512i nibble = _mm512_set1_epi8(15);
    return _mm512_add_epi8(_mm512_shuffle_epi8(counts, _mm512_and_si512(x, nibble)),
                           _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble)));
}

/* Eight samples a vector of eight words; counts of 8 bytes are summed by vpsadbw. */
INLINE size_t cbd21(int64_t *out, const uint8_t *random, size_t n) {
    const __m512i mask = _mm512_set1_epi64(0x3ffffffffff), flip = _mm512_set1_epi64(0x3ffffe00000);
    const __m512i eta = _mm512_set1_epi64(21);
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        const __m512i w = _mm512_loadu_si512(random + 8 * i);
        const __m512i counts = count_bytes(_mm512_xor_si512(_mm512_and_si512(w, mask), flip));
        const __m512i sum = _mm512_sad_epu8(counts, _mm512_setzero_si512());
        _mm512_storeu_si512(out + i, _mm512_sub_epi64(sum, eta));
    }
    return i;
}

/* Eight samples of two vectors (a0 b0 ... a3 b3), (a4 b4 ... a7 b7), by popcount(a) + popcount(~b) - 42. */
INLINE size_t cbd42(int64_t *out, const uint8_t *random, size_t n) {
    const __m512i mask = _mm512_set1_epi64(0x3ffffffffff), eta = _mm512_set1_epi64(42);
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        const __m512i x = _mm512_loadu_si512(random + 16 * i);
        const __m512i y = _mm512_loadu_si512(random + 16 * i + 64);
        const __m512i a = _mm512_and_si512(_mm512_unpacklo_epi64(x, y), mask);    /* a0 a4 a1 a5 ... */
        const __m512i b = _mm512_andnot_si512(_mm512_unpackhi_epi64(x, y), mask); /* b0 b4 b1 b5 ... */
        const __m512i counts = _mm512_add_epi8(count_bytes(a), count_bytes(b));
        const __m512i sum = _mm512_sub_epi64(_mm512_sad_epu8(counts, _mm512_setzero_si512()), eta);
        _mm512_storeu_si512(out + i, _mm512_permutexvar_epi64(order, sum));
    }
    return i;
}

AVX512 void sv_sampler_cbd_avx512(int64_t *out, const uint8_t *random, size_t n, int eta) {
    const size_t done = eta == 21 ? cbd21(out, random, n) : cbd42(out, random, n);
    sv_sampler_cbd_portable(out + done, random + (eta == 21 ? 8 : 16) * done, n - done, eta);
}

/* Eight words, widened to the lanes of the samples; every comparison that holds adds one. */
AVX512 size_t sv_sampler_ternary_avx512(int64_t *out, const uint16_t *random, size_t n) {
    const __m512i low = _mm512_set1_epi64(21845), high = _mm512_set1_epi64(43690), last = _mm512_set1_epi64(65535);
    const __m512i one = _mm512_set1_epi64(1);
    __m512i rejected = _mm512_setzero_si512();
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        const __m512i r = _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(random + i)));
        const __mmask8 top = _mm512_cmpeq_epi64_mask(r, last);
        __m512i v = _mm512_set1_epi64(-1);
        v = _mm512_mask_add_epi64(v, _mm512_cmple_epu64_mask(low, r), v, one);
        v = _mm512_mask_add_epi64(v, _mm512_cmple_epu64_mask(high, r), v, one);
        v = _mm512_mask_add_epi64(v, top, v, one);
        rejected = _mm512_mask_add_epi64(rejected, top, rejected, one);
        _mm512_storeu_si512(out + i, v);
    }
    uint64_t counts[8];
    size_t sum = 0;
    _mm512_storeu_si512(counts, rejected);
    for (int k = 0; k < 8; k++) {
        sum += (size_t)counts[k];
    }
    return sum + sv_sampler_ternary_portable(out + i, random + i, n - i);
}

/* Blocks of eight words; those kept are moved together and stored with what lies behind them, which the
   next block overwrites.  What is written lies at or before what was read. */
AVX512 size_t sv_sampler_uniform_avx512(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                                        uint64_t bound) {
    const __m512i mask = _mm512_set1_epi64((long long)(((uint64_t)1 << bits) - 1));
    const __m512i limit = _mm512_set1_epi64((long long)bound);
    size_t done = 0, i = 0;
    for (; m - i >= 8 && n - done >= 8; i += 8) {
        const __m512i w = _mm512_and_si512(_mm512_loadu_si512(words + i), mask);
        const __mmask8 kept = _mm512_cmplt_epu64_mask(w, limit);
        if (kept == 0xff) {
            _mm512_storeu_si512(out + done, w);
            done += 8;
        } else {
            _mm512_storeu_si512(out + done, _mm512_maskz_compress_epi64(kept, w));
            done += (size_t)__builtin_popcount(kept);
        }
    }
    return done + sv_sampler_uniform_portable(out + done, n - done, words + i, m - i, bits, bound);
}

/* Eight numbers a vector. */
AVX512 void sv_sampler_residues_avx512(uint64_t *out, const int64_t *x, size_t n, uint64_t q) {
    const __m512i modulus = _mm512_set1_epi64((long long)q);
    size_t i = 0;
    for (; n - i >= 8; i += 8) {
        const __m512i v = _mm512_loadu_si512(x + i);
        _mm512_storeu_si512(out + i, _mm512_mask_add_epi64(v, _mm512_movepi64_mask(v), v, modulus));
    }
    sv_sampler_residues_portable(out + i, x + i, n - i, q);
}
#endif
