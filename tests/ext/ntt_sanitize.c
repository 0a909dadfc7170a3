/* The transform and the inner loops of key-additive encryption on heap buffers of exactly the right
   size, for AddressSanitizer and UndefinedBehaviorSanitizer; built and run by test_ntt_sanitize.py.
   Exit 0 if all results agree with plain 128-bit arithmetic; the argument "overrun" reads one element
   too many, to show that it would be seen. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kahe.h"
#include "ntt.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

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

/* Product of two random elements, by the transform and by the schoolbook. */
static int transform(size_t n, uint64_t q, size_t rows) {
    sv_ntt_tables t = {q, n, NULL, NULL, NULL, NULL, 0, 0, 0, 0};
    uint64_t psi = 0, *w_shoup, *v_shoup;
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

    uint64_t *a = malloc(8 * rows * n), *x = malloc(8 * rows * n), *b = malloc(8 * n), *y = malloc(8 * n);
    for (size_t i = 0; i < rows * n; i++) {
        x[i] = a[i] = i % 5 ? next_word() % q : q - 1;
    }
    for (size_t i = 0; i < n; i++) {
        y[i] = b[i] = i % 7 ? next_word() % q : q - 1;
    }
    sv_ntt_forward_portable(x, rows, &t);
    sv_ntt_forward_portable(y, 1, &t);
    sv_ntt_multiply_portable(x, x, y, rows, &t);
    sv_ntt_inverse_portable(x, rows, &t);
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
    return same;
}

/* round(y 2^W / q), rounding half up: q is odd, so there are no halves. */
static uint64_t narrowed(u128 y, const sv_kahe_scale *s) {
    return (uint64_t)(((y << (s->wire_bits + 1)) + s->q) / (2 * (u128)s->q));
}

static int count_bits(uint64_t x) {
    int out = 0;
    for (int i = 0; i < 42; i++) {
        out += (int)(x >> i & 1);
    }
    return out;
}

static int scheme(uint64_t q, unsigned bits, unsigned wire_bits, unsigned scale_bits, size_t n) {
    const sv_kahe_scale s = {q, (uint64_t)(((u128)1 << (wire_bits + 64)) / q), wire_bits, scale_bits};
    const uint64_t mask = ((uint64_t)1 << wire_bits) - 1;
    const int64_t limit = ((int64_t)1 << (bits - 1 - scale_bits)) - 1;
    uint8_t *packed = malloc(n * wire_bits / 8), *again = malloc(n * wire_bits / 8);
    uint8_t *random = malloc(SV_KAHE_CBD_BYTES * n);
    uint64_t *ak = malloc(8 * n), *sum = calloc(n, 8), largest, squares;
    int64_t *m = malloc(8 * n), *e = malloc(8 * n), *opened = malloc(8 * n);
    int same = 1;
    for (size_t i = 0; i < n; i++) {
        const uint64_t choice = next_word() % 4;
        ak[i] = choice == 0 ? q - 1 : choice == 1 ? 0 : next_word() % q;
        m[i] = limit == 0 ? 0 : next_word() & 1 ? limit : -(int64_t)(next_word() % ((uint64_t)limit + 1));
        for (size_t word = 0; word < 2; word++) {
            const uint64_t value = choice == 3 ? (uint64_t)0 - word : next_word();
            for (size_t k = 0; k < 8; k++) {
                random[SV_KAHE_CBD_BYTES * i + 8 * word + k] = (uint8_t)(value >> (8 * k));
            }
        }
    }
    sv_kahe_cbd_portable(e, random, n);
    sv_kahe_encrypt_portable(packed, ak, m, random, n, &s);
    sv_kahe_accumulate_portable(sum, packed, n, wire_bits, 0);
    for (size_t i = 0; i < n; i++) {
        uint64_t words[2] = {0, 0};
        for (size_t k = 0; k < 16; k++) {
            words[k / 8] |= (uint64_t)random[SV_KAHE_CBD_BYTES * i + k] << (8 * (k % 8));
        }
        same &= e[i] == count_bits(words[0]) - count_bits(words[1]);
        i128 y = ((i128)ak[i] + e[i] + (i128)m[i] * ((i128)1 << scale_bits)) % (i128)q;
        same &= sum[i] == (narrowed((u128)(y < 0 ? y + (i128)q : y), &s) & mask);
    }
    sv_kahe_pack_portable(again, sum, n, wire_bits);
    same &= memcmp(packed, again, n * wire_bits / 8) == 0;
    sv_kahe_accumulate_portable(sum, packed, n, wire_bits, 1);
    for (size_t i = 0; i < n; i++) {
        same &= sum[i] == 0;
        sum[i] = next_word();
    }
    sv_kahe_open_portable(opened, &largest, &squares, sum, ak, n, &s);
    uint64_t want_largest = 0, want_squares = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t x = (sum[i] - narrowed(ak[i], &s)) & mask;
        const int negative = (int)(x >> (wire_bits - 1));
        const uint64_t size = negative ? ((uint64_t)1 << wire_bits) - x : x;
        const unsigned shift = wire_bits + scale_bits;
        const uint64_t M = (uint64_t)(((u128)size * q + ((u128)1 << (shift - 1))) >> shift);
        const uint64_t back = narrowed((u128)M << scale_bits, &s);
        const uint64_t r = size > back ? size - back : back - size;
        const uint64_t capped = r < (uint64_t)1 << 24 ? r : (uint64_t)1 << 24;
        want_largest = r > want_largest ? r : want_largest;
        want_squares += capped * capped;
        same &= opened[i] == (negative ? -(int64_t)M : (int64_t)M);
    }
    same &= largest == want_largest && squares == want_squares;
    free(packed), free(again), free(random), free(ak), free(sum), free(m), free(e), free(opened);
    return same;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        uint64_t *sum = calloc(8, 8);
        uint8_t *packed = calloc(8 * 28 / 8, 1);
        sv_kahe_accumulate_portable(sum, packed, 16, 28, 0);
        printf("%d\n", (int)sum[0]);
        return 0;
    }
    static const uint64_t primes[] = {97, 0xffffff7001u, 0x3ffffffffc001u};
    for (size_t i = 0; i < 3; i++) {
        for (size_t n = 2; n <= (i ? 256 : 16); n <<= 1) {
            if (!transform(n, primes[i], 1 + n % 3)) {
                printf("transform differs: n %zu, prime %zu\n", n, i);
                return 1;
            }
        }
    }
    printf("transform\n");
    for (unsigned bits = 17; bits <= 56; bits++) {
        const uint64_t low = (uint64_t)1 << (bits - 1);
        const uint64_t moduli[3] = {low + 43, 2 * low - 1, low + 43 + 2 * (next_word() % (low / 2 - 22))};
        for (size_t i = 0; i < 3; i++) {
            for (unsigned wire_bits = 1; wire_bits < bits; wire_bits++) {
                const unsigned scale_bits = 1 + (unsigned)(next_word() % (bits - 1));
                if (!scheme(moduli[i], bits, wire_bits, scale_bits, 8 + 8 * (wire_bits % 4))) {
                    printf("scheme differs: L %u, modulus %zu, W %u, k' %u\n", bits, i, wire_bits, scale_bits);
                    return 1;
                }
            }
        }
    }
    printf("scheme\n");
    return 0;
}
