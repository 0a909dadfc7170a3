/* The inner loops of public-key additive encryption between two transforms, in exact integers.
   No branch and no index depends on a secret. */
#include "rlwe.h"

static inline uint64_t cbd21(const uint8_t *random) {
    const uint64_t word = sv_load64le(random), mask = sv_low_mask(21);
    return sv_popcount64(word & mask) - sv_popcount64((word >> 21) & mask);
}

/* round_d of the z in [0, q): q < 2^L, so what is not replaced by 0 has at most L - d bits. */
static inline sv_pair shorten(sv_pair z, const sv_rlwe_rounding *s) {
    const unsigned d = s->drop_bits;
    const sv_pair half = d ? sv_bit(d - 1) : sv_pair_of(0, 0), v = sv_shr(sv_add(z, half), d);
    return sv_and(v, sv_less(sv_shl(v, d), s->m.q));
}

static void encrypt(uint8_t *packed, const uint64_t *const *y, const int32_t *values, const uint8_t *random,
                    size_t n, const sv_rlwe_rounding *s) {
    const sv_modulus *m = &s->m;
    sv_packer packer = {packed, packed + n * s->wire_bits / 8, 0, 0};
    for (size_t i = 0; i < n; i++) {
        const uint64_t e = cbd21(random + SV_RLWE_CBD_BYTES * i);
        sv_pair message = {0, 0};
        if (values != NULL) {
            message = sv_shl(sv_join(values + i * s->slots, s->slots, s->slot_bits), s->scale_bits);
        }
        const sv_pair positive = sv_add(message, sv_bit(m->bits - 1)); /* in (0, 2^L) */
        uint64_t residues[2] = {0, 0};
        for (unsigned j = 0; j < m->primes; j++) {
            const uint64_t p = m->p[j];
            /* In (p - 21, 4p + 21). */
            const uint64_t z = y[j][i] + sv_residue(positive, m, j) + (p - m->top[j]) + p + e;
            residues[j] = sv_sub_if_ge(sv_sub_if_ge(sv_sub_if_ge(z, 2 * p), p), p);
        }
        sv_put(&packer, shorten(sv_whole(residues, m), s), s->wire_bits);
    }
}

static void pack(uint8_t *packed, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s) {
    sv_packer packer = {packed, packed + n * s->wire_bits / 8, 0, 0};
    for (size_t i = 0; i < n; i++) {
        const uint64_t residues[2] = {y[0][i], s->m.primes == 1 ? 0 : y[1][i]};
        sv_put(&packer, shorten(sv_whole(residues, &s->m), s), s->wire_bits);
    }
}

static inline sv_pair read_value(const uint8_t *packed, size_t n, size_t i, const sv_rlwe_rounding *s) {
    return sv_shl(sv_get(packed, n * s->wire_bits / 8, i, s->wire_bits), s->drop_bits);
}

static void unpack(uint64_t *const *y, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    for (size_t i = 0; i < n; i++) {
        const sv_pair z = read_value(packed, n, i, s);
        for (unsigned j = 0; j < s->m.primes; j++) {
            y[j][i] = sv_residue(z, &s->m, j);
        }
    }
}

static size_t check(const uint8_t *packed, size_t n, const sv_rlwe_rounding *s) {
    for (size_t i = 0; i < n; i++) {
        if (!sv_less(read_value(packed, n, i, s), s->m.q)) {
            return i;
        }
    }
    return n;
}

static void accumulate(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight, size_t n,
                       const sv_rlwe_rounding *s) {
    const unsigned half = s->m.prime_bits - 1;
    for (size_t i = 0; i < n; i++) {
        const sv_pair z = read_value(packed, n, i, s);
        const uint64_t low = z.lo & sv_low_mask(half), high = sv_shr(z, half).lo; /* as in sv_residue */
        for (unsigned j = 0; j < s->m.primes; j++) {
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

static void open(int64_t *values, uint64_t *max_r, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s) {
    const sv_modulus *m = &s->m;
    const sv_pair above = sv_shr(sv_add(m->q, sv_pair_of(1, 0)), 1); /* (q + 1) / 2, the least that is negative */
    const uint64_t most = sv_low_mask(63);
    uint64_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t residues[2] = {y[0][i], m->primes == 1 ? 0 : y[1][i]};
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
    *max_r = largest;
}

const sv_rlwe_kernel sv_rlwe_portable = {encrypt, pack, unpack, check, accumulate, add, open};
