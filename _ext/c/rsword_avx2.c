#include "rsword.h"

#if SV_X86 && !defined(SV_EMULATE_AVX512)
#include <immintrin.h>

/* 32 words in lanes.  A product with a constant is two shuffles, low[x & 15] + high[x >> 4].

   The product of two lanes has no instruction: the inner field is the tower GF(16)[y] / (y^2 + y + L) over
   GF(2)[z] / (z^4 + z + 1), the high nibble before y.  With Karatsuba,

     (a1 y + a0)(b1 y + b0) = ((a1 + a0)(b1 + b0) + a0 b0) y + a0 b0 + L a1 b1

   is three products of nibbles by logarithms in registers.  log 0 is 0xC0: a sum with it keeps its top bit
   (saturated addition), and vpshufb gives 0 for it. */

#define TARGET SV_TARGET("avx2")
#define INLINE static inline __attribute__((always_inline)) TARGET

typedef __m256i V;
enum { LANES = 32, GROUP = 4, COEFFICIENT = 32, CONSTANT = 32, MAP = 32 };

INLINE V v_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void v_store(uint8_t *p, V x) { _mm256_storeu_si256((__m256i *)p, x); }
INLINE V v_xor(V a, V b) { return _mm256_xor_si256(a, b); }
INLINE V v_and(V a, V b) { return _mm256_and_si256(a, b); }
INLINE V v_or(V a, V b) { return _mm256_or_si256(a, b); }
INLINE V v_zero(void) { return _mm256_setzero_si256(); }
INLINE V v_byte(size_t x) { return _mm256_set1_epi8((char)x); }
INLINE V v_eq(V a, V b) { return _mm256_cmpeq_epi8(a, b); }
INLINE V v_max(V a, V b) { return _mm256_max_epu8(a, b); }
INLINE V v_adds(V a, V b) { return _mm256_adds_epu8(a, b); }
INLINE V v_sub(V a, V b) { return _mm256_sub_epi8(a, b); }
INLINE V v_select(V mask, V yes, V no) { return _mm256_blendv_epi8(no, yes, mask); }

INLINE V table16(const uint8_t *t) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)t)); }

/* ---- the inner field ---- */

#define LOG0 0xC0
enum { L = 8 }; /* y^2 + y + 8 has no zero in GF(16) */

/* z = 2 generates: EXP[i] = 2^i; index 15 is not used. */
static const uint8_t EXP[16] = {1, 2, 4, 8, 3, 6, 12, 11, 5, 10, 7, 14, 15, 13, 9, 0};
static const uint8_t LOG[16] = {LOG0, 0, 1, 4, 2, 8, 5, 10, 3, 14, 9, 7, 6, 13, 11, 12};
/* EXP shifted to the high nibble; in both; and times L = 2^3. */
static const uint8_t EXP_HIGH[16] = {0x10, 0x20, 0x40, 0x80, 0x30, 0x60, 0xC0, 0xB0,
                                     0x50, 0xA0, 0x70, 0xE0, 0xF0, 0xD0, 0x90, 0};
static const uint8_t EXP_BOTH[16] = {0x11, 0x22, 0x44, 0x88, 0x33, 0x66, 0xCC, 0xBB,
                                     0x55, 0xAA, 0x77, 0xEE, 0xFF, 0xDD, 0x99, 0};
static const uint8_t EXP_L[16] = {8, 3, 6, 12, 11, 5, 10, 7, 14, 15, 13, 9, 1, 2, 4, 0};
/* x^2; L x^2; and the logarithm of 1/x. */
static const uint8_t SQUARE[16] = {0, 1, 4, 5, 3, 2, 7, 6, 12, 13, 8, 9, 15, 14, 11, 10};
static const uint8_t SQUARE_L[16] = {0, 8, 6, 14, 11, 3, 13, 5, 10, 2, 12, 4, 1, 9, 7, 15};
static const uint8_t LOG_INVERSE[16] = {LOG0, 0, 14, 11, 13, 7, 10, 5, 12, 1, 6, 8, 9, 2, 4, 3};

typedef struct { V low, high, both; } operand; /* logarithms of a0, a1, a0 + a1 */

INLINE operand prepare(V x) {
    const V nibble = v_byte(15), log = table16(LOG);
    const V low = v_and(x, nibble), high = v_and(_mm256_srli_epi64(x, 4), nibble);
    const operand logs = {_mm256_shuffle_epi8(log, low), _mm256_shuffle_epi8(log, high),
                          _mm256_shuffle_epi8(log, v_xor(low, high))};
    return logs;
}

/* The entry of a table for the sum of two logarithms: 0 to 14, or 15 to 28 less 15, or with the top bit. */
INLINE V power(const uint8_t *table, V log_a, V log_b) {
    const V sum = v_adds(log_a, log_b);
    return _mm256_shuffle_epi8(table16(table), _mm256_min_epu8(sum, v_sub(sum, v_byte(15))));
}

