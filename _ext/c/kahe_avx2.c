#include "kahe.h"
#include "lattice_avx2.h"

#include <string.h>

#if SV_X86

/* Key-additive encryption on four coefficients a vector, in groups of eight, which are W bytes.
   Bounds and exactness: lattice_avx2.h.  Tail rule: groups whose loads or stores would pass the end of
   the string of bits are done by the portable code.  Where the chain of operations on a vector is long, a chunk
   of vectors goes through it in several passes, so that more of them are under way at a time. */

/* ---- one prime: q < 2^50 ---- */
typedef struct {
    __m256d q, ratio, power, half;
} narrow_constants;

SV_AVX2_INLINE narrow_constants narrow_constants_of(const sv_kahe_scale *s) {
    const double q = (double)s->m.p[0], power = (double)((uint64_t)1 << s->wire_bits);
    const narrow_constants k = {_mm256_set1_pd(q), _mm256_set1_pd(power / q), _mm256_set1_pd(power),
                                _mm256_set1_pd((double)(s->m.p[0] >> 1))};
    return k;
}

/* round(y 2^W / q) modulo 2^W in the low W bits, -q < y < 2q: adding q to y adds 2^W to that.  The estimate
   is off by at most 1/2 + 2^-3, so the remainder is below (5/8) q in size; q is odd: no ties. */
SV_AVX2_INLINE __m256i narrow(__m256d y, const narrow_constants *k) {
    __m256i bits;
    const __m256d estimate = sv_round_times(y, k->ratio, &bits);
    const __m256d rest = _mm256_fnmadd_pd(estimate, k->q, _mm256_mul_pd(y, k->power));
    const __m256d minus_half = _mm256_sub_pd(_mm256_setzero_pd(), k->half);
    bits = _mm256_sub_epi64(bits, _mm256_castpd_si256(_mm256_cmp_pd(rest, k->half, _CMP_GT_OQ)));
    return _mm256_add_epi64(bits, _mm256_castpd_si256(_mm256_cmp_pd(rest, minus_half, _CMP_LT_OQ)));
}

SV_AVX2_INLINE __m256i widen(const int32_t *values) {
    return _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)values));
}

SV_AVX2 static size_t encrypt_one(uint8_t *packed, const uint64_t *ak, const int32_t *values, const uint8_t *random,
                                  size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits;
    sv_pack_plan plan;
    sv_plan_pack(&plan, 2 * W, W, 2);
    const narrow_constants k = narrow_constants_of(s);
    const __m256i mask = sv_set1(sv_low_mask(W));
    const __m128i scale_bits = _mm_cvtsi32_si128((int)s->scale_bits);
    const size_t done = 8 * sv_whole_groups(n, W, plan.reach);
    int64_t chunk[SV_CHUNK];
    SV_ALIGNED uint64_t words[SV_CHUNK];
    for (size_t i = 0; i < done; i += SV_CHUNK) {
        const size_t count = done - i < SV_CHUNK ? done - i : SV_CHUNK;
        if (s->slots > 1) {
            sv_join_words(chunk, values + i * s->slots, count, s->slots, 0, s->slots, s->slot_bits);
        }
        for (size_t at = 0; at < count; at += 4) {
            const __m256i message = s->slots == 1 ? widen(values + i + at)
                                                  : _mm256_loadu_si256((const __m256i *)(chunk + at));
            const __m256i noise = sv_cbd42(random + SV_KAHE_CBD_BYTES * (i + at));
            const __m256i y = _mm256_add_epi64(_mm256_add_epi64(sv_load4(ak + i + at), noise),
                                               _mm256_sll_epi64(message, scale_bits));
            sv_store4(words + at, _mm256_and_si256(narrow(sv_to_double_less(y, SV_CBD42_PLUS), &k), mask));
        }
        for (size_t at = 0; at < count; at += 8) {
            sv_pack_words(packed + (i + at) / 8 * W, sv_load4(words + at), sv_load4(words + at + 4), &plan);
        }
    }
    return done;
}

/* ---- two primes ----
   z = y0 + p0 t modulo q, with y0 and t about half a prime in size.  One digit, of `bits` bits, of the quotient
   z 2^W / q: with t 2^bits = A p1 + B and y0 2^bits = C p0 + D, z 2^bits = D + p0 (B + C) + A q.  B + C, below
   1.2 * 2^b in size, is reduced by c p1, and A + c is the digit; D and what is left of B + C are the next y0 and
   t.  Digits are signed.  At the end D is brought to |D| <= (p0 - 1) / 2 exactly (a change of one in
   B + C), then B + C to (p1 - 1) / 2: what is left over is at most (q - 1) / 2 in size, so the digits are the
   quotient rounded to the nearest. */
