#ifndef SOTTOVOCE_LATTICE_AVX2_H
#define SOTTOVOCE_LATTICE_AVX2_H

#include "cpu.h"
#include "lattice.h"

#if SV_X86
#include <immintrin.h>

/* What the AVX2+FMA kernels of kahe and rlwe share.  Vectors hold four coefficients in order.

   Integers below 2^51 in size live in doubles.  Adding MAGIC = 1.5 * 2^52 rounds to the nearest integer, and
   the low 51 bits of the sum are that integer modulo 2^51.  Nothing is rounded that matters: every
   quotient is an estimate, every remainder is a fused multiply-add whose exact result is an integer
   below 2^53, hence exact, and the remainder corrects the estimate.

   No branch and no index depends on a value. */

#define SV_AVX2 SV_TARGET("avx2,fma")
#define SV_AVX2_INLINE static inline __attribute__((always_inline)) SV_AVX2
#define SV_ALIGNED __attribute__((aligned(32)))
#define SV_MAGIC 0x1.8p52
#define SV_MAGIC_BITS 0x4338000000000000

SV_AVX2_INLINE __m256i sv_load4(const uint64_t *p) { return _mm256_loadu_si256((const __m256i *)p); }

SV_AVX2_INLINE void sv_store4(uint64_t *p, __m256i x) { _mm256_storeu_si256((__m256i *)p, x); }

SV_AVX2_INLINE __m256i sv_set1(uint64_t x) { return _mm256_set1_epi64x((long long)x); }

/* Signed integers below 2^51 in size to doubles, less `less` (an integer). */
SV_AVX2_INLINE __m256d sv_to_double_less(__m256i x, double less) {
    return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_add_epi64(x, sv_set1(SV_MAGIC_BITS))),
                         _mm256_set1_pd(SV_MAGIC + less));
}

SV_AVX2_INLINE __m256d sv_to_double(__m256i x) { return sv_to_double_less(x, 0.0); }

/* Integers below 2^51 in size: the low 51 bits are right, the others are not. */
SV_AVX2_INLINE __m256i sv_to_bits(__m256d x) {
    return _mm256_castpd_si256(_mm256_add_pd(x, _mm256_set1_pd(SV_MAGIC)));
}

SV_AVX2_INLINE __m256i sv_to_int(__m256d x) { return _mm256_sub_epi64(sv_to_bits(x), sv_set1(SV_MAGIC_BITS)); }

/* round(x c) and, in bits, the same as sv_to_bits; |x c| <= 2^51. */
SV_AVX2_INLINE __m256d sv_round_times(__m256d x, __m256d c, __m256i *bits) {
    const __m256d magic = _mm256_set1_pd(SV_MAGIC), sum = _mm256_fmadd_pd(x, c, magic);
    *bits = _mm256_castpd_si256(sum);
    return _mm256_sub_pd(sum, magic);
}

/* x w mod p in size at most (5/8) p, for |w| <= p/2, |x| <= 2^51 and |x w / p| <= 2^50; w_p = w/p rounded.
   h + l = x w exactly; b = x w / p up to 1/2 + 2^50 2^-53; h - b p and |l| <= |h| 2^-53 <= p/8 are integers. */
SV_AVX2_INLINE __m256d sv_times(__m256d x, __m256d w, __m256d w_p, __m256d p) {
    __m256i bits;
    const __m256d h = _mm256_mul_pd(x, w), l = _mm256_fmsub_pd(x, w, h), b = sv_round_times(x, w_p, &bits);
    return _mm256_add_pd(_mm256_fnmadd_pd(b, p, h), l);
}

/* w in [0, p) as the double in [-p/2, p/2] that is the same modulo p. */
static inline double sv_centred(uint64_t w, uint64_t p) {
    return w > p >> 1 ? -(double)(p - w) : (double)w;
}

/* x in size below 2^51 to at most p/2 + 1, the same modulo p; p_inv = 1/p rounded. */
SV_AVX2_INLINE __m256d sv_reduce(__m256d x, __m256d p, __m256d p_inv) {
    __m256i bits;
    return _mm256_fnmadd_pd(sv_round_times(x, p_inv, &bits), p, x);
}

/* x in [-p, p) to [0, p). */
SV_AVX2_INLINE __m256d sv_add_if_negative(__m256d x, __m256d p) {
    return _mm256_blendv_pd(x, _mm256_add_pd(x, p), x);
}

/* x in [-p, 2p) to [0, p). */
SV_AVX2_INLINE __m256d sv_canonical(__m256d x, __m256d p) {
    const __m256d less = _mm256_sub_pd(x, p);
    return sv_add_if_negative(_mm256_blendv_pd(less, x, less), p); /* by sign: x where x < p */
}

