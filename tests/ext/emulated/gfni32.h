#ifndef SV_EMULATED_GFNI32_H
#define SV_EMULATED_GFNI32_H

/* What gf256_avx512.c and gf256_avx2_gfni.c use beside immintrin.h and gfni.h: vectors of 32 bytes with bit
   matrices, and stores past the cache, which fault at an address that is no multiple of the vector, and are counted. */

#include <immintrin.h>
#include <stdlib.h>

#include "gfni.h"

unsigned long emu_streamed __attribute__((weak)); /* one for the whole program */

EMU void emu_stream(void *p, const void *a, size_t size) {
    if ((uintptr_t)p % size) {
        abort();
    }
    memcpy(p, a, size);
    emu_streamed++;
}
EMU void _mm512_stream_si512(void *p, __m512i a) { emu_stream(p, &a, sizeof a); }
EMU void _mm256_stream_si256(__m256i *p, __m256i a) { emu_stream(p, &a, sizeof a); }
EMU void _mm_sfence(void) {}

EMU __m256i _mm256_setzero_si256(void) { EMU_MAP(__m256i, u, 4, 0); }
EMU __m256i _mm256_set1_epi64x(long long x) { EMU_MAP(__m256i, u, 4, (uint64_t)x); }
EMU __m256i _mm256_xor_si256(__m256i a, __m256i b) { EMU_MAP(__m256i, u, 4, a.u[i] ^ b.u[i]); }
EMU __m256i _mm256_gf2p8affine_epi64_epi8(__m256i x, __m256i matrix, int imm) {
    EMU_MAP(__m256i, b, 32, emu_affine(matrix.u[i / 8], x.b[i], imm));
}

#endif
