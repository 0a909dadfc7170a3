/* The inner loops of key-additive encryption between two transforms, in exact integers.
   No branch and no index depends on a secret; W, k' and q are public. */
#include "kahe.h"
#include "ntt_mul64.h"

static inline uint64_t load64le(const uint8_t *p) {
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline void store64le(uint8_t *p, uint64_t x) {
    p[0] = (uint8_t)x;
    p[1] = (uint8_t)(x >> 8);
    p[2] = (uint8_t)(x >> 16);
    p[3] = (uint8_t)(x >> 24);
    p[4] = (uint8_t)(x >> 32);
    p[5] = (uint8_t)(x >> 40);
    p[6] = (uint8_t)(x >> 48);
    p[7] = (uint8_t)(x >> 56);
}

static inline uint64_t low_mask(unsigned bits) { return ((uint64_t)1 << bits) - 1; }

/* Number of set bits (Hacker's Delight, figure 5-2): no table, hence no secret index. */
static inline uint64_t popcount64(uint64_t x) {
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (x * 0x0101010101010101u) >> 56;
}

static inline int64_t cbd42(const uint8_t *random) {
    const uint64_t mask = low_mask(42);
    return (int64_t)popcount64(load64le(random) & mask) - (int64_t)popcount64(load64le(random + 8) & mask);
}

/* round(y 2^W / q) for y < q, in [0, 2^W].  q is odd, so there are no ties.
   est = floor(y recip / 2^64) and y < 2^56, so y 2^W - est q < (1 + 2^-8) q; with (q - 1) / 2 for the
   rounding the rest is in [0, 1.51 q), below 2^57, hence exact modulo 2^64: one correction is enough. */
static inline uint64_t switch_one(uint64_t y, const sv_kahe_scale *s) {
    const uint64_t est = sv_mulhi64(y, s->recip);
    const uint64_t rest = (y << s->wire_bits) + (s->q >> 1) - est * s->q;
    return est + (uint64_t)(rest >= s->q);
}

/* Bit string with value i in bits [iW, (i+1)W), least significant bit and byte first. */
typedef struct {
    uint8_t *out, *end;
    uint64_t acc;
    unsigned bits; /* < 8 between calls, so acc holds at most 7 + 56 bits */
} packer;

static inline void pack_one(packer *p, uint64_t value, unsigned wire_bits) {
    p->acc |= value << p->bits;
    p->bits += wire_bits;
    if (p->end - p->out >= 8) { /* whole bytes of acc, and beyond them zeros that are overwritten next */
        store64le(p->out, p->acc);
        p->out += p->bits >> 3;
        p->acc >>= p->bits & ~7u;
        p->bits &= 7;
    } else {
        for (; p->bits >= 8; p->bits -= 8) {
            *p->out++ = (uint8_t)p->acc;
            p->acc >>= 8;
        }
    }
}

void sv_kahe_cbd_portable(int64_t *out, const uint8_t *random, size_t n) {
    for (size_t i = 0; i < n; i++) {
        out[i] = cbd42(random + SV_KAHE_CBD_BYTES * i);
    }
}

void sv_kahe_encrypt_portable(uint8_t *packed, const uint64_t *ak, const int64_t *m, const uint8_t *random,
                              size_t n, const sv_kahe_scale *s) {
    packer p = {packed, packed + n * s->wire_bits / 8, 0, 0};
    const uint64_t mask = low_mask(s->wire_bits);
    for (size_t i = 0; i < n; i++) {
        /* ak < q, |2^k' m| < 2^(L-1) < q and |e| <= 42 < q - 2^(L-1): with 2q added, in (q, 4q). */
        const uint64_t e = (uint64_t)cbd42(random + SV_KAHE_CBD_BYTES * i);
        uint64_t y = ak[i] + 2 * s->q + e + ((uint64_t)m[i] << s->scale_bits);
        y = sv_sub_if_ge(sv_sub_if_ge(y, 2 * s->q), s->q);
        pack_one(&p, switch_one(y, s) & mask, s->wire_bits);
    }
}

void sv_kahe_accumulate_portable(uint64_t *sum, const uint8_t *packed, size_t n, unsigned wire_bits, int sign) {
    const size_t size = n * wire_bits / 8;
    const uint64_t mask = low_mask(wire_bits), flip = (uint64_t)0 - (uint64_t)(sign != 0);
    for (size_t i = 0; i < n; i++) {
        const size_t bit = i * wire_bits, byte = bit >> 3;
        uint64_t word = 0;
        if (size - byte >= 8) { /* 7 + 56 bits at most are wanted */
            word = load64le(packed + byte);
        } else {
            for (size_t j = 0; j < size - byte; j++) {
                word |= (uint64_t)packed[byte + j] << (8 * j);
            }
        }
        word = (word >> (bit & 7)) & mask;
        sum[i] += (word ^ flip) - flip;
    }
}

void sv_kahe_pack_portable(uint8_t *packed, const uint64_t *sum, size_t n, unsigned wire_bits) {
    packer p = {packed, packed + n * wire_bits / 8, 0, 0};
    const uint64_t mask = low_mask(wire_bits);
    for (size_t i = 0; i < n; i++) {
        pack_one(&p, sum[i] & mask, wire_bits);
    }
}

void sv_kahe_open_portable(int64_t *m, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *sum,
                           const uint64_t *ak, size_t n, const sv_kahe_scale *s) {
    const unsigned W = s->wire_bits, shift = W + s->scale_bits; /* 2 <= shift < 112 */
    const uint64_t mask = low_mask(W), cap = (uint64_t)1 << 24;
    uint64_t largest = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t x = (sum[i] - switch_one(ak[i], s)) & mask;
        /* Centred in [-2^(W-1), 2^(W-1)), as sign (all ones or zero) and magnitude. */
        const uint64_t sign = (uint64_t)0 - (x >> (W - 1));
        const uint64_t size = ((x | (sign & ~mask)) ^ sign) - sign;
        /* round(size q / 2^shift): no ties, because q is odd and size < 2^(shift-1). */
        uint64_t hi, lo = sv_mul128(&hi, size, s->q);
        if (shift <= 64) {
            const uint64_t add = (uint64_t)1 << (shift - 1);
            hi += (uint64_t)(lo + add < lo);
            lo += add;
            hi = shift == 64 ? hi : (hi << (64 - shift)) | (lo >> shift);
        } else {
            hi = (hi + ((uint64_t)1 << (shift - 65))) >> (shift - 64);
        }
        /* hi <= q / 2^(k'+1) + 1/2, so 2^k' hi < q: the message scaled as the client scaled it. */
        const uint64_t r = size - switch_one(hi << s->scale_bits, s);
        const uint64_t r_sign = (uint64_t)0 - (r >> 63);
        const uint64_t r_abs = (r ^ r_sign) - r_sign;
        m[i] = (int64_t)((hi ^ sign) - sign);
        largest = r_abs > largest ? r_abs : largest;
        squares += (r_abs < cap ? r_abs : cap) * (r_abs < cap ? r_abs : cap);
    }
    *max_r = largest;
    *sum_r2 = squares;
}
