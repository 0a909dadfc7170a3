#ifndef SOTTOVOCE_LATTICE_AVX512_H
#define SOTTOVOCE_LATTICE_AVX512_H

#include "cpu.h"
#include "lattice.h"

#if SV_X86
#include <immintrin.h>

/* What the AVX-512 IFMA kernels of kahe and rlwe share.  Vectors hold eight coefficients in order, as integers:
   the formulas are those of the portable code, with 52 instead of 64 bits in a quotient.  Products take
   the low 52 bits of both factors, so whatever is multiplied is below 2^52; every bound is said where it is
   less plain than p < 2^50.

   Loads and stores of bytes are masked where they would pass the end: there is no tail.

   No branch and no index depends on a value. */

#define SV_AVX512 SV_TARGET("avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")
#define SV_AVX512_INLINE static inline __attribute__((always_inline)) SV_AVX512

SV_AVX512_INLINE __m512i sv8_set(uint64_t x) { return _mm512_set1_epi64((long long)x); }
SV_AVX512_INLINE __m512i sv8_zero(void) { return _mm512_setzero_si512(); }
SV_AVX512_INLINE __m512i sv8_load(const void *p) { return _mm512_loadu_si512(p); }
SV_AVX512_INLINE void sv8_store(void *p, __m512i x) { _mm512_storeu_si512(p, x); }
SV_AVX512_INLINE __m512i sv8_shl(__m512i x, unsigned n) { return _mm512_sllv_epi64(x, sv8_set(n)); }
SV_AVX512_INLINE __m512i sv8_shr(__m512i x, unsigned n) { return _mm512_srlv_epi64(x, sv8_set(n)); }
SV_AVX512_INLINE __m512i sv8_sar(__m512i x, unsigned n) { return _mm512_srav_epi64(x, sv8_set(n)); }
SV_AVX512_INLINE __m512i sv8_mask(__m512i x, unsigned bits) { return _mm512_and_si512(x, sv8_set(sv_low_mask(bits))); }

/* x - m if x >= m, else x: the other one has wrapped. */
SV_AVX512_INLINE __m512i sv8_sub_if_ge(__m512i x, __m512i m) { return _mm512_min_epu64(x, _mm512_sub_epi64(x, m)); }

/* x + 1 where k. */
SV_AVX512_INLINE __m512i sv8_add_one(__m512i x, __mmask8 k) { return _mm512_mask_sub_epi64(x, k, x, sv8_set(~(uint64_t)0)); }

/* x w mod p, for w < p, w_shoup = floor(w 2^52 / p), x < 2^52: as sv_mul_shoup. */
SV_AVX512_INLINE __m512i sv8_mul_shoup(__m512i x, __m512i w, __m512i w_shoup, __m512i p) {
    const __m512i est = _mm512_madd52hi_epu64(sv8_zero(), x, w_shoup);
    const __m512i rest = _mm512_sub_epi64(_mm512_madd52lo_epu64(sv8_zero(), x, w),
                                          _mm512_madd52lo_epu64(sv8_zero(), est, p));
    return sv8_sub_if_ge(sv8_mask(rest, 52), p); /* below 2 p < 2^51 */
}

/* Quotients floor(w 2^52 / p) from those of 64 bits. */
static inline uint64_t sv8_shoup(uint64_t w_shoup) { return w_shoup >> 12; }

/* floor(y 2^bits / p) and the rest, for y < p < 2^50; recip = floor(2^(bits + 52) / p).  The estimate misses less
   than 1 + 2^-2, so the rest before correction is below 1.25 p. */
SV_AVX512_INLINE __m512i sv8_divide(__m512i *rest, __m512i y, unsigned bits, __m512i recip, __m512i p) {
    const __m512i est = _mm512_madd52hi_epu64(sv8_zero(), y, recip);
    const __m512i left = sv8_mask(_mm512_sub_epi64(sv8_shl(y, bits), _mm512_madd52lo_epu64(sv8_zero(), est, p)), 52);
    *rest = sv8_sub_if_ge(left, p);
    return sv8_add_one(est, _mm512_cmpge_epu64_mask(left, p));
}

