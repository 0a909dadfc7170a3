#include "gf256.h"

uint8_t sv_gf256_mul(uint8_t a, uint8_t b) {
    unsigned product = 0, shifted = a;
    for (int bit = 0; bit < 8; bit++) {
        product ^= shifted & (0u - ((unsigned)b >> bit & 1u));
        shifted = (shifted << 1) ^ (0x11Du & (0u - (shifted >> 7)));
    }
    return (uint8_t)product;
}

#if SV_X86
/* 32 bytes a coefficient c: c * 0 ... c * 15, then c * 0x00, c * 0x10 ... c * 0xF0.
   Multiplication is linear, so entry v is entry (v without its top bit) + entry (top bit). */
void sv_gf256_nibble_tables(uint8_t *tables, const uint8_t *matrix, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t *low = tables + 32 * i, *high = low + 16;
        low[0] = high[0] = 0;
        for (int bit = 0; bit < 4; bit++) {
            uint8_t at_low = sv_gf256_mul(matrix[i], (uint8_t)(1 << bit));
            uint8_t at_high = sv_gf256_mul(matrix[i], (uint8_t)(16 << bit));
            for (int v = 0; v < 1 << bit; v++) {
                low[v + (1 << bit)] = low[v] ^ at_low;
                high[v + (1 << bit)] = high[v] ^ at_high;
            }
        }
    }
}

/* 8 bytes a coefficient c, as gf2p8affineqb reads them: bit i of the product is the parity of the
   operand and byte 7 - i of the matrix, so bit j of that byte is bit i of c * 2^j. */
void sv_gf256_bit_matrices(uint8_t *tables, const uint8_t *matrix, size_t count) {
    for (size_t n = 0; n < count; n++) {
        uint8_t *rows = tables + 8 * n;
        for (int i = 0; i < 8; i++) {
            rows[i] = 0;
        }
        for (int j = 0; j < 8; j++) {
            unsigned column = sv_gf256_mul(matrix[n], (uint8_t)(1 << j));
            for (int i = 0; i < 8; i++) {
                rows[7 - i] |= (uint8_t)((column >> i & 1u) << j);
            }
        }
    }
}
#endif

int sv_gf256_multiply(uint8_t *const *out, const uint8_t *const *in, const uint8_t *matrix, size_t rows,
                      size_t cols, size_t length, int accumulate, uint8_t *scratch, int backend) {
    size_t done = 0;
    switch (backend) {
    case SV_GF256_PORTABLE:
        break;
#if SV_X86
    case SV_GF256_AVX2:
        sv_gf256_nibble_tables(scratch, matrix, rows * cols);
        done = sv_gf256_avx2(out, in, scratch, rows, cols, length, accumulate);
        break;
    case SV_GF256_AVX2_GFNI:
        sv_gf256_bit_matrices(scratch, matrix, rows * cols);
        done = sv_gf256_avx2_gfni(out, in, scratch, rows, cols, length, accumulate);
        break;
    case SV_GF256_AVX512_GFNI:
        sv_gf256_bit_matrices(scratch, matrix, rows * cols);
        done = sv_gf256_avx512_gfni(out, in, scratch, rows, cols, length, accumulate);
        break;
#endif
    default:
        return SV_GF256_NO_BACKEND;
    }
    (void)scratch;
    /* The tail rule of every back end: what is left of the last vector is done by the portable code,
       which never touches a byte past the end. */
    sv_gf256_portable(out, in, matrix, rows, cols, done, length, accumulate);
    return SV_GF256_OK;
}