typedef struct {
    __m256d ratio[2][2], power[2], half[2];
} digit_constants;

SV_AVX2_INLINE digit_constants digit_constants_of(const sv_kahe_scale *s) {
    digit_constants k;
    for (unsigned d = 0; d < s->digits; d++) {
        const double power = (double)((uint64_t)1 << s->digit_bits[d]);
        k.power[d] = _mm256_set1_pd(power);
        k.ratio[d][0] = _mm256_set1_pd(power / (double)s->m.p[0]);
        k.ratio[d][1] = _mm256_set1_pd(power / (double)s->m.p[1]);
    }
    k.half[0] = _mm256_set1_pd((double)(s->m.p[0] >> 1));
    k.half[1] = _mm256_set1_pd((double)(s->m.p[1] >> 1));
    return k;
}

/* +1 where x > half, -1 where x < -half, else 0. */
SV_AVX2_INLINE __m256d excess(__m256d x, __m256d half) {
    const __m256d one = _mm256_set1_pd(1.0), minus_half = _mm256_sub_pd(_mm256_setzero_pd(), half);
    return _mm256_sub_pd(_mm256_and_pd(_mm256_cmp_pd(x, half, _CMP_GT_OQ), one),
                         _mm256_and_pd(_mm256_cmp_pd(x, minus_half, _CMP_LT_OQ), one));
}

SV_AVX2_INLINE __m256d next_digit(__m256d *t, __m256d *y, unsigned d, int last, const digit_constants *k,
                                  const sv_primes *p) {
    __m256i bits;
    const __m256d A = sv_round_times(*t, k->ratio[d][1], &bits), C = sv_round_times(*y, k->ratio[d][0], &bits);
    const __m256d B = _mm256_fnmadd_pd(A, p->p[1], _mm256_mul_pd(*t, k->power[d]));
    __m256d sum = _mm256_add_pd(B, C);
    *y = _mm256_fnmadd_pd(C, p->p[0], _mm256_mul_pd(*y, k->power[d]));
    if (last) {
        sum = _mm256_add_pd(sum, excess(*y, k->half[0]));
    }
    const __m256d c = sv_round_times(sum, p->p_inv[1], &bits);
    const __m256d digit = _mm256_add_pd(A, c);
    *t = _mm256_fnmadd_pd(c, p->p[1], sum);
    return last ? _mm256_add_pd(digit, excess(*t, k->half[1])) : digit;
}

SV_AVX2 static size_t encrypt_two(uint8_t *packed, const uint64_t *const *ak, const int32_t *values,
                                  const uint8_t *random, size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits, low_bits = s->digit_bits[s->digits - 1];
    const int words = W <= SV_KAHE_WORD_BITS;
    sv_pack_plan plan;
    const sv_primes p = sv_primes_of(&s->m);
    const digit_constants k = digit_constants_of(s);
    const __m256i low_mask = sv_set1(sv_low_mask(low_bits)), high_mask = sv_set1(sv_low_mask(W - low_bits));
    const __m256i one_more = sv_set1((uint64_t)1 << low_bits), one = sv_set1(1);
    const __m128i low_shift = _mm_cvtsi32_si128((int)low_bits);
    SV_ALIGNED double ys[SV_CHUNK], ts[SV_CHUNK];
    SV_ALIGNED uint64_t lows[SV_CHUNK], highs[SV_CHUNK];
    sv_messages messages;
    if (words) {
        sv_plan_pack(&plan, 2 * W, W, 2);
    } else {
        sv_plan_pack(&plan, W, low_bits, 4);
    }
    const size_t done = 8 * sv_whole_groups(n, W, plan.reach);
    sv_messages_of(&messages, &s->m, &s->limbs);
    for (size_t i = 0; i < done; i += SV_CHUNK) {
        const size_t count = done - i < SV_CHUNK ? done - i : SV_CHUNK;
        sv_fill_messages(&messages, &s->limbs, values + i * s->slots, count, s->slots, s->slot_bits);
        for (size_t at = 0; at < count; at += 4) {
            const __m256i e = sv_cbd42(random + SV_KAHE_CBD_BYTES * (i + at));
            __m256d y[2];
            sv_residues(y, ak, i + at, sv_to_double_less(e, SV_CBD42_PLUS), &messages, at, &p);
            _mm256_store_pd(ys + at, y[0]);
            _mm256_store_pd(ts + at, sv_mixed(y[0], y[1], &p));
        }
        for (size_t at = 0; at < count; at += 4) {
            __m256d y = _mm256_load_pd(ys + at), t = _mm256_load_pd(ts + at);
            __m256i high = _mm256_setzero_si256();
            if (s->digits == 2) {
                high = sv_to_int(next_digit(&t, &y, 0, 0, &k, &p));
            }
            /* Signed, above -2^low_bits: made positive, its bits above low_bits are one more than the carry. */
            const __m256i last = _mm256_add_epi64(sv_to_int(next_digit(&t, &y, s->digits - 1, 1, &k, &p)), one_more);
            const __m256i low = _mm256_and_si256(last, low_mask);
            high = _mm256_add_epi64(high, _mm256_sub_epi64(_mm256_srl_epi64(last, low_shift), one));
            high = _mm256_and_si256(high, high_mask);
            sv_store4(lows + at, words ? _mm256_or_si256(low, _mm256_sll_epi64(high, low_shift)) : low);
            sv_store4(highs + at, high);
        }
        for (size_t at = 0; at < count; at += 8) {
            uint8_t *out = packed + (i + at) / 8 * W;
            if (words) {
                sv_pack_words(out, sv_load4(lows + at), sv_load4(lows + at + 4), &plan);
            } else {
                __m256i carry = _mm256_setzero_si256();
                sv_pack_fields(out, sv_load4(lows + at), sv_load4(highs + at), &carry, &plan, 0);
                sv_pack_fields(out, sv_load4(lows + at + 4), sv_load4(highs + at + 4), &carry, &plan, 1);
            }
        }
    }
    return done;
}