/* ---- integers of two words, as sv_pair ---- */
typedef struct {
    __m512i lo, hi;
} sv8_pair;

SV_AVX512_INLINE sv8_pair sv8_pair_of(__m512i lo, __m512i hi) {
    const sv8_pair z = {lo, hi};
    return z;
}

SV_AVX512_INLINE sv8_pair sv8_pair_set(sv_pair x) { return sv8_pair_of(sv8_set(x.lo), sv8_set(x.hi)); }

SV_AVX512_INLINE sv8_pair sv8_add(sv8_pair a, sv8_pair b) {
    const __m512i lo = _mm512_add_epi64(a.lo, b.lo);
    return sv8_pair_of(lo, sv8_add_one(_mm512_add_epi64(a.hi, b.hi), _mm512_cmplt_epu64_mask(lo, b.lo)));
}

SV_AVX512_INLINE sv8_pair sv8_sub(sv8_pair a, sv8_pair b) {
    const __m512i hi = _mm512_sub_epi64(a.hi, b.hi);
    return sv8_pair_of(_mm512_sub_epi64(a.lo, b.lo),
                       _mm512_mask_sub_epi64(hi, _mm512_cmplt_epu64_mask(a.lo, b.lo), hi, sv8_set(1)));
}

/* Whether a < b, unsigned. */
SV_AVX512_INLINE __mmask8 sv8_less(sv8_pair a, sv8_pair b) {
    return (__mmask8)(_mm512_cmplt_epu64_mask(a.hi, b.hi) |
                      (_mm512_cmpeq_epu64_mask(a.hi, b.hi) & _mm512_cmplt_epu64_mask(a.lo, b.lo)));
}

SV_AVX512_INLINE sv8_pair sv8_pair_and(sv8_pair a, __m512i mask) {
    return sv8_pair_of(_mm512_and_si512(a.lo, mask), _mm512_and_si512(a.hi, mask));
}

/* Shifts by n < 128; lanes shifted by 64 and more are zero. */
SV_AVX512_INLINE sv8_pair sv8_pair_shl(sv8_pair x, unsigned n) {
    if (n >= 64) {
        return sv8_pair_of(sv8_zero(), sv8_shl(x.lo, n - 64));
    }
    return sv8_pair_of(sv8_shl(x.lo, n), _mm512_or_si512(sv8_shl(x.hi, n), sv8_shr(x.lo, 64 - n)));
}

SV_AVX512_INLINE sv8_pair sv8_pair_shr(sv8_pair x, unsigned n) {
    if (n >= 64) {
        return sv8_pair_of(sv8_shr(x.hi, n - 64), sv8_zero());
    }
    return sv8_pair_of(_mm512_or_si512(sv8_shr(x.lo, n), sv8_shl(x.hi, 64 - n)), sv8_shr(x.hi, n));
}

SV_AVX512_INLINE sv8_pair sv8_pair_sar(sv8_pair x, unsigned n) {
    if (n >= 64) {
        return sv8_pair_of(sv8_sar(x.hi, n - 64), sv8_sar(x.hi, 63));
    }
    return sv8_pair_of(_mm512_or_si512(sv8_shr(x.lo, n), sv8_shl(x.hi, 64 - n)), sv8_sar(x.hi, n));
}

SV_AVX512_INLINE sv8_pair sv8_pair_low(sv8_pair x, unsigned n) {
    return n >= 64 ? sv8_pair_of(x.lo, sv8_mask(x.hi, n - 64)) : sv8_pair_of(sv8_mask(x.lo, n), sv8_zero());
}

/* All ones where x is negative. */
SV_AVX512_INLINE __m512i sv8_sign(__m512i x) { return sv8_sar(x, 63); }

SV_AVX512_INLINE sv8_pair sv8_negate_if(sv8_pair x, __m512i sign) {
    return sv8_sub(sv8_pair_of(_mm512_xor_si512(x.lo, sign), _mm512_xor_si512(x.hi, sign)), sv8_pair_of(sign, sign));
}

