/* Examples worked by hand from Intel's operation sections.  Built twice: over the emulation beside it,
   and over the compiler's own <immintrin.h>, to be run where the processor has the instructions.
   Prints the names of those that differ; exit 0 if none does. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int failures;

static void differs(const char *name) {
    printf("%s\n", name);
    failures++;
}

static __m512i vector(const uint64_t *lanes) { return _mm512_loadu_si512(lanes); }

static void lanes(const char *name, __m512i got, const uint64_t *want) {
    uint64_t out[8];
    _mm512_storeu_si512(out, got);
    if (memcmp(out, want, 64) != 0) {
        differs(name);
    }
}
#define LANES(name, got, ...) lanes(name, got, (const uint64_t[8]){__VA_ARGS__})
#define MASK(name, got, want) ((got) == (want) ? (void)0 : differs(name))
#define TOP ((uint64_t)1 << 63)
#define ONES (~(uint64_t)0)
#define MASK52 (((uint64_t)1 << 52) - 1)

static void moves(void) {
    const __m512i a = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i b = _mm512_set_epi64(17, 16, 15, 14, 13, 12, 11, 10);
    LANES("set: last argument first", b, 10, 11, 12, 13, 14, 15, 16, 17);
    LANES("unpacklo", _mm512_unpacklo_epi64(a, b), 0, 10, 2, 12, 4, 14, 6, 16);
    LANES("unpackhi", _mm512_unpackhi_epi64(a, b), 1, 11, 3, 13, 5, 15, 7, 17);
    const uint64_t index[8] = {0, 8, 15, 7, 9, 16, 31, ONES - 7};
    LANES("permutex2var", _mm512_permutex2var_epi64(a, vector(index), b), 0, 10, 17, 7, 11, 0, 17, 10);
    LANES("permutexvar", _mm512_permutexvar_epi64(vector(index), b), 10, 10, 17, 17, 11, 10, 17, 10);
    LANES("mask_permutexvar", _mm512_mask_permutexvar_epi64(a, 0x06, vector(index), b), 0, 10, 17, 3, 4, 5, 6, 7);
    /* 0x4E = 01 00 11 10: parts 2, 3 of a, then 0, 1 of b. */
    LANES("shuffle_i64x2", _mm512_shuffle_i64x2(a, b, 0x4E), 4, 5, 6, 7, 10, 11, 12, 13);
    LANES("shuffle_i64x2 dd", _mm512_shuffle_i64x2(a, b, 0xDD), 2, 3, 6, 7, 12, 13, 16, 17);
    LANES("permutex 1b", _mm512_permutex_epi64(a, 0x1B), 3, 2, 1, 0, 7, 6, 5, 4);
    LANES("alignr", _mm512_alignr_epi64(a, b, 3), 13, 14, 15, 16, 17, 0, 1, 2);
    LANES("compress", _mm512_maskz_compress_epi64(0xA6, a), 1, 2, 5, 7, 0, 0, 0, 0);
    LANES("expand", _mm512_maskz_expand_epi64(0xA6, b), 0, 10, 11, 0, 0, 12, 0, 13);
    LANES("blend takes the second", _mm512_mask_blend_epi64(0x0F, a, b), 10, 11, 12, 13, 4, 5, 6, 7);
    LANES("mask_sub keeps src", _mm512_mask_sub_epi64(a, 0x81, b, a), 10, 1, 2, 3, 4, 5, 6, 10);
    LANES("maskz_add", _mm512_maskz_add_epi64(0x81, b, a), 10, 0, 0, 0, 0, 0, 0, 24);
    LANES("insert", _mm512_inserti64x4(a, _mm512_castsi512_si256(b), 1), 0, 1, 2, 3, 10, 11, 12, 13);
    LANES("extract", _mm512_broadcast_i64x4(_mm512_extracti64x4_epi64(b, 1)), 14, 15, 16, 17, 14, 15, 16, 17);
    uint64_t room[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    _mm512_mask_storeu_epi64(room, 0x05, b);
    LANES("mask_storeu", vector(room), 10, 9, 12, 9, 9, 9, 9, 9);
    _mm512_mask_compressstoreu_epi64(room + 4, 0x82, b);
    LANES("compressstoreu", vector(room), 10, 9, 12, 9, 11, 17, 9, 9);
    LANES("maskz_loadu", _mm512_maskz_loadu_epi64(0x11, room), 10, 0, 0, 0, 11, 0, 0, 0);
    LANES("narrow and widen", _mm512_cvtepi32_epi64(_mm512_cvtepi64_epi32(_mm512_set1_epi64(0x5FFFFFFFEll))),
          ONES - 1, ONES - 1, ONES - 1, ONES - 1, ONES - 1, ONES - 1, ONES - 1, ONES - 1);
    MASK("reduce_add", _mm512_reduce_add_epi64(b), 108);
    MASK("reduce_max", _mm512_reduce_max_epu64(_mm512_sub_epi64(a, _mm512_set1_epi64(1))), ONES);
    MASK("reduce_min signed", _mm512_reduce_min_epi64(_mm512_sub_epi64(a, _mm512_set1_epi64(1))), -1);
    MASK("reduce_min", _mm512_reduce_min_epu64(b), 10);
}

