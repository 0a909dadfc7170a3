#include "kahe.h"
#include "lattice_avx512.h"

#if SV_X86

/* Key-additive encryption on eight coefficients a vector, which are W bytes, by the formulas of
   kahe_portable.c; bounds: there and in lattice_avx512.h.  n is a multiple of 8: no tail. */

typedef struct {
    sv8_modulus m;
    __m512i half[2], recip[SV_KAHE_MAX_DIGITS][2];
} constants;

SV_AVX512_INLINE constants constants_of(const sv_kahe_scale *s) {
    constants k;
    k.m = sv8_modulus_of(&s->m);
    for (unsigned j = 0; j < 2; j++) {
        k.half[j] = sv8_set(s->m.p[j] >> 1);
        for (unsigned d = 0; d < s->digits; d++) {
            k.recip[d][j] = sv8_set(sv8_shoup(s->recip[d][j]));
        }
    }
    return k;
}

/* round(y 2^W / q), in [0, 2^W], for one prime and y < q. */
SV_AVX512_INLINE __m512i narrow_one(__m512i y, const constants *k, const sv_kahe_scale *s) {
    __m512i rest;
    const __m512i out = sv8_divide(&rest, y, s->wire_bits, k->recip[0][0], k->m.p[0]);
    return sv8_add_one(out, _mm512_cmpgt_epu64_mask(rest, k->half[0]));
}

/* The same for two primes, by digits. */
SV_AVX512_INLINE sv8_pair narrow_two(__m512i y0, __m512i y1, const constants *k, const sv_kahe_scale *s) {
    __m512i low = y0, high = sv8_mixed_digit(y0, y1, &k->m);
    sv8_pair out = {sv8_zero(), sv8_zero()};
    for (unsigned d = 0; d < s->digits; d++) {
        const unsigned bits = s->digit_bits[d];
        const __m512i digit = sv8_divide(&high, high, bits, k->recip[d][1], k->m.p[1]);
        high = _mm512_add_epi64(high, sv8_divide(&low, low, bits, k->recip[d][0], k->m.p[0]));
        const __m512i more = sv8_add_one(digit, _mm512_cmpge_epu64_mask(high, k->m.p[1]));
        out = sv8_add(sv8_pair_shl(out, bits), sv8_pair_of(more, sv8_zero()));
        high = sv8_sub_if_ge(high, k->m.p[1]);
    }
    high = sv8_add_one(_mm512_add_epi64(high, k->half[1]), _mm512_cmpgt_epu64_mask(low, k->half[0]));
    const __m512i up = sv8_add_one(sv8_zero(), _mm512_cmpge_epu64_mask(high, k->m.p[1]));
    return sv8_add(out, sv8_pair_of(up, sv8_zero()));
}

/* ---- encryption ---- */
SV_AVX512 static void encrypt_one(uint8_t *packed, const uint64_t *ak, const int32_t *values, const uint8_t *random,
                                  size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits;
    const constants k = constants_of(s);
    const __m512i q = k.m.p[0], q2 = _mm512_add_epi64(q, q);
    sv8_pack_plan plan;
    sv8_plan_pack(&plan, W, W);
    int64_t chunk[SV_CHUNK];
    for (size_t i = 0; i < n; i += 8) {
        const size_t at = i % SV_CHUNK;
        __m512i message;
        if (s->slots == 1) {
            message = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(values + i)));
        } else {
            if (at == 0) {
                const size_t count = n - i < SV_CHUNK ? n - i : SV_CHUNK;
                sv_join_words(chunk, values + i * s->slots, count, s->slots, 0, s->slots, s->slot_bits);
            }
            message = sv8_load(chunk + at);
        }
        const __m512i e = sv8_cbd42(random + SV_KAHE_CBD_BYTES * i);
        __m512i y = _mm512_add_epi64(_mm512_add_epi64(sv8_load(ak + i), q2),
                                     _mm512_add_epi64(e, sv8_shl(message, s->scale_bits)));
        y = sv8_sub_if_ge(sv8_sub_if_ge(y, q2), q);
        sv8_pack_fields(packed + i / 8 * W, (n - i) / 8 * W, sv8_mask(narrow_one(y, &k, s), W), sv8_zero(), &plan);
    }
}

