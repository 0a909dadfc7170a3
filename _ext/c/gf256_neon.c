#include "gf256.h"

#if SV_NEON
#include <arm_neon.h>

/* c * x = low[x & 15] + high[x >> 4], both tables in registers: tbl of one register reads nothing else, so
   nothing depends on the data but the result.  Groups of 4 rows x 2 vectors: 8 sums, 4 operands and 2 tables of
   32 registers; with more, GCC 12 keeps sums in memory.  Whole vectors only.

   Not by polynomial multiplication (pmull): 8 bits by 8 are 16, so each product would have to be reduced by
   two more multiplications and put together from halves, where two look-ups give it whole. */

#define TARGET "" /* the baseline: SV_TARGET is nothing here */
#define WIDTH 16
#define VECTOR uint8x16_t
#define LOAD(p) vld1q_u8(p)
#define STORE(p, a) vst1q_u8(p, a)
#define STREAM STORE /* never asked for */
#define ZERO vdupq_n_u8(0)
#define XOR veorq_u8
#define ENTRY 32
#define OPERAND nibbles
#define SPLIT split
#define TABLE nibbles
#define FETCH fetch
#define PRODUCT product

typedef struct {
    uint8x16_t low, high;
} nibbles;

static inline __attribute__((always_inline)) nibbles split(uint8x16_t x) {
    const nibbles r = {vandq_u8(x, vdupq_n_u8(15)), vshrq_n_u8(x, 4)};
    return r;
}

static inline __attribute__((always_inline)) nibbles fetch(const uint8_t *p) {
    const nibbles r = {vld1q_u8(p), vld1q_u8(p + 16)};
    return r;
}

static inline __attribute__((always_inline)) uint8x16_t product(nibbles t, nibbles x) {
    return veorq_u8(vqtbl1q_u8(t.low, x.low), vqtbl1q_u8(t.high, x.high));
}

#include "gf256_lanes.h"

SWEEP(1, 4)
SWEEP(2, 4)
SWEEP(3, 2)
SWEEP(4, 2)

void sv_gf256_neon(uint8_t *const *out, const uint8_t *const *in, const uint8_t *tables, size_t rows,
                   size_t cols, size_t at, size_t count, int accumulate, int stream, sv_gf256_ahead *ahead) {
    for (size_t r = 0; r < rows;) {
        const uint8_t *table = tables + ENTRY * r * cols;
        const size_t height = sv_gf256_height(rows - r, SV_GF256_NEON);
        switch (height) {
        case 1: sweep_1(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 2: sweep_2(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        case 3: sweep_3(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        default: sweep_4(out + r, in, table, cols, at, count, accumulate, stream, ahead); break;
        }
        r += height;
    }
}
#endif
