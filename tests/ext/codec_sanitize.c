/* Samplers and codec on heap buffers of exactly the right size, for AddressSanitizer and
   UndefinedBehaviorSanitizer; built and run by test_codec_sanitize.py.  Every back end that this
   processor runs is compared with the portable one.  The argument "overrun" reads one number too many,
   to show that it would be seen. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "sampler.h"

static uint64_t state = 88172645463325252u;

static uint64_t next_word(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* A buffer of exactly this size, of random bytes; one byte of none, so that no pointer is null. */
static void *buffer(size_t size) {
    uint8_t *out = malloc(size ? size : 1);
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)next_word();
    }
    return out;
}

static int samplers(size_t n, int backend) {
    static const uint64_t q = 0x3ffffffffc001u, half = ((uint64_t)1 << 49) + 1;
    int same = 1;
    int64_t *a = buffer(8 * n), *b = buffer(8 * n);
    uint8_t *random = buffer(16 * n);
    for (int eta = 21; eta <= 42; eta += 21) {
        sv_sampler_cbd(a, random, n, eta, backend);
        sv_sampler_cbd(b, random, n, eta, SV_SAMPLER_PORTABLE);
        same &= memcmp(a, b, 8 * n) == 0;
    }
    uint16_t *short_words = buffer(2 * n);
    for (size_t i = 0; i < n; i += 3) {
        short_words[i] = (uint16_t)(65535 - (next_word() & 1));
    }
    same &= sv_sampler_ternary(a, short_words, n, backend) == sv_sampler_ternary(b, short_words, n, SV_SAMPLER_PORTABLE);
    same &= memcmp(a, b, 8 * n) == 0;
    uint64_t *words = buffer(8 * n);
    for (size_t room = 0; room <= n; room += 1 + n / 3) {
        for (int k = 0; k < 2; k++) {
            uint64_t *x = buffer(8 * room), *y = buffer(8 * room);
            const uint64_t bound = k ? half : q;
            const size_t done = sv_sampler_uniform(x, room, words, n, 50, bound, backend);
            same &= done == sv_sampler_uniform(y, room, words, n, 50, bound, SV_SAMPLER_PORTABLE);
            same &= memcmp(x, y, 8 * done) == 0;
            free(x), free(y);
        }
    }
    int64_t *small = buffer(8 * n);
    for (size_t i = 0; i < n; i++) {
        small[i] = (int64_t)(next_word() % (2 * q - 1)) - (int64_t)(q - 1);
    }
    uint64_t *x = buffer(8 * n), *y = buffer(8 * n);
    sv_sampler_residues(x, small, n, q, backend);
    sv_sampler_residues(y, small, n, q, SV_SAMPLER_PORTABLE);
    same &= memcmp(x, y, 8 * n) == 0;
    const size_t kept = sv_sampler_uniform(words, n, words, n, 50, half, backend); /* in place */
    same &= kept <= n;
    free(a), free(b), free(random), free(short_words), free(words), free(small), free(x), free(y);
    return same;
}

static int codec(size_t n, int backend) {
    static const size_t sizes[3] = {2, 4, 8};
    int same = 1;
    int64_t *a = buffer(8 * n), *b = buffer(8 * n);
    uint32_t *random = buffer(4 * n);
    for (int kind = SV_CODEC_F16; kind <= SV_CODEC_F64; kind++) {
        for (int finite = 0; finite < 2; finite++) {
            uint8_t *x = buffer(sizes[kind] * n), *y = buffer(sizes[kind] * n);
            for (size_t i = 0; finite && i < n; i++) { /* a bit of the exponent at zero */
                x[sizes[kind] * (i + 1) - 1] &= 0xbf;
            }
            for (int k = 0; k < 2; k++) {
                const uint32_t *r = k ? random : NULL;
                const int64_t bad = sv_codec_quantize(a, x, kind, n, 0.7, 32767, r, backend);
                same &= bad == sv_codec_quantize(b, x, kind, n, 0.7, 32767, r, SV_CODEC_PORTABLE);
                same &= (bad == -1 || !finite) && (bad >= 0 || memcmp(a, b, 8 * n) == 0);
            }
            for (size_t i = 0; i < n; i++) {
                a[i] = (int64_t)(next_word() % ((uint64_t)1 << 48)) - ((int64_t)1 << 47);
            }
            const double clip = finite ? 0.7 : 7e4;
            const int64_t bad = sv_codec_dequantize(x, kind, a, n, clip, (int64_t)1 << 47, backend);
            same &= bad == sv_codec_dequantize(y, kind, a, n, clip, (int64_t)1 << 47, SV_CODEC_PORTABLE);
            same &= (bad == -1 || !finite) && (bad >= 0 || memcmp(x, y, sizes[kind] * n) == 0);
            free(x), free(y);
        }
    }
    int32_t *narrow = buffer(4 * n), *other = buffer(4 * n);
    for (size_t i = 0; i < n; i++) {
        a[i] = (int32_t)next_word() >> 1;
    }
    for (int k = 0; k < 2; k++) {
        const int64_t bound = k ? (int64_t)1 << 30 : (int64_t)1 << 29;
        const int64_t bad = sv_codec_narrow(narrow, a, n, bound, backend);
        same &= bad == sv_codec_narrow(other, a, n, bound, SV_CODEC_PORTABLE);
        same &= (bad == -1 || !k) && (bad >= 0 || memcmp(narrow, other, 4 * n) == 0);
    }
    if (n) {
        int64_t low[2], high[2];
        sv_codec_extremes(low, high, a, n, backend);
        sv_codec_extremes(low + 1, high + 1, a, n, SV_CODEC_PORTABLE);
        same &= low[0] == low[1] && high[0] == high[1];
    }
    free(a), free(b), free(random), free(narrow), free(other);
    return same;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        int64_t *out = buffer(8 * 9);
        float *x = calloc(8, sizeof *x);
        printf("%d\n", (int)sv_codec_quantize(out, x, SV_CODEC_F32, 9, 1.0, 5, NULL, SV_CODEC_PORTABLE));
        return 0;
    }
    int top = SV_SAMPLER_PORTABLE;
#if SV_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        top = SV_SAMPLER_AVX2;
        if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
            top = SV_SAMPLER_AVX512;
        }
    }
#endif
    for (int backend = 0; backend <= top; backend++) {
        for (size_t n = 0; n <= 1100; n += n < 70 ? 1 : 103) {
            if (!samplers(n, backend) || !codec(n, backend)) {
                printf("differs: back end %d, length %zu\n", backend, n);
                return 1;
            }
        }
        printf("%s\n", backend == 2 ? "avx512" : backend == 1 ? "avx2" : "portable");
    }
    return 0;
}
