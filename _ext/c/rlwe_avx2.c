#include "lattice_avx2.h"
#include "rlwe.h"

#if SV_X86

/* Public-key encryption on four coefficients a vector, in groups of eight, which are W = L - d bytes.
   Bounds and exactness: lattice_avx2.h.  Tail rule: groups whose loads or stores would pass the end of the
   string of bits are done by the portable code.

   With two primes an integer z below q is two fields: low, its lower b - 1 bits, and high, the L - b + 1 <= 51
   above; on the wire low has b - 1 - d bits.  Primes of fewer than MIN_PAIR_BITS bits, for which that may
   leave nothing, are done by the portable code: no set has them.  Where the chain of operations on a vector is
   long, a chunk of vectors goes through it in several passes, so that more of them are under way at a time. */
enum { MIN_PAIR_BITS = 26 };

static inline int vectors_for(const sv_modulus *m) { return m->primes == 1 || m->prime_bits >= MIN_PAIR_BITS; }

SV_AVX2_INLINE void pack_plan_of(sv_pack_plan *plan, const sv_rlwe_rounding *s) {
    const unsigned W = s->wire_bits;
    if (s->m.primes == 1) {
        sv_plan_pack(plan, 2 * W, W, 2);
    } else {
        sv_plan_pack(plan, W, s->m.prime_bits - 1 - s->drop_bits, 4);
    }
}

SV_AVX2_INLINE void unpack_plan_of(sv_unpack_plan *plan, const sv_rlwe_rounding *s) {
    const unsigned W = s->wire_bits;
    if (s->m.primes == 1) {
        sv_plan_unpack(plan, 2 * W, W, 2);
    } else {
        sv_plan_unpack(plan, W, s->m.prime_bits - 1 - s->drop_bits, 4);
    }
}

/* ---- encryption ---- */
typedef struct {
    __m256i q, half, mask; /* mask: the bits that are kept */
    __m128i drop_bits, scale_bits;
} round_constants;

SV_AVX2_INLINE round_constants round_constants_of(const sv_rlwe_rounding *s) {
    const unsigned d = s->drop_bits;
    const round_constants k = {sv_set1(s->m.p[0]), sv_set1(d ? (uint64_t)1 << (d - 1) : 0),
                               sv_set1(~sv_low_mask(d)), _mm_cvtsi32_si128((int)d),
                               _mm_cvtsi32_si128((int)s->scale_bits)};
    return k;
}

/* By the sign of `by`: x where it is negative, else y. */
SV_AVX2_INLINE __m256i choose(__m256i by, __m256i x, __m256i y) {
    return _mm256_castpd_si256(
        _mm256_blendv_pd(_mm256_castsi256_pd(y), _mm256_castsi256_pd(x), _mm256_castsi256_pd(by)));
}

/* round_d of z in (-q, 2q). */
SV_AVX2_INLINE __m256i shorten_one(__m256i z, const round_constants *k) {
    const __m256i less = _mm256_sub_epi64(z, k->q);
    z = choose(less, z, less);
    z = choose(z, _mm256_add_epi64(z, k->q), z);
    const __m256i kept = _mm256_and_si256(_mm256_add_epi64(z, k->half), k->mask);
    return _mm256_and_si256(_mm256_srl_epi64(kept, k->drop_bits), _mm256_cmpgt_epi64(k->q, kept));
}

SV_AVX2_INLINE __m256i widen(const int32_t *values) {
    return _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)values));
}

