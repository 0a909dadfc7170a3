#ifndef SOTTOVOCE_NTT_H
#define SOTTOVOCE_NTT_H

#include <stddef.h>
#include <stdint.h>

/* Negacyclic transforms and products.  The vectors x, a, b and out may be secret: no address and no
   branch depends on them.  Tables, sizes and q are public. */

/* Everything a transform needs; the tables belong to the caller.

   q        odd prime, 2^4 < q < 2^60, q = 1 mod 2n
   n        power of two, at least 2
   w        w[i] = psi^brv(i) mod q for i in [0, n), psi of order 2n, brv = reversal of log2(n) bits
   w_shoup  floor(w[i] 2^64 / q)
   v, v_shoup  the same for psi^-1
   n_inv, n_inv_shoup  n^-1 mod q
   bits     L, bit length of q
   barrett  floor(2^(L+63) / q), below 2^64 because q > 2^(L-1) */
typedef struct {
    uint64_t q;
    size_t n;
    const uint64_t *w, *w_shoup, *v, *v_shoup;
    uint64_t n_inv, n_inv_shoup;
    unsigned bits;
    uint64_t barrett;
} sv_ntt_tables;

/* x: rows vectors of n residues below q, in place.  Forward leaves the value at psi^(2 brv(i) + 1) in
   place i; inverse undoes it.  Both give residues below q. */
void sv_ntt_forward_portable(uint64_t *x, size_t rows, const sv_ntt_tables *t);
void sv_ntt_inverse_portable(uint64_t *x, size_t rows, const sv_ntt_tables *t);

/* out[r][i] = a[r][i] b[i] mod q, all below q; b is one vector of n.  out may be a itself, and overlaps
   neither b nor another part of a. */
void sv_ntt_multiply_portable(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                              const sv_ntt_tables *t);

#endif
