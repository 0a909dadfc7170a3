/* Every back end of GF(2^8) on heap buffers of exactly the right size, for AddressSanitizer and
   UndefinedBehaviorSanitizer; built and run by test_gf256_sanitize.py.  Exit 0 if all agree with the
   portable back end; the argument "overrun" reads one byte too many, to show that it would be seen. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gf256.h"

enum { MOST_ROWS = 14, MOST_COLS = 5 };

static uint32_t state = 1;

static uint8_t next_byte(void) {
    state = state * 1664525u + 1013904223u;
    return (uint8_t)(state >> 24);
}

static uint8_t *filled(size_t size) {
    uint8_t *memory = malloc(size ? size : 1);
    for (size_t i = 0; i < size; i++) {
        memory[i] = next_byte();
    }
    return memory;
}

static int run(size_t rows, size_t cols, size_t length, size_t offset, int accumulate, int backend) {
    uint8_t *in[MOST_COLS], *want[MOST_ROWS], *got[MOST_ROWS];
    uint8_t *at_want[MOST_ROWS], *at_got[MOST_ROWS];
    const uint8_t *at_in[MOST_COLS];
    uint8_t *matrix = filled(rows * cols), *scratch = malloc(rows * cols * SV_GF256_SCRATCH_BYTES);
    int same = 1;
    for (size_t j = 0; j < cols; j++) {
        in[j] = filled(offset + length);
        at_in[j] = in[j] + offset;
    }
    for (size_t r = 0; r < rows; r++) {
        want[r] = filled(offset + length);
        got[r] = malloc(offset + length ? offset + length : 1);
        memcpy(got[r], want[r], offset + length);
        at_want[r] = want[r] + offset;
        at_got[r] = got[r] + offset;
    }
    sv_gf256_multiply(at_want, at_in, matrix, rows, cols, length, accumulate, scratch, SV_GF256_PORTABLE);
    if (sv_gf256_multiply(at_got, at_in, matrix, rows, cols, length, accumulate, scratch, backend) != SV_GF256_OK) {
        same = 0;
    }
    for (size_t r = 0; r < rows; r++) {
        same &= memcmp(want[r], got[r], offset + length) == 0;
        free(want[r]);
        free(got[r]);
    }
    for (size_t j = 0; j < cols; j++) {
        free(in[j]);
    }
    free(matrix);
    free(scratch);
    return same;
}

int main(int argc, char **argv) {
    const unsigned features = sv_cpu_features();
    const int can[4] = {1, features & 1, (features & 5) == 5, (features & 0x7F) == 0x7F};
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        uint8_t *row = filled(64), *out = filled(65), *scratch = filled(SV_GF256_SCRATCH_BYTES);
        const uint8_t *in[1] = {row};
        const uint8_t one = 1;
        sv_gf256_multiply(&out, in, &one, 1, 1, 65, 0, scratch, SV_GF256_PORTABLE);
        printf("%u\n", out[64]);
        return 0;
    }
    for (int backend = 0; backend < 4; backend++) {
        if (!can[backend]) {
            continue;
        }
        for (size_t rows = 1; rows <= MOST_ROWS; rows++) {
            for (size_t length = 0; length <= 330; length += rows < 8 ? 1 : 7) {
                if (!run(rows, 1 + length % MOST_COLS, length, length % 9, (int)(length & 1), backend)) {
                    printf("back end %d differs: %zu rows, length %zu\n", backend, rows, length);
                    return 1;
                }
            }
        }
        if (!run(7, 3, 3 * 4096 + 61, 1, 0, backend)) {
            return 1;
        }
        printf("back end %d\n", backend);
    }
    return 0;
}