/* ---- noise: four coefficients, plus a constant ---- */
enum { SV_CBD42_PLUS = 64, SV_CBD21_PLUS = 21 };

#define SV_NIBBLE_COUNTS 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4
#define SV_NIBBLE_HOLES 4, 3, 3, 2, 3, 2, 2, 1, 3, 2, 2, 1, 2, 1, 1, 0

/* CBD(42) + 64 of four pairs of words a, b: bits set in a, and in b by nibbles what is missing to 4. */
SV_AVX2_INLINE __m256i sv_cbd42(const uint8_t *random) {
    const __m256i counts = _mm256_setr_epi8(SV_NIBBLE_COUNTS, SV_NIBBLE_COUNTS);
    const __m256i holes = _mm256_setr_epi8(SV_NIBBLE_HOLES, SV_NIBBLE_HOLES);
    const __m256i low = sv_set1(0x0000030f0f0f0f0f), high = sv_set1(0x0000000f0f0f0f0f);
    const __m256i even = _mm256_inserti128_si256( /* coefficients 0 and 2, then 1 and 3 */
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)random)),
        _mm_loadu_si128((const __m128i *)(random + 32)), 1);
    const __m256i odd = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(random + 16))),
        _mm_loadu_si128((const __m128i *)(random + 48)), 1);
    const __m256i a = _mm256_unpacklo_epi64(even, odd), b = _mm256_unpackhi_epi64(even, odd);
    const __m256i of_a = _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(a, low)),
                                         _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi64(a, 4), high)));
    const __m256i of_b = _mm256_add_epi8(_mm256_shuffle_epi8(holes, _mm256_and_si256(b, low)),
                                         _mm256_shuffle_epi8(holes, _mm256_and_si256(_mm256_srli_epi64(b, 4), high)));
    return _mm256_sad_epu8(_mm256_add_epi8(of_a, of_b), _mm256_setzero_si256());
}

/* CBD(21) + 21 of four words: with bits 21 to 41 inverted, the number of bits set. */
SV_AVX2_INLINE __m256i sv_cbd21(const uint8_t *random) {
    const __m256i counts = _mm256_setr_epi8(SV_NIBBLE_COUNTS, SV_NIBBLE_COUNTS);
    const __m256i low = sv_set1(0x0000030f0f0f0f0f), high = sv_set1(0x0000000f0f0f0f0f);
    const __m256i x = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)random), sv_set1(0x3ffffe00000));
    const __m256i sum = _mm256_add_epi8(_mm256_shuffle_epi8(counts, _mm256_and_si256(x, low)),
                                        _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi64(x, 4), high)));
    return _mm256_sad_epu8(sum, _mm256_setzero_si256());
}

/* ---- strings of bits ----
   A string is two fields, of F <= 57 and U - F <= 57 bits, U bits in all: two values of one word next to each
   other (F = W, U = 2W; four strings are eight values), or one value of two words (eight strings).  String j
   of a group of eight values begins at bit j U.  A vector holds two strings: [field, field | field, field].

   Packing shifts the fields of a string together, with the up to seven bits before its first whole byte,
   moves the second string of the vector behind the first, adds the byte that it shares with the vector before,
   and stores 32 bytes, of which those not yet known are zero and are overwritten next.  Unpacking loads the 16
   bytes from where a string begins. */
enum { SV_BLOCKS = 4, SV_STORE = 32, SV_LOAD = 16 };

typedef struct {
    __m256i left[SV_BLOCKS], right[SV_BLOCKS], place[SV_BLOCKS], carry_from[SV_BLOCKS], carry_to[SV_BLOCKS];
    size_t at[SV_BLOCKS], reach; /* of the last store, from where a group begins */
} sv_pack_plan;

