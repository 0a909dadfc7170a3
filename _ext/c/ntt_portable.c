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

/* Bounds: values entering a layer are < 4q < 2^62. */
static void forward_one(uint64_t *x, const sv_ntt_tables *t) {
    const uint64_t q = t->q, q2 = 2 * q;
    size_t half = t->n;
    for (size_t m = 1; m < t->n; m <<= 1) {
        half >>= 1;
        for (size_t i = 0; i < m; i++) {
            const uint64_t w = t->w[m + i], ws = t->w_shoup[m + i];
            uint64_t *a = x + 2 * i * half, *b = a + half;
            for (size_t j = 0; j < half; j++) {
                const uint64_t u = sv_sub_if_ge(a[j], q2);     /* < 2q */
                const uint64_t v = mul_lazy(b[j], w, ws, q);   /* < 2q */
                a[j] = u + v;                                  /* < 4q */
                b[j] = u + q2 - v;                             /* < 4q */
            }
        }
    }
    for (size_t j = 0; j < t->n; j++) {
        x[j] = sv_sub_if_ge(sv_sub_if_ge(x[j], q2), q);
    }
}

/* Bounds: values entering a layer are < 2q. */
static void inverse_one(uint64_t *x, const sv_ntt_tables *t) {
    const uint64_t q = t->q, q2 = 2 * q;
    size_t half = 1;
    for (size_t m = t->n >> 1; m >= 1; m >>= 1) {
        for (size_t i = 0; i < m; i++) {
            const uint64_t w = t->v[m + i], ws = t->v_shoup[m + i];
            uint64_t *a = x + 2 * i * half, *b = a + half;
            for (size_t j = 0; j < half; j++) {
                const uint64_t u = a[j], v = b[j];
                a[j] = sv_sub_if_ge(u + v, q2);                /* < 2q */
                b[j] = mul_lazy(u + q2 - v, w, ws, q);         /* < 2q */
            }
        }
        half <<= 1;
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