static void arithmetic(void) {
    const uint64_t x[8] = {MASK52, MASK52 + 4, 3, 0, TOP, ONES, MASK52, 1};
    const uint64_t y[8] = {MASK52, (uint64_t)1 << 51, (uint64_t)1 << 51, 7, TOP, ONES, 2, MASK52};
    const uint64_t z[8] = {5, 0, 0, 1, 2, 0, ONES, ONES};
    /* (2^52 - 1)^2 = (2^52 - 2) 2^52 + 1; bits above 51 of the factors do not count. */
    LANES("madd52lo", _mm512_madd52lo_epu64(vector(z), vector(x), vector(y)), 6, (uint64_t)1 << 51,
          (uint64_t)1 << 51, 1, 2, 1, MASK52 - 2, MASK52 - 1);
    LANES("madd52hi", _mm512_madd52hi_epu64(vector(z), vector(x), vector(y)), MASK52 + 4, 1, 1, 1, 2, MASK52 - 1, 0,
          ONES);
    LANES("mul_epu32", _mm512_mul_epu32(_mm512_set1_epi64(-1), vector(x)), 0xFFFFFFFFu * (uint64_t)0xFFFFFFFFu,
          3 * (uint64_t)0xFFFFFFFFu, 3 * (uint64_t)0xFFFFFFFFu, 0, 0, 0xFFFFFFFFu * (uint64_t)0xFFFFFFFFu,
          0xFFFFFFFFu * (uint64_t)0xFFFFFFFFu, 0xFFFFFFFFu);
    LANES("mullo", _mm512_mullo_epi64(vector(x), vector(y)), MASK52 * MASK52, 3 * ((uint64_t)1 << 51),
          3 * ((uint64_t)1 << 51), 0, 0, 1, 2 * MASK52, MASK52);
    const __m512i count = _mm512_setr_epi64(0, 1, 4, 63, 64, 65, 200, -1), ones = _mm512_set1_epi64(-16);
    LANES("sllv", _mm512_sllv_epi64(ones, count), ONES - 15, ONES - 31, ONES - 255, 0, 0, 0, 0, 0);
    LANES("srlv", _mm512_srlv_epi64(ones, count), ONES - 15, (ONES >> 1) - 7, ONES >> 4, 1, 0, 0, 0, 0);
    LANES("srav", _mm512_srav_epi64(ones, count), ONES - 15, ONES - 7, ONES, ONES, ONES, ONES, ONES, ONES);
    MASK("srai 70", _mm512_reduce_and_epi64(_mm512_srai_epi64(ones, 70)), -1);
    MASK("slli 64", _mm512_reduce_or_epi64(_mm512_slli_epi64(ones, 64)), 0);
    LANES("rol", _mm512_rol_epi64(_mm512_set1_epi64((long long)(TOP | 2)), 1), 5, 5, 5, 5, 5, 5, 5, 5);
    LANES("ror", _mm512_ror_epi64(_mm512_set1_epi64(5), 1), TOP | 2, TOP | 2, TOP | 2, TOP | 2, TOP | 2, TOP | 2,
          TOP | 2, TOP | 2);
    LANES("andnot", _mm512_andnot_si512(_mm512_set1_epi64(0xFF), _mm512_set1_epi64(0xF0F)), 0xF00, 0xF00, 0xF00,
          0xF00, 0xF00, 0xF00, 0xF00, 0xF00);
    /* With these three the low byte of the result is the constant itself, and its bit 0 fills the rest. */
    const __m512i f0 = _mm512_set1_epi64(0xF0), cc = _mm512_set1_epi64(0xCC), aa = _mm512_set1_epi64(0xAA);
    LANES("ternarylogic ca", _mm512_ternarylogic_epi64(f0, cc, aa, 0xCA), 0xCA, 0xCA, 0xCA, 0xCA, 0xCA, 0xCA, 0xCA,
          0xCA);
    LANES("ternarylogic 1b", _mm512_ternarylogic_epi64(f0, cc, aa, 0x1B), ONES - 0xE4, ONES - 0xE4, ONES - 0xE4,
          ONES - 0xE4, ONES - 0xE4, ONES - 0xE4, ONES - 0xE4, ONES - 0xE4);
    const uint64_t edge[8] = {0, 1, TOP - 1, TOP, TOP + 1, ONES, 7, 8};
    const __m512i seven = _mm512_set1_epi64(7);
    MASK("cmplt_epu64", _mm512_cmplt_epu64_mask(vector(edge), seven), 0x03);
    MASK("cmplt_epi64", _mm512_cmplt_epi64_mask(vector(edge), seven), 0x3B);
    MASK("cmpge_epu64", _mm512_cmpge_epu64_mask(vector(edge), seven), 0xFC);
    MASK("mask_cmpge", _mm512_mask_cmpge_epu64_mask(0x0F, vector(edge), seven), 0x0C);
    MASK("test", _mm512_test_epi64_mask(vector(edge), seven), 0x76);
    MASK("movepi64_mask", _mm512_movepi64_mask(vector(edge)), 0x38);
    LANES("movm", _mm512_movm_epi64(0x81), ONES, 0, 0, 0, 0, 0, 0, ONES);
    LANES("min_epu64", _mm512_min_epu64(vector(edge), seven), 0, 1, 7, 7, 7, 7, 7, 7);
    LANES("max_epi64", _mm512_max_epi64(vector(edge), seven), 7, 7, TOP - 1, 7, 7, 7, 7, 8);
}