/* a b for a, b < 2^104, as four limbs of 52 bits, each below 2^52. */
SV_AVX512_INLINE void sv8_multiply(__m512i out[4], sv8_pair a, sv8_pair b) {
    const __m512i a0 = a.lo, b0 = b.lo; /* the multiplier cuts them itself */
    const __m512i a1 = sv8_pair_shr(a, 52).lo, b1 = sv8_pair_shr(b, 52).lo;
    __m512i limb[4] = {_mm512_madd52lo_epu64(sv8_zero(), a0, b0), _mm512_madd52hi_epu64(sv8_zero(), a0, b0),
                       _mm512_madd52lo_epu64(sv8_zero(), a1, b1), _mm512_madd52hi_epu64(sv8_zero(), a1, b1)};
    limb[1] = _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(limb[1], a0, b1), a1, b0);
    limb[2] = _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(limb[2], a0, b1), a1, b0);
    for (unsigned i = 0; i < 3; i++) {
        limb[i + 1] = _mm512_add_epi64(limb[i + 1], sv8_shr(limb[i], 52));
        out[i] = sv8_mask(limb[i], 52);
    }
    out[3] = limb[3];
}

/* ---- noise ---- */
SV_AVX512_INLINE __m512i sv8_count_bytes(__m512i x) {
    static const uint8_t counts[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
    const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)counts)); /* in a register */
    const __m512i nibble = _mm512_set1_epi8(15);
    return _mm512_add_epi8(_mm512_shuffle_epi8(table, _mm512_and_si512(x, nibble)),
                           _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi64(x, 4), nibble)));
}

/* CBD(42) of eight pairs of words, by popcount(a) + popcount(~b) - 42. */
SV_AVX512_INLINE __m512i sv8_cbd42(const uint8_t *random) {
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), low = sv8_set(sv_low_mask(42));
    const __m512i x = sv8_load(random), y = sv8_load(random + 64);
    const __m512i a = _mm512_and_si512(_mm512_unpacklo_epi64(x, y), low);
    const __m512i b = _mm512_andnot_si512(_mm512_unpackhi_epi64(x, y), low);
    const __m512i counts = _mm512_add_epi8(sv8_count_bytes(a), sv8_count_bytes(b));
    return _mm512_permutexvar_epi64(order, _mm512_sub_epi64(_mm512_sad_epu8(counts, sv8_zero()), sv8_set(42)));
}

/* CBD(21) of eight words. */
SV_AVX512_INLINE __m512i sv8_cbd21(const uint8_t *random) {
    const __m512i x = _mm512_xor_si512(sv8_mask(sv8_load(random), 42), sv8_set(0x3ffffe00000));
    return _mm512_sub_epi64(_mm512_sad_epu8(sv8_count_bytes(x), sv8_zero()), sv8_set(21));
}

/* ---- strings of bits ----
   Eight values are W <= 100 bytes, one or two vectors.  A value is one field of W bits, or a low one and a
   high one.  Packing: each word of the string is the sum of the fields that reach into it, fetched from
   their lanes and shifted: at most all eight values, or four fields of two each.  Unpacking: a field is taken
   from the word where it begins and from the next one. */
enum { SV8_MAX_TERMS = 8 };

typedef struct {
    __m512i index[2][SV8_MAX_TERMS], left[2][SV8_MAX_TERMS], right[2][SV8_MAX_TERMS];
    unsigned terms[2], vectors;
    size_t bytes;
} sv8_pack_plan;

