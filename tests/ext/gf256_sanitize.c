/* Every back end of GF(2^8) on heap buffers of exactly the right size, for AddressSanitizer and
   UndefinedBehaviorSanitizer (test_gf256_sanitize.py), and over emulated instructions (test_gf256_emulated.py),
   where the sizes are smaller.  Exit 0 if all agree with the portable back end; the argument "overrun" reads
   one byte too many, to show that it would be seen. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gf256.h"

#ifdef SV_EMULATE_AVX512
enum { MOST_ROWS = 17, MOST_COLS = 5, MOST_LENGTH = 330, STEP = 41, LONG = 4096 + 61, STREAM_ROWS = 0 };
#else
enum { MOST_ROWS = 17, MOST_COLS = 5, MOST_LENGTH = 330, STEP = 7, LONG = 3 * 4096 + 61, STREAM_ROWS = 12 };
#endif

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
    uint8_t *matrix = filled(rows * cols), *tables = malloc(rows * cols * sv_gf256_entry_bytes(backend) + 1);
    uint8_t *scratch = malloc(sv_gf256_scratch_bytes(rows, cols, length, backend));
    int same = 1;
    sv_gf256_prepare(tables, matrix, rows, cols, backend);
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
    sv_gf256_multiply(at_want, at_in, matrix, NULL, rows, cols, length, accumulate, NULL, SV_GF256_PORTABLE);
    if (sv_gf256_multiply(at_got, at_in, matrix, tables, rows, cols, length, accumulate, scratch, backend) !=
        SV_GF256_OK) {
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
    free(tables);
    free(scratch);
    return same;
}

int main(int argc, char **argv) {
#ifdef SV_EMULATE_AVX512
    const int can[4] = {1, 0, 1, 1};
#else
    const unsigned features = sv_cpu_features();
    const int can[4] = {1, features & 1, (features & 5) == 5, (features & 0x7F) == 0x7F};
#endif
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        uint8_t *row = filled(64), *out = filled(65);
        const uint8_t *in[1] = {row};
        const uint8_t one = 1;
        sv_gf256_multiply(&out, in, &one, NULL, 1, 1, 65, 0, NULL, SV_GF256_PORTABLE);
        printf("%u\n", out[64]);
        return 0;
    }
    for (int backend = 0; backend < 4; backend++) {
        if (!can[backend]) {
            continue;
        }
        for (size_t rows = 1; rows <= MOST_ROWS; rows++) {
            for (size_t length = 0; length <= MOST_LENGTH; length += rows < 8 ? STEP / 7 : STEP) {
                if (!run(rows, 1 + length % MOST_COLS, length, length % 9, (int)(length & 1), backend)) {
                    printf("back end %d differs: %zu rows, length %zu\n", backend, rows, length);
                    return 1;
                }
            }
        }
        /* Several blocks of columns: as they lie, packed side by side, and stored past the cache from a line on. */
        if (!run(7, 3, LONG, 1, 0, backend) || !run(11, 3, LONG, 1, 1, backend)) {
            printf("back end %d differs: blocks\n", backend);
            return 1;
        }
        /* Packed and stored past the cache because the rows are large: 3 rows of 5 inputs of 4 MiB; 2 MiB are not. */
        if (STREAM_ROWS && (!run(3, 5, ((size_t)2 << 20) + 61, 0, 0, backend) ||
                            !run(3, 5, ((size_t)4 << 20) + 61, 0, 0, backend) ||
                            !run(STREAM_ROWS, 1, ((size_t)2 << 20) + 61, 5, 0, backend) ||
                            !run(3, 1, ((size_t)6 << 20) + 200, 0, 0, backend))) {
            printf("back end %d differs: past the cache\n", backend);
            return 1;
        }
        printf("back end %d\n", backend);
    }
    return 0;
}
