/* Samplers in 64-bit integers: the definition that every other back end equals. */
#include "sampler.h"

static inline uint64_t load64le(const uint8_t *p) {
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* Number of set bits (Hacker's Delight, figure 5-2): no table, hence no secret index. */
static inline int64_t popcount64(uint64_t x) {
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int64_t)((x * 0x0101010101010101u) >> 56);
}

void sv_sampler_cbd_portable(int64_t *out, const uint8_t *random, size_t n, int eta) {
    const uint64_t low21 = 0x1fffffu, low42 = 0x3ffffffffffu;
    if (eta == 21) {
        for (size_t i = 0; i < n; i++) {
            /* popcount(a) - popcount(b) = popcount(a) + popcount(~b) - 21: one count for both. */
            out[i] = popcount64((load64le(random + 8 * i) & low42) ^ (low21 << 21)) - 21;
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            out[i] = popcount64(load64le(random + 16 * i) & low42) - popcount64(load64le(random + 16 * i + 8) & low42);
        }
    }
}

size_t sv_sampler_ternary_portable(int64_t *out, const uint16_t *random, size_t n) {
    size_t rejected = 0;
    for (size_t i = 0; i < n; i++) {
        /* Comparisons and no division, whose time may depend on the operand.  The borrow of r - t is bit
           31, so each ~ adds one where r >= t. */
        const uint32_t r = random[i];
        const uint32_t last = ~(r - 65535u) >> 31;
        out[i] = (int64_t)((~(r - 21845u) >> 31) + (~(r - 43690u) >> 31) + last) - 1;
        rejected += last;
    }
    return rejected;
}

size_t sv_sampler_uniform_portable(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                                   uint64_t bound) {
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    size_t done = 0, i = 0;
    /* Blocks of eight words, all of which are nearly always kept.  What is written lies at or before what
       was read, so out may be words. */
    for (; m - i >= 8 && n - done >= 8; i += 8) {
        uint64_t w[8], all = 1;
        for (size_t j = 0; j < 8; j++) {
            w[j] = words[i + j] & mask;
            all &= (uint64_t)(w[j] < bound);
        }
        if (all) {
            for (size_t j = 0; j < 8; j++) {
                out[done + j] = w[j];
            }
            done += 8;
        } else {
            for (size_t j = 0; j < 8; j++) {
                out[done] = w[j];
                done += (size_t)(w[j] < bound);
            }
        }
    }
    for (; i < m && done < n; i++) {
        const uint64_t w = words[i] & mask;
        if (w < bound) {
            out[done++] = w;
        }
    }
    return done;
}

void sv_sampler_residues_portable(uint64_t *out, const int64_t *x, size_t n, uint64_t q) {
    for (size_t i = 0; i < n; i++) {
        const uint64_t v = (uint64_t)x[i];
        out[i] = v + (q & ((uint64_t)0 - (v >> 63)));
    }
}
