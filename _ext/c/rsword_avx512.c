#include "rsword.h"

#if SV_X86
#include <immintrin.h>
#include <string.h>

/* 64 words in lanes, with GFNI.  The inner field is GF(2)[x] / 0x11B, the only one that gf2p8mulb knows; into it
   and back lead 8x8 bit matrices (gf2p8affineqb).  Coefficients of the parity matrix are such matrices too,
   in the field of the code itself. */

#define TARGET SV_TARGET("avx512f,avx512bw,avx512dq,avx512vl,gfni")
#ifdef SV_EMULATE_AVX512
#define INLINE static inline
#else
#define INLINE static inline __attribute__((always_inline)) TARGET
#endif

typedef __m512i V;
enum { LANES = 64, GROUP = 8, COEFFICIENT = 8, CONSTANT = 8, MAP = 8 };

INLINE V v_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE void v_store(uint8_t *p, V x) { _mm512_storeu_si512(p, x); }
INLINE V v_xor(V a, V b) { return _mm512_xor_si512(a, b); }
INLINE V v_and(V a, V b) { return _mm512_and_si512(a, b); }
INLINE V v_or(V a, V b) { return _mm512_or_si512(a, b); }
INLINE V v_zero(void) { return _mm512_setzero_si512(); }
INLINE V v_byte(size_t x) { return _mm512_set1_epi8((char)x); }
INLINE V v_eq(V a, V b) { return _mm512_movm_epi8(_mm512_cmpeq_epi8_mask(a, b)); }
INLINE V v_max(V a, V b) { return _mm512_max_epu8(a, b); }
INLINE V v_adds(V a, V b) { return _mm512_adds_epu8(a, b); }
INLINE V v_sub(V a, V b) { return _mm512_sub_epi8(a, b); }
INLINE V v_select(V mask, V yes, V no) { return _mm512_ternarylogic_epi64(mask, yes, no, 0xCA); }

INLINE V eight(const uint8_t *p) { /* eight bytes, in all eight words of a vector */
    long long word;
    memcpy(&word, p, 8);
    return _mm512_set1_epi64(word);
}

typedef V operand;

INLINE operand prepare(V x) { return x; }
INLINE V multiply(operand a, operand b) { return _mm512_gf2p8mul_epi8(a, b); }
INLINE V quotient(V a, V b) {
    const V identity = _mm512_set1_epi64(0x0102040810204080);
    return multiply(a, _mm512_gf2p8affineinv_epi64_epi8(b, identity, 0));
}

static uint8_t element(uint8_t a, uint8_t b) {
    unsigned product = 0, shifted = a;
    for (int bit = 0; bit < 8; bit++) {
        product ^= b >> bit & 1 ? shifted : 0;
        shifted = shifted << 1 ^ (shifted >> 7 ? 0x11B : 0);
    }
    return (uint8_t)product;
}

/* Bit i of the product is the parity of the operand and byte 7 - i: bit j of that byte is bit i of image j. */
static void make_map(uint8_t *table, const uint8_t images[8]) {
    memset(table, 0, 8);
    for (int j = 0; j < 8; j++) {
        for (int i = 0; i < 8; i++) {
            table[7 - i] |= (uint8_t)((images[j] >> i & 1) << j);
        }
    }
}

typedef V digits;
INLINE digits digits_of(V x) { return x; }
INLINE V map(const uint8_t *table, digits x) { return _mm512_gf2p8affine_epi64_epi8(x, eight(table), 0); }

/* Eight times the byte: to broadcast eight bytes from memory is a load and nothing else. */
static void make_constant(uint8_t *tables, size_t i, uint8_t c) { memset(tables + CONSTANT * i, c, 8); }
INLINE V constant(const uint8_t *tables, size_t i, digits x) { return multiply(x, eight(tables + CONSTANT * i)); }

static void make_coefficient(const sv_rs_code *code, uint8_t *table, unsigned c) {
    uint8_t images[8];
    for (unsigned bit = 0; bit < 8; bit++) {
        images[bit] = bit < code->bits ? (uint8_t)sv_rs_mul(code, c, 1u << bit) : 0;
    }
    make_map(table, images);
}

/* out = parity matrix times tile, as in rsword_avx2.c: eight rows of out, one or two vectors wide. */
INLINE void eight_rows(const uint8_t *table, uint8_t *out, const uint8_t *in, size_t k, size_t width,
                       const int vectors) {
    V sum[GROUP][2];
#pragma GCC unroll 8
    for (int r = 0; r < GROUP; r++) {
        sum[r][0] = sum[r][1] = v_zero();
    }
    for (size_t j = 0; j < k; j++, table += GROUP * COEFFICIENT) {
        V x[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            x[v] = v_load(in + (k - 1 - j) * width + LANES * v);
        }
#pragma GCC unroll 8
        for (int r = 0; r < GROUP; r++) {
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                sum[r][v] = v_xor(sum[r][v], map(table + COEFFICIENT * r, x[v]));
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < GROUP; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            v_store(out + r * width + LANES * v, sum[r][v]);
        }
    }
}

TARGET static void product(const uint8_t *tables, size_t groups, size_t longest, uint8_t *out, const uint8_t *in,
                           size_t k, size_t width) {
    for (size_t g = 0; g < groups; g++, tables += GROUP * COEFFICIENT * longest, out += GROUP * width) {
        if (width == LANES) {
            eight_rows(tables, out, in, k, width, 1);
        } else {
            eight_rows(tables, out, in, k, width, 2);
        }
    }
}

#include "rsword_lanes.h"

size_t sv_rs_avx512_tables(unsigned bits, unsigned nsym) { return table_bytes(bits, nsym); }
void sv_rs_avx512_init(sv_rs_code *code) { init_tables(code); }
size_t sv_rs_avx512_scratch(const sv_rs_code *code, size_t n) { return scratch_bytes(code, n); }
TARGET void sv_rs_encode_avx512(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    encode_lanes(code, batch, scratch);
}
TARGET void sv_rs_check_avx512(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    check_lanes(code, batch, scratch);
}
TARGET void sv_rs_decode_avx512(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    decode_lanes(code, batch, scratch);
}
#endif