SV_AVX512 static void encrypt_two(uint8_t *packed, const uint64_t *const *ak, const int32_t *values,
                                  const uint8_t *random, size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits;
    const constants k = constants_of(s);
    const sv8_pair centre = sv8_pair_set(sv_bit(s->m.bits - 1));
    sv8_pack_plan plan;
    sv8_plan_pack(&plan, W, sv8_low_field(W));
    sv8_messages messages;
    for (size_t i = 0; i < n; i += 8) {
        if (i % SV_CHUNK == 0) {
            const size_t count = n - i < SV_CHUNK ? n - i : SV_CHUNK;
            sv8_fill_messages(&messages, &s->limbs, values + i * s->slots, count, s->slots, s->slot_bits);
        }
        const sv8_pair message = sv8_message(&messages, i % SV_CHUNK, &s->limbs, s->slot_bits);
        __m512i y[2] = {sv8_load(ak[0] + i), sv8_load(ak[1] + i)};
        sv8_add_message(y, sv8_cbd42(random + SV_KAHE_CBD_BYTES * i), sv8_pair_shl(message, s->scale_bits), centre, &k.m);
        sv8_put(packed + i / 8 * W, (n - i) / 8 * W, sv8_pair_low(narrow_two(y[0], y[1], &k, s), W), &plan);
    }
}

static void encrypt(uint8_t *packed, const uint64_t *const *ak, const int32_t *values, const uint8_t *random,
                    size_t n, const sv_kahe_scale *s) {
    if (s->m.primes == 1) {
        encrypt_one(packed, ak[0], values, random, n, s);
    } else {
        encrypt_two(packed, ak, values, random, n, s);
    }
}

/* ---- sums ---- */
SV_AVX512 static void accumulate(uint64_t *const *sum, const uint8_t *packed, size_t n, unsigned W, int negative) {
    const __m512i sign = sv8_set((uint64_t)0 - (uint64_t)(negative != 0));
    sv8_unpack_plan plan;
    sv8_plan_unpack(&plan, W, sv8_low_field(W));
    for (size_t i = 0; i < n; i += 8) {
        const sv8_pair c = sv8_get(packed + i / 8 * W, (n - i) / 8 * W, &plan);
        if (W <= SV_FIELD_MAX) {
            const __m512i signed_c = _mm512_sub_epi64(_mm512_xor_si512(c.lo, sign), sign);
            sv8_store(sum[0] + i, _mm512_add_epi64(sv8_load(sum[0] + i), signed_c));
        } else {
            const sv8_pair z = sv8_add(sv8_pair_of(sv8_load(sum[0] + i), sv8_load(sum[1] + i)), sv8_negate_if(c, sign));
            sv8_store(sum[0] + i, z.lo);
            sv8_store(sum[1] + i, z.hi);
        }
    }
}

SV_AVX512_INLINE sv8_pair read_sum(const uint64_t *const *sum, size_t i, unsigned W) {
    return sv8_pair_of(sv8_load(sum[0] + i), W <= SV_FIELD_MAX ? sv8_zero() : sv8_load(sum[1] + i));
}

SV_AVX512 static void pack(uint8_t *packed, const uint64_t *const *sum, size_t n, unsigned W) {
    sv8_pack_plan plan;
    sv8_plan_pack(&plan, W, sv8_low_field(W));
    for (size_t i = 0; i < n; i += 8) {
        sv8_put(packed + i / 8 * W, (n - i) / 8 * W, sv8_pair_low(read_sum(sum, i, W), W), &plan);
    }
}

/* ---- opening ---- */
typedef struct {
    __m512i largest, squares;
} residuals;

SV_AVX512_INLINE void note(residuals *all, __m512i r) {
    const __m512i size = _mm512_max_epi64(r, _mm512_sub_epi64(sv8_zero(), r));
    const __m512i capped = _mm512_min_epu64(size, sv8_set((uint64_t)1 << 24));
    all->largest = _mm512_max_epu64(all->largest, size);
    all->squares = _mm512_madd52lo_epu64(all->squares, capped, capped);
}

