/* The inner loops of key-additive encryption between two transforms, in exact integers.
   No branch and no index depends on a secret. */
#include "kahe.h"

static inline int64_t cbd42(const uint8_t *random) {
    /* popcount(a) - popcount(b) = popcount(a) + popcount(~b) - 42: one count for both. */
    const uint64_t mask = sv_low_mask(42);
    return (int64_t)sv_popcount128(sv_load64le(random) & mask, ~sv_load64le(random + 8) & mask) - 42;
}

/* floor(y 2^bits / p) and the rest, for y < p.  est = floor(y recip / 2^64) and y < 2^50, so
   y 2^bits - est p < (1 + 2^-14) p: exact modulo 2^64, and one correction is enough. */
static inline uint64_t divide(uint64_t *rest, uint64_t y, unsigned bits, uint64_t recip, uint64_t p) {
    const uint64_t est = sv_mulhi64(y, recip), left = (y << bits) - est * p;
    *rest = sv_sub_if_ge(left, p);
    return est + (uint64_t)(left >= p);
}

/* round(y 2^W / q), in [0, 2^W], for one prime and y < q.  q is odd, so there are no ties. */
static inline uint64_t narrow_one(uint64_t y, const sv_kahe_scale *s) {
    uint64_t rest;
    const uint64_t out = divide(&rest, y, s->wire_bits, s->recip[0][0], s->m.p[0]);
    return out + (uint64_t)(rest > s->m.p[0] >> 1);
}

/* The same for two primes and the z = y0 + p0 t in [0, q) with these residues.  One digit of that
   quotient, of `bits` bits: with t 2^bits = A p1 + B and y0 2^bits = C p0 + D it is A, plus one if
   B + C >= p1 (below 2 p1, because C < 2^bits < p1), and D + p0 (B + C mod p1) is left over.  To round,
   floor(q/2) = h0 + p0 h1 is added to what is left at the end, h = (p - 1) / 2. */
static inline sv_pair narrow_two(uint64_t y0, uint64_t y1, const sv_kahe_scale *s) {
    const sv_modulus *m = &s->m;
    uint64_t low = y0, high = sv_mixed_digit(y0, y1, m);
    sv_pair out = {0, 0};
    for (unsigned d = 0; d < s->digits; d++) {
        const unsigned bits = s->digit_bits[d];
        const uint64_t digit = divide(&high, high, bits, s->recip[d][1], m->p[1]);
        high += divide(&low, low, bits, s->recip[d][0], m->p[0]);
        out = sv_add(sv_shl(out, bits), sv_pair_of(digit + (uint64_t)(high >= m->p[1]), 0));
        high = sv_sub_if_ge(high, m->p[1]);
    }
    high += (m->p[1] >> 1) + (uint64_t)(low > m->p[0] >> 1);
    return sv_add(out, sv_pair_of((uint64_t)(high >= m->p[1]), 0));
}

static void encrypt_one(uint8_t *packed, const uint64_t *ak, const int32_t *values, const uint8_t *random, size_t n,
                        const sv_kahe_scale *s) {
    sv_packer packer = {packed, packed + n * s->wire_bits / 8, 0, 0};
    const uint64_t q = s->m.p[0], mask = sv_low_mask(s->wire_bits);
    for (size_t i = 0; i < n; i++) {
        /* ak < q, |2^k' M| < 2^(L-1) < q and |e| <= 42 < q - 2^(L-1): with 2q added, in (q, 4q). */
        const uint64_t message = sv_join_word(values + i * s->slots, s->slots, s->slot_bits) << s->scale_bits;
        const uint64_t y = ak[i] + 2 * q + (uint64_t)cbd42(random + SV_KAHE_CBD_BYTES * i) + message;
        sv_put_field(&packer, narrow_one(sv_sub_if_ge(sv_sub_if_ge(y, 2 * q), q), s) & mask, s->wire_bits);
    }
}

