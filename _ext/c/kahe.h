#ifndef SOTTOVOCE_KAHE_H
#define SOTTOVOCE_KAHE_H

#include "cpu.h"
#include "lattice.h"

/* The inner loops of key-additive encryption.  Secret may be: random, ak and values of encrypt, and
   everything of open but its sizes.  No address and no branch depends on those.  Sizes, moduli,
   W, k', S and w are public.  No output overlaps an input or another output.

   Ring data is one vector of n residues a prime (m.primes pointers); a running sum is one vector of n
   words (W <= SV_KAHE_WORD_BITS) or two, of low and of high words. */

enum { SV_KAHE_WORD_BITS = SV_FIELD_MAX, SV_KAHE_MAX_DIGITS = 3 };

/* Bytes of randomness for one coefficient of a centred binomial CBD(42): two words of 64 bits,
   little-endian, of which the low 42 bits count. */
#define SV_KAHE_CBD_BYTES 16

/* Scaling between Z_q and Z_(2^W).

   m           the modulus, of L bits; q - 2^(L-1) > 42 with one prime
   wire_bits   W, 1 <= W < L
   slots, slot_bits  S, w: a message is M = sum v_j 2^(w j), |M| < 2^(S w - 1)
   scale_bits  k', 1 to L - S w: M is encrypted as 2^k' M, |2^k' M| < 2^(L-1) < q.
               With two primes W + k' <= L + 40.
   digits      the W bits of a quotient are found in this many pieces of digit_bits bits, the highest
               first; each below b = m.prime_bits
   recip       floor(2^(digit_bits + 64) / p), below 2^64 because 2^digit_bits <= 2^(b-1) < p */
typedef struct {
    sv_modulus m;
    unsigned wire_bits, scale_bits, slots, slot_bits, digits;
    unsigned digit_bits[SV_KAHE_MAX_DIGITS];
    uint64_t recip[SV_KAHE_MAX_DIGITS][2];
    sv_limbs limbs;
} sv_kahe_scale;

/* One back end.

   encrypt     packed = pack_W(round((ak + e + 2^k' M mod q) 2^W / q) mod 2^W), e = CBD(42) of random.
               n a multiple of 8; packed has n W / 8 bytes; values n S; ak[p][i] < p.
   accumulate  sum[i] += c[i] (negative = 0) or sum[i] -= c[i] (negative = 1), modulo 2^64 (one vector) or
               2^128 (two), for the n values of W bits in packed (n W / 8 bytes, n a multiple of 8).
   pack        the n values sum[i] mod 2^W, packed.
   open        x = sum[i] - round(ak[i] 2^W / q) centred modulo 2^W, M = round(x q / 2^(W+k')),
               r = x - round(M 2^(W+k') / q); values: the slots of M; *max_r = max |r|;
               *sum_r2 = sum of min(|r|, 2^24)^2, for n <= 2^14 below 2^63. */
typedef struct {
    void (*encrypt)(uint8_t *packed, const uint64_t *const *ak, const int32_t *values, const uint8_t *random,
                    size_t n, const sv_kahe_scale *s);
    void (*accumulate)(uint64_t *const *sum, const uint8_t *packed, size_t n, unsigned wire_bits, int negative);
    void (*pack)(uint8_t *packed, const uint64_t *const *sum, size_t n, unsigned wire_bits);
    void (*open)(int64_t *values, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *const *sum,
                 const uint64_t *const *ak, size_t n, const sv_kahe_scale *s);
} sv_kahe_kernel;

enum { SV_KAHE_PORTABLE = 0, SV_KAHE_AVX2 = 1, SV_KAHE_AVX512 = 2 };

extern const sv_kahe_kernel sv_kahe_portable;
#if SV_X86
extern const sv_kahe_kernel sv_kahe_avx2;
extern const sv_kahe_kernel sv_kahe_avx512;
#endif

/* The back end of that number, or NULL if it is not in this build. */
const sv_kahe_kernel *sv_kahe_kernel_of(int backend);

#endif
