#ifndef SV_EMULATED_IMMINTRIN_H
#define SV_EMULATED_IMMINTRIN_H

/* The AVX-512 intrinsics that the kernels use, in plain C: <name>_avx512.c built with
   -DSV_EMULATE_AVX512 "-DSV_TARGET(f)=" -Itests/ext/emulated runs on any processor, and is compared with
   the portable file there.  No target flag is given, so nothing illegal can be executed.

   Written from the "Operation" sections of the Intel Intrinsics Guide; examples.c holds the
   treacherous ones against examples worked by hand, and against the instructions themselves
   where the processor has them.  Vectors are structures, so an operator on a vector does not compile.
   Lanes that an intrinsic leaves undefined are filled with a pattern.  Order of parameters: as in Intel's. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lanes of different widths share memory as on a little-endian machine"
#endif

typedef union { uint8_t b[16]; uint16_t h[8]; uint32_t w[4]; uint64_t u[2]; } __m128i;
typedef union { uint8_t b[32]; uint16_t h[16]; uint32_t w[8]; uint64_t u[4]; } __m256i;
typedef union { uint8_t b[64]; uint16_t h[32]; uint32_t w[16]; uint64_t u[8]; } __m512i;
typedef struct { float f[8]; } __m256;
typedef struct { double d[4]; } __m256d;
typedef struct { float f[16]; } __m512;
typedef struct { double d[8]; } __m512d;
typedef uint8_t __mmask8;
typedef uint16_t __mmask16;
typedef uint32_t __mmask32;
typedef uint64_t __mmask64;

#define EMU static inline
#define EMU_UNDEFINED 0xDEADBEEFDEADBEEFu
#define EMU_BIT(k, i) (((k) >> (i)) & 1)

/* r lane i = E for n lanes of member m. */
#define EMU_MAP(type, m, n, E)             \
    type r;                                \
    for (int i = 0; i < (n); i++) {        \
        r.m[i] = (E);                      \
    }                                      \
    return r

/* name(a, b) with its forms with a source (lanes of src where the bit of k is 0) and with zero. */
#define EMU_BINARY(name, T, m, n, K, E)                                                                  \
    EMU T _mm512_##name(T a, T b) { EMU_MAP(T, m, n, E); }                                               \
    EMU T _mm512_mask_##name(T src, K k, T a, T b) { EMU_MAP(T, m, n, EMU_BIT(k, i) ? (E) : src.m[i]); } \
    EMU T _mm512_maskz_##name(K k, T a, T b) { EMU_MAP(T, m, n, EMU_BIT(k, i) ? (E) : 0); }
#define EMU_UNARY(name, T, m, n, K, E)                                                              \
    EMU T _mm512_##name(T a) { EMU_MAP(T, m, n, E); }                                               \
    EMU T _mm512_mask_##name(T src, K k, T a) { EMU_MAP(T, m, n, EMU_BIT(k, i) ? (E) : src.m[i]); } \
    EMU T _mm512_maskz_##name(K k, T a) { EMU_MAP(T, m, n, EMU_BIT(k, i) ? (E) : 0); }
#define EMU_SHIFT(name, m, n, K, E)                                                           \
    EMU __m512i _mm512_##name(__m512i a, unsigned imm) { EMU_MAP(__m512i, m, n, E); }         \
    EMU __m512i _mm512_mask_##name(__m512i src, K k, __m512i a, unsigned imm) {               \
        EMU_MAP(__m512i, m, n, EMU_BIT(k, i) ? (E) : src.m[i]);                               \
    }                                                                                         \
    EMU __m512i _mm512_maskz_##name(K k, __m512i a, unsigned imm) {                           \
        EMU_MAP(__m512i, m, n, EMU_BIT(k, i) ? (E) : 0);                                      \
    }
#define EMU_COMPARE(name, T, m, n, K, E)                           \
    EMU K _mm512_##name##_mask(T a, T b) {                         \
        K r = 0;                                                   \
        for (int i = 0; i < (n); i++) {                            \
            r = (K)(r | (K)((K)((E) ? 1 : 0) << i));               \
        }                                                          \
        return r;                                                  \
    }                                                              \
    EMU K _mm512_mask_##name##_mask(K k, T a, T b) {               \
        return (K)(k & _mm512_##name##_mask(a, b));                \
    }