SV_AVX2 static size_t encrypt_one(uint8_t *packed, const uint64_t *y, const int32_t *values, const uint8_t *random,
                                  size_t n, const sv_rlwe_rounding *s) {
    sv_pack_plan plan;
    pack_plan_of(&plan, s);
    const round_constants k = round_constants_of(s);
    const size_t done = 8 * sv_whole_groups(n, s->wire_bits, plan.reach);
    const __m256i plus = sv_set1(SV_CBD21_PLUS);
    int64_t chunk[SV_CHUNK];
    for (size_t i = 0; i < done; i += 8) {
        __m256i v[2];
        const size_t at = i % SV_CHUNK;
        if (values != NULL && s->slots > 1 && at == 0) {
            const size_t count = done - i < SV_CHUNK ? done - i : SV_CHUNK;
            sv_join_words(chunk, values + i * s->slots, count, s->slots, 0, s->slots, s->slot_bits);
        }
        for (unsigned half = 0; half < 2; half++) {
            const size_t j = i + 4 * half;
            __m256i z = sv_load4(y + j);
            if (random != NULL) {
                z = _mm256_add_epi64(z, _mm256_sub_epi64(sv_cbd21(random + SV_RLWE_CBD_BYTES * j), plus));
            }
            if (values != NULL) {
                const __m256i message = s->slots == 1 ? widen(values + j)
                                                      : _mm256_loadu_si256((const __m256i *)(chunk + at + 4 * half));
                z = _mm256_add_epi64(z, _mm256_sll_epi64(message, k.scale_bits));
            }
            v[half] = shorten_one(z, &k);
        }
        sv_pack_words(packed + i / 8 * s->wire_bits, v[0], v[1], &plan);
    }
    return done;
}

/* The fields of z + more, z = y0 + p0 t in [0, q), 0 <= y0 < p0, |y0 - y1| <= 2 p1: with t in [0, p1),
   h + l = p0 t exactly; h is cut at bit b - 1 (to the nearest), and what is below, with l, y0 and more,
   is made positive by a unit above the cut and carried up as an integer. */
typedef struct {
    __m256d power, per_power, more; /* more + 2^cut */
    __m256i below, one;
    __m128i bits;
} cut_constants;

SV_AVX2_INLINE cut_constants cut_constants_of(const sv_modulus *m, double more) {
    const unsigned cut = m->prime_bits - 1;
    const double base = (double)((uint64_t)1 << cut);
    const cut_constants k = {_mm256_set1_pd(base),       _mm256_set1_pd(1.0 / base), _mm256_set1_pd(base + more),
                             sv_set1(sv_low_mask(cut)),  sv_set1(1),                 _mm_cvtsi32_si128((int)cut)};
    return k;
}

SV_AVX2_INLINE void fields_of(__m256i *low, __m256i *high, __m256d y0, __m256d y1, const cut_constants *k,
                              const sv_primes *p) {
    const __m256d t = sv_add_if_negative(sv_mixed(y0, y1, p), p->p[1]);
    __m256i bits;
    const __m256d h = _mm256_mul_pd(t, p->p[0]), l = _mm256_fmsub_pd(t, p->p[0], h);
    const __m256d upper = sv_round_times(h, k->per_power, &bits), lower = _mm256_fnmadd_pd(upper, k->power, h);
    const __m256i sum = sv_to_int(_mm256_add_pd(_mm256_add_pd(lower, l), _mm256_add_pd(y0, k->more)));
    *low = _mm256_and_si256(sum, k->below);
    *high = _mm256_add_epi64(_mm256_sub_epi64(sv_to_int(upper), k->one), _mm256_srl_epi64(sum, k->bits));
}

