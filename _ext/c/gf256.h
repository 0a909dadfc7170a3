#ifndef SOTTOVOCE_GF256_H
#define SOTTOVOCE_GF256_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

/* Products of a matrix and rows of bytes over GF(2^8) = GF(2)[x]/(x^8 + x^4 + x^3 + x^2 + 1), 0x11D.

   out[r][c] = (accumulate ? out[r][c] : 0) + sum over j of matrix[r * cols + j] * in[j][c]

   The matrix is public.  The rows may be secret: no back end looks anything up in memory by a byte of
   a row, and none branches on one (docs/kernels.md, "GF(2^8)"). */

enum { SV_GF256_OK = 0, SV_GF256_NO_BACKEND = 1 };

enum { SV_GF256_PORTABLE = 0, SV_GF256_AVX2 = 1, SV_GF256_AVX2_GFNI = 2, SV_GF256_AVX512_GFNI = 3 };

/* Room that the caller lends per coefficient: two 16-byte nibble tables, or one 8-byte bit matrix. */
#define SV_GF256_SCRATCH_BYTES 32

/* Multiply a by b; used for tables only, on public values. */
uint8_t sv_gf256_mul(uint8_t a, uint8_t b);

/* out: rows pointers; in: cols pointers; each to length bytes, any alignment.  No output overlaps
   another output or an input.  scratch: rows * cols * SV_GF256_SCRATCH_BYTES bytes, any alignment. */
int sv_gf256_multiply(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix, size_t rows,
                      size_t cols, size_t length, int accumulate, uint8_t *scratch, int backend);

/* Back ends.  The portable one does columns [begin, end); a vectorised one does whole vectors from
   column 0, from tables made by its prepare function, and returns how many columns it did. */
void sv_gf256_portable(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix, size_t rows,
                       size_t cols, size_t begin, size_t end, int accumulate);
#if SV_X86
void sv_gf256_nibble_tables(uint8_t *tables, const uint8_t *matrix, size_t count);
void sv_gf256_bit_matrices(uint8_t *tables, const uint8_t *matrix, size_t count);
size_t sv_gf256_avx2(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables, size_t rows,
                     size_t cols, size_t length, int accumulate);
size_t sv_gf256_avx2_gfni(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables, size_t rows,
                          size_t cols, size_t length, int accumulate);
size_t sv_gf256_avx512_gfni(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables, size_t rows,
                            size_t cols, size_t length, int accumulate);
#endif

#endif
