#ifndef SOTTOVOCE_RSWORD_H
#define SOTTOVOCE_RSWORD_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

/* Reed-Solomon words over GF(2^bits), bits from 2 to 16: parity and correction of unknown errors and erasures.

   Symbol p of a word of n symbols is the coefficient of x^(n-1-p); its locator is X = a^(n-1-p), a being the
   generator.  The word is a codeword if its value is zero at a^(fcr+i) for i = 0 ... nsym-1.  Words may be
   shorter than order = 2^bits - 1; they are longer than nsym.  Symbols are bytes for bits <= 8 ("narrow"), uint16_t else.

   Nothing here is secret: tables are looked up by symbols, and branches depend on them. */

enum { SV_RS_OK = 0, SV_RS_NO_BACKEND = 1, SV_RS_NOT_PRIMITIVE = 2 };

enum { SV_RS_PORTABLE = 0, SV_RS_AVX2 = 1, SV_RS_AVX512 = 2 };

/* Status of a word that is no codeword and has none within reach; else the number of symbols changed. */
#define SV_RS_FAILED (-1)

typedef struct {
    unsigned bits, order, nsym, fcr; /* fcr reduced modulo order */
    int backend;
    uint16_t *exp;      /* 2 * order: a^i */
    uint16_t *log;      /* 2^8 or 2^16, log[0] and what is beyond the field are 0 */
    uint16_t *gen;      /* nsym + 1 coefficients of the generator polynomial, the leading 1 first */
    uint64_t *steps;    /* narrow: 256 rows of step words, f times gen without its leading 1 */
    uint8_t *vector;    /* tables of the vector back end, 64-byte aligned */
} sv_rs_code;

/* One call of sv_rs_decode or sv_rs_encode, all words of one length n.  Strides in bytes. */
typedef struct {
    size_t words, n;
    const uint8_t *in;
    size_t in_stride;
    uint8_t *out;
    size_t out_stride;
    const uint8_t *erased; /* n flags a word, or NULL */
    size_t erased_stride;  /* 0: one row for all words */
    int32_t *status;
} sv_rs_batch;

/* Bytes of memory that a code needs for its tables, and that one call needs as scratch; any alignment. */
size_t sv_rs_table_bytes(unsigned bits, unsigned nsym, int backend);
size_t sv_rs_scratch_bytes(const sv_rs_code *code, size_t n);

/* Fill in the tables.  prim has degree bits; 1 <= nsym < order; 2 <= generator < 2^bits. */
int sv_rs_init(sv_rs_code *code, uint8_t *memory, unsigned bits, uint32_t prim, unsigned generator, unsigned fcr,
               unsigned nsym, int backend);

/* in: messages of n - nsym symbols; out: words of n.  out may begin at in (same stride), else no overlap. */
void sv_rs_encode(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);

/* Flag 1 in status for codewords, else 0. */
void sv_rs_check(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);

/* Correct words: e errors and v erasures where 2 e + v <= nsym.  A word for which there is no codeword
   so near comes out as it came in, with SV_RS_FAILED.  The syndromes of what is added to a word are
   compared with those of the word before it is changed, so what comes out corrected is a codeword.
   out is in, or does not overlap it. */
void sv_rs_decode(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);

/* For the back ends. */
static inline uint16_t sv_rs_mul(const sv_rs_code *code, unsigned a, unsigned b) {
    return a && b ? code->exp[(unsigned)code->log[a] + code->log[b]] : 0;
}

static inline int sv_rs_narrow(const sv_rs_code *code) {
    return code->bits <= 8;
}

/* Words of a row of steps: symbol j in bits 8 (j mod 8) of word j / 8. */
static inline size_t sv_rs_step_words(size_t nsym) {
    return (nsym + 7) / 8;
}

size_t sv_rs_portable_scratch(const sv_rs_code *code, size_t n);
void sv_rs_encode_portable(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
void sv_rs_check_portable(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
void sv_rs_decode_portable(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
#if SV_X86
size_t sv_rs_avx2_tables(unsigned bits, unsigned nsym);
void sv_rs_avx2_init(sv_rs_code *code);
size_t sv_rs_avx2_scratch(const sv_rs_code *code, size_t n);
void sv_rs_encode_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
void sv_rs_check_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
void sv_rs_decode_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
size_t sv_rs_avx512_tables(unsigned bits, unsigned nsym);
void sv_rs_avx512_init(sv_rs_code *code);
size_t sv_rs_avx512_scratch(const sv_rs_code *code, size_t n);
void sv_rs_encode_avx512(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
void sv_rs_check_avx512(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
void sv_rs_decode_avx512(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch);
#endif

#endif