static void bytes(void) {
    uint8_t control[64] = {0, 8, 4, 56, 60, 63, 64, 127, 63, 1, 57, 0, 0, 0, 0, 0}, plain[64], other[64];
    const uint64_t x[8] = {0x0807060504030201u, 0x80000000000000FFu, 0, 0, 0, 0, 0, 0};
    /* Byte k of the result: bits control[k] .. control[k] + 7 of the same lane, around its end. */
    LANES("multishift", _mm512_multishift_epi64_epi8(vector((const uint64_t *)(const void *)control), vector(x)),
          0x0201021008200201u, 0xFFFFFFFFFFC07FFFu, 0, 0, 0, 0, 0, 0);
    for (int i = 0; i < 64; i++) {
        plain[i] = (uint8_t)i;
        other[i] = (uint8_t)(100 + i);
        control[i] = (uint8_t)(i % 8 == 0 ? 63 : i % 8 == 1 ? 128 : i % 8 == 2 ? 64 + 5 : i % 8 == 3 ? 17 : 0);
    }
    const __m512i p = _mm512_loadu_si512(plain), o = _mm512_loadu_si512(other), c = _mm512_loadu_si512(control);
    /* Within 16 bytes: 63 -> 15, 128 -> zero, 69 -> 5, 17 -> 1. */
    const uint64_t f = 0x000000000105000Fu, each = 0x1010101010100010u;
    LANES("shuffle_epi8", _mm512_shuffle_epi8(p, c), f, f, f + each, f + each, f + 2 * each, f + 2 * each,
          f + 3 * each, f + 3 * each);
    const uint64_t v = 0x6464646475696400u + 163;
    LANES("permutexvar_epi8", _mm512_permutexvar_epi8(c, o), v, v, v, v, v, v, v, v);
    const uint64_t w = 0x000000001169003Fu;
    LANES("permutex2var_epi8", _mm512_permutex2var_epi8(p, c, o), w, w, w, w, w, w, w, w);
    LANES("sad", _mm512_sad_epu8(p, _mm512_set1_epi8(3)), 6 + 1 + 2 + 3 + 4, 68, 132, 196, 260, 324, 388, 452);
    /* 255 * -1 + 255 * -128 = -32895 is below, 2 * 255 * 127 above what 16 bits hold. */
    const uint64_t m = 0x7FFF80007FFF8000u;
    LANES("maddubs", _mm512_maddubs_epi16(_mm512_set1_epi8(-1), _mm512_set1_epi32(0x7F7F80FF)), m, m, m, m, m, m, m, m);
    const uint64_t n = 0x0000000A0000000Au; /* -1 * -4 + 2 * 3 */
    LANES("madd", _mm512_madd_epi16(_mm512_set1_epi32(0x0002FFFF), _mm512_set1_epi32(0x0003FFFC)), n, n, n, n, n, n, n, n);
}

