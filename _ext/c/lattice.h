#ifndef SOTTOVOCE_LATTICE_H
#define SOTTOVOCE_LATTICE_H

#include <stddef.h>
#include <stdint.h>

#include "ntt_mul64.h"

/* What the kernels of additive encryption (kahe, rlwe) share: bytes and bits, integers of two words,
   residues modulo one or two primes, slots.  No branch and no index depends on a value; widths, shifts,
   counts, positions and moduli are public. */

/* ---- bytes and bits ---- */
static inline uint64_t sv_load64le(const uint8_t *p) {
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline void sv_store64le(uint8_t *p, uint64_t x) {
    for (unsigned i = 0; i < 8; i++) {
        p[i] = (uint8_t)(x >> (8 * i));
    }
}

/* 2^bits - 1, bits < 64. */
static inline uint64_t sv_low_mask(unsigned bits) { return ((uint64_t)1 << bits) - 1; }

/* Number of set bits (Hacker's Delight, figure 5-2): no table, hence no secret index. */
static inline uint64_t sv_popcount64(uint64_t x) {
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (x * 0x0101010101010101u) >> 56;
}

/* The same of two words together: the two sums of four bits each are at most 4, so they share a field. */
static inline uint64_t sv_popcount128(uint64_t x, uint64_t y) {
    x -= (x >> 1) & 0x5555555555555555u;
    y -= (y >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x += (y & 0x3333333333333333u) + ((y >> 2) & 0x3333333333333333u);
    x = (x & 0x0f0f0f0f0f0f0f0fu) + ((x >> 4) & 0x0f0f0f0f0f0f0f0fu);
    return (x * 0x0101010101010101u) >> 56;
}

/* All ones if x is negative as a signed integer, else zero. */
static inline uint64_t sv_sign(uint64_t x) { return (uint64_t)0 - (x >> 63); }

/* ---- integers of two words: lo + 2^64 hi modulo 2^128, two's complement where signed ---- */
typedef struct {
    uint64_t lo, hi;
} sv_pair;

static inline sv_pair sv_pair_of(uint64_t lo, uint64_t hi) {
    const sv_pair z = {lo, hi};
    return z;
}

static inline sv_pair sv_add(sv_pair a, sv_pair b) {
    const uint64_t lo = a.lo + b.lo;
    return sv_pair_of(lo, a.hi + b.hi + (uint64_t)(lo < a.lo));
}

static inline sv_pair sv_sub(sv_pair a, sv_pair b) {
    return sv_pair_of(a.lo - b.lo, a.hi - b.hi - (uint64_t)(a.lo < b.lo));
}

/* All ones if a < b (unsigned), else zero. */
static inline uint64_t sv_less(sv_pair a, sv_pair b) {
    const uint64_t less = (uint64_t)(a.hi < b.hi) | ((uint64_t)(a.hi == b.hi) & (uint64_t)(a.lo < b.lo));
    return (uint64_t)0 - less;
}

static inline sv_pair sv_and(sv_pair a, uint64_t mask) { return sv_pair_of(a.lo & mask, a.hi & mask); }

/* Shifts by n < 128. */
static inline sv_pair sv_shl(sv_pair x, unsigned n) {
    if (n >= 64) {
        return sv_pair_of(0, x.lo << (n - 64));
    }
    return n ? sv_pair_of(x.lo << n, x.hi << n | x.lo >> (64 - n)) : x;
}

static inline sv_pair sv_shr(sv_pair x, unsigned n) {
    if (n >= 64) {
        return sv_pair_of(x.hi >> (n - 64), 0);
    }
    return n ? sv_pair_of(x.lo >> n | x.hi << (64 - n), x.hi >> n) : x;
}

/* Arithmetic: floor(x / 2^n). */
static inline sv_pair sv_sar(sv_pair x, unsigned n) {
    const uint64_t sign = sv_sign(x.hi);
    const sv_pair z = sv_shr(sv_pair_of(x.lo ^ sign, x.hi ^ sign), n);
    return sv_pair_of(z.lo ^ sign, z.hi ^ sign);
}

/* 2^n, n < 128. */
static inline sv_pair sv_bit(unsigned n) { return sv_shl(sv_pair_of(1, 0), n); }

/* x modulo 2^n, n < 128. */
static inline sv_pair sv_low(sv_pair x, unsigned n) {
    return n >= 64 ? sv_pair_of(x.lo, x.hi & sv_low_mask(n - 64)) : sv_pair_of(x.lo & sv_low_mask(n), 0);
}

/* -x if sign is all ones, x if it is zero. */
static inline sv_pair sv_negate_if(sv_pair x, uint64_t sign) {
    return sv_sub(sv_pair_of(x.lo ^ sign, x.hi ^ sign), sv_pair_of(sign, sign));
}

/* ---- strings of values of `bits` bits, 1 <= bits <= 100: value i in bits [i bits, (i + 1) bits),
   least significant bit and byte first ----
   A value of more than 57 bits travels as two fields, of 50 bits and the rest: with the at most 7 bits
   before it, a field fits into a word. */
enum { SV_FIELD_MAX = 57, SV_FIELD_LOW = 50 };

typedef struct {
    uint8_t *out, *end;
    uint64_t acc;
    unsigned bits; /* < 8 between calls */
} sv_packer;

static inline void sv_put_field(sv_packer *p, uint64_t value, unsigned bits) {
    p->acc |= value << p->bits;
    p->bits += bits;
    if (p->end - p->out >= 8) { /* whole bytes of acc, and beyond them zeros that are overwritten next */
        sv_store64le(p->out, p->acc);
        p->out += p->bits >> 3;
        p->acc = p->bits >= 64 ? 0 : p->acc >> (p->bits & ~7u);
        p->bits &= 7;
    } else {
        for (; p->bits >= 8; p->bits -= 8) {
            *p->out++ = (uint8_t)p->acc;
            p->acc >>= 8;
        }
    }
}

static inline void sv_put(sv_packer *p, sv_pair value, unsigned bits) {
    if (bits <= SV_FIELD_MAX) {
        sv_put_field(p, value.lo, bits);
    } else {
        sv_put_field(p, value.lo & sv_low_mask(SV_FIELD_LOW), SV_FIELD_LOW);
        sv_put_field(p, value.lo >> SV_FIELD_LOW | value.hi << (64 - SV_FIELD_LOW), bits - SV_FIELD_LOW);
    }
}

/* The field of `bits` bits at bit `at` of a string of `size` bytes. */
static inline uint64_t sv_get_field(const uint8_t *packed, size_t size, size_t at, unsigned bits) {
    const size_t byte = at >> 3;
    uint64_t word = 0;
    if (size - byte >= 8) {
        word = sv_load64le(packed + byte);
    } else {
        for (size_t j = 0; j < size - byte; j++) {
            word |= (uint64_t)packed[byte + j] << (8 * j);
        }
    }
    return (word >> (at & 7)) & sv_low_mask(bits);
}

static inline sv_pair sv_get(const uint8_t *packed, size_t size, size_t i, unsigned bits) {
    if (bits <= SV_FIELD_MAX) {
        return sv_pair_of(sv_get_field(packed, size, i * bits, bits), 0);
    }
    const uint64_t low = sv_get_field(packed, size, i * bits, SV_FIELD_LOW);
    const uint64_t high = sv_get_field(packed, size, i * bits + SV_FIELD_LOW, bits - SV_FIELD_LOW);
    return sv_pair_of(low | high << SV_FIELD_LOW, high >> (64 - SV_FIELD_LOW));
}

/* ---- one or two primes ----

   primes         1 or 2
   prime_bits     b, 17 <= b <= 50; p[i] odd, 2^(b-1) < p[i] < 2^b; two are coprime
   bits           L, bit length of q = their product; b if there is one, 2b - 1 or 2b if there are two
   inverse        p[0]^-1 mod p[1]; inverse_shoup = floor(inverse 2^64 / p[1]); 0 with one prime
   half_shoup     floor(2^(b-1) 2^64 / p[i])
   top            2^(L-1) mod p[i] */
typedef struct {
    unsigned primes, prime_bits, bits;
    uint64_t p[2];
    sv_pair q;
    uint64_t inverse, inverse_shoup, half_shoup[2], top[2];
} sv_modulus;

/* x w mod p, below p; w < p, w_shoup = floor(w 2^64 / p), any x. */
static inline uint64_t sv_mul_shoup(uint64_t x, uint64_t w, uint64_t w_shoup, uint64_t p) {
    return sv_sub_if_ge(x * w - sv_mulhi64(x, w_shoup) * p, p);
}

/* z mod p[i] for 0 <= z < 2^L: the part below bit b - 1 is below p[i], the rest below 2^(b+1). */
static inline uint64_t sv_residue(sv_pair z, const sv_modulus *m, unsigned i) {
    const unsigned half = m->prime_bits - 1;
    const uint64_t high = sv_mul_shoup(sv_shr(z, half).lo, (uint64_t)1 << half, m->half_shoup[i], m->p[i]);
    return sv_sub_if_ge(high + (z.lo & sv_low_mask(half)), m->p[i]);
}

/* The digit t, below p[1], of the z below q with residues y0, y1: z = y0 + p[0] t. */
static inline uint64_t sv_mixed_digit(uint64_t y0, uint64_t y1, const sv_modulus *m) {
    /* p[0] < 2 p[1]: both have b bits. */
    const uint64_t difference = y1 + m->p[1] - sv_sub_if_ge(y0, m->p[1]);
    return sv_mul_shoup(difference, m->inverse, m->inverse_shoup, m->p[1]);
}

/* The z in [0, q) with these residues; y[1] is not read with one prime. */
static inline sv_pair sv_whole(const uint64_t *y, const sv_modulus *m) {
    if (m->primes == 1) {
        return sv_pair_of(y[0], 0);
    }
    sv_pair z;
    z.lo = sv_mul128(&z.hi, m->p[0], sv_mixed_digit(y[0], y[1], m));
    return sv_add(z, sv_pair_of(y[0], 0));
}

/* ---- slots: M = sum v_j 2^(w j), signed, borrows included ---- */
static inline sv_pair sv_join(const int32_t *values, unsigned slots, unsigned slot_bits) {
    sv_pair out = {0, 0};
    for (unsigned j = slots; j-- > 0;) {
        const uint64_t v = (uint64_t)(int64_t)values[j];
        out = sv_add(sv_shl(out, slot_bits), sv_pair_of(v, sv_sign(v)));
    }
    return out;
}

/* Low slot first, sign-extended; the last takes all that is left, saturating at +-(2^63 - 1). */
static inline void sv_split(int64_t *values, sv_pair x, unsigned slots, unsigned slot_bits) {
    const uint64_t top = (uint64_t)1 << (slot_bits - 1), most = sv_low_mask(63);
    for (unsigned j = 0; j + 1 < slots; j++) {
        const uint64_t v = ((x.lo & sv_low_mask(slot_bits)) ^ top) - top;
        values[j] = (int64_t)v;
        x = sv_sar(sv_sub(x, sv_pair_of(v, sv_sign(v))), slot_bits);
    }
    const uint64_t sign = sv_sign(x.hi);
    const uint64_t fits = (uint64_t)0 - (uint64_t)(x.hi == sv_sign(x.lo));
    values[slots - 1] = (int64_t)((x.lo & fits) | (((most ^ sign) - sign) & ~fits));
}

/* For vector back ends with two primes: 2^k M is the sum of M_g 2^(k + w c g), where M_g joins the slots from
   the c-th g on, c of them or what is left; c w <= 52, or c = 1.
   slots = c, count <= 3, factor[g][i] = 2^(k + w c g) mod p[i]. */
enum { SV_MAX_LIMBS = 3 };

typedef struct {
    unsigned slots, count;
    uint64_t factor[SV_MAX_LIMBS][2];
} sv_limbs;

/* Join and split where M is a word, below 2^63 in size. */
static inline uint64_t sv_join_word(const int32_t *values, unsigned slots, unsigned slot_bits) {
    uint64_t out = 0;
    for (unsigned j = slots; j-- > 0;) {
        out = (out << slot_bits) + (uint64_t)(int64_t)values[j];
    }
    return out;
}

static inline void sv_split_word(int64_t *values, uint64_t x, unsigned slots, unsigned slot_bits) {
    const uint64_t top = (uint64_t)1 << (slot_bits - 1), mask = sv_low_mask(slot_bits);
    for (unsigned j = 0; j + 1 < slots; j++) {
        const uint64_t v = ((x & mask) ^ top) - top, rest = x - v, sign = sv_sign(rest);
        values[j] = (int64_t)v;
        x = ((rest ^ sign) >> slot_bits) ^ sign;
    }
    values[slots - 1] = (int64_t)x;
}

/* ---- messages of vector back ends, a chunk of coefficients at a time ---- */
enum { SV_CHUNK = 64 };

/* Slots of n coefficients to sums of the `count` slots from the first-th on, each below 2^63 in size; and
   whole words back to slots.  With the usual counts as constants the loops unroll. */
#define SV_BY_COUNT(count, call) \
    switch (count) {             \
    case 1:                      \
        call(1);                 \
        break;                   \
    case 2:                      \
        call(2);                 \
        break;                   \
    case 3:                      \
        call(3);                 \
        break;                   \
    case 4:                      \
        call(4);                 \
        break;                   \
    default:                     \
        call(count);             \
    }

static inline void sv_join_words(int64_t *out, const int32_t *values, size_t n, unsigned slots, unsigned first,
                                 unsigned count, unsigned slot_bits) {
#define SV_JOIN(c)                                                                              \
    for (size_t i = 0; i < n; i++) {                                                            \
        out[i] = (int64_t)sv_join_word(values + i * slots + first, (c), slot_bits);             \
    }
    SV_BY_COUNT(count, SV_JOIN)
#undef SV_JOIN
}

static inline void sv_split_words(int64_t *values, const int64_t *in, size_t n, unsigned slots, unsigned slot_bits) {
#define SV_SPLIT(c)                                                                             \
    for (size_t i = 0; i < n; i++) {                                                            \
        sv_split_word(values + i * (c), (uint64_t)in[i], (c), slot_bits);                       \
    }
    SV_BY_COUNT(slots, SV_SPLIT)
#undef SV_SPLIT
}

/* Pairs of words to slots, as sv_split does. */
static inline void sv_split_pairs(int64_t *values, const uint64_t *lo, const uint64_t *hi, size_t n, unsigned slots,
                                  unsigned slot_bits) {
#define SV_SPLIT(c)                                                                             \
    for (size_t i = 0; i < n; i++) {                                                            \
        sv_split(values + i * (c), sv_pair_of(lo[i], hi[i]), (c), slot_bits);                   \
    }
    SV_BY_COUNT(slots, SV_SPLIT)
#undef SV_SPLIT
}

/* ---- arguments: parts of memory, outputs noted before inputs ---- */
enum { SV_MAX_EXTENTS = 8 };

typedef struct {
    uintptr_t at[SV_MAX_EXTENTS];
    size_t size[SV_MAX_EXTENTS];
    unsigned count;
} sv_extents;

static inline void sv_note(sv_extents *x, const void *at, size_t size) {
    x->at[x->count] = (uintptr_t)at;
    x->size[x->count++] = size;
}

/* Whether none of the first `outputs` parts shares memory with any other part. */
static inline int sv_apart(const sv_extents *x, unsigned outputs) {
    for (unsigned i = 0; i < outputs; i++) {
        for (unsigned j = i + 1; j < x->count; j++) {
            if (x->at[i] < x->at[j] + x->size[j] && x->at[j] < x->at[i] + x->size[i]) {
                return 0;
            }
        }
    }
    return 1;
}

#endif
