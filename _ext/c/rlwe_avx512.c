#include "lattice_avx512.h"
#include "rlwe.h"

#if SV_X86

/* Public-key encryption on eight coefficients a vector, which are W = L - d bytes, by the formulas of
   rlwe_portable.c; bounds: there and in lattice_avx512.h.  n is a multiple of 8: no tail. */

/* round_d of the z in [0, q). */
SV_AVX512_INLINE sv8_pair shorten(sv8_pair z, sv8_pair half, sv8_pair q, unsigned d) {
    const sv8_pair v = sv8_pair_shr(sv8_add(z, half), d);
    return sv8_pair_and(v, _mm512_movm_epi64(sv8_less(sv8_pair_shl(v, d), q)));
}

SV_AVX512_INLINE sv8_pair half_of(unsigned d) { return sv8_pair_set(d ? sv_bit(d - 1) : sv_pair_of(0, 0)); }

/* ---- encryption; without random and values: packing ---- */
SV_AVX512 static void encrypt_one(uint8_t *packed, const uint64_t *y, const int32_t *values, const uint8_t *random,
                                  size_t n, const sv_rlwe_rounding *s) {
    const unsigned W = s->wire_bits, d = s->drop_bits;
    const __m512i q = sv8_set(s->m.p[0]), half = half_of(d).lo, kept = sv8_set(~sv_low_mask(d));
    sv8_pack_plan plan;
    sv8_plan_pack(&plan, W, W);
    int64_t chunk[SV_CHUNK];
    for (size_t i = 0; i < n; i += 8) {
        const size_t at = i % SV_CHUNK;
        __m512i z = sv8_load(y + i);
        if (random != NULL) {
            /* |2^k M| < 2^(L-1) < q - 42: with q added, in (0, 3q). */
            z = _mm512_add_epi64(_mm512_add_epi64(z, q), sv8_cbd21(random + SV_RLWE_CBD_BYTES * i));
            if (values != NULL && s->slots == 1) {
                const __m512i message = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(values + i)));
                z = _mm512_add_epi64(z, sv8_shl(message, s->scale_bits));
            } else if (values != NULL) {
                if (at == 0) {
                    const size_t count = n - i < SV_CHUNK ? n - i : SV_CHUNK;
                    sv_join_words(chunk, values + i * s->slots, count, s->slots, 0, s->slots, s->slot_bits);
                }
                z = _mm512_add_epi64(z, sv8_shl(sv8_load(chunk + at), s->scale_bits));
            }
            z = sv8_sub_if_ge(sv8_sub_if_ge(z, _mm512_add_epi64(q, q)), q);
        }
        z = _mm512_and_si512(_mm512_add_epi64(z, half), kept);
        z = _mm512_and_si512(z, _mm512_movm_epi64(_mm512_cmplt_epu64_mask(z, q)));
        sv8_pack_fields(packed + i / 8 * W, (n - i) / 8 * W, sv8_shr(z, d), sv8_zero(), &plan);
    }
}

SV_AVX512 static void encrypt_two(uint8_t *packed, const uint64_t *const *y, const int32_t *values,
                                  const uint8_t *random, size_t n, const sv_rlwe_rounding *s) {
    const unsigned W = s->wire_bits, d = s->drop_bits;
    const sv8_modulus k = sv8_modulus_of(&s->m);
    const sv8_pair q = sv8_pair_set(s->m.q), half = half_of(d), centre = sv8_pair_set(sv_bit(s->m.bits - 1));
    sv8_pack_plan plan;
    sv8_plan_pack(&plan, W, sv8_low_field(W));
    sv8_messages messages;
    for (size_t i = 0; i < n; i += 8) {
        __m512i z[2] = {sv8_load(y[0] + i), sv8_load(y[1] + i)};
        if (random != NULL) {
            sv8_pair message = {sv8_zero(), sv8_zero()};
            if (values != NULL) {
                if (i % SV_CHUNK == 0) {
                    const size_t count = n - i < SV_CHUNK ? n - i : SV_CHUNK;
                    sv8_fill_messages(&messages, &s->limbs, values + i * s->slots, count, s->slots, s->slot_bits);
                }
                message = sv8_message(&messages, i % SV_CHUNK, &s->limbs, s->slot_bits);
            }
            sv8_add_message(z, sv8_cbd21(random + SV_RLWE_CBD_BYTES * i), sv8_pair_shl(message, s->scale_bits), centre, &k);
        }
        sv8_put(packed + i / 8 * W, (n - i) / 8 * W, shorten(sv8_whole(z[0], z[1], &k), half, q, d), &plan);
    }
}