SV_AVX2 static size_t encrypt_two(uint8_t *packed, const uint64_t *const *y, const int32_t *values,
                                  const uint8_t *random, size_t n, const sv_rlwe_rounding *s) {
    const unsigned W = s->wire_bits, cut = s->m.prime_bits - 1, d = s->drop_bits;
    sv_pack_plan plan;
    pack_plan_of(&plan, s);
    const round_constants k = round_constants_of(s);
    const sv_primes p = sv_primes_of(&s->m);
    const cut_constants of_cut = cut_constants_of(&s->m, d ? (double)((uint64_t)1 << (d - 1)) : 0.0);
    const __m256i q_low = sv_set1(s->m.q.lo & sv_low_mask(cut)), q_high = sv_set1(sv_shr(s->m.q, cut).lo);
    const size_t done = 8 * sv_whole_groups(n, W, plan.reach);
    SV_ALIGNED double y0s[SV_CHUNK], y1s[SV_CHUNK];
    SV_ALIGNED uint64_t lows[SV_CHUNK], highs[SV_CHUNK];
    sv_messages messages;
    sv_messages_of(&messages, &s->m, &s->limbs);
    messages.count = values == NULL ? 0 : messages.count;
    for (size_t i = 0; i < done; i += SV_CHUNK) {
        const size_t count = done - i < SV_CHUNK ? done - i : SV_CHUNK;
        if (values != NULL) {
            sv_fill_messages(&messages, &s->limbs, values + i * s->slots, count, s->slots, s->slot_bits);
        }
        for (size_t at = 0; at < count; at += 4) {
            __m256d e = _mm256_setzero_pd(), z[2];
            if (random != NULL) {
                e = sv_to_double_less(sv_cbd21(random + SV_RLWE_CBD_BYTES * (i + at)), SV_CBD21_PLUS);
            }
            sv_residues(z, y, i + at, e, &messages, at, &p);
            _mm256_store_pd(y0s + at, sv_add_if_negative(z[0], p.p[0]));
            _mm256_store_pd(y1s + at, z[1]);
        }
        for (size_t at = 0; at < count; at += 4) {
            __m256i low, high;
            fields_of(&low, &high, _mm256_load_pd(y0s + at), _mm256_load_pd(y1s + at), &of_cut, &p);
            const __m256i kept = _mm256_and_si256(low, k.mask);
            const __m256i fits = _mm256_or_si256(
                _mm256_cmpgt_epi64(q_high, high),
                _mm256_and_si256(_mm256_cmpeq_epi64(q_high, high), _mm256_cmpgt_epi64(q_low, kept)));
            sv_store4(lows + at, _mm256_and_si256(_mm256_srl_epi64(kept, k.drop_bits), fits));
            sv_store4(highs + at, _mm256_and_si256(high, fits));
        }
        for (size_t at = 0; at < count; at += 8) {
            uint8_t *out = packed + (i + at) / 8 * W;
            __m256i carry = _mm256_setzero_si256();
            sv_pack_fields(out, sv_load4(lows + at), sv_load4(highs + at), &carry, &plan, 0);
            sv_pack_fields(out, sv_load4(lows + at + 4), sv_load4(highs + at + 4), &carry, &plan, 1);
        }
    }
    return done;
}

static size_t encrypt_vectors(uint8_t *packed, const uint64_t *const *y, const int32_t *values, const uint8_t *random,
                              size_t n, const sv_rlwe_rounding *s) {
    if (!vectors_for(&s->m)) {
        return 0;
    }
    return s->m.primes == 1 ? encrypt_one(packed, y[0], values, random, n, s)
                            : encrypt_two(packed, y, values, random, n, s);
}

static void encrypt(uint8_t *packed, const uint64_t *const *y, const int32_t *values, const uint8_t *random,
                    size_t n, const sv_rlwe_rounding *s) {
    const size_t done = encrypt_vectors(packed, y, values, random, n, s);
    if (done < n) {
        const uint64_t *rest[2] = {y[0] + done, y[1] + done};
        sv_rlwe_portable.encrypt(packed + done / 8 * s->wire_bits, rest,
                                 values == NULL ? NULL : values + done * s->slots,
                                 random + SV_RLWE_CBD_BYTES * done, n - done, s);
    }
}

static void pack(uint8_t *packed, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s) {
    const size_t done = encrypt_vectors(packed, y, NULL, NULL, n, s);
    if (done < n) {
        const uint64_t *rest[2] = {y[0] + done, y[1] + done};
        sv_rlwe_portable.pack(packed + done / 8 * s->wire_bits, rest, n - done, s);
    }
}

