#ifndef SOTTOVOCE_RLWE_H
#define SOTTOVOCE_RLWE_H

#include "cpu.h"
#include "lattice.h"

/* The inner loops of public-key additive encryption.  Secret may be: random, y and values of encrypt, y of
   pack, and everything of open but its sizes.  No address and no branch depends on those.  Ciphertexts
   (packed, and total of accumulate and add), sizes, moduli, k, S, w, d and weights are public.  No output
   overlaps an input or another output.

   Ring data is one vector of n residues a prime (m.primes pointers), n a multiple of 8; packed is a
   string of n values of L - d bits, n (L - d) / 8 bytes. */

/* Bytes of randomness for one coefficient of a centred binomial CBD(21): one word of 64 bits,
   little-endian, popcount(low 21 bits) - popcount(next 21 bits). */
enum { SV_RLWE_CBD_BYTES = 8 };

/* Scaling of messages and rounding of ciphertexts.

   m           the modulus, of L bits; q - 2^(L-1) > 42 with one prime
   scale_bits  k, at least 1: M = sum v_j 2^(w j) is encrypted as 2^k M, |2^k M| < 2^(L-1) < q
   slots, slot_bits  S, w; S w + k <= L
   drop_bits   d: a residue z is sent as round_d(z) = floor(z / 2^d + 1/2), or as 0 if round_d(z) 2^d >= q
   wire_bits   L - d, at least 2 */
typedef struct {
    sv_modulus m;
    unsigned scale_bits, slots, slot_bits, drop_bits, wire_bits;
    sv_limbs limbs;
} sv_rlwe_rounding;

/* A public factor, |value| < 2^24: value mod p and value 2^(b-1) mod p, b = m.prime_bits, with their
   quotients floor(x 2^64 / p). */
typedef struct {
    int64_t value;
    uint64_t low[2], low_shoup[2], high[2], high_shoup[2];
} sv_rlwe_weight;

/* One back end.

   encrypt     packed = round_d(y + e + 2^k M mod q), e = CBD(21) of random; values n S, or NULL for M = 0
   pack        packed = round_d(y)
   unpack      y = v 2^d mod every prime
   check       index of the first value v with v 2^d >= q, or n
   accumulate  total += weight v 2^d mod every prime; packed has been checked
   add         total += weight y mod every prime
   open        z = y centred in (-q/2, q/2), M = floor(z / 2^k + 1/2), values: the slots of M,
               *max_r = max |z - 2^k M|, at most 2^63 - 1 */
typedef struct {
    void (*encrypt)(uint8_t *packed, const uint64_t *const *y, const int32_t *values, const uint8_t *random,
                    size_t n, const sv_rlwe_rounding *s);
    void (*pack)(uint8_t *packed, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s);
    void (*unpack)(uint64_t *const *y, const uint8_t *packed, size_t n, const sv_rlwe_rounding *s);
    size_t (*check)(const uint8_t *packed, size_t n, const sv_rlwe_rounding *s);
    void (*accumulate)(uint64_t *const *total, const uint8_t *packed, const sv_rlwe_weight *weight, size_t n,
                       const sv_rlwe_rounding *s);
    void (*add)(uint64_t *const *total, const uint64_t *const *y, const sv_rlwe_weight *weight, size_t n,
                const sv_rlwe_rounding *s);
    void (*open)(int64_t *values, uint64_t *max_r, const uint64_t *const *y, size_t n, const sv_rlwe_rounding *s);
} sv_rlwe_kernel;

enum { SV_RLWE_PORTABLE = 0, SV_RLWE_AVX2 = 1, SV_RLWE_AVX512 = 2 };

extern const sv_rlwe_kernel sv_rlwe_portable;
#if SV_X86
extern const sv_rlwe_kernel sv_rlwe_avx2;
extern const sv_rlwe_kernel sv_rlwe_avx512;
#endif

/* The back end of that number, or NULL if it is not in this build. */
const sv_rlwe_kernel *sv_rlwe_kernel_of(int backend);

#endif