/* W bits a value, the low field of `low` bits; low = W for one field. */
SV_AVX512 static void sv8_plan_pack(sv8_pack_plan *plan, unsigned W, unsigned low) {
    uint64_t index[16][SV8_MAX_TERMS], left[16][SV8_MAX_TERMS], right[16][SV8_MAX_TERMS];
    unsigned count[16] = {0};
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned t = 0; t < SV8_MAX_TERMS; t++) {
            index[i][t] = 0;
            left[i][t] = right[i][t] = 64; /* nothing */
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned field = 0; field < (low < W ? 2 : 1); field++) {
            const unsigned at = i * W + field * low, width = field ? W - low : low;
            for (unsigned word = at >> 6; word <= (at + width - 1) >> 6; word++) {
                const unsigned t = count[word]++;
                index[word][t] = i + 8 * field;
                if (at >= 64 * word) {
                    left[word][t] = at - 64 * word;
                } else {
                    right[word][t] = 64 * word - at;
                }
            }
        }
    }
    plan->bytes = W;
    plan->vectors = W > 64 ? 2 : 1;
    for (unsigned v = 0; v < plan->vectors; v++) {
        plan->terms[v] = 0;
        for (unsigned i = 0; i < 8; i++) {
            plan->terms[v] = count[8 * v + i] > plan->terms[v] ? count[8 * v + i] : plan->terms[v];
        }
        for (unsigned t = 0; t < plan->terms[v]; t++) {
            uint64_t lane[3][8];
            for (unsigned i = 0; i < 8; i++) {
                lane[0][i] = index[8 * v + i][t];
                lane[1][i] = left[8 * v + i][t];
                lane[2][i] = right[8 * v + i][t];
            }
            plan->index[v][t] = sv8_load(lane[0]);
            plan->left[v][t] = sv8_load(lane[1]);
            plan->right[v][t] = sv8_load(lane[2]);
        }
    }
}

/* Fields, zero above their widths, to the string that begins at out and has `room` bytes up to its end; what
   is stored behind the plan's bytes is overwritten next. */
SV_AVX512_INLINE void sv8_pack_fields(uint8_t *out, size_t room, __m512i low, __m512i high, const sv8_pack_plan *plan) {
    for (unsigned v = 0; v < plan->vectors; v++) {
        __m512i word = sv8_zero();
        for (unsigned t = 0; t < plan->terms[v]; t++) {
            const __m512i x = _mm512_permutex2var_epi64(low, plan->index[v][t], high);
            word = _mm512_or_si512(word, _mm512_or_si512(_mm512_sllv_epi64(x, plan->left[v][t]),
                                                         _mm512_srlv_epi64(x, plan->right[v][t])));
        }
        if (room >= 64 * (v + 1)) {
            sv8_store(out + 64 * v, word);
        } else if (room > 64 * v) {
            _mm512_mask_storeu_epi8(out + 64 * v, sv_low_mask((unsigned)(room - 64 * v)), word);
        }
    }
}

typedef struct {
    __m512i word[2], next[2], right[2], left[2], mask[2]; /* of the low and of the high field */
    unsigned fields;
    size_t bytes;
} sv8_unpack_plan;

SV_AVX512 static void sv8_plan_unpack(sv8_unpack_plan *plan, unsigned W, unsigned low) {
    plan->bytes = W;
    plan->fields = low < W ? 2 : 1;
    for (unsigned field = 0; field < plan->fields; field++) {
        uint64_t word[8], right[8];
        for (unsigned i = 0; i < 8; i++) {
            const unsigned at = i * W + field * low;
            word[i] = at >> 6;
            right[i] = at & 63;
        }
        plan->word[field] = sv8_load(word);
        plan->next[field] = _mm512_add_epi64(plan->word[field], sv8_set(1));
        plan->right[field] = sv8_load(right);
        plan->left[field] = _mm512_sub_epi64(sv8_set(64), plan->right[field]);
        plan->mask[field] = sv8_set(sv_low_mask(field ? W - low : low));
    }
}

SV_AVX512_INLINE __m512i sv8_load_bytes(const uint8_t *in, size_t room) {
    return room >= 64 ? sv8_load(in) : _mm512_maskz_loadu_epi8(sv_low_mask((unsigned)room), in);
}

SV_AVX512_INLINE __m512i sv8_field(__m512i first, __m512i second, const sv8_unpack_plan *plan, unsigned field) {
    const __m512i a = _mm512_permutex2var_epi64(first, plan->word[field], second);
    const __m512i b = _mm512_permutex2var_epi64(first, plan->next[field], second);
    return _mm512_and_si512(_mm512_or_si512(_mm512_srlv_epi64(a, plan->right[field]),
                                            _mm512_sllv_epi64(b, plan->left[field])), plan->mask[field]);
}