/* ---- what was received ---- */
typedef struct {
    __m256i low[2], high[2]; /* of coefficients 0..3 and 4..7; high only with two primes */
} received;

SV_AVX2_INLINE received receive(const uint8_t *in, const sv_unpack_plan *plan, __m128i drop_bits, unsigned primes) {
    received z;
    for (unsigned half = 0; half < 2; half++) {
        if (primes == 1) {
            z.low[half] = sv_unpack_block(in, plan, half);
            z.high[half] = _mm256_setzero_si256();
        } else {
            const __m256i even = sv_unpack_block(in, plan, 2 * half), odd = sv_unpack_block(in, plan, 2 * half + 1);
            z.low[half] = _mm256_unpacklo_epi64(even, odd);
            z.high[half] = _mm256_unpackhi_epi64(even, odd);
        }
        z.low[half] = _mm256_sll_epi64(z.low[half], drop_bits);
    }
    return z;
}

typedef struct {
    __m256d p, p_inv, low, low_p, high, high_p;
} weight_constants;

SV_AVX2_INLINE weight_constants weight_constants_of(uint64_t p, uint64_t low, uint64_t high) {
    const double size = (double)p, of_low = sv_centred(low, p), of_high = sv_centred(high, p);
    const weight_constants k = {_mm256_set1_pd(size),          _mm256_set1_pd(1.0 / size),
                                _mm256_set1_pd(of_low),        _mm256_set1_pd(of_low / size),
                                _mm256_set1_pd(of_high),       _mm256_set1_pd(of_high / size)};
    return k;
}

/* y = z mod p, or with `adding` y += weight z mod p. */
SV_AVX2_INLINE size_t residues_of(uint64_t *const *y, const uint8_t *packed, const sv_rlwe_weight *weight, size_t n,
                                  const sv_rlwe_rounding *s, const unsigned primes, const int adding) {
    sv_unpack_plan plan;
    unpack_plan_of(&plan, s);
    const __m128i drop_bits = _mm_cvtsi32_si128((int)s->drop_bits);
    const size_t done = 8 * sv_whole_groups(n, s->wire_bits, plan.reach);
    weight_constants k[2];
    for (unsigned j = 0; j < primes; j++) {
        const uint64_t p = s->m.p[j];
        k[j] = adding ? weight_constants_of(p, weight->low[j], weight->high[j])
                      : weight_constants_of(p, 1, (uint64_t)1 << (s->m.prime_bits - 1));
    }
    for (size_t i = 0; i < done; i += 8) {
        const received z = receive(packed + i / 8 * s->wire_bits, &plan, drop_bits, primes);
        for (unsigned half = 0; half < 2; half++) {
            const __m256d low = sv_to_double(z.low[half]), high = sv_to_double(z.high[half]);
            for (unsigned j = 0; j < primes; j++) {
                uint64_t *at = y[j] + i + 4 * half;
                __m256d sum = adding ? sv_times(low, k[j].low, k[j].low_p, k[j].p) : low;
                if (adding) {
                    sum = _mm256_add_pd(sum, sv_to_double(sv_load4(at)));
                }
                if (primes == 2) { /* (1 + 2 * 5/8) p at most */
                    sum = _mm256_add_pd(sum, sv_times(high, k[j].high, k[j].high_p, k[j].p));
                    sum = sv_add_if_negative(sv_reduce(sum, k[j].p, k[j].p_inv), k[j].p);
                } else if (adding) {
                    sum = sv_canonical(sum, k[j].p);
                }
                sv_store4(at, primes == 1 && !adding ? z.low[half] : sv_to_int(sum));
            }
        }
    }
    return done;
}

SV_AVX2 static size_t unpack_one(uint64_t *const *y, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    return residues_of(y, packed, NULL, n, s, 1, 0);
}

SV_AVX2 static size_t unpack_two(uint64_t *const *y, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    return residues_of(y, packed, NULL, n, s, 2, 0);
}

