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

enum {
    SV_GF256_PORTABLE = 0,
    SV_GF256_AVX2 = 1,
    SV_GF256_AVX2_GFNI = 2,
    SV_GF256_AVX512_GFNI = 3,
    SV_GF256_NEON = 4,
    SV_GF256_BACKENDS = 5
};

/* Multiply a by b; used for tables only, on public values. */
uint8_t sv_gf256_mul(uint8_t a, uint8_t b);

/* Bytes of the tables of one coefficient: two 16-byte nibble tables, one 8-byte bit matrix, or none. */
size_t sv_gf256_entry_bytes(int backend);

/* What a back end makes of a matrix beforehand: rows * cols * sv_gf256_entry_bytes(backend) bytes, any
   alignment.  Groups of rows one after the other, in each column by column, as they are read. */
void sv_gf256_prepare(uint8_t *tables, const uint8_t *matrix, size_t rows, size_t cols, int backend);

/* Room that the caller lends to a product: a block of columns of all inputs, packed; any alignment. */
size_t sv_gf256_scratch_bytes(size_t rows, size_t cols, size_t length, int backend);

/* out: rows pointers; in: cols pointers; each to length bytes, any alignment.  No output overlaps
   another output or an input.  tables: by sv_gf256_prepare for the same matrix and back end. */
int sv_gf256_multiply(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix,
                      const uint8_t *tables, size_t rows, size_t cols, size_t length, int accumulate,
                      uint8_t *scratch, int backend);

/* -- between the files of this kernel ----------------------------------------------------------------- */

/* The portable back end does columns [begin, end). */
void sv_gf256_portable(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix, size_t rows,
                       size_t cols, size_t begin, size_t end, int accumulate);
#if SV_X86 || SV_NEON
/* Rows of the next group when so many are left. */
size_t sv_gf256_height(size_t rows_left, int backend);

/* Lines of the next block that are asked for while this one is computed, a few at each step: with so many
   rows the processor does not foresee them all. */
typedef struct {
    const uint8_t *const *in;
    size_t at, count; /* of the next block; count 0: none */
    size_t cols, share; /* lines at each step */
    size_t row, line; /* next to be asked for */
} sv_gf256_ahead;

static inline void sv_gf256_ask(sv_gf256_ahead *a) {
#if defined(__GNUC__)
    for (size_t i = 0; i < a->share && a->row < a->cols; i++) {
        __builtin_prefetch(a->in[a->row] + a->at + a->line, 0, 2);
        a->line += 64;
        if (a->line >= a->count) {
            a->line = 0;
            a->row++;
        }
    }
#else
    (void)a;
#endif
}

/* One block of columns, all groups of rows: count bytes, whole vectors, from in[j] to out[r] + at.
   stream: stores that go past the cache; out[r] + at then are multiples of 64. */
typedef void sv_gf256_block(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables, size_t rows,
                            size_t cols, size_t at, size_t count, int accumulate, int stream,
                            sv_gf256_ahead *ahead);
sv_gf256_block sv_gf256_avx2, sv_gf256_avx2_gfni, sv_gf256_avx512_gfni, sv_gf256_neon;
#endif

#endif