SV_AVX512 static residuals open_one(int64_t *values, const uint64_t *sum, const uint64_t *ak, size_t n,
                                    const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits, shift = W + s->scale_bits; /* 2 <= shift < 100 */
    const constants k = constants_of(s);
    const sv_pair half = sv_bit(shift - 1);
    const __m512i half_low = sv8_set(half.lo & sv_low_mask(52)), half_high = sv8_set(sv_shr(half, 52).lo);
    residuals all = {sv8_zero(), sv8_zero()};
    for (size_t i = 0; i < n; i += 8) {
        const __m512i x = sv8_mask(_mm512_sub_epi64(sv8_load(sum + i), narrow_one(sv8_load(ak + i), &k, s)), W);
        const __m512i sign = _mm512_sub_epi64(sv8_zero(), sv8_shr(x, W - 1));
        const __m512i size = _mm512_add_epi64(_mm512_sub_epi64(_mm512_xor_si512(x, sign), sign),
                                              _mm512_and_si512(sv8_set((uint64_t)1 << W), sign));
        /* size q, size <= 2^48, in 52 and 52 bits, plus half. */
        const __m512i lo = _mm512_madd52lo_epu64(half_low, size, k.m.p[0]);
        const __m512i hi = _mm512_add_epi64(_mm512_madd52hi_epu64(half_high, size, k.m.p[0]), sv8_shr(lo, 52));
        const __m512i message = shift >= 52 ? sv8_shr(hi, shift - 52)
                                            : _mm512_or_si512(sv8_shr(sv8_mask(lo, 52), shift), sv8_shl(hi, 52 - shift));
        note(&all, _mm512_sub_epi64(size, narrow_one(sv8_shl(message, s->scale_bits), &k, s)));
        const __m512i of_sign = _mm512_sub_epi64(_mm512_xor_si512(message, sign), sign);
        sv8_split(values + i * s->slots, sv8_pair_of(of_sign, sv8_sign(of_sign)), s->slots, s->slot_bits);
    }
    return all;
}

/* Two primes: size <= 2^98, q < 2^100. */
SV_AVX512 static residuals open_two(int64_t *values, const uint64_t *const *sum, const uint64_t *const *ak, size_t n,
                                    const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits, shift = W + s->scale_bits;
    const constants k = constants_of(s);
    const sv8_pair q = sv8_pair_set(s->m.q), full = sv8_pair_set(sv_bit(W)), one = {sv8_set(1), sv8_zero()};
    residuals all = {sv8_zero(), sv8_zero()};
    for (size_t i = 0; i < n; i += 8) {
        const sv8_pair key = narrow_two(sv8_load(ak[0] + i), sv8_load(ak[1] + i), &k, s);
        const sv8_pair x = sv8_pair_low(sv8_sub(read_sum(sum, i, W), key), W);
        const __m512i sign = _mm512_sub_epi64(sv8_zero(), sv8_pair_shr(x, W - 1).lo);
        const sv8_pair size = sv8_add(sv8_negate_if(x, sign), sv8_pair_and(full, sign));
        /* round(size q / 2^shift): floor(size q / 2^(shift-1)), below 2^101, plus one, halved. */
        __m512i limb[4];
        sv8_multiply(limb, size, q);
        const unsigned first = (shift - 1) / 52, rest = (shift - 1) % 52; /* first <= 3: shift < 200 */
        sv8_pair twice = {sv8_shr(limb[first], rest), sv8_zero()};
        for (unsigned j = first + 1; j < 4 && j < first + 3; j++) {
            const unsigned up = 52 * (j - first) - rest;
            twice = sv8_add(twice, sv8_pair_shl(sv8_pair_of(limb[j], sv8_zero()), up));
        }
        const sv8_pair message = sv8_pair_shr(sv8_add(twice, one), 1);
        const sv8_pair scaled = sv8_pair_shl(message, s->scale_bits);
        const sv8_pair back = narrow_two(sv8_residue_of(scaled, &k.m, 0), sv8_residue_of(scaled, &k.m, 1), &k, s);
        note(&all, _mm512_sub_epi64(size.lo, back.lo));
        sv8_split(values + i * s->slots, sv8_negate_if(message, sign), s->slots, s->slot_bits);
    }
    return all;
}

SV_AVX512 static void open(int64_t *values, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *const *sum,
                           const uint64_t *const *ak, size_t n, const sv_kahe_scale *s) {
    const residuals all = s->m.primes == 1 ? open_one(values, sum[0], ak[0], n, s) : open_two(values, sum, ak, n, s);
    uint64_t largest[8], squares[8];
    sv8_store(largest, all.largest);
    sv8_store(squares, all.squares);
    *max_r = 0;
    *sum_r2 = 0;
    for (unsigned i = 0; i < 8; i++) {
        *max_r = largest[i] > *max_r ? largest[i] : *max_r;
        *sum_r2 += squares[i];
    }
}

const sv_kahe_kernel sv_kahe_avx512 = {encrypt, accumulate, pack, open};

#endif
