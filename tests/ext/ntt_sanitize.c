/* The transform in every back end that runs here, on
   heap buffers of exactly the right size, for AddressSanitizer and UndefinedBehaviorSanitizer; built
   and run by test_ntt_sanitize.py.  Exit 0 if all results agree with plain 128-bit arithmetic; the
   arguments "overrun" and "vectors" read too much, to show that it would be seen. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ntt.h"

__extension__ typedef unsigned __int128 u128;

static uint64_t state = 88172645463325252u;

static uint64_t next_word(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t q) {
    u128 out = 1, b = base;
    for (; exponent; exponent >>= 1, b = b * b % q) {
        out = exponent & 1 ? out * b % q : out;
    }
    return (uint64_t)out;
}

static uint64_t *table(size_t n, uint64_t root, uint64_t q, uint64_t **shoup) {
    uint64_t *w = malloc(8 * n);
    *shoup = malloc(8 * n);
    for (size_t i = 0; i < n; i++) {
        size_t reversed = 0;
        for (size_t bit = 1, top = n >> 1; top; bit <<= 1, top >>= 1) {
            reversed |= i & bit ? top : 0;
        }
        w[i] = power(root, reversed, q);
        (*shoup)[i] = (uint64_t)(((u128)w[i] << 64) / q);
    }
    return w;
}

/* vector_w or vector_v of ntt.h, in exactly 2n words. */
static uint64_t *vector_table(const uint64_t *w, size_t n, uint64_t q, int backend) {
    const size_t lanes = backend == SV_NTT_AVX2 ? 4 : 8;
    uint64_t *out = malloc(16 * n);
    for (size_t at = 0; at < n; at++) { /* every pair */
        size_t i = at, to = 2 * at, step = 1;
        if (at >= n / 8) {
            const size_t block = (at - n / 8) / (7 * lanes), inside = (at - n / 8) % (7 * lanes);
            const size_t place = inside / lanes, g = block * lanes + inside % lanes;
            const size_t width = place < 1 ? 1 : place < 3 ? 2 : 4;
            i = width * (n / 8 + g) + place + 1 - width;
            to = n / 4 + 14 * lanes * block + 2 * lanes * place + inside % lanes, step = lanes;
        }
        if (backend == SV_NTT_AVX2) {
            const double root = w[i] > q / 2 ? -(double)(q - w[i]) : (double)w[i];
            const double both[2] = {root, root / (double)q};
            memcpy(out + to, both, 8);
            memcpy(out + to + step, both + 1, 8);
        } else {
            out[to] = w[i];
            out[to + step] = (uint64_t)(((u128)w[i] << 52) / q);
        }
    }
    return out;
}

static int runs(int backend) {
#if SV_X86
    const unsigned avx2 = 0x3, avx512 = 0xFB; /* bits of cpu.h: all but GFNI */
    const unsigned needed = backend == SV_NTT_AVX512 ? avx512 : backend == SV_NTT_AVX2 ? avx2 : 0;
    return (sv_cpu_features() & needed) == needed;
#else
    return backend == SV_NTT_PORTABLE;
#endif
}

/* Product of two random elements, by the transform and by the schoolbook. */
static int transform(size_t n, uint64_t q, size_t rows, int backend) {
    sv_ntt_tables t = {q, n, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, NULL};
    uint64_t psi = 0, *w_shoup, *v_shoup, *vector_w = NULL, *vector_v = NULL;
    for (uint64_t g = 2; psi == 0 || power(psi, n, q) != q - 1; g++) {
        psi = power(g, (q - 1) / (2 * n), q);
    }
    uint64_t *w = table(n, psi, q, &w_shoup), *v = table(n, power(psi, q - 2, q), q, &v_shoup);
    t.w = w, t.w_shoup = w_shoup, t.v = v, t.v_shoup = v_shoup;
    t.n_inv = power(n, q - 2, q);
    t.n_inv_shoup = (uint64_t)(((u128)t.n_inv << 64) / q);
    for (t.bits = 0; q >> t.bits; t.bits++) {
    }
    t.barrett = (uint64_t)(((u128)1 << (t.bits + 63)) / q);
    if (backend && n >= (backend == SV_NTT_AVX2 ? SV_NTT_AVX2_LEAST : SV_NTT_AVX512_LEAST)) {
        uint64_t *last = malloc(8 * n);
        memcpy(last, v, 8 * n);
        last[0] = t.n_inv;
        last[1] = (uint64_t)((u128)v[1] * t.n_inv % q);
        t.vector_w = vector_w = vector_table(w, n, q, backend);
        t.vector_v = vector_v = vector_table(last, n, q, backend);
        free(last);
    }

    uint64_t *a = malloc(8 * rows * n), *x = malloc(8 * rows * n), *b = malloc(8 * n), *y = malloc(8 * n);
    for (size_t i = 0; i < rows * n; i++) {
        x[i] = a[i] = i % 5 ? next_word() % q : q - 1;
    }
    for (size_t i = 0; i < n; i++) {
        y[i] = b[i] = i % 7 ? next_word() % q : q - 1;
    }
    sv_ntt_forward(x, rows, &t, backend);
    sv_ntt_forward(y, 1, &t, backend);
    sv_ntt_multiply(x, x, y, rows, &t, backend);
    sv_ntt_inverse(x, rows, &t, backend);
    int same = 1;
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < n; k++) {
            u128 sum = 0;
            for (size_t i = 0; i < n; i++) {
                const u128 product = (u128)a[r * n + i] * b[(k - i) & (n - 1)] % q;
                sum += i <= k ? product : q - product;
            }
            same &= x[r * n + k] == (uint64_t)(sum % q);
        }
    }
    free(w), free(w_shoup), free(v), free(v_shoup), free(a), free(x), free(b), free(y);
    free(vector_w), free(vector_v);
    return same;
}

int main(int argc, char **argv) {
#if SV_X86
    if (argc > 1 && strcmp(argv[1], "vectors") == 0) { /* the table of another ring is too short */
        const sv_ntt_tables t = {97, 64, NULL, NULL, NULL, NULL, 0, 0, 7, 0, calloc(32, 16), NULL};
        uint64_t *x = calloc(64, 8);
        if (!runs(SV_NTT_AVX2)) {
            printf("no vectors\n");
            return 0;
        }
        sv_ntt_forward(x, 1, &t, SV_NTT_AVX2);
        return 0;
    }
#endif
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        const sv_ntt_tables t = {97, 16, NULL, NULL, NULL, NULL, 0, 0, 7, 0, NULL, NULL};
        uint64_t *x = calloc(8, 8);
        sv_ntt_multiply_portable(x, x, x, 1, &t);
        printf("%d\n", (int)x[0]);
        return 0;
    }
    static const uint64_t primes[] = {97, 0xffffff7001u, 0x3ffffffffc001u};
    for (int backend = SV_NTT_PORTABLE; backend <= SV_NTT_AVX512; backend++) {
        for (size_t i = 0; i < 3 && runs(backend); i++) {
            for (size_t n = 2; n <= (i ? 256 : 16); n <<= 1) {
                if (!transform(n, primes[i], 1 + n % 3, backend)) {
                    printf("transform differs: n %zu, prime %zu, back end %d\n", n, i, backend);
                    return 1;
                }
            }
        }
    }
    printf("transform\n");
    return 0;
}
