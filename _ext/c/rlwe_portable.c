/* The inner loops of public-key additive encryption between two transforms, in exact integers.
   No branch and no index depends on a secret. */
#include "rlwe.h"

static inline uint64_t cbd21(const uint8_t *random) {
    /* popcount(a) - popcount(b) = popcount(a) + popcount(~b) - 21: one count for both. */
    return sv_popcount64((sv_load64le(random) & sv_low_mask(42)) ^ (sv_low_mask(21) << 21)) - 21;
}

/* One prime: everything is a word.  Two: a pair of words. */

/* round_d of the z in [0, q): q < 2^L, so what is not replaced by 0 has at most L - d bits. */
static inline uint64_t shorten_one(uint64_t z, const sv_rlwe_rounding *s) {
    const unsigned d = s->drop_bits;
    const uint64_t v = (z + (((uint64_t)1 << d) >> 1)) >> d;
    return v & ((uint64_t)0 - (uint64_t)(v << d < s->m.p[0]));
}

static inline sv_pair shorten_two(sv_pair z, const sv_rlwe_rounding *s) {
    const unsigned d = s->drop_bits;
    const sv_pair half = d ? sv_bit(d - 1) : sv_pair_of(0, 0), v = sv_shr(sv_add(z, half), d);
    return sv_and(v, sv_less(sv_shl(v, d), s->m.q));
}

/* The values v 2^d of a ciphertext, below 2^L. */
static inline uint64_t read_one(const uint8_t *packed, size_t n, size_t i, const sv_rlwe_rounding *s) {
    return sv_get_field(packed, n * s->wire_bits / 8, i * s->wire_bits, s->wire_bits) << s->drop_bits;
}

static inline sv_pair read_two(const uint8_t *packed, size_t n, size_t i, const sv_rlwe_rounding *s) {
    return sv_shl(sv_get(packed, n * s->wire_bits / 8, i, s->wire_bits), s->drop_bits);
}

static inline sv_packer packer_of(uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    const sv_packer packer = {packed, packed + n * s->wire_bits / 8, 0, 0};
    return packer;
}

static void encrypt_one(uint8_t *packed, const uint64_t *y, const int32_t *values, const uint8_t *random, size_t n,
                        const sv_rlwe_rounding *s) {
    sv_packer packer = packer_of(packed, n, s);
    const uint64_t q = s->m.p[0];
    for (size_t i = 0; i < n; i++) {
        /* y < q, |2^k M| < 2^(L-1) < q and |e| <= 21 < q - 2^(L-1): with 2q added, in (q, 4q). */
        const uint64_t message =
            values == NULL ? 0 : sv_join_word(values + i * s->slots, s->slots, s->slot_bits) << s->scale_bits;
        const uint64_t z = y[i] + 2 * q + cbd21(random + SV_RLWE_CBD_BYTES * i) + message;
        sv_put_field(&packer, shorten_one(sv_sub_if_ge(sv_sub_if_ge(z, 2 * q), q), s), s->wire_bits);
    }
}