static void encrypt(uint8_t *packed, const uint64_t *const *ak, const int32_t *values, const uint8_t *random,
                    size_t n, const sv_kahe_scale *s) {
    size_t done = 0;
    if (s->m.primes == 1) {
        done = encrypt_one(packed, ak[0], values, random, n, s);
    } else if (s->digits <= 2) { /* three only where W is the largest of all */
        done = encrypt_two(packed, ak, values, random, n, s);
    }
    if (done < n) {
        const uint64_t *rest[2] = {ak[0] + done, ak[1] + done};
        sv_kahe_portable.encrypt(packed + done / 8 * s->wire_bits, rest, values + done * s->slots,
                                 random + SV_KAHE_CBD_BYTES * done, n - done, s);
    }
}

/* ---- sums ---- */
SV_AVX2 static size_t accumulate_words(uint64_t *sum, const uint8_t *packed, size_t n, unsigned W, int negative) {
    sv_unpack_plan plan;
    sv_plan_unpack(&plan, 2 * W, W, 2);
    const __m256i flip = sv_set1((uint64_t)0 - (uint64_t)(negative != 0));
    const size_t done = 8 * sv_whole_groups(n, W, plan.reach);
    for (size_t i = 0; i < done; i += 8) {
        for (unsigned b = 0; b < 2; b++) {
            const __m256i c = sv_unpack_block(packed + i / 8 * W, &plan, b);
            sv_store4(sum + i + 4 * b, _mm256_add_epi64(sv_load4(sum + i + 4 * b),
                                                        _mm256_sub_epi64(_mm256_xor_si256(c, flip), flip)));
        }
    }
    return done;
}

/* low + high 2^50 added to, or with flip subtracted from, lo + 2^64 hi: a - c = ~(~a + c). */
SV_AVX2_INLINE void add_fields(uint64_t *lo, uint64_t *hi, __m256i low, __m256i high, __m256i flip) {
    const __m256i top = sv_set1((uint64_t)1 << 63);
    const __m256i a = _mm256_xor_si256(sv_load4(lo), flip), b = _mm256_xor_si256(sv_load4(hi), flip);
    const __m256i sum = _mm256_add_epi64(a, _mm256_or_si256(low, _mm256_slli_epi64(high, SV_FIELD_LOW)));
    const __m256i carry = _mm256_cmpgt_epi64(_mm256_xor_si256(a, top), _mm256_xor_si256(sum, top)); /* -1 */
    const __m256i upper = _mm256_add_epi64(b, _mm256_srli_epi64(high, 64 - SV_FIELD_LOW));
    sv_store4(lo, _mm256_xor_si256(sum, flip));
    sv_store4(hi, _mm256_xor_si256(_mm256_sub_epi64(upper, carry), flip));
}