static void encrypt_two(uint8_t *packed, const uint64_t *const *ak, const int32_t *values, const uint8_t *random,
                        size_t n, const sv_kahe_scale *s) {
    const sv_modulus *m = &s->m;
    sv_packer packer = {packed, packed + n * s->wire_bits / 8, 0, 0};
    for (size_t i = 0; i < n; i++) {
        const uint64_t e = (uint64_t)cbd42(random + SV_KAHE_CBD_BYTES * i);
        const sv_pair message = sv_shl(sv_join(values + i * s->slots, s->slots, s->slot_bits), s->scale_bits);
        const sv_pair positive = sv_add(message, sv_bit(m->bits - 1)); /* in (0, 2^L) */
        uint64_t y[2];
        for (unsigned j = 0; j < 2; j++) {
            const uint64_t p = m->p[j];
            /* In (p - 42, 4p + 42). */
            y[j] = ak[j][i] + sv_residue(positive, m, j) + (p - m->top[j]) + p + e;
            y[j] = sv_sub_if_ge(sv_sub_if_ge(sv_sub_if_ge(y[j], 2 * p), p), p);
        }
        sv_put(&packer, sv_low(narrow_two(y[0], y[1], s), s->wire_bits), s->wire_bits);
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

static void accumulate(uint64_t *const *sum, const uint8_t *packed, size_t n, unsigned wire_bits, int negative) {
    const size_t size = n * wire_bits / 8;
    const uint64_t sign = (uint64_t)0 - (uint64_t)(negative != 0);
    for (size_t i = 0; i < n; i++) {
        const sv_pair c = sv_negate_if(sv_get(packed, size, i, wire_bits), sign);
        if (wire_bits <= SV_KAHE_WORD_BITS) {
            sum[0][i] += c.lo;
        } else {
            const sv_pair z = sv_add(sv_pair_of(sum[0][i], sum[1][i]), c);
            sum[0][i] = z.lo;
            sum[1][i] = z.hi;
        }
    }
}

static inline sv_pair read_sum(const uint64_t *const *sum, size_t i, unsigned wire_bits) {
    return sv_pair_of(sum[0][i], wire_bits <= SV_KAHE_WORD_BITS ? 0 : sum[1][i]);
}

static void pack(uint8_t *packed, const uint64_t *const *sum, size_t n, unsigned wire_bits) {
    sv_packer packer = {packed, packed + n * wire_bits / 8, 0, 0};
    for (size_t i = 0; i < n; i++) {
        sv_put(&packer, sv_low(read_sum(sum, i, wire_bits), wire_bits), wire_bits);
    }
}

/* round(a b / 2^shift) for a b < 2^254, 2 <= shift < 254, if that is below 2^127. */
static inline sv_pair multiply_shift(sv_pair a, sv_pair b, unsigned shift) {
    sv_pair low, high, cross[2];
    low.lo = sv_mul128(&low.hi, a.lo, b.lo);
    high.lo = sv_mul128(&high.hi, a.hi, b.hi);
    cross[0].lo = sv_mul128(&cross[0].hi, a.lo, b.hi);
    cross[1].lo = sv_mul128(&cross[1].hi, a.hi, b.lo);
    for (unsigned i = 0; i < 2; i++) { /* cross 2^64 */
        low.hi += cross[i].lo;
        high = sv_add(high, sv_pair_of(cross[i].hi, 0));
        high = sv_add(high, sv_pair_of((uint64_t)(low.hi < cross[i].lo), 0));
    }
    /* floor(x / 2^shift + 1/2) = floor((floor(x / 2^(shift-1)) + 1) / 2) */
    const unsigned half = shift - 1;
    sv_pair z;
    if (half >= 128) {
        z = sv_shr(high, half - 128);
    } else {
        const sv_pair lower = sv_shr(low, half), upper = sv_shl(high, 128 - half);
        z = sv_pair_of(lower.lo | upper.lo, lower.hi | upper.hi);
    }
    return sv_shr(sv_add(z, sv_pair_of(1, 0)), 1);
}

typedef struct {
    uint64_t largest, squares;
} residuals;

static inline void note(residuals *all, uint64_t r) {
    const uint64_t sign = sv_sign(r), size = (r ^ sign) - sign, cap = (uint64_t)1 << 24;
    const uint64_t capped = size < cap ? size : cap;
    all->largest = size > all->largest ? size : all->largest;
    all->squares += capped * capped;
}

static residuals open_one(int64_t *values, const uint64_t *sum, const uint64_t *ak, size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits;
    const uint64_t half = (uint64_t)1 << (s->scale_bits - 1);
    residuals all = {0, 0};
    for (size_t i = 0; i < n; i++) {
        const uint64_t x = (sum[i] - narrow_one(ak[i], s)) & sv_low_mask(W);
        /* Centred in [-2^(W-1), 2^(W-1)), as sign (all ones or zero) and magnitude. */
        const uint64_t sign = (uint64_t)0 - (x >> (W - 1));
        const uint64_t size = ((x ^ sign) - sign) + (((uint64_t)1 << W) & sign);
        /* round(size q / 2^(W+k')), size <= 2^(W-1): the part below 2^W does not matter. */
        const uint64_t message = (sv_mulhi64(size << (64 - W), s->m.p[0]) + half) >> s->scale_bits;
        /* M <= q / 2^(k'+1) + 1/2, so 2^k' M < q: the message scaled as the client scaled it. */
        note(&all, size - narrow_one(message << s->scale_bits, s));
        sv_split_word(values + i * s->slots, (message ^ sign) - sign, s->slots, s->slot_bits);
    }
    return all;
}

static residuals open_two(int64_t *values, const uint64_t *const *sum, const uint64_t *const *ak, size_t n,
                          const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits;
    residuals all = {0, 0};
    for (size_t i = 0; i < n; i++) {
        const sv_pair x = sv_low(sv_sub(read_sum(sum, i, W), narrow_two(ak[0][i], ak[1][i], s)), W);
        const uint64_t sign = (uint64_t)0 - sv_shr(x, W - 1).lo;
        const sv_pair size = sv_add(sv_negate_if(x, sign), sv_and(sv_bit(W), sign));
        const sv_pair message = multiply_shift(size, s->m.q, W + s->scale_bits);
        const sv_pair scaled = sv_shl(message, s->scale_bits);
        /* |r| is at most 2^(W+k'-1) / q + 1, below 2^41, so the low words tell it. */
        const sv_pair back = narrow_two(sv_residue(scaled, &s->m, 0), sv_residue(scaled, &s->m, 1), s);
        note(&all, size.lo - back.lo);
        sv_split(values + i * s->slots, sv_negate_if(message, sign), s->slots, s->slot_bits);
    }
    return all;
}

static void open(int64_t *values, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *const *sum,
                 const uint64_t *const *ak, size_t n, const sv_kahe_scale *s) {
    const residuals all = s->m.primes == 1 ? open_one(values, sum[0], ak[0], n, s) : open_two(values, sum, ak, n, s);
    *max_r = all.largest;
    *sum_r2 = all.squares;
}

const sv_kahe_kernel sv_kahe_portable = {encrypt, accumulate, pack, open};