static void encrypt(uint8_t *packed, const uint64_t *const *y, const int32_t *values, const uint8_t *random,
                    size_t n, const sv_rlwe_rounding *s) {
    if (s->m.primes == 1) {
        encrypt_one(packed, y[0], values, random, n, s);
    } else {
        encrypt_two(packed, y, values, random, n, s);
    }
}

static void pack(uint8_t *packed, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s) {
    encrypt(packed, y, NULL, NULL, n, s);
}

/* ---- what was received ---- */
SV_AVX512_INLINE sv8_pair receive(const uint8_t *packed, size_t n, size_t i, const sv8_unpack_plan *plan,
                                  const sv_rlwe_rounding *s) {
    const unsigned W = s->wire_bits;
    return sv8_pair_shl(sv8_get(packed + i / 8 * W, (n - i) / 8 * W, plan), s->drop_bits);
}

SV_AVX512 static void unpack(uint64_t *const *y, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    const sv8_modulus k = sv8_modulus_of(&s->m);
    sv8_unpack_plan plan;
    sv8_plan_unpack(&plan, s->wire_bits, sv8_low_field(s->wire_bits));
    for (size_t i = 0; i < n; i += 8) {
        const sv8_pair z = receive(packed, n, i, &plan, s);
        for (unsigned j = 0; j < s->m.primes; j++) {
            sv8_store(y[j] + i, sv8_residue_of(z, &k, j));
        }
    }
}

/* Ciphertexts are public: the first eight with a value that is too large end the loop. */
SV_AVX512 static size_t check(const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    const sv8_pair q = sv8_pair_set(s->m.q);
    sv8_unpack_plan plan;
    sv8_plan_unpack(&plan, s->wire_bits, sv8_low_field(s->wire_bits));
    for (size_t i = 0; i < n; i += 8) {
        unsigned bad = 0xffu & ~(unsigned)sv8_less(receive(packed, n, i, &plan, s), q);
        if (bad) {
            for (; !(bad & 1); bad >>= 1) {
                i++;
            }
            return i;
        }
    }
    return n;
}

typedef struct {
    __m512i p, low, low_shoup, high, high_shoup;
} factor;

SV_AVX512_INLINE factor factor_of(const sv_rlwe_weight *weight, const sv_modulus *m, unsigned j) {
    const factor f = {sv8_set(m->p[j]), sv8_set(weight->low[j]), sv8_set(sv8_shoup(weight->low_shoup[j])),
                      sv8_set(weight->high[j]), sv8_set(sv8_shoup(weight->high_shoup[j]))};
    return f;
}

SV_AVX512_INLINE void add_to(uint64_t *total, __m512i term, __m512i p) {
    sv8_store(total, sv8_sub_if_ge(_mm512_add_epi64(sv8_load(total), term), p));
}

SV_AVX512 static void accumulate(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight, size_t n,
                                 const sv_rlwe_rounding *s) {
    const unsigned half = s->m.prime_bits - 1;
    sv8_unpack_plan plan;
    sv8_plan_unpack(&plan, s->wire_bits, sv8_low_field(s->wire_bits));
    factor f[2];
    for (unsigned j = 0; j < s->m.primes; j++) {
        f[j] = factor_of(weight, &s->m, j);
    }
    for (size_t i = 0; i < n; i += 8) {
        const sv8_pair z = receive(packed, n, i, &plan, s);
        if (s->m.primes == 1) { /* below 2^50: one product */
            add_to(total[0] + i, sv8_mul_shoup(z.lo, f[0].low, f[0].low_shoup, f[0].p), f[0].p);
            continue;
        }
        const __m512i low = sv8_mask(z.lo, half), high = sv8_pair_shr(z, half).lo; /* high below 2^51 */
        for (unsigned j = 0; j < 2; j++) {
            const __m512i sum = _mm512_add_epi64(sv8_mul_shoup(low, f[j].low, f[j].low_shoup, f[j].p),
                                                 sv8_mul_shoup(high, f[j].high, f[j].high_shoup, f[j].p));
            add_to(total[j] + i, sv8_sub_if_ge(sum, f[j].p), f[j].p);
        }
    }
}