/* Weight 1, the usual one. */
SV_AVX2 static size_t accumulate_plain(uint64_t *total, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    sv_unpack_plan plan;
    unpack_plan_of(&plan, s);
    const __m128i drop_bits = _mm_cvtsi32_si128((int)s->drop_bits);
    const __m256i q = sv_set1(s->m.p[0]);
    const size_t done = 8 * sv_whole_groups(n, s->wire_bits, plan.reach);
    for (size_t i = 0; i < done; i += 8) {
        const received z = receive(packed + i / 8 * s->wire_bits, &plan, drop_bits, 1);
        for (unsigned half = 0; half < 2; half++) {
            uint64_t *at = total + i + 4 * half;
            const __m256i sum = _mm256_add_epi64(sv_load4(at), z.low[half]), less = _mm256_sub_epi64(sum, q);
            sv_store4(at, choose(less, sum, less));
        }
    }
    return done;
}

SV_AVX2 static size_t accumulate_one(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight,
                                     size_t n, const sv_rlwe_rounding *s) {
    if (weight->value == 1) {
        return accumulate_plain(total[0], packed, n, s);
    }
    return residues_of(total, packed, weight, n, s, 1, 1);
}

SV_AVX2 static size_t accumulate_two(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight,
                                     size_t n, const sv_rlwe_rounding *s) {
    return residues_of(total, packed, weight, n, s, 2, 1);
}

static void unpack(uint64_t *const *y, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    size_t done = 0;
    if (vectors_for(&s->m)) {
        done = s->m.primes == 1 ? unpack_one(y, packed, n, s) : unpack_two(y, packed, n, s);
    }
    if (done < n) {
        uint64_t *rest[2] = {y[0] + done, y[1] + done};
        sv_rlwe_portable.unpack(rest, packed + done / 8 * s->wire_bits, n - done, s);
    }
}

static void accumulate(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight, size_t n,
                       const sv_rlwe_rounding *s) {
    size_t done = 0;
    if (vectors_for(&s->m)) {
        done = s->m.primes == 1 ? accumulate_one(total, packed, weight, n, s)
                                : accumulate_two(total, packed, weight, n, s);
    }
    if (done < n) {
        uint64_t *rest[2] = {total[0] + done, total[1] + done};
        sv_rlwe_portable.accumulate(rest, packed + done / 8 * s->wire_bits, weight, n - done, s);
    }
}

/* Ciphertexts are public: the first group with a value that is too large ends the loop. */
SV_AVX2 static size_t check_vectors(const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    const unsigned cut = s->m.primes == 1 ? s->m.bits : s->m.prime_bits - 1;
    sv_unpack_plan plan;
    unpack_plan_of(&plan, s);
    const __m128i drop_bits = _mm_cvtsi32_si128((int)s->drop_bits);
    const __m256i q_low = sv_set1((s->m.q.lo & sv_low_mask(cut)) - 1), q_high = sv_set1(sv_shr(s->m.q, cut).lo);
    const size_t done = 8 * sv_whole_groups(n, s->wire_bits, plan.reach);
    for (size_t i = 0; i < done; i += 8) {
        const received z = receive(packed + i / 8 * s->wire_bits, &plan, drop_bits, s->m.primes);
        __m256i bad = _mm256_setzero_si256();
        for (unsigned half = 0; half < 2; half++) {
            const __m256i equal = _mm256_cmpeq_epi64(z.high[half], q_high);
            const __m256i above = _mm256_and_si256(equal, _mm256_cmpgt_epi64(z.low[half], q_low));
            bad = _mm256_or_si256(bad, _mm256_or_si256(above, _mm256_cmpgt_epi64(z.high[half], q_high)));
        }
        if (!_mm256_testz_si256(bad, bad)) {
            return i;
        }
    }
    return done;
}

static size_t check(const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    const size_t done = vectors_for(&s->m) ? check_vectors(packed, n, s) : 0;
    return done < n ? done + sv_rlwe_portable.check(packed + done / 8 * s->wire_bits, n - done, s) : n;
}