#define EMU_COMPARISONS(kind, m, n, K, S)                                              \
    EMU_COMPARE(cmpeq_##kind, __m512i, m, n, K, (S)a.m[i] == (S)b.m[i])                \
    EMU_COMPARE(cmpneq_##kind, __m512i, m, n, K, (S)a.m[i] != (S)b.m[i])               \
    EMU_COMPARE(cmplt_##kind, __m512i, m, n, K, (S)a.m[i] < (S)b.m[i])                 \
    EMU_COMPARE(cmple_##kind, __m512i, m, n, K, (S)a.m[i] <= (S)b.m[i])                \
    EMU_COMPARE(cmpgt_##kind, __m512i, m, n, K, (S)a.m[i] > (S)b.m[i])                 \
    EMU_COMPARE(cmpge_##kind, __m512i, m, n, K, (S)a.m[i] >= (S)b.m[i])

/* -- loads, stores, constants --------------------------------------------------------------------- */
#define EMU_LOAD(name, T) EMU T name(const void *p) { T r; memcpy(&r, p, sizeof r); return r; }
#define EMU_STORE(name, T) EMU void name(void *p, T a) { memcpy(p, &a, sizeof a); }
EMU_LOAD(_mm512_loadu_si512, __m512i)
EMU_LOAD(_mm512_load_si512, __m512i)
EMU_LOAD(_mm512_loadu_epi64, __m512i)
EMU_LOAD(_mm512_loadu_epi32, __m512i)
EMU_LOAD(_mm512_loadu_epi8, __m512i)
EMU_LOAD(_mm512_loadu_pd, __m512d)
EMU_LOAD(_mm512_loadu_ps, __m512)
EMU_LOAD(_mm256_loadu_si256, __m256i)
EMU_LOAD(_mm256_loadu_ps, __m256)
EMU_LOAD(_mm_loadu_si128, __m128i)
EMU_STORE(_mm512_storeu_si512, __m512i)
EMU_STORE(_mm512_store_si512, __m512i)
EMU_STORE(_mm512_storeu_epi64, __m512i)
EMU_STORE(_mm512_storeu_epi32, __m512i)
EMU_STORE(_mm512_storeu_epi8, __m512i)
EMU_STORE(_mm512_storeu_pd, __m512d)
EMU_STORE(_mm512_storeu_ps, __m512)
EMU_STORE(_mm256_storeu_si256, __m256i)
EMU_STORE(_mm256_storeu_ps, __m256)
EMU_STORE(_mm_storeu_si128, __m128i)

/* Masked: a lane whose bit is 0 is neither read nor written. */
#define EMU_MASKED(kind, T, m, n, K)                                        \
    EMU T _mm512_mask_loadu_##kind(T src, K k, const void *p) {             \
        for (int i = 0; i < (n); i++) {                                     \
            if (EMU_BIT(k, i)) {                                            \
                memcpy(&src.m[i], (const char *)p + i * (int)sizeof src.m[0], sizeof src.m[0]); \
            }                                                               \
        }                                                                   \
        return src;                                                         \
    }                                                                       \
    EMU T _mm512_maskz_loadu_##kind(K k, const void *p) {                   \
        T zero;                                                             \
        memset(&zero, 0, sizeof zero);                                      \
        return _mm512_mask_loadu_##kind(zero, k, p);                        \
    }                                                                       \
    EMU void _mm512_mask_storeu_##kind(void *p, K k, T a) {                 \
        for (int i = 0; i < (n); i++) {                                     \
            if (EMU_BIT(k, i)) {                                            \
                memcpy((char *)p + i * (int)sizeof a.m[0], &a.m[i], sizeof a.m[0]); \
            }                                                               \
        }                                                                   \
    }
EMU_MASKED(epi64, __m512i, u, 8, __mmask8)
EMU_MASKED(epi32, __m512i, w, 16, __mmask16)
EMU_MASKED(epi16, __m512i, h, 32, __mmask32)
EMU_MASKED(epi8, __m512i, b, 64, __mmask64)
EMU_MASKED(pd, __m512d, d, 8, __mmask8)
EMU_MASKED(ps, __m512, f, 16, __mmask16)

EMU __m512i _mm512_setzero_si512(void) { EMU_MAP(__m512i, u, 8, 0); }
EMU __m512i _mm512_set1_epi64(long long x) { EMU_MAP(__m512i, u, 8, (uint64_t)x); }
EMU __m512i _mm512_set1_epi32(int x) { EMU_MAP(__m512i, w, 16, (uint32_t)x); }
EMU __m512i _mm512_set1_epi16(short x) { EMU_MAP(__m512i, h, 32, (uint16_t)x); }
EMU __m512i _mm512_set1_epi8(char x) { EMU_MAP(__m512i, b, 64, (uint8_t)x); }
EMU __m512i _mm512_maskz_set1_epi64(__mmask8 k, long long x) { EMU_MAP(__m512i, u, 8, EMU_BIT(k, i) ? (uint64_t)x : 0); }
EMU __m512i _mm512_setr_epi64(long long e0, long long e1, long long e2, long long e3, long long e4, long long e5, long long e6, long long e7) {
    const long long e[8] = {e0, e1, e2, e3, e4, e5, e6, e7};
    EMU_MAP(__m512i, u, 8, (uint64_t)e[i]);
}
/* The last argument is lane 0. */
EMU __m512i _mm512_set_epi64(long long e7, long long e6, long long e5, long long e4, long long e3, long long e2, long long e1, long long e0) {
    return _mm512_setr_epi64(e0, e1, e2, e3, e4, e5, e6, e7);
}
EMU __m512d _mm512_setzero_pd(void) { EMU_MAP(__m512d, d, 8, 0); }
EMU __m512d _mm512_set1_pd(double x) { EMU_MAP(__m512d, d, 8, x); }

/* -- casts, parts --------------------------------------------------------------------------------- */
#define EMU_CAST(name, S, D)                             \
    EMU D name(S a) {                                    \
        D r;                                             \
        memcpy(&r, &a, sizeof r);                        \
        return r;                                        \
    }
EMU_CAST(_mm512_castpd_si512, __m512d, __m512i)
EMU_CAST(_mm512_castsi512_pd, __m512i, __m512d)
EMU_CAST(_mm512_castps_si512, __m512, __m512i)
EMU_CAST(_mm512_castsi512_ps, __m512i, __m512)
EMU_CAST(_mm512_castsi512_si256, __m512i, __m256i) /* the low half */
EMU_CAST(_mm512_castsi512_si128, __m512i, __m128i)
EMU_CAST(_mm256_castsi256_si128, __m256i, __m128i)
EMU_CAST(_mm256_castsi256_ps, __m256i, __m256)
EMU_CAST(_mm256_castps_si256, __m256, __m256i)
EMU __m512i _mm512_castsi256_si512(__m256i a) { EMU_MAP(__m512i, u, 8, i < 4 ? a.u[i] : EMU_UNDEFINED); }
EMU __m512i _mm512_castsi128_si512(__m128i a) { EMU_MAP(__m512i, u, 8, i < 2 ? a.u[i] : EMU_UNDEFINED); }
EMU __m512i _mm512_zextsi256_si512(__m256i a) { EMU_MAP(__m512i, u, 8, i < 4 ? a.u[i] : 0); }
EMU __m512i _mm512_zextsi128_si512(__m128i a) { EMU_MAP(__m512i, u, 8, i < 2 ? a.u[i] : 0); }
EMU __m256i _mm512_extracti64x4_epi64(__m512i a, int imm) { EMU_MAP(__m256i, u, 4, a.u[4 * (imm & 1) + i]); }
EMU __m128i _mm512_extracti64x2_epi64(__m512i a, int imm) { EMU_MAP(__m128i, u, 2, a.u[2 * (imm & 3) + i]); }
EMU __m128i _mm512_extracti32x4_epi32(__m512i a, int imm) { EMU_MAP(__m128i, u, 2, a.u[2 * (imm & 3) + i]); }
EMU __m512i _mm512_inserti64x4(__m512i a, __m256i b, int imm) {
    EMU_MAP(__m512i, u, 8, i / 4 == (imm & 1) ? b.u[i % 4] : a.u[i]);
}
EMU __m512i _mm512_broadcast_i64x4(__m256i a) { EMU_MAP(__m512i, u, 8, a.u[i % 4]); }
EMU __m512i _mm512_broadcast_i64x2(__m128i a) { EMU_MAP(__m512i, u, 8, a.u[i % 2]); }
EMU __m512i _mm512_broadcast_i32x4(__m128i a) { EMU_MAP(__m512i, u, 8, a.u[i % 2]); }
EMU __m512i _mm512_broadcastq_epi64(__m128i a) { EMU_MAP(__m512i, u, 8, a.u[0]); }

/* -- 64-bit integers ------------------------------------------------------------------------------ */
/* The high 52 of the 104 bits of a 52-bit product. */
EMU uint64_t emu_mul52hi(uint64_t x, uint64_t y) {
    const uint64_t low26 = ((uint64_t)1 << 26) - 1;
    x &= ((uint64_t)1 << 52) - 1, y &= ((uint64_t)1 << 52) - 1;
    const uint64_t x0 = x & low26, x1 = x >> 26, y0 = y & low26, y1 = y >> 26;
    const uint64_t cross = x1 * y0 + (x0 * y0 >> 26); /* < 2^53 */
    const uint64_t middle = x0 * y1 + (cross & low26);
    return x1 * y1 + (cross >> 26) + (middle >> 26);
}
EMU uint64_t emu_sra(uint64_t x, uint64_t by) {
    by = by > 63 ? 63 : by;
    return x >> 63 ? ~(~x >> by) : x >> by;
}
EMU uint64_t emu_rol(uint64_t x, uint64_t by) { return by % 64 ? x << by % 64 | x >> (64 - by % 64) : x; }

#define EMU64(name, E) EMU_BINARY(name, __m512i, u, 8, __mmask8, E)
EMU64(add_epi64, a.u[i] + b.u[i])
EMU64(sub_epi64, a.u[i] - b.u[i])
EMU64(mullo_epi64, a.u[i] * b.u[i])
EMU64(mul_epu32, (uint64_t)(uint32_t)a.u[i] * (uint32_t)b.u[i]) /* low halves only */
EMU64(mul_epi32, (uint64_t)((int64_t)(int32_t)a.u[i] * (int32_t)b.u[i]))
EMU64(and_epi64, a.u[i] & b.u[i])
EMU64(or_epi64, a.u[i] | b.u[i])
EMU64(xor_epi64, a.u[i] ^ b.u[i])
EMU64(andnot_epi64, ~a.u[i] & b.u[i]) /* the FIRST one is inverted */
EMU64(min_epu64, a.u[i] < b.u[i] ? a.u[i] : b.u[i])
EMU64(max_epu64, a.u[i] > b.u[i] ? a.u[i] : b.u[i])
EMU64(min_epi64, (int64_t)a.u[i] < (int64_t)b.u[i] ? a.u[i] : b.u[i])
EMU64(max_epi64, (int64_t)a.u[i] > (int64_t)b.u[i] ? a.u[i] : b.u[i])
EMU64(sllv_epi64, b.u[i] > 63 ? 0 : a.u[i] << b.u[i])
EMU64(srlv_epi64, b.u[i] > 63 ? 0 : a.u[i] >> b.u[i])
EMU64(srav_epi64, emu_sra(a.u[i], b.u[i]))
EMU64(rolv_epi64, emu_rol(a.u[i], b.u[i]))
EMU64(rorv_epi64, emu_rol(a.u[i], 64 - b.u[i] % 64))
EMU64(unpacklo_epi64, i % 2 ? b.u[i - 1] : a.u[i]) /* per 128 bits: a0 b0 a2 b2 a4 b4 a6 b6 */
EMU64(unpackhi_epi64, i % 2 ? b.u[i] : a.u[i + 1]) /* a1 b1 a3 b3 a5 b5 a7 b7 */
EMU64(permutexvar_epi64, b.u[a.u[i] % 8])          /* (index, vector) */
EMU_UNARY(mov_epi64, __m512i, u, 8, __mmask8, a.u[i])
EMU_UNARY(abs_epi64, __m512i, u, 8, __mmask8, a.u[i] >> 63 ? 0 - a.u[i] : a.u[i])
EMU_SHIFT(slli_epi64, u, 8, __mmask8, imm > 63 ? 0 : a.u[i] << imm)
EMU_SHIFT(srli_epi64, u, 8, __mmask8, imm > 63 ? 0 : a.u[i] >> imm)
EMU_SHIFT(srai_epi64, u, 8, __mmask8, emu_sra(a.u[i], imm))
EMU_SHIFT(rol_epi64, u, 8, __mmask8, emu_rol(a.u[i], imm))
EMU_SHIFT(ror_epi64, u, 8, __mmask8, emu_rol(a.u[i], 64 - imm % 64))
EMU_SHIFT(permutex_epi64, u, 8, __mmask8, a.u[i / 4 * 4 + (imm >> 2 * (i % 4) & 3)]) /* per 256 bits */
EMU_COMPARISONS(epu64, u, 8, __mmask8, uint64_t)
EMU_COMPARISONS(epi64, u, 8, __mmask8, int64_t)
EMU_COMPARE(test_epi64, __m512i, u, 8, __mmask8, (a.u[i] & b.u[i]) != 0)
EMU_COMPARE(testn_epi64, __m512i, u, 8, __mmask8, (a.u[i] & b.u[i]) == 0)

EMU __m512i _mm512_and_si512(__m512i a, __m512i b) { return _mm512_and_epi64(a, b); }
EMU __m512i _mm512_or_si512(__m512i a, __m512i b) { return _mm512_or_epi64(a, b); }
EMU __m512i _mm512_xor_si512(__m512i a, __m512i b) { return _mm512_xor_epi64(a, b); }
EMU __m512i _mm512_andnot_si512(__m512i a, __m512i b) { return _mm512_andnot_epi64(a, b); }
EMU __m512i _mm512_sll_epi64(__m512i a, __m128i count) { EMU_MAP(__m512i, u, 8, count.u[0] > 63 ? 0 : a.u[i] << count.u[0]); }
EMU __m512i _mm512_srl_epi64(__m512i a, __m128i count) { EMU_MAP(__m512i, u, 8, count.u[0] > 63 ? 0 : a.u[i] >> count.u[0]); }
EMU __m512i _mm512_sra_epi64(__m512i a, __m128i count) { EMU_MAP(__m512i, u, 8, emu_sra(a.u[i], count.u[0])); }
EMU __m512i _mm512_mask_blend_epi64(__mmask8 k, __m512i a, __m512i b) { EMU_MAP(__m512i, u, 8, EMU_BIT(k, i) ? b.u[i] : a.u[i]); }
EMU __m512i _mm512_movm_epi64(__mmask8 k) { EMU_MAP(__m512i, u, 8, (uint64_t)0 - EMU_BIT((uint64_t)k, i)); }
EMU __mmask8 _mm512_movepi64_mask(__m512i a) { return _mm512_cmplt_epi64_mask(a, _mm512_setzero_si512()); }

/* The addend comes first; the products are of the low 52 bits of b and c, the sum is of 64 bits. */
EMU __m512i _mm512_madd52lo_epu64(__m512i a, __m512i b, __m512i c) {
    EMU_MAP(__m512i, u, 8, a.u[i] + (b.u[i] * c.u[i] & (((uint64_t)1 << 52) - 1)));
}
EMU __m512i _mm512_madd52hi_epu64(__m512i a, __m512i b, __m512i c) {
    EMU_MAP(__m512i, u, 8, a.u[i] + emu_mul52hi(b.u[i], c.u[i]));
}

/* Bit x of imm, x = 4 (bit of a) + 2 (bit of b) + (bit of c). */
EMU __m512i _mm512_ternarylogic_epi64(__m512i a, __m512i b, __m512i c, int imm) {
    __m512i r = _mm512_setzero_si512();
    for (int x = 0; x < 8; x++) {
        for (int i = 0; i < 8 && imm >> x & 1; i++) {
            r.u[i] |= (x & 4 ? a.u[i] : ~a.u[i]) & (x & 2 ? b.u[i] : ~b.u[i]) & (x & 1 ? c.u[i] : ~c.u[i]);
        }
    }
    return r;
}

/* (a, index, b): bit 3 of the index chooses b, bits 2..0 its lane. */
EMU __m512i _mm512_permutex2var_epi64(__m512i a, __m512i idx, __m512i b) {
    EMU_MAP(__m512i, u, 8, (idx.u[i] & 8 ? b : a).u[idx.u[i] & 7]);
}
/* 128-bit parts: two of a, then two of b. */
EMU __m512i _mm512_shuffle_i64x2(__m512i a, __m512i b, int imm) {
    EMU_MAP(__m512i, u, 8, (i < 4 ? a : b).u[2 * (imm >> 2 * (i / 2) & 3) + i % 2]);
}
/* (a:b) as 16 lanes, b the low ones, moved down by imm. */
EMU __m512i _mm512_alignr_epi64(__m512i a, __m512i b, int imm) {
    EMU_MAP(__m512i, u, 8, i + (imm & 7) < 8 ? b.u[i + (imm & 7)] : a.u[i + (imm & 7) - 8]);
}
/* Lanes chosen by k, together at the bottom; expand is the way back. */
EMU __m512i _mm512_maskz_compress_epi64(__mmask8 k, __m512i a) {
    __m512i r = _mm512_setzero_si512();
    for (int i = 0, at = 0; i < 8; i++) {
        if (EMU_BIT(k, i)) {
            r.u[at++] = a.u[i];
        }
    }
    return r;
}
EMU __m512i _mm512_maskz_expand_epi64(__mmask8 k, __m512i a) {
    __m512i r = _mm512_setzero_si512();
    for (int i = 0, at = 0; i < 8; i++) {
        if (EMU_BIT(k, i)) {
            r.u[i] = a.u[at++];
        }
    }
    return r;
}
EMU void _mm512_mask_compressstoreu_epi64(void *p, __mmask8 k, __m512i a) {
    for (int i = 0, at = 0; i < 8; i++) {
        if (EMU_BIT(k, i)) {
            memcpy((char *)p + 8 * at++, &a.u[i], 8);
        }
    }
}

#define EMU_REDUCE(name, S, E)                        \
    EMU long long _mm512_reduce_##name(__m512i a) {   \
        S r = (S)a.u[0];                              \
        for (int i = 1; i < 8; i++) {                 \
            const S x = (S)a.u[i];                    \
            r = (E);                                  \
        }                                             \
        return (long long)r;                          \
    }
EMU_REDUCE(add_epi64, uint64_t, r + x)
EMU_REDUCE(or_epi64, uint64_t, r | x)
EMU_REDUCE(and_epi64, uint64_t, r & x)
EMU_REDUCE(max_epi64, int64_t, x > r ? x : r)
EMU_REDUCE(min_epi64, int64_t, x < r ? x : r)
#define _mm512_reduce_max_epu64(a) ((unsigned long long)emu_reduce_max_epu64(a))
EMU uint64_t emu_reduce_max_epu64(__m512i a) {
    uint64_t r = 0;
    for (int i = 0; i < 8; i++) {
        r = a.u[i] > r ? a.u[i] : r;
    }
    return r;
}
#define _mm512_reduce_min_epu64(a) (~emu_reduce_max_epu64(_mm512_ternarylogic_epi64(a, a, a, 0x01)))

/* -- 32, 16 and 8 bits ---------------------------------------------------------------------------- */
#define EMU32(name, E) EMU_BINARY(name, __m512i, w, 16, __mmask16, E)
EMU32(add_epi32, a.w[i] + b.w[i])
EMU32(sub_epi32, a.w[i] - b.w[i])
EMU32(mullo_epi32, a.w[i] * b.w[i])
EMU32(and_epi32, a.w[i] & b.w[i])
EMU32(or_epi32, a.w[i] | b.w[i])
EMU32(xor_epi32, a.w[i] ^ b.w[i])
EMU32(min_epu32, a.w[i] < b.w[i] ? a.w[i] : b.w[i])
EMU32(max_epu32, a.w[i] > b.w[i] ? a.w[i] : b.w[i])
EMU32(min_epi32, (int32_t)a.w[i] < (int32_t)b.w[i] ? a.w[i] : b.w[i])
EMU32(max_epi32, (int32_t)a.w[i] > (int32_t)b.w[i] ? a.w[i] : b.w[i])
EMU32(sllv_epi32, b.w[i] > 31 ? 0 : a.w[i] << b.w[i])
EMU32(srlv_epi32, b.w[i] > 31 ? 0 : a.w[i] >> b.w[i])
EMU32(permutexvar_epi32, b.w[a.w[i] % 16]) /* (index, vector) */
EMU_UNARY(mov_epi32, __m512i, w, 16, __mmask16, a.w[i])
EMU_SHIFT(slli_epi32, w, 16, __mmask16, imm > 31 ? 0 : a.w[i] << imm)
EMU_SHIFT(srli_epi32, w, 16, __mmask16, imm > 31 ? 0 : a.w[i] >> imm)
EMU_SHIFT(srai_epi32, w, 16, __mmask16, (uint32_t)emu_sra((uint64_t)(int64_t)(int32_t)a.w[i], imm))
EMU_SHIFT(shuffle_epi32, w, 16, __mmask16, a.w[i / 4 * 4 + (imm >> 2 * (i % 4) & 3)]) /* per 128 bits */
EMU_COMPARISONS(epu32, w, 16, __mmask16, uint32_t)
EMU_COMPARISONS(epi32, w, 16, __mmask16, int32_t)
EMU __m512i _mm512_permutex2var_epi32(__m512i a, __m512i idx, __m512i b) {
    EMU_MAP(__m512i, w, 16, (idx.w[i] & 16 ? b : a).w[idx.w[i] & 15]);
}

#define EMU16(name, E) EMU_BINARY(name, __m512i, h, 32, __mmask32, E)
EMU16(add_epi16, (uint16_t)(a.h[i] + b.h[i]))
EMU16(sub_epi16, (uint16_t)(a.h[i] - b.h[i]))
EMU16(mullo_epi16, (uint16_t)((uint32_t)a.h[i] * b.h[i]))
EMU16(mulhi_epu16, (uint16_t)((uint32_t)a.h[i] * b.h[i] >> 16))
EMU16(permutexvar_epi16, b.h[a.h[i] % 32]) /* (index, vector) */
EMU_SHIFT(slli_epi16, h, 32, __mmask32, (uint16_t)(imm > 15 ? 0 : a.h[i] << imm))
EMU_SHIFT(srli_epi16, h, 32, __mmask32, (uint16_t)(imm > 15 ? 0 : a.h[i] >> imm))
EMU_COMPARISONS(epu16, h, 32, __mmask32, uint16_t)
EMU_COMPARISONS(epi16, h, 32, __mmask32, int16_t)

#define EMU8(name, E) EMU_BINARY(name, __m512i, b, 64, __mmask64, E)
EMU8(add_epi8, (uint8_t)(a.b[i] + b.b[i]))
EMU8(sub_epi8, (uint8_t)(a.b[i] - b.b[i]))
EMU8(shuffle_epi8, b.b[i] & 128 ? 0 : a.b[i / 16 * 16 + b.b[i] % 16]) /* (vector, index), per 128 bits */
EMU8(permutexvar_epi8, b.b[a.b[i] % 64])                              /* (index, vector) */
/* (control, vector): byte i is the eight bits of ITS 64-bit lane that begin at bit a.b[i] mod 64, around the end. */
EMU8(multishift_epi64_epi8, (uint8_t)emu_rol(b.u[i / 8], 64 - a.b[i] % 64))
EMU_UNARY(mov_epi8, __m512i, b, 64, __mmask64, a.b[i])
EMU_COMPARISONS(epu8, b, 64, __mmask64, uint8_t)
EMU_COMPARISONS(epi8, b, 64, __mmask64, int8_t)
EMU __m512i _mm512_mask_blend_epi8(__mmask64 k, __m512i a, __m512i b) { EMU_MAP(__m512i, b, 64, EMU_BIT(k, i) ? b.b[i] : a.b[i]); }
EMU __m512i _mm512_permutex2var_epi8(__m512i a, __m512i idx, __m512i b) {
    EMU_MAP(__m512i, b, 64, (idx.b[i] & 64 ? b : a).b[idx.b[i] & 63]);
}
/* Sum of the eight absolute differences of each 64-bit lane. */
EMU __m512i _mm512_sad_epu8(__m512i a, __m512i b) {
    __m512i r = _mm512_setzero_si512();
    for (int i = 0; i < 64; i++) {
        r.u[i / 8] += (uint64_t)(a.b[i] > b.b[i] ? a.b[i] - b.b[i] : b.b[i] - a.b[i]);
    }
    return r;
}
/* Unsigned bytes of a times signed bytes of b, pairs added with saturation. */
EMU __m512i _mm512_maddubs_epi16(__m512i a, __m512i b) {
    __m512i r;
    for (int i = 0; i < 32; i++) {
        const int sum = a.b[2 * i] * (int8_t)b.b[2 * i] + a.b[2 * i + 1] * (int8_t)b.b[2 * i + 1];
        r.h[i] = (uint16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
    }
    return r;
}
/* Signed 16-bit products, pairs added. */
EMU __m512i _mm512_madd_epi16(__m512i a, __m512i b) {
    EMU_MAP(__m512i, w, 16, (uint32_t)((int16_t)a.h[2 * i] * (int16_t)b.h[2 * i]) +
                                (uint32_t)((int16_t)a.h[2 * i + 1] * (int16_t)b.h[2 * i + 1]));
}
/* Per 128 bits, by bytes. */
EMU __m512i _mm512_bslli_epi128(__m512i a, unsigned imm) { EMU_MAP(__m512i, b, 64, (unsigned)i % 16 < imm ? 0 : a.b[i - (int)imm]); }
EMU __m512i _mm512_bsrli_epi128(__m512i a, unsigned imm) { EMU_MAP(__m512i, b, 64, (unsigned)i % 16 + imm > 15 ? 0 : a.b[i + (int)imm]); }

/* -- conversions between integers of other widths ------------------------------------------------- */
EMU __m512i _mm512_cvtepi32_epi64(__m256i a) { EMU_MAP(__m512i, u, 8, (uint64_t)(int64_t)(int32_t)a.w[i]); }
EMU __m512i _mm512_cvtepu32_epi64(__m256i a) { EMU_MAP(__m512i, u, 8, a.w[i]); }
EMU __m512i _mm512_cvtepi16_epi64(__m128i a) { EMU_MAP(__m512i, u, 8, (uint64_t)(int64_t)(int16_t)a.h[i]); }
EMU __m512i _mm512_cvtepu16_epi64(__m128i a) { EMU_MAP(__m512i, u, 8, a.h[i]); }
EMU __m512i _mm512_cvtepu8_epi64(__m128i a) { EMU_MAP(__m512i, u, 8, a.b[i]); }
EMU __m512i _mm512_cvtepi8_epi64(__m128i a) { EMU_MAP(__m512i, u, 8, (uint64_t)(int64_t)(int8_t)a.b[i]); }
EMU __m256i _mm512_cvtepi64_epi32(__m512i a) { EMU_MAP(__m256i, w, 8, (uint32_t)a.u[i]); } /* truncated */
EMU __m128i _mm512_cvtepi64_epi16(__m512i a) { EMU_MAP(__m128i, h, 8, (uint16_t)a.u[i]); }

/* -- doubles -------------------------------------------------------------------------------------- */
#define EMUD(name, E) EMU_BINARY(name, __m512d, d, 8, __mmask8, E)
EMUD(add_pd, a.d[i] + b.d[i])
EMUD(sub_pd, a.d[i] - b.d[i])
EMUD(mul_pd, a.d[i] * b.d[i])
EMUD(div_pd, a.d[i] / b.d[i])
EMUD(min_pd, a.d[i] < b.d[i] ? a.d[i] : b.d[i]) /* the second one if either is NaN, or both are zero */
EMUD(max_pd, a.d[i] > b.d[i] ? a.d[i] : b.d[i])
EMU_UNARY(mov_pd, __m512d, d, 8, __mmask8, a.d[i])
EMU_UNARY(sqrt_pd, __m512d, d, 8, __mmask8, sqrt(a.d[i]))
EMU __m512d _mm512_abs_pd(__m512d a) { EMU_MAP(__m512d, d, 8, fabs(a.d[i])); }
/* One rounding: fma() of C99 is exact by definition. */
EMU __m512d _mm512_fmadd_pd(__m512d a, __m512d b, __m512d c) { EMU_MAP(__m512d, d, 8, fma(a.d[i], b.d[i], c.d[i])); }
EMU __m512d _mm512_fmsub_pd(__m512d a, __m512d b, __m512d c) { EMU_MAP(__m512d, d, 8, fma(a.d[i], b.d[i], -c.d[i])); }
EMU __m512d _mm512_fnmadd_pd(__m512d a, __m512d b, __m512d c) { EMU_MAP(__m512d, d, 8, fma(-a.d[i], b.d[i], c.d[i])); }
EMU __m512d _mm512_fnmsub_pd(__m512d a, __m512d b, __m512d c) { EMU_MAP(__m512d, d, 8, fma(-a.d[i], b.d[i], -c.d[i])); }
EMU __m512d _mm512_mask_blend_pd(__mmask8 k, __m512d a, __m512d b) { EMU_MAP(__m512d, d, 8, EMU_BIT(k, i) ? b.d[i] : a.d[i]); }
#define EMU_PD_BITS(op)                                                                                       \
    EMU __m512d _mm512_##op##_pd(__m512d a, __m512d b) {                                                      \
        return _mm512_castsi512_pd(_mm512_##op##_si512(_mm512_castpd_si512(a), _mm512_castpd_si512(b)));      \
    }
EMU_PD_BITS(and)
EMU_PD_BITS(or)
EMU_PD_BITS(xor)
EMU_PD_BITS(andnot)

#define _MM_FROUND_TO_NEAREST_INT 0
#define _MM_FROUND_TO_NEG_INF 1
#define _MM_FROUND_TO_POS_INF 2
#define _MM_FROUND_TO_ZERO 3
#define _MM_FROUND_CUR_DIRECTION 4 /* nobody changes it: nearest */
#define _MM_FROUND_NO_EXC 8
/* imm 7..4: so many binary places are kept. */
EMU __m512d _mm512_roundscale_pd(__m512d a, int imm) {
    const double scale = (double)(1 << (imm >> 4));
    const int mode = imm & 4 ? 0 : imm & 3;
    EMU_MAP(__m512d, d, 8, (mode == 0 ? rint(a.d[i] * scale) : mode == 1 ? floor(a.d[i] * scale)
                            : mode == 2 ? ceil(a.d[i] * scale) : trunc(a.d[i] * scale)) / scale);
}
EMU __m512d _mm512_floor_pd(__m512d a) { EMU_MAP(__m512d, d, 8, floor(a.d[i])); }
EMU __m512d _mm512_ceil_pd(__m512d a) { EMU_MAP(__m512d, d, 8, ceil(a.d[i])); }

enum { /* bit 4: whether a quiet NaN raises a flag; no flags here */
    _CMP_EQ_OQ = 0, _CMP_LT_OS = 1, _CMP_LE_OS = 2, _CMP_UNORD_Q = 3, _CMP_NEQ_UQ = 4, _CMP_NLT_US = 5,
    _CMP_NLE_US = 6, _CMP_ORD_Q = 7, _CMP_EQ_UQ = 8, _CMP_NGE_US = 9, _CMP_NGT_US = 10, _CMP_NEQ_OQ = 12,
    _CMP_GE_OS = 13, _CMP_GT_OS = 14, _CMP_LT_OQ = 17, _CMP_LE_OQ = 18, _CMP_NLT_UQ = 21, _CMP_NLE_UQ = 22,
    _CMP_NGE_UQ = 25, _CMP_NGT_UQ = 26, _CMP_GE_OQ = 29, _CMP_GT_OQ = 30
};
EMU int emu_cmp(double x, double y, int predicate) {
    const int unordered = x != x || y != y;
    switch (predicate & 15) {
    case 0: return x == y;
    case 1: return x < y;
    case 2: return x <= y;
    case 3: return unordered;
    case 4: return !(x == y);
    case 5: return !(x < y);
    case 6: return !(x <= y);
    case 7: return !unordered;
    case 8: return x == y || unordered;
    case 9: return !(x >= y);
    case 10: return !(x > y);
    case 11: return 0;
    case 12: return x != y && !unordered;
    case 13: return x >= y;
    case 14: return x > y;
    default: return 1;
    }
}
EMU __mmask8 _mm512_cmp_pd_mask(__m512d a, __m512d b, int predicate) {
    __mmask8 r = 0;
    for (int i = 0; i < 8; i++) {
        r = (__mmask8)(r | emu_cmp(a.d[i], b.d[i], predicate) << i);
    }
    return r;
}
EMU __mmask8 _mm512_mask_cmp_pd_mask(__mmask8 k, __m512d a, __m512d b, int predicate) {
    return k & _mm512_cmp_pd_mask(a, b, predicate);
}

/* To integers: out of range (or NaN) is the "indefinite" value, 2^63 signed and 2^64 - 1 unsigned. */
EMU uint64_t emu_signed(double x) {
    return x >= -0x1p63 && x < 0x1p63 ? (uint64_t)(int64_t)x : (uint64_t)1 << 63;
}
EMU uint64_t emu_unsigned(double x) { return x > -1.0 && x < 0x1p64 ? (uint64_t)x : ~(uint64_t)0; }
EMU uint32_t emu_signed32(double x) {
    return x > -0x1p31 - 1.0 && x < 0x1p31 ? (uint32_t)(int32_t)x : (uint32_t)1 << 31;
}
EMU __m512d _mm512_cvtepi64_pd(__m512i a) { EMU_MAP(__m512d, d, 8, (double)(int64_t)a.u[i]); }
EMU __m512d _mm512_cvtepu64_pd(__m512i a) { EMU_MAP(__m512d, d, 8, (double)a.u[i]); }
EMU __m512d _mm512_cvtepi32_pd(__m256i a) { EMU_MAP(__m512d, d, 8, (double)(int32_t)a.w[i]); }
EMU __m512d _mm512_cvtepu32_pd(__m256i a) { EMU_MAP(__m512d, d, 8, (double)a.w[i]); }
EMU __m512i _mm512_cvtpd_epi64(__m512d a) { EMU_MAP(__m512i, u, 8, emu_signed(rint(a.d[i]))); }
EMU __m512i _mm512_cvttpd_epi64(__m512d a) { EMU_MAP(__m512i, u, 8, emu_signed(trunc(a.d[i]))); }
EMU __m512i _mm512_cvtpd_epu64(__m512d a) { EMU_MAP(__m512i, u, 8, emu_unsigned(rint(a.d[i]))); }
EMU __m512i _mm512_cvttpd_epu64(__m512d a) { EMU_MAP(__m512i, u, 8, emu_unsigned(trunc(a.d[i]))); }
EMU __m256i _mm512_cvtpd_epi32(__m512d a) { EMU_MAP(__m256i, w, 8, emu_signed32(rint(a.d[i]))); }
EMU __m256i _mm512_cvttpd_epi32(__m512d a) { EMU_MAP(__m256i, w, 8, emu_signed32(trunc(a.d[i]))); }

/* -- float32 and float16 -------------------------------------------------------------------------- */
EMU __m512d _mm512_cvtps_pd(__m256 a) { EMU_MAP(__m512d, d, 8, (double)a.f[i]); }
EMU __m256 _mm512_cvtpd_ps(__m512d a) { EMU_MAP(__m256, f, 8, (float)a.d[i]); }
EMU float emu_from_half(uint16_t x) {
    const int exponent = x >> 10 & 31;
    const double fraction = x & 1023;
    const double size = exponent == 31 ? (fraction == 0 ? (double)INFINITY : (double)NAN)
                        : exponent == 0 ? fraction * 0x1p-24 : ldexp(1024 + fraction, exponent - 25);
    return (float)(x >> 15 ? -size : size);
}
/* Half to even; from 65520 on infinity; a NaN stays one (quiet, its top bits kept). */
EMU uint16_t emu_to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF;
    if (size > 0x7F800000) {
        return (uint16_t)(sign | 0x7E00 | (size >> 13 & 0x3FF));
    }
    const double x = fabs((double)value);
    if (x >= 65520.0) {
        return (uint16_t)(sign | 0x7C00);
    }
    int exponent = -13; /* x < 2^exponent; subnormals share the step of the smallest normals */
    if (x > 0x1p-14) {
        (void)frexp(x, &exponent);
    }
    const uint32_t steps = (uint32_t)rint(ldexp(x, 11 - exponent)); /* 0 .. 2048 */
    return (uint16_t)(sign | (steps + ((uint32_t)(exponent + 13) << 10)));
}
EMU __m512 _mm512_cvtph_ps(__m256i a) { EMU_MAP(__m512, f, 16, emu_from_half(a.h[i])); }
EMU __m256 _mm256_cvtph_ps(__m128i a) { EMU_MAP(__m256, f, 8, emu_from_half(a.h[i])); }
/* imm: 0 or 4 (nearest), with or without 8. */
EMU __m256i _mm512_cvtps_ph(__m512 a, int imm) { (void)imm; EMU_MAP(__m256i, h, 16, emu_to_half(a.f[i])); }
EMU __m128i _mm256_cvtps_ph(__m256 a, int imm) { (void)imm; EMU_MAP(__m128i, h, 8, emu_to_half(a.f[i])); }

#include "gfni.h"

#endif