SV_AVX2_INLINE void sv_plan_pack(sv_pack_plan *plan, unsigned U, unsigned F, unsigned blocks) {
    const __m256i iota = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7,
                                          8, 9, 10, 11, 12, 13, 14, 15);
    for (unsigned b = 0; b < blocks; b++) {
        const unsigned bit0 = 2 * b * U, bit1 = bit0 + U, bit2 = bit1 + U, s0 = bit0 & 7, s1 = bit1 & 7;
        const int by = (int)((bit1 >> 3) - (bit0 >> 3)), shared = (int)((bit2 >> 3) - (bit0 >> 3));
        plan->at[b] = bit0 >> 3;
        plan->left[b] = _mm256_setr_epi64x(s0, F + s0, s1, F + s1);
        plan->right[b] = _mm256_setr_epi64x(64, 64 - F - s0, 64, 64 - F - s1);
        /* Upwards by so many bytes; pshufb gives 0 where the top bit of an index is set. */
        plan->place[b] = _mm256_add_epi8(iota, _mm256_setr_m128i(_mm_set1_epi8((char)-by),
                                                                _mm_set1_epi8((char)(16 - by + 0x70))));
        plan->carry_from[b] = _mm256_set1_epi32(shared >> 2);
        plan->carry_to[b] = _mm256_insert_epi8(_mm256_set1_epi8(-128), (char)(bit2 & 7 ? shared & 3 : -128), 0);
    }
    plan->reach = plan->at[blocks - 1] + SV_STORE;
}

/* Two strings in `fields`, zero above their widths.  carry: in and out, zero before the first block. */
SV_AVX2_INLINE void sv_pack_block(uint8_t *out, __m256i fields, __m256i *carry, const sv_pack_plan *plan, unsigned b) {
    const __m256i t = _mm256_sllv_epi64(fields, plan->left[b]), above = _mm256_srlv_epi64(fields, plan->right[b]);
    const __m256i strings = _mm256_blend_epi32(_mm256_or_si256(t, _mm256_srli_si256(t, 8)), above, 0xCC);
    const __m256i second = _mm256_permute2x128_si256(strings, strings, 0x11);
    const __m256i first = _mm256_blend_epi32(strings, _mm256_setzero_si256(), 0xF0);
    const __m256i all = _mm256_or_si256(_mm256_or_si256(first, *carry), _mm256_shuffle_epi8(second, plan->place[b]));
    _mm256_storeu_si256((__m256i *)(out + plan->at[b]), all);
    *carry = _mm256_shuffle_epi8(_mm256_permutevar8x32_epi32(all, plan->carry_from[b]), plan->carry_to[b]);
}

/* Eight values of one word each. */
SV_AVX2_INLINE void sv_pack_words(uint8_t *out, __m256i v0, __m256i v1, const sv_pack_plan *plan) {
    __m256i carry = _mm256_setzero_si256();
    sv_pack_block(out, v0, &carry, plan, 0);
    sv_pack_block(out, v1, &carry, plan, 1);
}

/* Four values of two fields each, the half-th four of a group. */
SV_AVX2_INLINE void sv_pack_fields(uint8_t *out, __m256i low, __m256i high, __m256i *carry, const sv_pack_plan *plan,
                                   unsigned half) {
    const __m256i even = _mm256_unpacklo_epi64(low, high), odd = _mm256_unpackhi_epi64(low, high);
    sv_pack_block(out, _mm256_permute2x128_si256(even, odd, 0x20), carry, plan, 2 * half);
    sv_pack_block(out, _mm256_permute2x128_si256(even, odd, 0x31), carry, plan, 2 * half + 1);
}

typedef struct {
    __m256i place[SV_BLOCKS], shift[SV_BLOCKS], mask;
    size_t first[SV_BLOCKS], second[SV_BLOCKS], reach;
} sv_unpack_plan;

/* With two blocks the vectors hold strings (0, 1), (2, 3): eight words in order.  With four they hold
   (0, 2), (1, 3), (4, 6), (5, 7): unpacklo and unpackhi of two then give fields in order. */
SV_AVX2_INLINE void sv_plan_unpack(sv_unpack_plan *plan, unsigned U, unsigned F, unsigned blocks) {
    const long long iota = 0x0706050403020100, ones = 0x0101010101010101;
    plan->reach = 0;
    for (unsigned b = 0; b < blocks; b++) {
        const unsigned j0 = blocks == 2 ? 2 * b : (b & 2) * 2 + (b & 1), j1 = j0 + (blocks == 2 ? 1 : 2);
        const unsigned s0 = j0 * U & 7, s1 = j1 * U & 7;
        plan->first[b] = j0 * U >> 3;
        plan->second[b] = j1 * U >> 3;
        plan->reach = plan->second[b] + SV_LOAD > plan->reach ? plan->second[b] + SV_LOAD : plan->reach;
        plan->place[b] = _mm256_setr_epi64x(iota, iota + ones * ((s0 + F) >> 3), iota, iota + ones * ((s1 + F) >> 3));
        plan->shift[b] = _mm256_setr_epi64x(s0, (s0 + F) & 7, s1, (s1 + F) & 7);
    }
    const long long low = (long long)sv_low_mask(F), high = (long long)sv_low_mask(U - F);
    plan->mask = _mm256_setr_epi64x(low, high, low, high);
}