SV_AVX2 static size_t accumulate_pairs(uint64_t *lo, uint64_t *hi, const uint8_t *packed, size_t n, unsigned W,
                                       int negative) {
    sv_unpack_plan plan;
    sv_plan_unpack(&plan, W, SV_FIELD_LOW, 4);
    const __m256i flip = sv_set1((uint64_t)0 - (uint64_t)(negative != 0));
    const size_t done = 8 * sv_whole_groups(n, W, plan.reach);
    for (size_t i = 0; i < done; i += 8) {
        for (unsigned half = 0; half < 2; half++) {
            const __m256i even = sv_unpack_block(packed + i / 8 * W, &plan, 2 * half);
            const __m256i odd = sv_unpack_block(packed + i / 8 * W, &plan, 2 * half + 1);
            add_fields(lo + i + 4 * half, hi + i + 4 * half, _mm256_unpacklo_epi64(even, odd),
                       _mm256_unpackhi_epi64(even, odd), flip);
        }
    }
    return done;
}

static void accumulate(uint64_t *const *sum, const uint8_t *packed, size_t n, unsigned wire_bits, int negative) {
    const size_t done = wire_bits <= SV_KAHE_WORD_BITS
                            ? accumulate_words(sum[0], packed, n, wire_bits, negative)
                            : accumulate_pairs(sum[0], sum[1], packed, n, wire_bits, negative);
    if (done < n) {
        uint64_t *rest[2] = {sum[0] + done, sum[1] + done};
        sv_kahe_portable.accumulate(rest, packed + done / 8 * wire_bits, n - done, wire_bits, negative);
    }
}

SV_AVX2 static size_t pack_words(uint8_t *packed, const uint64_t *sum, size_t n, unsigned W) {
    sv_pack_plan plan;
    sv_plan_pack(&plan, 2 * W, W, 2);
    const __m256i mask = sv_set1(sv_low_mask(W));
    const size_t done = 8 * sv_whole_groups(n, W, plan.reach);
    for (size_t i = 0; i < done; i += 8) {
        sv_pack_words(packed + i / 8 * W, _mm256_and_si256(sv_load4(sum + i), mask),
                      _mm256_and_si256(sv_load4(sum + i + 4), mask), &plan);
    }
    return done;
}

SV_AVX2 static size_t pack_pairs(uint8_t *packed, const uint64_t *lo, const uint64_t *hi, size_t n, unsigned W) {
    sv_pack_plan plan;
    sv_plan_pack(&plan, W, SV_FIELD_LOW, 4);
    const __m256i low_mask = sv_set1(sv_low_mask(SV_FIELD_LOW)), high_mask = sv_set1(sv_low_mask(W - SV_FIELD_LOW));
    const size_t done = 8 * sv_whole_groups(n, W, plan.reach);
    for (size_t i = 0; i < done; i += 8) {
        __m256i carry = _mm256_setzero_si256();
        for (unsigned half = 0; half < 2; half++) {
            const __m256i a = sv_load4(lo + i + 4 * half), b = sv_load4(hi + i + 4 * half);
            const __m256i high = _mm256_or_si256(_mm256_srli_epi64(a, SV_FIELD_LOW),
                                                 _mm256_slli_epi64(b, 64 - SV_FIELD_LOW));
            sv_pack_fields(packed + i / 8 * W, _mm256_and_si256(a, low_mask), _mm256_and_si256(high, high_mask),
                           &carry, &plan, half);
        }
    }
    return done;
}

static void pack(uint8_t *packed, const uint64_t *const *sum, size_t n, unsigned wire_bits) {
    const size_t done = wire_bits <= SV_KAHE_WORD_BITS ? pack_words(packed, sum[0], n, wire_bits)
                                                       : pack_pairs(packed, sum[0], sum[1], n, wire_bits);
    if (done < n) {
        const uint64_t *rest[2] = {sum[0] + done, sum[1] + done};
        sv_kahe_portable.pack(packed + done / 8 * wire_bits, rest, n - done, wire_bits);
    }
}

/* The lanes' maxima (in doubles) and sums. */
SV_AVX2_INLINE void finish(uint64_t *max_r, uint64_t *sum_r2, __m256d largest, __m256i squares) {
    double each[4];
    uint64_t each_square[4];
    _mm256_storeu_pd(each, largest);
    sv_store4(each_square, squares);
    *max_r = 0;
    *sum_r2 = 0;
    for (unsigned j = 0; j < 4; j++) {
        *max_r = (uint64_t)each[j] > *max_r ? (uint64_t)each[j] : *max_r;
        *sum_r2 += each_square[j];
    }
}

/* ---- opening, one prime ----
   x q = h + l exactly.  M is estimated from x q / 2^shift, shift = W + k', and corrected by the rest
   d + l = x q - M 2^shift, which must be within half a step: d is exact, being a multiple of the last bit of h
   and below 2^shift in size.  Then x - M 2^shift / q = (d + l) / q, so r is that rounded, corrected by
   the rest of this division, an integer below 2^51. */