SV_AVX512 static void add(uint64_t *const *total, const uint64_t *const *y, const sv_rlwe_weight *weight, size_t n,
                          const sv_rlwe_rounding *s) {
    for (unsigned j = 0; j < s->m.primes; j++) {
        const factor f = factor_of(weight, &s->m, j);
        for (size_t i = 0; i < n; i += 8) {
            add_to(total[j] + i, sv8_mul_shoup(sv8_load(y[j] + i), f.low, f.low_shoup, f.p), f.p);
        }
    }
}

/* ---- opening ---- */
SV_AVX512_INLINE __m512i open_one(int64_t *values, __m512i y, const sv_rlwe_rounding *s) {
    const unsigned k = s->scale_bits;
    const __m512i q = sv8_set(s->m.p[0]), most = sv8_set(s->m.p[0] >> 1);
    const __m512i z = _mm512_mask_sub_epi64(y, _mm512_cmpgt_epu64_mask(y, most), y, q);
    const __m512i message = sv8_sar(_mm512_add_epi64(z, sv8_set((uint64_t)1 << (k - 1))), k);
    sv8_split(values, sv8_pair_of(message, sv8_sign(message)), s->slots, s->slot_bits);
    const __m512i r = _mm512_sub_epi64(z, sv8_shl(message, k));
    return _mm512_max_epi64(r, _mm512_sub_epi64(sv8_zero(), r));
}

SV_AVX512_INLINE __m512i open_two(int64_t *values, __m512i y0, __m512i y1, const sv8_modulus *m,
                                  const sv_rlwe_rounding *s) {
    const unsigned k = s->scale_bits;
    const sv8_pair q = sv8_pair_set(s->m.q);
    const sv8_pair above = sv8_pair_set(sv_shr(sv_add(s->m.q, sv_pair_of(1, 0)), 1));
    const sv8_pair whole = sv8_whole(y0, y1, m);
    const __m512i negative = _mm512_movm_epi64((__mmask8)~sv8_less(whole, above));
    const sv8_pair z = sv8_sub(whole, sv8_pair_and(q, negative));
    const sv8_pair message = sv8_pair_sar(sv8_add(z, sv8_pair_set(sv_bit(k - 1))), k);
    const sv8_pair rest = sv8_sub(z, sv8_pair_shl(message, k));
    const sv8_pair size = sv8_negate_if(rest, sv8_sign(rest.hi));
    const __m512i over = _mm512_or_si512(size.hi, sv8_shr(size.lo, 63));
    sv8_split(values, message, s->slots, s->slot_bits);
    return _mm512_mask_mov_epi64(size.lo, _mm512_test_epi64_mask(over, over), sv8_set(sv_low_mask(63)));
}

SV_AVX512 static void open(int64_t *values, uint64_t *max_r, const uint64_t *const *y, size_t n,
                           const sv_rlwe_rounding *s) {
    const sv8_modulus m = sv8_modulus_of(&s->m);
    __m512i largest = sv8_zero();
    for (size_t i = 0; i < n; i += 8) {
        const __m512i r = s->m.primes == 1
                              ? open_one(values + i * s->slots, sv8_load(y[0] + i), s)
                              : open_two(values + i * s->slots, sv8_load(y[0] + i), sv8_load(y[1] + i), &m, s);
        largest = _mm512_max_epu64(largest, r);
    }
    uint64_t each[8];
    sv8_store(each, largest);
    *max_r = 0;
    for (unsigned i = 0; i < 8; i++) {
        *max_r = each[i] > *max_r ? each[i] : *max_r;
    }
}

const sv_rlwe_kernel sv_rlwe_avx512 = {encrypt, pack, unpack, check, accumulate, add, open};

#endif