static void doubles(void) {
    const double x[8] = {2.5, 3.5, -2.5, 1e300, -0.5, NAN, 0x1p63, -1.0};
    const __m512d v = _mm512_loadu_pd(x);
    LANES("cvtpd_epi64", _mm512_cvtpd_epi64(v), 2, 4, ONES - 1, TOP, 0, TOP, TOP, ONES);
    LANES("cvttpd_epi64", _mm512_cvttpd_epi64(v), 2, 3, ONES - 1, TOP, 0, TOP, TOP, ONES);
    LANES("cvtpd_epu64", _mm512_cvtpd_epu64(v), 2, 4, ONES, ONES, 0, ONES, TOP, ONES);
    LANES("roundscale floor", _mm512_cvtpd_epi64(_mm512_roundscale_pd(v, 9)), 2, 3, ONES - 2, TOP, ONES, TOP, TOP,
          ONES);
    LANES("roundscale even", _mm512_cvttpd_epi64(_mm512_roundscale_pd(v, 8)), 2, 4, ONES - 1, TOP, 0, TOP, TOP, ONES);
    const double scaled[8] = {0.25, 0.26, -0.25, 0.5, 1.0, 2.0, 3.0, 4.0};
    LANES("roundscale 1 place", _mm512_cvtpd_epi64(_mm512_mul_pd(_mm512_roundscale_pd(_mm512_loadu_pd(scaled), 0x18),
                                                                 _mm512_set1_pd(2))),
          0, 1, 0, 1, 2, 4, 6, 8);
    MASK("cmp lt, NaN no", _mm512_cmp_pd_mask(v, _mm512_set1_pd(0), _CMP_LT_OQ), 0x94);
    MASK("cmp nlt, NaN yes", _mm512_cmp_pd_mask(v, _mm512_set1_pd(0), _CMP_NLT_UQ), 0x6B);
    MASK("cmp unordered", _mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q), 0x20);
    MASK("min: NaN gives the second", _mm512_cmp_pd_mask(_mm512_min_pd(v, _mm512_set1_pd(2)), v, _CMP_EQ_OQ), 0x94);
    MASK("max: NaN gives the second", _mm512_cmp_pd_mask(_mm512_max_pd(_mm512_set1_pd(2), v), v, _CMP_UNORD_Q), 0x20);
    const __m512d near = _mm512_set1_pd(1 + 0x1p-30), minus = _mm512_set1_pd(-1 - 0x1p-29);
    MASK("fmadd rounds once",
         _mm512_cmp_pd_mask(_mm512_fmadd_pd(near, near, minus), _mm512_set1_pd(0x1p-60), _CMP_EQ_OQ), 0xFF);
    MASK("fnmadd", _mm512_cmp_pd_mask(_mm512_fnmadd_pd(near, near, near), _mm512_set1_pd(-0x1p-30 - 0x1p-60), _CMP_EQ_OQ), 0xFF);
    MASK("fmsub", _mm512_cmp_pd_mask(_mm512_fmsub_pd(v, v, v), _mm512_set1_pd(3.75), _CMP_EQ_OQ), 0x01);
    const float wide[8] = {65519.996f, 65520.0f, 0x1p-25f, 0x1.8p-25f, 1 + 0x1p-11f, 1 + 3 * 0x1p-11f, -0.0f, -0x1p-14f};
    const uint16_t half[8] = {0x7BFF, 0x7C00, 0, 1, 0x3C00, 0x3C02, 0x8000, 0x8400};
    uint16_t got[8];
    _mm_storeu_si128((__m128i *)(void *)got, _mm256_cvtps_ph(_mm256_loadu_ps(wide), 8));
    MASK("to half", memcmp(got, half, 16), 0);
    const float back[8] = {65504.0f, INFINITY, 0, 0x1p-24f, 1, 1 + 0x1p-9f, -0.0f, -0x1p-14f};
    float narrow[8];
    _mm256_storeu_ps(narrow, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)half)));
    MASK("from half", memcmp(narrow, back, 32), 0);
}