SV_AVX2 static void open_one(int64_t *values, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *sum,
                             const uint64_t *ak, size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits;
    const narrow_constants k = narrow_constants_of(s);
    const double step_size = (double)((uint64_t)1 << W) * (double)((uint64_t)1 << s->scale_bits);
    const double centre = (double)((uint64_t)1 << (W - 1));
    const __m256i mask = sv_set1(sv_low_mask(W)), bias = sv_set1((uint64_t)1 << (W - 1));
    const __m256i exponent = sv_set1(0x4330000000000000);
    const __m256d step = _mm256_set1_pd(step_size), half_step = _mm256_set1_pd(step_size / 2);
    const __m256d per_step = _mm256_set1_pd((double)s->m.p[0] / step_size), one = _mm256_set1_pd(1.0);
    const __m256d q_inv = _mm256_set1_pd(1.0 / (double)s->m.p[0]), zero = _mm256_setzero_pd();
    const __m256d minus_half = _mm256_sub_pd(zero, k.half), no_sign = _mm256_set1_pd(-0.0);
    const __m256d cap = _mm256_set1_pd(0x1p24);
    __m256d largest = zero;
    __m256i squares = _mm256_setzero_si256(), bits;
    SV_ALIGNED double xs[SV_CHUNK], Ms[SV_CHUNK];
    int64_t chunk[SV_CHUNK];
    for (size_t i = 0; i < n; i += SV_CHUNK) {
        const size_t count = n - i < SV_CHUNK ? n - i : SV_CHUNK;
        for (size_t at = 0; at < count; at += 4) {
            const __m256i y = sv_load4(ak + i + at);
            const __m256i c = _mm256_sub_epi64(sv_load4(sum + i + at), narrow(sv_to_double(y), &k));
            const __m256i shifted = _mm256_and_si256(_mm256_add_epi64(c, bias), mask);
            _mm256_store_pd(xs + at, _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(shifted, exponent)),
                                                   _mm256_set1_pd(0x1p52 + centre)));
        }
        for (size_t at = 0; at < count; at += 4) {
            const __m256d x = _mm256_load_pd(xs + at), h = _mm256_mul_pd(x, k.q), l = _mm256_fmsub_pd(x, k.q, h);
            const __m256d M = sv_round_times(x, per_step, &bits), d = _mm256_fnmadd_pd(M, step, h);
            const __m256d up = _mm256_cmp_pd(_mm256_add_pd(_mm256_sub_pd(d, half_step), l), zero, _CMP_GT_OQ);
            const __m256d down = _mm256_cmp_pd(_mm256_add_pd(_mm256_add_pd(d, half_step), l), zero, _CMP_LT_OQ);
            const __m256d change = _mm256_sub_pd(_mm256_and_pd(up, one), _mm256_and_pd(down, one));
            _mm256_store_pd(Ms + at, _mm256_add_pd(M, change));
        }
        for (size_t at = 0; at < count; at += 4) {
            const __m256d x = _mm256_load_pd(xs + at), M = _mm256_load_pd(Ms + at);
            const __m256d h = _mm256_mul_pd(x, k.q), l = _mm256_fmsub_pd(x, k.q, h), d = _mm256_fnmadd_pd(M, step, h);
            __m256d r = sv_round_times(_mm256_add_pd(d, l), q_inv, &bits);
            const __m256d rest = _mm256_add_pd(_mm256_fnmadd_pd(r, k.q, d), l);
            r = _mm256_add_pd(r, _mm256_and_pd(_mm256_cmp_pd(rest, k.half, _CMP_GT_OQ), one));
            r = _mm256_sub_pd(r, _mm256_and_pd(_mm256_cmp_pd(rest, minus_half, _CMP_LT_OQ), one));
            r = _mm256_andnot_pd(no_sign, r);
            largest = _mm256_max_pd(largest, r);
            const __m256i capped = sv_to_bits(_mm256_min_pd(r, cap)); /* its low 32 bits are the number */
            squares = _mm256_add_epi64(squares, _mm256_mul_epu32(capped, capped));
            int64_t *out = s->slots == 1 ? values + i + at : chunk + at;
            _mm256_storeu_si256((__m256i *)out, sv_to_int(M));
        }
        if (s->slots > 1) {
            sv_split_words(values + i * s->slots, chunk, count, s->slots, s->slot_bits);
        }
    }
    finish(max_r, sum_r2, largest, squares);
}

/* ---- opening, two primes: integers in limbs of 28 bits, whose products leave room for sums ----
   x' = x + 2^(W-1) and M' = M + 2^(S w) are not negative; with
   Y = x q + 2^(shift-1) + 2^(S w + shift) = x' q + K,  M' = floor(Y / 2^shift), and the rest of that division
   less 2^(shift-1) is x q - M 2^shift = r q + E, |E| < q / 2.  r is estimated, a quarter too low, from the upper
   limbs of the rest (error below 2^-12, for |r| < 2^41), so it is right or one too low, and E, modulo 2^112, tells. */