/* n is a multiple of 8: no tail. */
SV_AVX2 static void add(uint64_t *const *total, const uint64_t *const *y, const sv_rlwe_weight *weight, size_t n,
                        const sv_rlwe_rounding *s) {
    for (unsigned j = 0; j < s->m.primes; j++) {
        const weight_constants k = weight_constants_of(s->m.p[j], weight->low[j], 0);
        for (size_t i = 0; i < n; i += 4) {
            const __m256d term = sv_times(sv_to_double(sv_load4(y[j] + i)), k.low, k.low_p, k.p);
            const __m256d sum = _mm256_add_pd(sv_to_double(sv_load4(total[j] + i)), term);
            sv_store4(total[j] + i, sv_to_int(sv_canonical(sum, k.p)));
        }
    }
}

/* ---- opening, one prime: integers below 2^51 in size.  n is a multiple of 8: no tail ---- */
SV_AVX2 static void open_one(int64_t *values, uint64_t *max_r, const uint64_t *y, size_t n, const sv_rlwe_rounding *s) {
    const unsigned shift = s->scale_bits;
    const uint64_t half_q = s->m.p[0] >> 1;
    const __m256i q = sv_set1(s->m.p[0]), most = sv_set1(half_q), zero = _mm256_setzero_si256();
    /* z + 2^(k-1) + 2^62 is positive and below 2^63; 2^62 is a multiple of 2^k. */
    const __m256i plus = sv_set1(((uint64_t)1 << 62) + ((uint64_t)1 << (shift - 1)));
    const __m256i less = sv_set1((uint64_t)1 << (62 - shift)), half = sv_set1((uint64_t)1 << (shift - 1));
    const __m256i mask = sv_set1(sv_low_mask(shift));
    const __m128i scale_bits = _mm_cvtsi32_si128((int)shift);
    __m256i largest = zero;
    int64_t chunk[SV_CHUNK];
    for (size_t i = 0; i < n; i += 4) {
        const __m256i y4 = sv_load4(y + i);
        const __m256i z = _mm256_sub_epi64(y4, _mm256_and_si256(_mm256_cmpgt_epi64(y4, most), q));
        const __m256i raised = _mm256_add_epi64(z, plus);
        const __m256i message = _mm256_sub_epi64(_mm256_srl_epi64(raised, scale_bits), less);
        const __m256i r = _mm256_sub_epi64(_mm256_and_si256(raised, mask), half);
        const __m256i size = choose(r, _mm256_sub_epi64(zero, r), r);
        largest = choose(_mm256_sub_epi64(largest, size), size, largest);
        if (s->slots == 1) {
            _mm256_storeu_si256((__m256i *)(values + i), message);
        } else {
            const size_t at = i % SV_CHUNK;
            _mm256_storeu_si256((__m256i *)(chunk + at), message);
            if (at + 4 == SV_CHUNK || i + 4 == n) {
                sv_split_words(values + (i - at) * s->slots, chunk, at + 4, s->slots, s->slot_bits);
            }
        }
    }
    uint64_t each[4];
    sv_store4(each, largest);
    *max_r = 0;
    for (unsigned j = 0; j < 4; j++) {
        *max_r = each[j] > *max_r ? each[j] : *max_r;
    }
}

/* Two primes, as integers of two words; 2^k is a word (k <= 62), so that the rest is one. */
enum { MAX_PAIR_SCALE = 62 };

