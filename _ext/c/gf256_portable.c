#include <string.h>

#include "gf256.h"

/* Lanes: eight field elements in each 64-bit word, bit i of an element in bit i of its byte.

   A product with a constant c is the sum of x * 2^b over the set bits b of c: the doublings of x are
   made once and added into every row that wants them.  Branches and addresses depend on the matrix
   only, which is public, never on the data.  The loops over WORDS have a fixed trip count, so the
   compiler turns them into whatever vectors its baseline has. */

enum { WORDS = 32, BLOCK = WORDS * 8, GROUP = 8 };

/* x * 2 in each byte: shift within the byte, then add 0x1D where the top bit fell out.  The top bit
   alone gives 0x80 - 0x01 = 0x7F in its own byte (no borrow leaves it), and 0x7F & 0x1D = 0x1D. */
static inline uint64_t twice(uint64_t x) {
    const uint64_t top = x & UINT64_C(0x8080808080808080);
    return ((x ^ top) << 1) ^ ((top - (top >> 7)) & UINT64_C(0x1D1D1D1D1D1D1D1D));
}

static void block(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix, size_t rows,
                  size_t cols, size_t at, size_t count, int accumulate) {
    uint64_t sum[GROUP][WORDS], x[WORDS];
    memset(sum, 0, rows * sizeof sum[0]);
    memset(x, 0, sizeof x);
    if (accumulate) {
        for (size_t r = 0; r < rows; r++) {
            memcpy(sum[r], out[r] + at, count);
        }
    }
    for (size_t j = 0; j < cols; j++) {
        memcpy(x, in[j] + at, count);
        for (int bit = 0; bit < 8; bit++) {
            for (size_t r = 0; r < rows; r++) {
                if (matrix[r * cols + j] >> bit & 1) {
                    for (int w = 0; w < WORDS; w++) {
                        sum[r][w] ^= x[w];
                    }
                }
            }
            for (int w = 0; w < WORDS; w++) {
                x[w] = twice(x[w]);
            }
        }
    }
    for (size_t r = 0; r < rows; r++) {
        memcpy(out[r] + at, sum[r], count);
    }
}

void sv_gf256_portable(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix, size_t rows,
                       size_t cols, size_t begin, size_t end, int accumulate) {
    for (size_t at = begin; at < end; at += BLOCK) {
        const size_t count = end - at < BLOCK ? end - at : BLOCK;
        for (size_t r = 0; r < rows; r += GROUP) {
            const size_t height = rows - r < GROUP ? rows - r : GROUP;
            block(out + r, in, matrix + r * cols, height, cols, at, count, accumulate);
        }
        if (end - at <= BLOCK) {
            break; /* at + BLOCK could wrap around */
        }
    }
}
