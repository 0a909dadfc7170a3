/* Negacyclic number-theoretic transform, 64-bit integers only: the oracle of every other back end.

   Butterflies: Harvey, "Faster arithmetic for number-theoretic transforms" (2014), algorithms 3 and 4,
   with Shoup's quotient floor(w 2^64 / q).  Twist merged into the roots: Longa, Naehrig (CANS 2016).
   No branch and no index depends on data. */
#include "ntt.h"
#include "ntt_mul64.h"

/* x w mod q in [0, 2q) for any x < 2^64 (Harvey, section 3). */
static inline uint64_t mul_lazy(uint64_t x, uint64_t w, uint64_t w_shoup, uint64_t q) {
    return x * w - sv_mulhi64(x, w_shoup) * q;
}

/* A butterfly of one layer, in place, on values below 4q < 2^62, which they stay. */
static inline void split(uint64_t *a, uint64_t *b, uint64_t w, uint64_t ws, uint64_t q) {
    const uint64_t u = sv_sub_if_ge(*a, 2 * q), v = mul_lazy(*b, w, ws, q);
    *a = u + v;
    *b = u + 2 * q - v;
}

/* The inverse, on values below 2q, which they stay. */
static inline void merge(uint64_t *a, uint64_t *b, uint64_t w, uint64_t ws, uint64_t q) {
    const uint64_t u = *a, v = *b;
    *a = sv_sub_if_ge(u + v, 2 * q);
    *b = mul_lazy(u + 2 * q - v, w, ws, q);
}

/* The layers of m and of 2m blocks in one pass: half the loads and stores. */
static void forward_two(uint64_t *x, size_t m, const sv_ntt_tables *t) {
    const uint64_t q = t->q;
    const size_t n = t->n / (4 * m);
    for (size_t i = m; i < 2 * m; i++) {
        const uint64_t *const w = t->w + 2 * i, *const ws = t->w_shoup + 2 * i;
        const uint64_t w0 = t->w[i], ws0 = t->w_shoup[i], w1 = w[0], ws1 = ws[0], w2 = w[1], ws2 = ws[1];
        uint64_t *const a = x + 4 * (i - m) * n;
        for (size_t j = 0; j < n; j++) {
            uint64_t z0 = a[j], z1 = a[j + n], z2 = a[j + 2 * n], z3 = a[j + 3 * n];
            split(&z0, &z2, w0, ws0, q);
            split(&z1, &z3, w0, ws0, q);
            split(&z0, &z1, w1, ws1, q);
            split(&z2, &z3, w2, ws2, q);
            a[j] = z0, a[j + n] = z1, a[j + 2 * n] = z2, a[j + 3 * n] = z3;
        }
    }
}

static void inverse_two(uint64_t *x, size_t m, const sv_ntt_tables *t) {
    const uint64_t q = t->q;
    const size_t n = t->n / (4 * m);
    for (size_t i = m; i < 2 * m; i++) {
        const uint64_t *const v = t->v + 2 * i, *const vs = t->v_shoup + 2 * i;
        const uint64_t v0 = t->v[i], vs0 = t->v_shoup[i], v1 = v[0], vs1 = vs[0], v2 = v[1], vs2 = vs[1];
        uint64_t *const a = x + 4 * (i - m) * n;
        for (size_t j = 0; j < n; j++) {
            uint64_t z0 = a[j], z1 = a[j + n], z2 = a[j + 2 * n], z3 = a[j + 3 * n];
            merge(&z0, &z1, v1, vs1, q);
            merge(&z2, &z3, v2, vs2, q);
            merge(&z0, &z2, v0, vs0, q);
            merge(&z1, &z3, v0, vs0, q);
            a[j] = z0, a[j + n] = z1, a[j + 2 * n] = z2, a[j + 3 * n] = z3;
        }
    }
}

static void forward_one(uint64_t *x, const sv_ntt_tables *t) {
    const uint64_t q = t->q;
    size_t m = 1;
    for (; m <= t->n / 4; m *= 4) {
        forward_two(x, m, t);
    }
    if (m < t->n) { /* an odd number of layers: the last one alone, of pairs */
        for (size_t i = 0; i < m; i++) {
            split(x + 2 * i, x + 2 * i + 1, t->w[m + i], t->w_shoup[m + i], q);
        }
    }
    for (size_t j = 0; j < t->n; j++) {
        x[j] = sv_sub_if_ge(sv_sub_if_ge(x[j], 2 * q), q);
    }
}

static void inverse_one(uint64_t *x, const sv_ntt_tables *t) {
    const uint64_t q = t->q;
    size_t m = 1;
    while (m <= t->n / 4) {
        m *= 4;
    }
    if (m < t->n) {
        for (size_t i = 0; i < m; i++) {
            merge(x + 2 * i, x + 2 * i + 1, t->v[m + i], t->v_shoup[m + i], q);
        }
    }
    for (m /= 4; m >= 1; m /= 4) {
        inverse_two(x, m, t);
    }
    for (size_t j = 0; j < t->n; j++) {
        x[j] = sv_sub_if_ge(mul_lazy(x[j], t->n_inv, t->n_inv_shoup, q), q);
    }
}

void sv_ntt_forward_portable(uint64_t *x, size_t rows, const sv_ntt_tables *t) {
    for (size_t r = 0; r < rows; r++) {
        forward_one(x + r * t->n, t);
    }
}

void sv_ntt_inverse_portable(uint64_t *x, size_t rows, const sv_ntt_tables *t) {
    for (size_t r = 0; r < rows; r++) {
        inverse_one(x + r * t->n, t);
    }
}

/* Barrett, not Shoup: a quotient per secret b[i] would need a division, whose time depends on it.
   z = a b < q^2; e = floor(floor(z / 2^(L-1)) barrett / 2^64) misses floor(z / q) by at most 3
   (one for each of the three roundings), so z - e q < 4q < 2^62 and its low 64 bits are all of it. */
void sv_ntt_multiply_portable(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                              const sv_ntt_tables *t) {
    const uint64_t q = t->q;
    const unsigned down = t->bits - 1;
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < t->n; i++) {
            uint64_t hi;
            const uint64_t lo = sv_mul128(&hi, a[r * t->n + i], b[i]);
            const uint64_t top = (hi << (64 - down)) | (lo >> down);
            const uint64_t z = lo - sv_mulhi64(top, t->barrett) * q;
            out[r * t->n + i] = sv_sub_if_ge(sv_sub_if_ge(z, 2 * q), q);
        }
    }
}