SV_AVX2 static void open_two(int64_t *values, uint64_t *max_r, const uint64_t *const *y, size_t n,
                             const sv_rlwe_rounding *s) {
    const unsigned shift = s->scale_bits, cut = s->m.prime_bits - 1;
    const sv_primes p = sv_primes_of(&s->m);
    const cut_constants of_cut = cut_constants_of(&s->m, 0.0);
    const sv_pair half_q = sv_shr(s->m.q, 1);
    const __m256i most_low = sv_set1(half_q.lo & sv_low_mask(cut)), most_high = sv_set1(sv_shr(half_q, cut).lo);
    const __m256i q_lo = sv_set1(s->m.q.lo), q_hi = sv_set1(s->m.q.hi), zero = _mm256_setzero_si256();
    const __m256i half = sv_set1((uint64_t)1 << (shift - 1)), mask = sv_set1(sv_low_mask(shift));
    /* The upper words are below 2^37 in size: raised by 2^62, a multiple of 2^k, they shift as if signed. */
    const __m256i raise = sv_set1((uint64_t)1 << 62), lower = sv_set1((uint64_t)1 << (62 - shift));
    const __m128i scale_bits = _mm_cvtsi32_si128((int)shift), word_bits = _mm_cvtsi32_si128((int)(64 - shift));
    const __m128i up = _mm_cvtsi32_si128((int)(64 - cut));
    __m256i largest = zero;
    uint64_t lo[SV_CHUNK], hi[SV_CHUNK];
    for (size_t i = 0; i < n; i += 4) {
        __m256i low, high;
        fields_of(&low, &high, sv_to_double(sv_load4(y[0] + i)), sv_to_double(sv_load4(y[1] + i)), &of_cut, &p);
        const __m256i negative = _mm256_or_si256(
            _mm256_cmpgt_epi64(high, most_high),
            _mm256_and_si256(_mm256_cmpeq_epi64(high, most_high), _mm256_cmpgt_epi64(low, most_low)));
        const __m256i less_lo = _mm256_and_si256(q_lo, negative), less_hi = _mm256_and_si256(q_hi, negative);
        const __m256i z_lo = _mm256_or_si256(low, _mm256_sll_epi64(high, of_cut.bits));
        __m256i z_hi = _mm256_sub_epi64(_mm256_srl_epi64(high, up), less_hi);
        z_hi = _mm256_add_epi64(z_hi, sv_below(z_lo, less_lo)); /* borrow: -1 */
        const __m256i c_lo = _mm256_sub_epi64(z_lo, less_lo), u_lo = _mm256_add_epi64(c_lo, half);
        const __m256i u_hi = _mm256_sub_epi64(z_hi, sv_below(u_lo, half)); /* carry: -1 */
        const __m256i r = _mm256_sub_epi64(_mm256_and_si256(u_lo, mask), half);
        const __m256i size = choose(r, _mm256_sub_epi64(zero, r), r);
        largest = choose(_mm256_sub_epi64(largest, size), size, largest);
        const size_t at = i % SV_CHUNK;
        sv_store4(lo + at, _mm256_or_si256(_mm256_srl_epi64(u_lo, scale_bits), _mm256_sll_epi64(u_hi, word_bits)));
        sv_store4(hi + at, _mm256_sub_epi64(_mm256_srl_epi64(_mm256_add_epi64(u_hi, raise), scale_bits), lower));
        if (at + 4 == SV_CHUNK || i + 4 == n) {
            sv_split_pairs(values + (i - at) * s->slots, lo, hi, at + 4, s->slots, s->slot_bits);
        }
    }
    uint64_t each[4];
    sv_store4(each, largest);
    *max_r = 0;
    for (unsigned j = 0; j < 4; j++) {
        *max_r = each[j] > *max_r ? each[j] : *max_r;
    }
}

static void open(int64_t *values, uint64_t *max_r, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s) {
    if (s->m.primes == 1) {
        open_one(values, max_r, y[0], n, s);
    } else if (vectors_for(&s->m) && s->scale_bits <= MAX_PAIR_SCALE) {
        open_two(values, max_r, y, n, s);
    } else {
        sv_rlwe_portable.open(values, max_r, y, n, s);
    }
}

const sv_rlwe_kernel sv_rlwe_avx2 = {encrypt, pack, unpack, check, accumulate, add, open};

#endif
