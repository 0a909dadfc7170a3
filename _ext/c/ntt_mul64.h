#ifndef SOTTOVOCE_NTT_MUL64_H
#define SOTTOVOCE_NTT_MUL64_H

#include <stdint.h>

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif

/* 64 x 64 -> 128 bits: low half returned, high half in *hi.  Constant time wherever the processor's
   multiplier is. */
static inline uint64_t sv_mul128(uint64_t *hi, uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 u128;
    const u128 z = (u128)a * b;
    *hi = (uint64_t)(z >> 64);
    return (uint64_t)z;
#elif defined(_MSC_VER) && defined(_M_X64)
    return _umul128(a, b, hi);
#else
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, p11 = a1 * b1;
    /* At most 3 (2^32 - 1) < 2^34: no carry is lost. */
    const uint64_t mid = (p00 >> 32) + (uint32_t)p01 + (uint32_t)p10;
    *hi = p11 + (p01 >> 32) + (p10 >> 32) + (mid >> 32);
    return (mid << 32) | (uint32_t)p00;
#endif
}

static inline uint64_t sv_mulhi64(uint64_t a, uint64_t b) {
    uint64_t hi;
    (void)sv_mul128(&hi, a, b);
    return hi;
}

/* x - m if x >= m, else x, without a branch on x. */
static inline uint64_t sv_sub_if_ge(uint64_t x, uint64_t m) {
    return x - (m & ((uint64_t)0 - (uint64_t)(x >= m)));
}

#endif