static void encrypt_two(uint8_t *packed, const uint64_t *const *y, const int32_t *values, const uint8_t *random,
                        size_t n, const sv_rlwe_rounding *s) {
    const sv_modulus *m = &s->m;
    sv_packer packer = packer_of(packed, n, s);
    for (size_t i = 0; i < n; i++) {
        const uint64_t e = cbd21(random + SV_RLWE_CBD_BYTES * i);
        sv_pair message = {0, 0};
        if (values != NULL) {
            message = sv_shl(sv_join(values + i * s->slots, s->slots, s->slot_bits), s->scale_bits);
        }
        const sv_pair positive = sv_add(message, sv_bit(m->bits - 1)); /* in (0, 2^L) */
        uint64_t residues[2];
        for (unsigned j = 0; j < 2; j++) {
            const uint64_t p = m->p[j];
            /* In (p - 21, 4p + 21). */
            const uint64_t z = y[j][i] + sv_residue(positive, m, j) + (p - m->top[j]) + p + e;
            residues[j] = sv_sub_if_ge(sv_sub_if_ge(sv_sub_if_ge(z, 2 * p), p), p);
        }
        sv_put(&packer, shorten_two(sv_whole(residues, m), s), s->wire_bits);
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
    sv_packer packer = packer_of(packed, n, s);
    if (s->m.primes == 1) {
        for (size_t i = 0; i < n; i++) {
            sv_put_field(&packer, shorten_one(y[0][i], s), s->wire_bits);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t residues[2] = {y[0][i], y[1][i]};
        sv_put(&packer, shorten_two(sv_whole(residues, &s->m), s), s->wire_bits);
    }
}

static void unpack(uint64_t *const *y, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    if (s->m.primes == 1) {
        for (size_t i = 0; i < n; i++) {
            y[0][i] = sv_sub_if_ge(read_one(packed, n, i, s), s->m.p[0]); /* below 2^L < 2q */
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const sv_pair z = read_two(packed, n, i, s);
        y[0][i] = sv_residue(z, &s->m, 0);
        y[1][i] = sv_residue(z, &s->m, 1);
    }
}

static size_t check(const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    size_t i = 0;
    if (s->m.primes == 1) {
        while (i < n && read_one(packed, n, i, s) < s->m.p[0]) {
            i++;
        }
    } else {
        while (i < n && sv_less(read_two(packed, n, i, s), s->m.q)) {
            i++;
        }
    }
    return i;
}

static void accumulate(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight, size_t n,
                       const sv_rlwe_rounding *s) {
    if (s->m.primes == 1) {
        const uint64_t p = s->m.p[0], factor = weight->low[0], shoup = weight->low_shoup[0];
        for (size_t i = 0; i < n; i++) {
            total[0][i] = sv_sub_if_ge(total[0][i] + sv_mul_shoup(read_one(packed, n, i, s), factor, shoup, p), p);
        }
        return;
    }
    const unsigned half = s->m.prime_bits - 1;
    for (size_t i = 0; i < n; i++) {
        const sv_pair z = read_two(packed, n, i, s);
        const uint64_t low = z.lo & sv_low_mask(half), high = sv_shr(z, half).lo; /* as in sv_residue */
        for (unsigned j = 0; j < 2; j++) {
            const uint64_t p = s->m.p[j];
            const uint64_t term = sv_mul_shoup(low, weight->low[j], weight->low_shoup[j], p) +
                                  sv_mul_shoup(high, weight->high[j], weight->high_shoup[j], p);
            total[j][i] = sv_sub_if_ge(total[j][i] + sv_sub_if_ge(term, p), p);
        }
    }
}

static void add(uint64_t *const *total, const uint64_t *const *y, const sv_rlwe_weight *weight, size_t n,
                const sv_rlwe_rounding *s) {
    for (unsigned j = 0; j < s->m.primes; j++) {
        const uint64_t p = s->m.p[j], factor = weight->low[j], shoup = weight->low_shoup[j];
        for (size_t i = 0; i < n; i++) {
            total[j][i] = sv_sub_if_ge(total[j][i] + sv_mul_shoup(y[j][i], factor, shoup, p), p);
        }
    }
}

static uint64_t open_one(int64_t *values, const uint64_t *y, size_t n, const sv_rlwe_rounding *s) {
    const uint64_t q = s->m.p[0], half = q >> 1, round = (uint64_t)1 << (s->scale_bits - 1);
    uint64_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t z = y[i] - (q & ((uint64_t)0 - (uint64_t)(y[i] > half)));
        /* floor((z + 2^(k-1)) / 2^k), and what is left, in [-2^(k-1), 2^(k-1)). */
        const uint64_t up = z + round, sign = sv_sign(up), message = ((up ^ sign) >> s->scale_bits) ^ sign;
        const uint64_t rest = z - (message << s->scale_bits), negative = sv_sign(rest);
        const uint64_t r = (rest ^ negative) - negative;
        largest = r > largest ? r : largest;
        sv_split_word(values + i * s->slots, message, s->slots, s->slot_bits);
    }
    return largest;
}

static uint64_t open_two(int64_t *values, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s) {
    const sv_modulus *m = &s->m;
    const sv_pair above = sv_shr(sv_add(m->q, sv_pair_of(1, 0)), 1); /* (q + 1) / 2, the least that is negative */
    const uint64_t most = sv_low_mask(63);
    uint64_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t residues[2] = {y[0][i], y[1][i]};
        const sv_pair whole = sv_whole(residues, m);
        const sv_pair z = sv_sub(whole, sv_and(m->q, ~sv_less(whole, above)));
        const sv_pair message = sv_sar(sv_add(z, sv_bit(s->scale_bits - 1)), s->scale_bits);
        const sv_pair rest = sv_sub(z, sv_shl(message, s->scale_bits));
        const sv_pair size = sv_negate_if(rest, sv_sign(rest.hi));
        const uint64_t over = (uint64_t)0 - (uint64_t)((size.hi | size.lo >> 63) != 0);
        const uint64_t r = (size.lo & ~over) | (most & over);
        largest = r > largest ? r : largest;
        sv_split(values + i * s->slots, message, s->slots, s->slot_bits);
    }
    return largest;
}

static void open(int64_t *values, uint64_t *max_r, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s) {
    *max_r = s->m.primes == 1 ? open_one(values, y[0], n, s) : open_two(values, y, n, s);
}

const sv_rlwe_kernel sv_rlwe_portable = {encrypt, pack, unpack, check, accumulate, add, open};
