#ifndef SV_EMULATED_GFNI_H
#define SV_EMULATED_GFNI_H

/* Included by immintrin.h: products in GF(2)[x] / 0x11B, maps by 8x8 bit matrices, and what else rsword_avx512.c
   does with bytes. */

EMU uint8_t emu_gf_product(uint8_t a, uint8_t b) {
    unsigned sum = 0;
    for (int i = 0; i < 8; i++) {
        sum ^= EMU_BIT(b, i) ? (unsigned)a << i : 0;
    }
    for (int i = 14; i >= 8; i--) {
        sum ^= EMU_BIT(sum, i) ? 0x11Bu << (i - 8) : 0;
    }
    return (uint8_t)sum;
}

EMU uint8_t emu_gf_inverse(uint8_t a) { /* a^254, which is 0 for 0 */
    uint8_t power = 1;
    for (int i = 0; i < 254; i++) {
        power = emu_gf_product(power, a);
    }
    return power;
}

/* Bit i of the result: parity of x and byte 7 - i of the matrix, plus bit i of imm. */
EMU uint8_t emu_affine(uint64_t matrix, uint8_t x, int imm) {
    unsigned result = 0;
    for (int i = 0; i < 8; i++) {
        unsigned both = (unsigned)(matrix >> 8 * (7 - i)) & x, parity = EMU_BIT((unsigned)imm, i);
        for (int j = 0; j < 8; j++) {
            parity ^= EMU_BIT(both, j);
        }
        result |= parity << i;
    }
    return (uint8_t)result;
}

EMU __m512i _mm512_gf2p8mul_epi8(__m512i a, __m512i b) { EMU_MAP(__m512i, b, 64, emu_gf_product(a.b[i], b.b[i])); }
EMU __m512i _mm512_gf2p8affine_epi64_epi8(__m512i x, __m512i matrix, int imm) {
    EMU_MAP(__m512i, b, 64, emu_affine(matrix.u[i / 8], x.b[i], imm));
}
EMU __m512i _mm512_gf2p8affineinv_epi64_epi8(__m512i x, __m512i matrix, int imm) {
    EMU_MAP(__m512i, b, 64, emu_affine(matrix.u[i / 8], emu_gf_inverse(x.b[i]), imm));
}

EMU __m512i _mm512_max_epu8(__m512i a, __m512i b) { EMU_MAP(__m512i, b, 64, a.b[i] > b.b[i] ? a.b[i] : b.b[i]); }
EMU __m512i _mm512_adds_epu8(__m512i a, __m512i b) {
    EMU_MAP(__m512i, b, 64, (uint8_t)(a.b[i] + b.b[i] > 255 ? 255 : a.b[i] + b.b[i]));
}
EMU __m512i _mm512_movm_epi8(__mmask64 k) { EMU_MAP(__m512i, b, 64, EMU_BIT(k, i) ? 255 : 0); }
EMU __m128i _mm_unpacklo_epi8(__m128i a, __m128i b) { EMU_MAP(__m128i, b, 16, i % 2 ? b.b[i / 2] : a.b[i / 2]); }
EMU __m128i _mm_unpackhi_epi8(__m128i a, __m128i b) {
    EMU_MAP(__m128i, b, 16, i % 2 ? b.b[8 + i / 2] : a.b[8 + i / 2]);
}

#endif