static void field(void) {
    const __m512i five = _mm512_set1_epi8(0x53);
    const uint64_t c1 = 0xC1C1C1C1C1C1C1C1u, ed = 0xEDEDEDEDEDEDEDEDu, a9 = 0xA9A9A9A9A9A9A9A9u;
    /* FIPS 197: {57} {83} = {c1}, and the S-box takes {53} to {ed}: its inverse {ca}, then an affine map. */
    LANES("gf2p8mul", _mm512_gf2p8mul_epi8(_mm512_set1_epi8(0x57), _mm512_set1_epi8((char)0x83)), c1, c1, c1, c1, c1, c1,
          c1, c1);
    LANES("gf2p8affineinv", _mm512_gf2p8affineinv_epi64_epi8(five, _mm512_set1_epi64((long long)0xF1E3C78F1F3E7CF8u), 0x63),
          ed, ed, ed, ed, ed, ed, ed, ed);
    /* The identity has 0x80 in byte 0; one matrix a lane; 0x53 + 0xFA = 0xA9. */
    const uint64_t maps[8] = {0x0102040810204080u, 0, 0x8040201008040201u, 0, 0, 0, 0, 0};
    const uint64_t fa = 0xFAFAFAFAFAFAFAFAu, reversed = 0x3030303030303030u; /* 0x53 backwards is 0xCA */
    LANES("gf2p8affine", _mm512_gf2p8affine_epi64_epi8(five, vector(maps), 0xFA), a9, fa, reversed, fa, fa, fa, fa, fa);
    const __m512i low = _mm512_set1_epi8(3), high = _mm512_set1_epi8((char)0xFE);
    LANES("max_epu8, adds_epu8", _mm512_sub_epi8(_mm512_adds_epu8(low, high), _mm512_max_epu8(low, high)),
          0x0101010101010101u, 0x0101010101010101u, 0x0101010101010101u, 0x0101010101010101u, 0x0101010101010101u,
          0x0101010101010101u, 0x0101010101010101u, 0x0101010101010101u);
    const __mmask64 equal = _mm512_cmpeq_epi8_mask(vector(maps), _mm512_setzero_si512());
    LANES("cmpeq_epi8, movm_epi8", _mm512_movm_epi8(equal), 0, ONES, 0, ONES, ONES, ONES, ONES, ONES);
    uint8_t a[16], b[16], out[32];
    for (int i = 0; i < 16; i++) {
        a[i] = (uint8_t)(2 * i);
        b[i] = (uint8_t)(2 * i + 1);
    }
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a), y = _mm_loadu_si128((const __m128i *)(const void *)b);
    _mm_storeu_si128((__m128i *)(void *)out, _mm_unpacklo_epi8(x, y));
    _mm_storeu_si128((__m128i *)(void *)(out + 16), _mm_unpackhi_epi8(x, y));
    int right = 1;
    for (int i = 0; i < 32; i++) {
        right &= out[i] == i;
    }
    MASK("unpack", right, 1);
}

int main(void) {
    moves();
    arithmetic();
    bytes();
    field();
    doubles();
    return failures != 0;
}