enum { LIMB = 28, LIMBS = 4, LONG = 8 };

static inline uint64_t limb_of(sv_pair x, unsigned i) { return sv_shr(x, LIMB * i).lo & sv_low_mask(LIMB); }

/* Limbs of 2^(shift-1) + 2^(S w + shift) - 2^(W-1) q, not negative. */
static void opening_constant(uint64_t out[LONG], const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits, ones[2] = {W + s->scale_bits - 1, W + s->m.bits};
    int64_t borrow = 0;
    for (unsigned i = 0; i < LONG; i++) {
        const unsigned at = LIMB * i;
        uint64_t less = 0;
        if (at + 1 >= W) {
            less = at + 1 - W < 128 ? sv_shr(s->m.q, at + 1 - W).lo & sv_low_mask(LIMB) : 0;
        } else if (W - 1 - at < LIMB) {
            less = sv_shl(s->m.q, W - 1 - at).lo & sv_low_mask(LIMB);
        }
        int64_t limb = borrow - (int64_t)less;
        for (unsigned j = 0; j < 2; j++) {
            limb += ones[j] / LIMB == i ? (int64_t)1 << ones[j] % LIMB : 0;
        }
        out[i] = (uint64_t)limb & sv_low_mask(LIMB);
        borrow = limb < 0 ? -1 : limb >> LIMB;
    }
}

typedef struct {
    __m256i q[LIMBS], K[LONG], limb, low_mask, high_mask, one_more, bias, half_low, half_high;
    __m128i low_bits, up;
} open_constants;

/* x' in words, for sums in words: from the fields of the sum, less the digits of round(ak 2^W / q). */
SV_AVX2_INLINE void difference(__m256i *lo, __m256i *hi, __m256i sum_lo, __m256i sum_hi, const uint64_t *const *ak,
                               size_t i, const open_constants *k, const digit_constants *d, const sv_primes *p) {
    __m256d y = sv_to_double(sv_load4(ak[0] + i));
    __m256d t = sv_mixed(y, sv_to_double(sv_load4(ak[1] + i)), p);
    const __m256i first = sv_to_int(next_digit(&t, &y, 0, 0, d, p)), last = sv_to_int(next_digit(&t, &y, 1, 1, d, p));
    const __m256i low = _mm256_sub_epi64(_mm256_add_epi64(_mm256_and_si256(sum_lo, k->low_mask), k->one_more), last);
    const __m256i upper = _mm256_or_si256(_mm256_srl_epi64(sum_lo, k->low_bits), _mm256_sll_epi64(sum_hi, k->up));
    const __m256i carried = _mm256_add_epi64(_mm256_sub_epi64(upper, first), _mm256_srl_epi64(low, k->low_bits));
    const __m256i high = _mm256_and_si256(_mm256_add_epi64(carried, k->bias), k->high_mask);
    *lo = _mm256_or_si256(_mm256_and_si256(low, k->low_mask), _mm256_sll_epi64(high, k->low_bits));
    *hi = _mm256_srl_epi64(high, k->up);
}

/* Limbs of x' q + K, to place `at` of Y. */
SV_AVX2_INLINE void product(uint64_t Y[][SV_CHUNK], size_t at, __m256i lo, __m256i hi, const open_constants *k) {
    const __m256i a[LIMBS] = {
        _mm256_and_si256(lo, k->limb), _mm256_and_si256(_mm256_srli_epi64(lo, LIMB), k->limb),
        _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(lo, 56), _mm256_slli_epi64(hi, 8)), k->limb),
        _mm256_srli_epi64(hi, 20)};
    __m256i carry = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (unsigned j = 0; j < LONG; j++) {
        __m256i sum = _mm256_add_epi64(k->K[j], carry);
#pragma GCC unroll 4
        for (unsigned i = 0; i < LIMBS; i++) {
            if (i <= j && j - i < LIMBS) {
                sum = _mm256_add_epi64(sum, _mm256_mul_epu32(a[i], k->q[j - i]));
            }
        }
        sv_store4(Y[j] + at, _mm256_and_si256(sum, k->limb));
        carry = _mm256_srli_epi64(sum, LIMB);
    }
}