/* Eight values, the string beginning at `in` with `room` bytes up to its end; *high is zero with one field. */
SV_AVX512_INLINE __m512i sv8_unpack_fields(__m512i *high, const uint8_t *in, size_t room, const sv8_unpack_plan *plan) {
    const __m512i first = sv8_load_bytes(in, room);
    const __m512i second = plan->bytes > 64 ? sv8_load_bytes(in + 64, room - 64) : sv8_zero();
    *high = plan->fields == 2 ? sv8_field(first, second, plan, 1) : sv8_zero();
    return sv8_field(first, second, plan, 0);
}

/* Bits of the low field of a value. */
static inline unsigned sv8_low_field(unsigned W) { return W <= SV_FIELD_MAX ? W : SV_FIELD_LOW; }

/* Eight values below 2^W to and from a string, with a plan of (W, sv8_low_field(W)). */
SV_AVX512_INLINE void sv8_put(uint8_t *out, size_t room, sv8_pair value, const sv8_pack_plan *plan) {
    if (plan->bytes <= SV_FIELD_MAX) {
        sv8_pack_fields(out, room, value.lo, sv8_zero(), plan);
    } else {
        sv8_pack_fields(out, room, sv8_mask(value.lo, SV_FIELD_LOW), sv8_pair_shr(value, SV_FIELD_LOW).lo, plan);
    }
}

SV_AVX512_INLINE sv8_pair sv8_get(const uint8_t *in, size_t room, const sv8_unpack_plan *plan) {
    __m512i high;
    const __m512i low = sv8_unpack_fields(&high, in, room, plan);
    return sv8_pair_of(_mm512_or_si512(low, sv8_shl(high, SV_FIELD_LOW)), sv8_shr(high, 64 - SV_FIELD_LOW));
}

/* ---- one or two primes ---- */
typedef struct {
    __m512i p[2], inverse, inverse_shoup, half_shoup[2], lift[2];
    unsigned half; /* b - 1 */
} sv8_modulus;

SV_AVX512_INLINE sv8_modulus sv8_modulus_of(const sv_modulus *m) {
    sv8_modulus k;
    for (unsigned j = 0; j < 2; j++) {
        k.p[j] = sv8_set(m->p[j]);
        k.half_shoup[j] = sv8_set(sv8_shoup(m->half_shoup[j]));
        k.lift[j] = sv8_set(2 * m->p[j] - m->top[j]);
    }
    k.inverse = sv8_set(m->inverse);
    k.inverse_shoup = sv8_set(sv8_shoup(m->inverse_shoup));
    k.half = m->prime_bits - 1;
    return k;
}

/* low + 2^(b-1) high modulo the j-th prime, for low < 2^(b-1), high < 2^52. */
SV_AVX512_INLINE __m512i sv8_residue(__m512i low, __m512i high, const sv8_modulus *k, unsigned j) {
    const __m512i upper = sv8_mul_shoup(high, sv8_set((uint64_t)1 << k->half), k->half_shoup[j], k->p[j]);
    return sv8_sub_if_ge(_mm512_add_epi64(upper, low), k->p[j]);
}

SV_AVX512_INLINE __m512i sv8_residue_of(sv8_pair z, const sv8_modulus *k, unsigned j) {
    return sv8_residue(sv8_mask(z.lo, k->half), sv8_pair_shr(z, k->half).lo, k, j);
}

SV_AVX512_INLINE __m512i sv8_mixed_digit(__m512i y0, __m512i y1, const sv8_modulus *k) {
    const __m512i difference = _mm512_sub_epi64(_mm512_add_epi64(y1, k->p[1]), sv8_sub_if_ge(y0, k->p[1]));
    return sv8_mul_shoup(difference, k->inverse, k->inverse_shoup, k->p[1]);
}

