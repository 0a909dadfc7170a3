/* The back ends of GF(2^8) that this processor has, against the portable one, in memory that ends at pages which
   may not be touched: for processors that are emulated (test_processors.py), where no sanitizer runs.

   guarded N      every coefficient with every byte, then N products of random sizes, places and coefficients;
                  prints the features found and each back end that agrees; exit 1 at the first that does not
   guarded read   reads, guarded write writes one byte too many, to show that it would be seen */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gf256.h"

enum { MOST_ROWS = 14, MOST_COLS = 14, LONG = 3 * 4096 + 200, AREAS = MOST_COLS + 2 * MOST_ROWS + 2 };

static uint32_t state = 1;

static uint32_t next(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static size_t below(size_t bound) { return next() % bound; }

static void fill(uint8_t *memory, size_t size) {
    for (size_t i = 0; i < size; i++) {
        memory[i] = (uint8_t)(next() >> 11);
    }
}

/* -- memory between two pages that may not be touched --------------------------------------------------- */

typedef struct {
    uint8_t *start, *end;
} area;

static area areas[AREAS];

static void map_areas(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (LONG + page - 1) / page * page;
    for (int i = 0; i < AREAS; i++) {
        uint8_t *p = mmap(NULL, size + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p, page, PROT_NONE) || mprotect(p + page + size, page, PROT_NONE)) {
            perror("guard pages");
            exit(2);
        }
        areas[i].start = p + page;
        areas[i].end = p + page + size;
        fill(areas[i].start, size);
    }
}

/* size bytes that touch the page after them or the one before them, or lie within a line of it. */
static uint8_t *place(const area *a, size_t size) {
    const size_t room = (size_t)(a->end - a->start) - size, wish = next() & 1 ? 0 : below(64);
    const size_t apart = wish < room ? wish : room;
    return next() & 3 ? a->end - size - apart : a->start + apart;
}

/* -- checks ---------------------------------------------------------------------------------------------- */

static int product(size_t rows, size_t cols, size_t length, int accumulate, int backend) {
    const uint8_t *in[MOST_COLS];
    uint8_t *want[MOST_ROWS], *got[MOST_ROWS], matrix[MOST_ROWS * MOST_COLS];
    const area *at = areas;
    int same = 1;
    fill(matrix, rows * cols);
    uint8_t *tables = place(at++, rows * cols * sv_gf256_entry_bytes(backend));
    const size_t lent = sv_gf256_scratch_bytes(rows, cols, length, backend);
    uint8_t *heap = lent > LONG ? malloc(lent) : NULL, *scratch = heap ? heap : place(at, lent);
    at++;
    for (size_t j = 0; j < cols; j++) {
        in[j] = place(at++, length);
    }
    const area *const outputs = at;
    for (size_t r = 0; r < rows; r++, at += 2) {
        /* The same place in both areas, and the same bytes all around it. */
        got[r] = place(at, length);
        want[r] = at[1].start + (got[r] - at->start);
        fill(got[r], length);
        memcpy(at[1].start, at->start, (size_t)(at->end - at->start));
    }
    sv_gf256_prepare(tables, matrix, rows, cols, backend);
    sv_gf256_multiply(want, in, matrix, NULL, rows, cols, length, accumulate, NULL, SV_GF256_PORTABLE);
    same &= sv_gf256_multiply(got, in, matrix, tables, rows, cols, length, accumulate, scratch, backend) ==
            SV_GF256_OK;
    for (size_t r = 0; r < rows; r++) {
        const area *a = outputs + 2 * r;
        same &= memcmp(a[0].start, a[1].start, (size_t)(a->end - a->start)) == 0;
    }
    free(heap);
    return same;
}

static int every_product_of_two(int backend) {
    uint8_t tables[32], scratch[64];
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t matrix = (uint8_t)c;
        uint8_t *x = place(&areas[0], 256), *y = place(&areas[1], 256);
        uint8_t *const out[1] = {y};
        const uint8_t *const in[1] = {x};
        for (unsigned i = 0; i < 256; i++) {
            x[i] = (uint8_t)(i ^ c);
        }
        sv_gf256_prepare(tables, &matrix, 1, 1, backend);
        if (sv_gf256_multiply(out, in, &matrix, tables, 1, 1, 256, 0, scratch, backend) != SV_GF256_OK) {
            return 0;
        }
        for (unsigned i = 0; i < 256; i++) {
            if (y[i] != sv_gf256_mul(matrix, x[i])) {
                printf("back end %d differs: %u times %u\n", backend, c, x[i]);
                return 0;
            }
        }
    }
    return 1;
}

static int agrees(int backend, long products) {
    if (!every_product_of_two(backend)) {
        return 0;
    }
    for (long i = 0; i < products; i++) {
        const size_t rows = 1 + below(MOST_ROWS), cols = 1 + below(MOST_COLS);
        const size_t length = below(i % 8 ? 131 : LONG + 1);
        if (!product(rows, cols, length, (int)(next() & 1), backend)) {
            printf("back end %d differs: %zu rows, %zu columns, length %zu\n", backend, rows, cols, length);
            return 0;
        }
    }
    printf("back end %d\n", backend);
    return 1;
}

int main(int argc, char **argv) {
    const unsigned features = sv_cpu_features();
    const unsigned needs[SV_GF256_BACKENDS] = {0, 1, 5, 0x7F, 1u << 9};
    const char *what = argc > 1 ? argv[1] : "1000";
    map_areas();
    if (strcmp(what, "read") == 0 || strcmp(what, "write") == 0) {
        const size_t reads = *what == 'r' ? 64 : 65, writes = *what == 'w' ? 64 : 65;
        uint8_t *const out[1] = {areas[0].end - writes};
        const uint8_t *const in[1] = {areas[1].end - reads};
        const uint8_t one = 1;
        sv_gf256_multiply(out, in, &one, NULL, 1, 1, 65, 0, NULL, SV_GF256_PORTABLE);
        printf("not seen\n");
        return 0;
    }
    printf("features %x\n", features);
    for (int backend = 0; backend < SV_GF256_BACKENDS; backend++) {
        if ((features & needs[backend]) == needs[backend] && !agrees(backend, atol(what))) {
            return 1;
        }
    }
    return 0;
}
