/* The GFNI kernels of GF(2^8) over emulated instructions, exhaustively (test_gf256_emulated.py, --slow).

   "constants": each of the 256 constants, at each length from 0 to 130 and each of the 64 offsets in a line of
   the cache, with guard bytes around the output.  "streams": groups of rows, past the cache, built with a
   SV_GF256_LARGE of a few KiB; prints how many vectors were stored so.  Exit 1 at the first difference. */

#include <stdio.h>
#include <string.h>

#include "gf256.h"

enum { LINE = 64, MOST_LENGTH = 130, ROWS = 12, COLS = 6, LONG = 8192, GUARD = 0xA5 };

static uint32_t state = 1;

static uint8_t next_byte(void) {
    state = state * 1664525u + 1013904223u;
    return (uint8_t)(state >> 24);
}

static void fill(uint8_t *memory, size_t size) {
    for (size_t i = 0; i < size; i++) {
        memory[i] = next_byte();
    }
}

static int constants(int backend) {
    _Alignas(64) static uint8_t input[LINE + MOST_LENGTH + LINE], got[4 * LINE + MOST_LENGTH];
    uint8_t want[MOST_LENGTH], tables[32], scratch[LINE], products[sizeof input];
    fill(input, sizeof input);
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t matrix = (uint8_t)c;
        sv_gf256_prepare(tables, &matrix, 1, 1, backend);
        for (size_t i = 0; i < sizeof input; i++) {
            products[i] = sv_gf256_mul(matrix, input[i]);
        }
        for (size_t length = 0; length <= MOST_LENGTH; length++) {
            for (size_t offset = 0; offset < LINE; offset++) {
                /* Input and output at every distance from each other, too, as c goes on. */
                const size_t shift = (offset + c) % LINE;
                uint8_t *const out[1] = {got + LINE + offset};
                const uint8_t *const in[1] = {input + shift};
                memset(got, GUARD, sizeof got);
                memcpy(want, products + shift, length);
                if (sv_gf256_multiply(out, in, &matrix, tables, 1, 1, length, 0, scratch, backend) !=
                        SV_GF256_OK ||
                    memcmp(out[0], want, length) != 0) {
                    printf("back end %d differs: constant %u, length %zu, offset %zu\n", backend, c, length, offset);
                    return 1;
                }
                for (size_t i = 0; i < sizeof got; i++) {
                    if ((i < LINE + offset || i >= LINE + offset + length) && got[i] != GUARD) {
                        printf("back end %d leaves its output: constant %u, length %zu, offset %zu\n", backend, c,
                               length, offset);
                        return 1;
                    }
                }
            }
        }
    }
    return 0;
}

static int streams(int backend) {
    enum { STRIDE = LONG + 4 * LINE };
    _Alignas(64) static uint8_t inputs[COLS][STRIDE], got[ROWS][STRIDE], want[ROWS][STRIDE];
    static uint8_t scratch[COLS * (4096 + LINE) + LINE];
    uint8_t matrix[ROWS * COLS], tables[32 * ROWS * COLS];
    fill(inputs[0], sizeof inputs);
    for (size_t rows = 1; rows <= ROWS; rows++) {
        for (size_t cols = 1; cols <= COLS; cols += rows % 2 ? 2 : 5) {
            fill(matrix, rows * cols);
            sv_gf256_prepare(tables, matrix, rows, cols, backend);
            for (size_t offset = 0; offset < LINE; offset += rows > 2 ? 21 : 1) {
                const size_t length = LONG - 2 * offset - rows;
                uint8_t *out[ROWS], *expected[ROWS];
                const uint8_t *in[COLS];
                memset(got, GUARD, sizeof got);
                memset(want, GUARD, sizeof want);
                for (size_t r = 0; r < rows; r++) {
                    out[r] = got[r] + offset;
                    expected[r] = want[r] + offset;
                }
                for (size_t j = 0; j < cols; j++) {
                    in[j] = inputs[j] + (offset + 7 * j) % LINE;
                }
                if (sizeof scratch < sv_gf256_scratch_bytes(rows, cols, length, backend)) {
                    printf("scratch\n");
                    return 1;
                }
                sv_gf256_multiply(expected, in, matrix, NULL, rows, cols, length, 0, NULL, SV_GF256_PORTABLE);
                const unsigned long before = emu_streamed;
                sv_gf256_multiply(out, in, matrix, tables, rows, cols, length, 0, scratch, backend);
                if (memcmp(got, want, sizeof got) != 0 || emu_streamed == before) {
                    printf("back end %d differs or does not stream: %zu rows, %zu columns, offset %zu\n", backend,
                           rows, cols, offset);
                    return 1;
                }
                /* Rows that do not lie alike, and sums, go through the cache. */
                const unsigned long streamed = emu_streamed;
                sv_gf256_multiply(out, in, matrix, tables, rows, cols, length, 1, scratch, backend);
                if (rows > 1) {
                    out[rows - 1]++;
                    sv_gf256_multiply(out, in, matrix, tables, rows, cols, length, 0, scratch, backend);
                }
                if (emu_streamed != streamed) {
                    printf("back end %d streams where it must not: %zu rows, %zu columns\n", backend, rows, cols);
                    return 1;
                }
            }
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    for (int backend = SV_GF256_AVX2_GFNI; backend <= SV_GF256_AVX512_GFNI; backend++) {
        if (argc < 2 || (strcmp(argv[1], "streams") == 0 ? streams(backend) : constants(backend)) != 0) {
            return 1;
        }
        printf("back end %d\n", backend);
    }
    return 0;
}