/* The z below q with these residues. */
SV_AVX512_INLINE sv8_pair sv8_whole(__m512i y0, __m512i y1, const sv8_modulus *k) {
    const __m512i t = sv8_mixed_digit(y0, y1, k);
    const __m512i lo = _mm512_madd52lo_epu64(y0, k->p[0], t); /* below 2^53 */
    const __m512i hi = _mm512_add_epi64(_mm512_madd52hi_epu64(sv8_zero(), k->p[0], t), sv8_shr(lo, 52));
    return sv8_pair_of(_mm512_or_si512(sv8_mask(lo, 52), sv8_shl(hi, 52)), sv8_shr(hi, 12));
}

/* ---- messages ---- */
typedef struct {
    int64_t limb[SV_MAX_LIMBS][SV_CHUNK];
} sv8_messages;

/* The sum of the limbs of eight coefficients of the chunk, 2^(w c) apart; one limb: sign-extended. */
SV_AVX512_INLINE sv8_pair sv8_message(const sv8_messages *messages, size_t at, const sv_limbs *limbs,
                                      unsigned slot_bits) {
    sv8_pair out = sv8_pair_of(sv8_zero(), sv8_zero());
    for (unsigned g = limbs->count; g-- > 0;) {
        const __m512i limb = sv8_load(messages->limb[g] + at);
        out = sv8_add(sv8_pair_shl(out, slot_bits * limbs->slots), sv8_pair_of(limb, sv8_sign(limb)));
    }
    return out;
}

static inline void sv8_fill_messages(sv8_messages *messages, const sv_limbs *limbs, const int32_t *values, size_t n,
                                     unsigned slots, unsigned slot_bits) {
    for (unsigned g = 0; g < limbs->count; g++) {
        const unsigned first = g * limbs->slots, left = slots - first;
        sv_join_words(messages->limb[g], values, n, slots, first, left < limbs->slots ? left : limbs->slots, slot_bits);
    }
}

/* y + e + message mod each prime; scaled = 2^k M, in (-2^(L-1), 2^(L-1)).  Sums are in (p - 42, 4p + 42). */
SV_AVX512_INLINE void sv8_add_message(__m512i y[2], __m512i e, sv8_pair scaled, sv8_pair centre, const sv8_modulus *k) {
    const sv8_pair positive = sv8_add(scaled, centre);
    for (unsigned j = 0; j < 2; j++) {
        __m512i z = _mm512_add_epi64(_mm512_add_epi64(y[j], e),
                                     _mm512_add_epi64(sv8_residue_of(positive, k, j), k->lift[j]));
        z = sv8_sub_if_ge(z, _mm512_add_epi64(k->p[j], k->p[j]));
        y[j] = sv8_sub_if_ge(sv8_sub_if_ge(z, k->p[j]), k->p[j]);
    }
}

/* Slots of eight messages of two words, as sv_split. */
SV_AVX512_INLINE void sv8_split(int64_t *values, sv8_pair x, unsigned slots, unsigned slot_bits) {
    int64_t lane[8];
    const __m512i top = sv8_set((uint64_t)1 << (slot_bits - 1)), most = sv8_set(sv_low_mask(63));
    for (unsigned j = 0; j < slots; j++) {
        __m512i v;
        if (j + 1 < slots) {
            v = _mm512_sub_epi64(_mm512_xor_si512(sv8_mask(x.lo, slot_bits), top), top);
            x = sv8_pair_sar(sv8_sub(x, sv8_pair_of(v, sv8_sign(v))), slot_bits);
        } else {
            const __m512i sign = sv8_sign(x.hi);
            v = _mm512_mask_mov_epi64(_mm512_sub_epi64(_mm512_xor_si512(most, sign), sign),
                                      _mm512_cmpeq_epu64_mask(x.hi, sv8_sign(x.lo)), x.lo);
        }
        if (slots == 1) {
            sv8_store(values, v);
            return;
        }
        sv8_store(lane, v);
        for (unsigned i = 0; i < 8; i++) {
            values[i * slots + j] = lane[i];
        }
    }
}

#endif

#endif