INLINE V multiply(operand a, operand b) {
    const V low = power(EXP_BOTH, a.low, b.low), high = power(EXP_L, a.high, b.high);
    return v_xor(v_xor(low, high), power(EXP_HIGH, a.both, b.both));
}

/* The conjugate of b is b1 y + b0 + b1; the product with it is the norm b0^2 + b0 b1 + L b1^2, in GF(16). */
INLINE V quotient(V a, V b) {
    const V nibble = v_byte(15);
    const V low = v_and(b, nibble), high = v_and(_mm256_srli_epi64(b, 4), nibble);
    const operand logs = prepare(b);
    V norm = v_xor(_mm256_shuffle_epi8(table16(SQUARE), low), _mm256_shuffle_epi8(table16(SQUARE_L), high));
    norm = v_xor(norm, power(EXP, logs.low, logs.high));
    const V inverse = _mm256_shuffle_epi8(table16(LOG_INVERSE), norm);
    const V result = v_xor(power(EXP_HIGH, logs.high, inverse), power(EXP, logs.both, inverse));
    return multiply(prepare(a), prepare(result));
}

static uint8_t nibble_product(unsigned a, unsigned b) {
    return a && b ? EXP[(LOG[a] + LOG[b]) % 15] : 0;
}

static uint8_t element(uint8_t a, uint8_t b) {
    const uint8_t low = nibble_product(a & 15, b & 15), high = nibble_product(a >> 4, b >> 4);
    const uint8_t both = nibble_product((a ^ a >> 4) & 15, (b ^ b >> 4) & 15);
    return (uint8_t)((both ^ low) << 4 | (low ^ nibble_product(L, high)));
}

/* ---- linear maps: 16 images of low nibbles, 16 of high ones ---- */

static void make_map(uint8_t *table, const uint8_t images[8]) {
    table[0] = table[16] = 0;
    for (int bit = 0; bit < 4; bit++) {
        for (int v = 0; v < 1 << bit; v++) {
            table[v + (1 << bit)] = table[v] ^ images[bit];
            table[16 + v + (1 << bit)] = table[16 + v] ^ images[bit + 4];
        }
    }
}

static void make_constant(uint8_t *tables, size_t i, uint8_t c) {
    uint8_t images[8];
    for (int bit = 0; bit < 8; bit++) {
        images[bit] = element(c, (uint8_t)(1 << bit));
    }
    make_map(tables + CONSTANT * i, images);
}

static void make_coefficient(const sv_rs_code *code, uint8_t *table, unsigned c) {
    uint8_t images[8];
    for (unsigned bit = 0; bit < 8; bit++) {
        images[bit] = bit < code->bits ? (uint8_t)sv_rs_mul(code, c, 1u << bit) : 0;
    }
    make_map(table, images);
}

typedef struct { V low, high; } digits;

INLINE digits digits_of(V x) {
    const V nibble = v_byte(15);
    const digits split = {v_and(x, nibble), v_and(_mm256_srli_epi64(x, 4), nibble)};
    return split;
}

INLINE V map(const uint8_t *table, digits x) {
    return v_xor(_mm256_shuffle_epi8(table16(table), x.low), _mm256_shuffle_epi8(table16(table + 16), x.high));
}

INLINE V constant(const uint8_t *tables, size_t i, digits x) { return map(tables + CONSTANT * i, x); }

/* ---- out = parity matrix times tile: rows of out by fours, kept in registers over all rows of the tile.

   Row k - 1 - j of the tile meets the coefficients of x^(nsym + j). ---- */

INLINE void four_rows(const uint8_t *table, uint8_t *out, const uint8_t *in, size_t k, size_t width, const int vectors) {
    V sum[GROUP][2];
#pragma GCC unroll 4
    for (int r = 0; r < GROUP; r++) {
        sum[r][0] = sum[r][1] = v_zero();
    }
    for (size_t j = 0; j < k; j++, table += GROUP * COEFFICIENT) {
        digits x[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            x[v] = digits_of(v_load(in + (k - 1 - j) * width + LANES * v));
        }
#pragma GCC unroll 4
        for (int r = 0; r < GROUP; r++) {
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                sum[r][v] = v_xor(sum[r][v], map(table + COEFFICIENT * r, x[v]));
            }
        }
    }
#pragma GCC unroll 4
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
            four_rows(tables, out, in, k, width, 1);
        } else {
            four_rows(tables, out, in, k, width, 2);
        }
    }
}

#include "rsword_lanes.h"

size_t sv_rs_avx2_tables(unsigned bits, unsigned nsym) { return table_bytes(bits, nsym); }
void sv_rs_avx2_init(sv_rs_code *code) { init_tables(code); }
size_t sv_rs_avx2_scratch(const sv_rs_code *code, size_t n) { return scratch_bytes(code, n); }
TARGET void sv_rs_encode_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    encode_lanes(code, batch, scratch);
}
TARGET void sv_rs_check_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    check_lanes(code, batch, scratch);
}
TARGET void sv_rs_decode_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    decode_lanes(code, batch, scratch);
}
#endif