SV_AVX2 static void open_two(int64_t *values, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *const *sum,
                             const uint64_t *const *ak, size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits, shift = W + s->scale_bits, low_bits = s->digit_bits[1];
    const unsigned from = shift / LIMB, odd = shift % LIMB; /* from >= 2; Y has zeros above its eight limbs */
    const int words = W <= SV_KAHE_WORD_BITS;
    const sv_primes p = sv_primes_of(&s->m);
    const digit_constants digits = digit_constants_of(s);
    const sv_pair half_q = sv_shr(s->m.q, 1), raised = sv_bit(s->m.bits - s->scale_bits);
    const double unit = 1.0 / ((double)s->m.p[0] * (double)s->m.p[1]), limb_size = (double)((uint64_t)1 << LIMB);
    double scale_of_top = unit; /* 2^(28 (from - 1)) / q: the upper limbs of the rest are divided by q */
    open_constants k;
    uint64_t K[LONG];
    opening_constant(K, s);
    for (unsigned i = 0; i < LONG; i++) {
        k.K[i] = sv_set1(K[i]);
        scale_of_top *= i + 1 < from ? limb_size : 1.0;
    }
    for (unsigned i = 0; i < LIMBS; i++) {
        k.q[i] = sv_set1(limb_of(s->m.q, i));
    }
    k.limb = sv_set1(sv_low_mask(LIMB));
    k.low_mask = sv_set1(sv_low_mask(low_bits));
    k.high_mask = sv_set1(sv_low_mask(W - low_bits));
    k.one_more = sv_set1((uint64_t)1 << low_bits);
    k.bias = sv_set1(((uint64_t)1 << (W - low_bits - 1)) - 1); /* centring, less the one more */
    k.low_bits = _mm_cvtsi32_si128((int)low_bits);
    k.up = _mm_cvtsi32_si128((int)(64 - low_bits));
    k.half_low = sv_set1(limb_of(half_q, 0) | limb_of(half_q, 1) << LIMB);
    k.half_high = sv_set1(limb_of(half_q, 2) | limb_of(half_q, 3) << LIMB);
    const __m128i odd_bits = _mm_cvtsi32_si128((int)odd), even_bits = _mm_cvtsi32_si128((int)(LIMB - odd));
    const __m256i top_mask = sv_set1(sv_low_mask(odd)), zero = _mm256_setzero_si256();
    const __m256i raised_lo = sv_set1(raised.lo), raised_hi = sv_set1(raised.hi);
    /* 2^(shift-1), which is taken off the rest. */
    const unsigned half_at = (shift - 1) / LIMB;
    const __m256i half_limb = sv_set1((uint64_t)1 << (shift - 1) % LIMB);
    const __m256d half_estimate = _mm256_set1_pd(odd ? (double)((uint64_t)1 << (odd - 1)) * limb_size : limb_size / 2);
    const __m256d limb_up = _mm256_set1_pd(limb_size), limb_down = _mm256_set1_pd(1.0 / limb_size);
    const __m256d per_q = _mm256_set1_pd(scale_of_top), quarter = _mm256_set1_pd(-0.25), no_sign = _mm256_set1_pd(-0.0);
    const __m256d cap = _mm256_set1_pd(0x1p24), one = _mm256_set1_pd(1.0);
    /* Signed columns, below 2^60 in size, are carried with 2^60 added. */
    const __m256i positive = sv_set1((uint64_t)1 << 60), positive_up = sv_set1((uint64_t)1 << (60 - LIMB));
    const __m256i sign_limb = sv_set1((uint64_t)1 << (LIMB - 1));
    __m256d largest = _mm256_setzero_pd();
    __m256i squares = zero;
    SV_ALIGNED uint64_t lo[SV_CHUNK], hi[SV_CHUNK];
    SV_ALIGNED uint64_t Y[2 * LONG][SV_CHUNK]; /* zero from the eighth limb on */
    memset(Y, 0, sizeof Y);
    for (size_t i = 0; i < n; i += SV_CHUNK) {
        const size_t count = n - i < SV_CHUNK ? n - i : SV_CHUNK;
        for (size_t at = 0; at < count; at += 4) {
            __m256i x_lo, x_hi;
            const __m256i sum_hi = words ? zero : sv_load4(sum[1] + i + at);
            difference(&x_lo, &x_hi, sv_load4(sum[0] + i + at), sum_hi, ak, i + at, &k, &digits, &p);
            sv_store4(lo + at, x_lo);
            sv_store4(hi + at, x_hi);
        }
        for (size_t at = 0; at < count; at += 4) {
            product(Y, at, sv_load4(lo + at), sv_load4(hi + at), &k);
        }
        for (size_t at = 0; at < count; at += 4) { /* M, in words */
            __m256i m[LIMBS];
            for (unsigned j = 0; j < LIMBS; j++) {
                m[j] = _mm256_and_si256(_mm256_or_si256(_mm256_srl_epi64(sv_load4(Y[from + j] + at), odd_bits),
                                                        _mm256_sll_epi64(sv_load4(Y[from + j + 1] + at), even_bits)),
                                        k.limb);
            }
            const __m256i m_lo = _mm256_or_si256(_mm256_or_si256(m[0], _mm256_slli_epi64(m[1], LIMB)),
                                                 _mm256_slli_epi64(m[2], 56));
            const __m256i m_hi = _mm256_or_si256(_mm256_srli_epi64(m[2], 8), _mm256_slli_epi64(m[3], 20));
            sv_store4(lo + at, _mm256_sub_epi64(m_lo, raised_lo));
            sv_store4(hi + at, _mm256_add_epi64(_mm256_sub_epi64(m_hi, raised_hi), sv_below(m_lo, raised_lo)));
        }
        for (size_t at = 0; at < count; at += 4) { /* r */
            const __m256i rest_top = _mm256_and_si256(sv_load4(Y[from] + at), top_mask);
            const __m256d near_top = sv_to_double(sv_load4(Y[from - 1] + at));
            __m256d rest = _mm256_fmsub_pd(sv_to_double(rest_top), limb_up, half_estimate);
            rest = _mm256_add_pd(rest, _mm256_fmadd_pd(sv_to_double(sv_load4(Y[from - 2] + at)), limb_down, near_top));
            __m256i bits;
            __m256d r = sv_round_times(_mm256_fmadd_pd(rest, per_q, quarter), one, &bits);
            /* E = rest - 2^(shift-1) - r q modulo 2^112, r = r0 + 2^28 r1 with 0 <= r0 < 2^28. */
            const __m256i r_int = _mm256_add_epi64(sv_to_int(r), positive);
            const __m256i r0 = _mm256_and_si256(r_int, k.limb);
            const __m256i r1 = _mm256_sub_epi64(_mm256_srli_epi64(r_int, LIMB), positive_up);
            __m256i E[LIMBS], carry = zero;
            for (unsigned j = 0; j < LIMBS; j++) {
                __m256i column = _mm256_sub_epi64(carry, _mm256_mul_epi32(r0, k.q[j]));
                if (j <= from) { /* above, the rest has no limbs */
                    column = _mm256_add_epi64(column, j == from ? rest_top : sv_load4(Y[j] + at));
                }
                if (j > 0) {
                    column = _mm256_sub_epi64(column, _mm256_mul_epi32(r1, k.q[j - 1]));
                }
                column = _mm256_add_epi64(column, j == half_at ? _mm256_sub_epi64(positive, half_limb) : positive);
                E[j] = _mm256_and_si256(column, k.limb);
                carry = _mm256_sub_epi64(_mm256_srli_epi64(column, LIMB), positive_up);
            }
            const __m256i top = _mm256_sub_epi64(_mm256_xor_si256(E[3], sign_limb), sign_limb); /* sign-extended */
            const __m256i E_low = _mm256_or_si256(E[0], _mm256_slli_epi64(E[1], LIMB));
            const __m256i E_high = _mm256_add_epi64(E[2], _mm256_slli_epi64(top, LIMB));
            const __m256i above = _mm256_or_si256(
                _mm256_cmpgt_epi64(E_high, k.half_high),
                _mm256_and_si256(_mm256_cmpeq_epi64(E_high, k.half_high), _mm256_cmpgt_epi64(E_low, k.half_low)));
            r = _mm256_andnot_pd(no_sign, _mm256_add_pd(r, _mm256_and_pd(_mm256_castsi256_pd(above), one)));
            largest = _mm256_max_pd(largest, r);
            const __m256i capped = sv_to_bits(_mm256_min_pd(r, cap));
            squares = _mm256_add_epi64(squares, _mm256_mul_epu32(capped, capped));
        }
        sv_split_pairs(values + i * s->slots, lo, hi, count, s->slots, s->slot_bits);
    }
    finish(max_r, sum_r2, largest, squares);
}

static void open(int64_t *values, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *const *sum,
                 const uint64_t *const *ak, size_t n, const sv_kahe_scale *s) {
    if (s->m.primes == 1) {
        open_one(values, max_r, sum_r2, sum[0], ak[0], n, s);
    } else if (s->digits == 2 && s->wire_bits + s->scale_bits >= 2 * LIMB) {
        open_two(values, max_r, sum_r2, sum, ak, n, s);
    } else {
        sv_kahe_portable.open(values, max_r, sum_r2, sum, ak, n, s);
    }
}

const sv_kahe_kernel sv_kahe_avx2 = {encrypt, accumulate, pack, open};

#endif
