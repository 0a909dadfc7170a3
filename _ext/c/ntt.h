#ifndef SOTTOVOCE_NTT_H
#define SOTTOVOCE_NTT_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

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
   barrett  floor(2^(L+63) / q), below 2^64 because q > 2^(L-1)

   vector_w, vector_v  tables of the vector back end that is used, or NULL: then it calls the portable
   functions.  Each has 2n words, doubles or integers, the first n/4 of them for passes that broadcast
   a root, the rest in the order in which the last (first, in the inverse) pass loads them.  With
   lanes = 4 or 8 and pair(r) = (r, r / q):
     words 2 i, 2 i + 1                 pair(w[i]), 0 <= i < n/8
     from word n/4 on, for each block of `lanes` consecutive groups g of eight coefficients and each of
     its seven roots   w[n/8 + g], w[n/4 + 2g + {0,1}], w[n/2 + 4g + {0,1,2,3}]:
       `lanes` roots, then `lanes` quotients.
   vector_v is made the same way from v, save that pair 0 is pair(n^-1) and pair 1 is pair(v[1] n^-1). */
typedef struct {
    uint64_t q;
    size_t n;
    const uint64_t *w, *w_shoup, *v, *v_shoup;
    uint64_t n_inv, n_inv_shoup;
    unsigned bits;
    uint64_t barrett;
    const void *vector_w, *vector_v;
} sv_ntt_tables;

enum {
    SV_NTT_PORTABLE = 0,
    SV_NTT_AVX2 = 1,
    SV_NTT_AVX512 = 2,
};

/* Of the vector back ends: q < 2^SV_NTT_VECTOR_BITS, and the least n. */
enum { SV_NTT_VECTOR_BITS = 50, SV_NTT_AVX2_LEAST = 32, SV_NTT_AVX512_LEAST = 64 };

/* x: rows vectors of n residues below q, in place.  Forward leaves the value at psi^(2 brv(i) + 1) in
   place i; inverse undoes it.  Both give residues below q. */
void sv_ntt_forward_portable(uint64_t *x, size_t rows, const sv_ntt_tables *t);
void sv_ntt_inverse_portable(uint64_t *x, size_t rows, const sv_ntt_tables *t);

/* out[r][i] = a[r][i] b[i] mod q, all below q; b is one vector of n.  out may be a itself, and overlaps
   neither b nor another part of a. */
void sv_ntt_multiply_portable(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                              const sv_ntt_tables *t);

#if SV_X86
/* The same results, bit by bit.  They need tables in vector_w, vector_v (multiply: their presence only):
   avx2    AVX2, FMA; 4 lanes of doubles: roots centred in (-q/2, q/2), quotients rounded to nearest
   avx512  AVX-512 F and IFMA; 8 lanes of integers: roots in [0, q), quotients floor(r 2^52 / q) */
void sv_ntt_forward_avx2(uint64_t *x, size_t rows, const sv_ntt_tables *t);
void sv_ntt_inverse_avx2(uint64_t *x, size_t rows, const sv_ntt_tables *t);
void sv_ntt_multiply_avx2(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                          const sv_ntt_tables *t);
void sv_ntt_forward_avx512(uint64_t *x, size_t rows, const sv_ntt_tables *t);
void sv_ntt_inverse_avx512(uint64_t *x, size_t rows, const sv_ntt_tables *t);
void sv_ntt_multiply_avx512(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                            const sv_ntt_tables *t);
#endif

/* By the number of the back end; without vector tables, or in a build without it, the portable one. */
void sv_ntt_forward(uint64_t *x, size_t rows, const sv_ntt_tables *t, int backend);
void sv_ntt_inverse(uint64_t *x, size_t rows, const sv_ntt_tables *t, int backend);
void sv_ntt_multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                     const sv_ntt_tables *t, int backend);

#endif
