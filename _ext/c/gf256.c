#include "gf256.h"

#include <string.h>

uint8_t sv_gf256_mul(uint8_t a, uint8_t b) {
    unsigned product = 0, shifted = a;
    for (int bit = 0; bit < 8; bit++) {
        product ^= shifted & (0u - ((unsigned)b >> bit & 1u));
        shifted = (shifted << 1) ^ (0x11Du & (0u - (shifted >> 7)));
    }
    return (uint8_t)product;
}

size_t sv_gf256_entry_bytes(int backend) {
    switch (backend) {
    case SV_GF256_AVX2:
    case SV_GF256_NEON:
        return 32;
    case SV_GF256_AVX2_GFNI:
    case SV_GF256_AVX512_GFNI:
        return 8;
    default:
        return 0;
    }
}

#if SV_X86 || SV_NEON
/* c * 1, c * 2 ... c * 2^7. */
static void doublings(uint8_t *power, uint8_t c) {
    unsigned value = c;
    for (int bit = 0; bit < 8; bit++) {
        power[bit] = (uint8_t)value;
        value = (value << 1) ^ (0x11Du & (0u - (value >> 7)));
    }
}

/* 32 bytes a coefficient c: c * 0 ... c * 15, then c * 0x00, c * 0x10 ... c * 0xF0.
   Multiplication is linear, so entry v is entry (v without its top bit) + entry (top bit). */
static void nibble_table(uint8_t *table, uint8_t c) {
    uint8_t power[8], *low = table, *high = table + 16;
    doublings(power, c);
    low[0] = high[0] = 0;
    for (int bit = 0; bit < 4; bit++) {
        for (int v = 0; v < 1 << bit; v++) {
            low[v + (1 << bit)] = low[v] ^ power[bit];
            high[v + (1 << bit)] = high[v] ^ power[4 + bit];
        }
    }
}

/* 8 bytes a coefficient c, as gf2p8affineqb reads them: bit i of the product is the parity of the
   operand and byte 7 - i of the matrix, so bit j of that byte is bit i of c * 2^j. */
static void bit_matrix(uint8_t *table, uint8_t c) {
    uint8_t power[8];
    doublings(power, c);
    for (int i = 0; i < 8; i++) {
        unsigned line = 0;
        for (int j = 0; j < 8; j++) {
            line |= (power[j] >> i & 1u) << j;
        }
        table[7 - i] = (uint8_t)line;
    }
}

size_t sv_gf256_height(size_t rows_left, int backend) {
    if (backend == SV_GF256_AVX2 || backend == SV_GF256_NEON) {
        return rows_left < 4 ? rows_left : 4;
    }
    if (backend == SV_GF256_AVX2_GFNI) {
        return rows_left < 6 ? rows_left : 6;
    }
    /* Tens, and what does not divide so in fours, fives and sixes. */
    static const uint8_t first[14] = {0, 1, 2, 3, 4, 5, 6, 4, 4, 5, 10, 6, 6, 5};
    return rows_left < 14 ? first[rows_left] : 10;
}

void sv_gf256_prepare(uint8_t *tables, const uint8_t *matrix, size_t rows, size_t cols, int backend) {
    const size_t entry = sv_gf256_entry_bytes(backend);
    if (entry == 0) {
        return;
    }
    for (size_t r = 0, height; r < rows; r += height) {
        height = sv_gf256_height(rows - r, backend);
        for (size_t j = 0; j < cols; j++) {
            for (size_t i = 0; i < height; i++, tables += entry) {
                const uint8_t c = matrix[(r + i) * cols + j];
                if (entry == 32) {
                    nibble_table(tables, c);
                } else {
                    bit_matrix(tables, c);
                }
            }
        }
    }
}

/* Columns done for all groups of rows before the next ones, so that the inputs come from memory once: as many
   as keep them in the first-level cache, within 1 to 4 KiB.  Where they come from memory, longer runs of each
   are worth more than that cache, as the second level is as good; and stores go past the cache, so that the
   old bytes of the outputs are not fetched first. */
enum { LEAST = 1024, MOST = 4096, INPUTS = 24 << 10, LARGE_INPUTS = 128 << 10, LINE = 64 };
#ifndef SV_GF256_LARGE /* lower in tests, where instructions are emulated */
#define SV_GF256_LARGE ((size_t)24 << 20)
#endif
static const size_t LARGE = SV_GF256_LARGE;

static int large(size_t rows, size_t cols, size_t length) {
    return length >= LARGE / (rows + cols);
}

static size_t block_bytes(size_t rows, size_t cols, size_t length) {
    const size_t inputs = large(rows, cols, length) ? LARGE_INPUTS : INPUTS, block = inputs / cols / 256 * 256;
    return block < LEAST ? LEAST : block > MOST ? MOST : block;
}

/* Where inputs are read by several groups, or come from memory and, a power of two apart, would push each
   other out of the cache before they are used, their block is first copied side by side.  One or two rows
   are too little work to pay for the copy. */