SV_AVX2_INLINE __m256i sv_unpack_block(const uint8_t *in, const sv_unpack_plan *plan, unsigned b) {
    const __m256i both = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(in + plan->first[b]))),
        _mm_loadu_si128((const __m128i *)(in + plan->second[b])), 1);
    return _mm256_and_si256(_mm256_srlv_epi64(_mm256_shuffle_epi8(both, plan->place[b]), plan->shift[b]), plan->mask);
}

/* Groups of eight values that a vector loop may do in a string of n values of `bits` bits without a byte
   past the end; the rest is left to the portable code. */
static inline size_t sv_whole_groups(size_t n, unsigned bits, size_t reach) {
    const size_t size = n / 8 * bits;
    return size < reach ? 0 : (size - reach) / bits + 1;
}

/* All ones where a < b, unsigned. */
SV_AVX2_INLINE __m256i sv_below(__m256i a, __m256i b) {
    const __m256i top = sv_set1((uint64_t)1 << 63);
    return _mm256_cmpgt_epi64(_mm256_xor_si256(b, top), _mm256_xor_si256(a, top));
}

/* ---- two primes ---- */
typedef struct {
    __m256d p[2], p_inv[2], inverse, inverse_p; /* of p[0] modulo p[1] */
} sv_primes;

SV_AVX2_INLINE sv_primes sv_primes_of(const sv_modulus *m) {
    const double p0 = (double)m->p[0], p1 = (double)m->p[1], inverse = sv_centred(m->inverse, m->p[1]);
    const sv_primes k = {{_mm256_set1_pd(p0), _mm256_set1_pd(p1)},
                         {_mm256_set1_pd(1.0 / p0), _mm256_set1_pd(1.0 / p1)},
                         _mm256_set1_pd(inverse),
                         _mm256_set1_pd(inverse / p1)};
    return k;
}

/* t with z = y0 + p0 t modulo q: |t| <= (5/8) p1, for |y0 - y1| <= 2 p1. */
SV_AVX2_INLINE __m256d sv_mixed(__m256d y0, __m256d y1, const sv_primes *k) {
    return sv_times(_mm256_sub_pd(y1, y0), k->inverse, k->inverse_p, k->p[1]);
}

/* Messages of a chunk of coefficients: limbs as integers, and their factors modulo each prime. */
typedef struct {
    int64_t limb[SV_MAX_LIMBS][SV_CHUNK];
    __m256d factor[SV_MAX_LIMBS][2], factor_p[SV_MAX_LIMBS][2];
    unsigned count;
} sv_messages;

SV_AVX2_INLINE void sv_messages_of(sv_messages *messages, const sv_modulus *m, const sv_limbs *limbs) {
    messages->count = limbs->count;
    for (unsigned g = 0; g < limbs->count; g++) {
        for (unsigned j = 0; j < 2; j++) {
            const double factor = sv_centred(limbs->factor[g][j], m->p[j]);
            messages->factor[g][j] = _mm256_set1_pd(factor);
            messages->factor_p[g][j] = _mm256_set1_pd(factor / (double)m->p[j]);
        }
    }
}

static inline void sv_fill_messages(sv_messages *messages, const sv_limbs *limbs, const int32_t *values, size_t n,
                                    unsigned slots, unsigned slot_bits) {
    for (unsigned g = 0; g < limbs->count; g++) {
        const unsigned first = g * limbs->slots, left = slots - first;
        sv_join_words(messages->limb[g], values, n, slots, first, left < limbs->slots ? left : limbs->slots, slot_bits);
    }
}

/* y + noise + 2^k M modulo each prime, in size at most p/2 + 1; `at` is the place in the chunk. */
SV_AVX2_INLINE void sv_residues(__m256d out[2], const uint64_t *const *y, size_t i, __m256d noise,
                                const sv_messages *messages, size_t at, const sv_primes *k) {
    for (unsigned j = 0; j < 2; j++) {
        __m256d sum = _mm256_add_pd(sv_to_double(sv_load4(y[j] + i)), noise);
        for (unsigned g = 0; g < messages->count; g++) { /* below (1 + 3 * 5/8) p + 64 in the end */
            const __m256d limb = sv_to_double(_mm256_loadu_si256((const __m256i *)(messages->limb[g] + at)));
            sum = _mm256_add_pd(sum, sv_times(limb, messages->factor[g][j], messages->factor_p[g][j], k->p[j]));
        }
        out[j] = sv_reduce(sum, k->p[j], k->p_inv[j]);
    }
}

#endif
#endif
