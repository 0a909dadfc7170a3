#ifndef SOTTOVOCE_KAHE_H
#define SOTTOVOCE_KAHE_H

#include <stddef.h>
#include <stdint.h>

/* The inner loops of key-additive encryption.  Secret may be: random, ak and m of encrypt, out of cbd, and
   everything of open but its sizes.  No address and no branch depends on those.  Sizes, q, W and k' are
   public.  No output overlaps an input or another output. */

/* Scaling between Z_q and Z_(2^W).

   q           odd, 2^(L-1) < q < 2^L, 17 <= L <= 56, q - 2^(L-1) > 42
   wire_bits   W, 1 <= W < L
   scale_bits  k', 1 <= k' < L: the message m is encrypted as 2^k' m, |m| < 2^(L-1-k')
   recip       floor(2^(W+64) / q), below 2^64 because 2^W <= 2^(L-1) < q */
typedef struct {
    uint64_t q;
    uint64_t recip;
    unsigned wire_bits, scale_bits;
} sv_kahe_scale;

/* Bytes of randomness for one coefficient of a centred binomial CBD(42): two words of 64 bits,
   little-endian, of which the low 42 bits count. */
#define SV_KAHE_CBD_BYTES 16

/* out[i] = popcount42(first word) - popcount42(second word), in [-42, 42]. */
void sv_kahe_cbd_portable(int64_t *out, const uint8_t *random, size_t n);

/* packed = pack_W(round((ak[i] + e[i] + 2^k' m[i] mod q) 2^W / q) mod 2^W), e = CBD(42) of random.
   n a multiple of 8; packed has n W / 8 bytes; ak[i] < q; |m[i]| < 2^(L-1-k'). */
void sv_kahe_encrypt_portable(uint8_t *packed, const uint64_t *ak, const int64_t *m, const uint8_t *random,
                              size_t n, const sv_kahe_scale *s);

/* sum[i] += c[i] (sign = 0) or sum[i] -= c[i] (sign = 1) modulo 2^64, for the n values of W bits in
   packed (n W / 8 bytes, n a multiple of 8, W <= 56). */
void sv_kahe_accumulate_portable(uint64_t *sum, const uint8_t *packed, size_t n, unsigned wire_bits, int sign);

/* The n values sum[i] mod 2^W, packed. */
void sv_kahe_pack_portable(uint8_t *packed, const uint64_t *sum, size_t n, unsigned wire_bits);

/* Open n coefficients: x = sum[i] - round(ak[i] 2^W / q) centred modulo 2^W,
   m[i] = round(x q / 2^(W+k')), r = x - round(m[i] 2^(W+k') / q).
   *max_r = max |r|; *sum_r2 = sum of min(|r|, 2^24)^2, for n <= 2^14 below 2^63. */
void sv_kahe_open_portable(int64_t *m, uint64_t *max_r, uint64_t *sum_r2, const uint64_t *sum,
                           const uint64_t *ak, size_t n, const sv_kahe_scale *s);

#endif