enum { PACK_ROWS = 10, PACK_LARGE_ROWS = 3 };

static int packs(size_t rows, size_t cols, size_t length) {
    const size_t least = large(rows, cols, length) ? PACK_LARGE_ROWS : PACK_ROWS;
    return length > 2 * LEAST && cols > 1 && rows >= least;
}

/* Inputs and outputs that together do not stay in the second-level cache: the next block is asked for ahead. */
static const size_t ASKED = (size_t)1 << 20;
#else
void sv_gf256_prepare(uint8_t *tables, const uint8_t *matrix, size_t rows, size_t cols, int backend) {
    (void)tables, (void)matrix, (void)rows, (void)cols, (void)backend;
}
#endif

size_t sv_gf256_scratch_bytes(size_t rows, size_t cols, size_t length, int backend) {
#if SV_X86 || SV_NEON
    if (backend != SV_GF256_PORTABLE && packs(rows, cols, length)) {
        return cols * (block_bytes(rows, cols, length) + LINE) + LINE;
    }
#else
    (void)cols, (void)length, (void)backend, (void)rows;
#endif
    return 1;
}

#if SV_X86 || SV_NEON
/* Whole vectors by a back end, block by block; the columns before the first line, where stores go past the
   cache, and what is left of the last vector are the portable code's, which never touches a byte past the end. */
static void by_blocks(sv_gf256_block *block, size_t width, uint8_t *const *out, const uint8_t *const *in,
                      const uint8_t *matrix, const uint8_t *tables, size_t rows, size_t cols, size_t length,
                      int accumulate, uint8_t *scratch) {
    const size_t wide = block_bytes(rows, cols, length), apart = wide + LINE;
    const int pack = packs(rows, cols, length);
    uint8_t *const packed = scratch + (0 - (uintptr_t)scratch) % LINE;
    const uint8_t *from[256];
    /* Arm cores see a long run of stores by themselves and stop fetching the old lines. */
    int stream = !accumulate && SV_X86 && large(rows, cols, length);
    size_t at = (0 - (uintptr_t)out[0]) % LINE;
    for (size_t r = 0; r < rows; r++) {
        stream &= (0 - (uintptr_t)out[r]) % LINE == at;
    }
    if (stream) {
        sv_gf256_portable(out, in, matrix, rows, cols, 0, at, accumulate);
    } else {
        at = 0;
    }
    const size_t end = length - (length - at) % width;
    /* A step is one line or more of all inputs, for at least 3 rows on average where there are ten. */
    const int asks = pack && length >= ASKED / (rows + cols);
    sv_gf256_ahead ahead = {in, 0, 0, cols, asks ? 4 * cols / rows + 1 : 0, 0, 0};
    while (at < end) {
        const size_t count = end - at < wide ? end - at : wide;
        for (size_t j = 0; j < cols; j++) {
            if (pack) {
                memcpy(packed + apart * j, in[j] + at, count);
            }
            from[j] = pack ? packed + apart * j : in[j] + at;
        }
        const size_t rest = end - at - count;
        ahead.at = at + count;
        ahead.count = rest < wide ? rest : wide;
        ahead.row = ahead.count ? 0 : cols;
        ahead.line = 0;
        block(out, from, tables, rows, cols, at, count, accumulate, stream, &ahead);
        at += count;
    }
    sv_gf256_portable(out, in, matrix, rows, cols, end, length, accumulate);
}
#endif

int sv_gf256_multiply(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix,
                      const uint8_t *tables, size_t rows, size_t cols, size_t length, int accumulate,
                      uint8_t *scratch, int backend) {
    switch (backend) {
    case SV_GF256_PORTABLE:
        sv_gf256_portable(out, in, matrix, rows, cols, 0, length, accumulate);
        return SV_GF256_OK;
#if SV_X86
#ifndef SV_EMULATE_AVX512
    case SV_GF256_AVX2:
        by_blocks(sv_gf256_avx2, 32, out, in, matrix, tables, rows, cols, length, accumulate, scratch);
        return SV_GF256_OK;
#endif
    case SV_GF256_AVX2_GFNI:
        by_blocks(sv_gf256_avx2_gfni, 32, out, in, matrix, tables, rows, cols, length, accumulate, scratch);
        return SV_GF256_OK;
    case SV_GF256_AVX512_GFNI:
        by_blocks(sv_gf256_avx512_gfni, 64, out, in, matrix, tables, rows, cols, length, accumulate, scratch);
        return SV_GF256_OK;
#elif SV_NEON
    case SV_GF256_NEON:
        by_blocks(sv_gf256_neon, 16, out, in, matrix, tables, rows, cols, length, accumulate, scratch);
        return SV_GF256_OK;
#endif
    default:
        (void)tables, (void)scratch;
        return SV_GF256_NO_BACKEND;
    }
}
