#ifndef SOTTOVOCE_GF256_LANES_H
#define SOTTOVOCE_GF256_LANES_H

/* The loops of the vector back ends.  A file that includes this defines

   WIDTH, VECTOR            bytes of a vector, and its type
   TARGET                   features
   LOAD, STORE, STREAM      of a vector; STREAM past the cache, to a multiple of WIDTH
   ZERO, XOR
   OPERAND, SPLIT(x)        what a vector of an input is made into once, for all rows
   TABLE, ENTRY, FETCH(p)   what a coefficient is, its bytes in the tables, and how it is read
   PRODUCT(t, x)            coefficient times operand

   Lane i of a vector is column at + i.  A group of R rows and V vectors keeps its R * V sums in registers over
   all inputs; R and V are constants at every call, so that the loops unroll. */

#define INLINE static inline __attribute__((always_inline)) SV_TARGET(TARGET)

enum { MOST_ROWS = 10, MOST_VECTORS = 4 };

INLINE void group(uint8_t *const *out, const uint8_t *const *in, const uint8_t *table, size_t cols, size_t at,
                  size_t from, int accumulate, int stream, const int R, const int V) {
    VECTOR sum[MOST_ROWS][MOST_VECTORS];
#pragma GCC unroll 10
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            sum[r][v] = accumulate ? LOAD(out[r] + at + WIDTH * v) : ZERO;
        }
    }
    for (size_t j = 0; j < cols; j++, table += ENTRY * R) {
        OPERAND x[MOST_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            x[v] = SPLIT(LOAD(in[j] + from + WIDTH * v));
        }
#pragma GCC unroll 10
        for (int r = 0; r < R; r++) {
            const TABLE t = FETCH(table + ENTRY * r);
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) {
                sum[r][v] = XOR(sum[r][v], PRODUCT(t, x[v]));
            }
        }
    }
#pragma GCC unroll 10
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            if (stream) {
                STREAM(out[r] + at + WIDTH * v, sum[r][v]);
            } else {
                STORE(out[r] + at + WIDTH * v, sum[r][v]);
            }
        }
    }
}

/* All columns of a block for one group of R rows: V vectors at a time, then single ones. */
#define SWEEP(R, V)                                                                                    \
    static SV_TARGET(TARGET) void sweep_##R(uint8_t *const *out, const uint8_t *const *in,             \
                                            const uint8_t *table, size_t cols, size_t at, size_t count, \
                                            int accumulate, int stream, sv_gf256_ahead *ahead) {       \
        size_t c = 0;                                                                                  \
        for (; count - c >= (V) * WIDTH; c += (V) * WIDTH) {                                           \
            if (ahead->share) {                                                                        \
                sv_gf256_ask(ahead);                                                                   \
            }                                                                                          \
            group(out, in, table, cols, at + c, c, accumulate, stream, R, V);                          \
        }                                                                                              \
        for (; c < count; c += WIDTH) {                                                                \
            group(out, in, table, cols, at + c, c, accumulate, stream, R, 1);                          \
        }                                                                                              \
    }

#endif
