/* Every back end of the kernels of additive encryption that runs here, on heap buffers of exactly the
   right size, for AddressSanitizer and UndefinedBehaviorSanitizer; built and run by test_lattice_sanitize.py.
   Exit 0 if all agree with the portable ones, whose results test_kahe_kernel.py and test_rlwe_kernel.py hold
   against exact arithmetic; the argument "overrun" reads too much, to show that it would be seen. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kahe.h"
#include "rlwe.h"

__extension__ typedef unsigned __int128 u128;

static uint64_t state = 88172645463325252u;

static uint64_t next_word(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void *filled(size_t size) {
    uint8_t *memory = malloc(size);
    for (size_t i = 0; i < size; i++) {
        memory[i] = (uint8_t)next_word();
    }
    return memory;
}

static void *copied(const void *from, size_t size) {
    void *memory = malloc(size);
    memcpy(memory, from, size);
    return memory;
}

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t p) {
    u128 out = 1, b = base % p;
    for (; exponent; exponent >>= 1, b = b * b % p) {
        out = exponent & 1 ? out * b % p : out;
    }
    return (uint64_t)out;
}

static unsigned length(u128 x) {
    unsigned bits = 0;
    for (; x; x >>= 1) {
        bits++;
    }
    return bits;
}

static uint64_t shoup(uint64_t w, uint64_t p) { return (uint64_t)(((u128)w << 64) / p); }

static sv_modulus modulus_of(const uint64_t p[2]) {
    sv_modulus m;
    memset(&m, 0, sizeof m);
    const u128 q = p[1] ? (u128)p[0] * p[1] : p[0];
    m.primes = p[1] ? 2 : 1;
    m.prime_bits = length(p[0]);
    m.bits = length(q);
    m.q = sv_pair_of((uint64_t)q, (uint64_t)(q >> 64));
    for (unsigned j = 0; j < m.primes; j++) {
        m.p[j] = p[j];
        m.half_shoup[j] = shoup((uint64_t)1 << (m.prime_bits - 1), p[j]);
        m.top[j] = power(2, m.bits - 1, p[j]);
    }
    if (p[1]) { /* both are prime here */
        m.inverse = power(p[0], p[1] - 2, p[1]);
        m.inverse_shoup = shoup(m.inverse, p[1]);
    }
    return m;
}

static sv_limbs limbs_of(const sv_modulus *m, unsigned scale_bits, unsigned slots, unsigned slot_bits) {
    sv_limbs limbs = {52 / slot_bits, 0, {{0}}};
    limbs.slots = limbs.slots < 1 ? 1 : limbs.slots > slots ? slots : limbs.slots;
    for (limbs.count = 0; limbs.count * limbs.slots < slots; limbs.count++) {
        for (unsigned j = 0; j < m->primes; j++) {
            limbs.factor[limbs.count][j] = power(2, scale_bits + slot_bits * limbs.slots * limbs.count, m->p[j]);
        }
    }
    return limbs;
}

/* Vectors of n words, below p where there is one. */
static uint64_t *vector(size_t n, uint64_t p) {
    uint64_t *x = malloc(8 * n);
    for (size_t i = 0; i < n; i++) {
        const uint64_t word = next_word();
        x[i] = p == 0 ? word : word % 5 == 0 ? p - 1 : word % 5 == 1 ? 0 : word % p;
    }
    return x;
}

static int32_t *messages(size_t n, unsigned slot_bits) {
    int32_t *v = malloc(4 * n);
    const unsigned bits = slot_bits < 32 ? slot_bits : 32;
    for (size_t i = 0; i < n; i++) {
        const int64_t half = (int64_t)1 << (bits - 1), x = (int64_t)(next_word() >> (64 - bits)) - half;
        v[i] = (int32_t)(x == -half ? half - 1 : x);
    }
    return v;
}

static int kahe(const sv_kahe_kernel *kernel, const uint64_t p[2], unsigned W, unsigned slots, unsigned slot_bits,
                size_t n) {
    sv_kahe_scale s;
    memset(&s, 0, sizeof s);
    s.m = modulus_of(p);
    s.wire_bits = W;
    s.slots = slots;
    s.slot_bits = slot_bits;
    s.scale_bits = s.m.bits - slots * slot_bits; /* the most, or less */
    s.scale_bits -= next_word() & 1 ? (unsigned)(next_word() % s.scale_bits) : 0;
    s.limbs = limbs_of(&s.m, s.scale_bits, slots, slot_bits);
    s.digits = (W + s.m.prime_bits - 2) / (s.m.prime_bits - 1);
    for (unsigned d = 0; d < s.digits; d++) {
        s.digit_bits[d] = W / s.digits + (d < W % s.digits);
        for (unsigned j = 0; j < s.m.primes; j++) {
            s.recip[d][j] = (uint64_t)(((u128)1 << (64 + s.digit_bits[d])) / p[j]);
        }
    }
    const unsigned words = W <= SV_KAHE_WORD_BITS ? 1 : 2;
    const size_t size = n / 8 * W, wide = 8 * n * slots;
    uint64_t *ak[2] = {vector(n, p[0]), p[1] ? vector(n, p[1]) : NULL};
    uint64_t *sum[2] = {vector(n, 0), words == 2 ? vector(n, 0) : NULL}, *other[2];
    int32_t *values = messages(n * slots, slot_bits);
    uint8_t *random = filled(SV_KAHE_CBD_BYTES * n), *want = malloc(size), *got = malloc(size);
    int64_t *opened = malloc(wide), *again = malloc(wide);
    uint64_t r[2], r2[2];
    int same = 1;
    for (unsigned j = 0; j < 2; j++) {
        /* The second vector is named by the first where there is only one, as the front does. */
        ak[1] = ak[1] == NULL ? ak[0] : ak[1];
        sum[1] = sum[1] == NULL ? sum[0] : sum[1];
        other[j] = j && words == 1 ? other[0] : copied(sum[j], 8 * n);
    }
    const uint64_t *const *read_ak = (const uint64_t *const *)ak;
    sv_kahe_portable.encrypt(want, read_ak, values, random, n, &s);
    kernel->encrypt(got, read_ak, values, random, n, &s);
    same &= memcmp(want, got, size) == 0;
    for (int negative = 0; negative < 2; negative++) {
        sv_kahe_portable.accumulate(sum, want, n, W, negative ^ 1);
        kernel->accumulate(other, want, n, W, negative ^ 1);
        for (unsigned j = 0; j < words; j++) {
            same &= memcmp(sum[j], other[j], 8 * n) == 0;
        }
    }
    sv_kahe_portable.pack(want, (const uint64_t *const *)sum, n, W);
    kernel->pack(got, (const uint64_t *const *)sum, n, W);
    same &= memcmp(want, got, size) == 0;
    sv_kahe_portable.open(opened, &r[0], &r2[0], (const uint64_t *const *)sum, read_ak, n, &s);
    kernel->open(again, &r[1], &r2[1], (const uint64_t *const *)sum, read_ak, n, &s);
    same &= memcmp(opened, again, wide) == 0 && r[0] == r[1] && r2[0] == r2[1];
    free(ak[0]), free(sum[0]), free(other[0]);
    if (p[1]) {
        free(ak[1]);
    }
    if (words == 2) {
        free(sum[1]), free(other[1]);
    }
    free(values), free(random), free(want), free(got), free(opened), free(again);
    return same;
}

static int rlwe(const sv_rlwe_kernel *kernel, const uint64_t p[2], unsigned scale_bits, unsigned slots,
                unsigned slot_bits, unsigned drop_bits, size_t n) {
    sv_rlwe_rounding s;
    memset(&s, 0, sizeof s);
    s.m = modulus_of(p);
    s.scale_bits = scale_bits;
    s.slots = slots;
    s.slot_bits = slot_bits;
    s.drop_bits = drop_bits;
    s.wire_bits = s.m.bits - drop_bits;
    s.limbs = limbs_of(&s.m, scale_bits, slots, slot_bits);
    const uint64_t most = ((uint64_t)1 << 24) - 1;
    sv_rlwe_weight weight;
    memset(&weight, 0, sizeof weight);
    weight.value = -(int64_t)most;
    const size_t size = n / 8 * s.wire_bits, wide = 8 * n * slots;
    uint64_t *y[2], *one[2], *two[2];
    for (unsigned j = 0; j < 2; j++) {
        if (j < s.m.primes) {
            const uint64_t factor = (p[j] - most % p[j]) % p[j];
            const uint64_t high = (uint64_t)(((u128)factor << (s.m.prime_bits - 1)) % p[j]);
            weight.low[j] = factor;
            weight.low_shoup[j] = shoup(factor, p[j]);
            weight.high[j] = high;
            weight.high_shoup[j] = shoup(high, p[j]);
            y[j] = vector(n, p[j]);
            one[j] = vector(n, p[j]);
            two[j] = copied(one[j], 8 * n);
        } else {
            y[j] = y[0], one[j] = one[0], two[j] = two[0];
        }
    }
    const uint64_t *const *read = (const uint64_t *const *)y;
    int32_t *values = messages(n * slots, slot_bits);
    uint8_t *random = filled(SV_RLWE_CBD_BYTES * n), *want = malloc(size), *got = malloc(size);
    int64_t *opened = malloc(wide), *again = malloc(wide);
    uint64_t r[2];
    int same = 1;
    for (int message = 0; message < 2; message++) {
        sv_rlwe_portable.encrypt(want, read, message ? values : NULL, random, n, &s);
        kernel->encrypt(got, read, message ? values : NULL, random, n, &s);
        same &= memcmp(want, got, size) == 0 && kernel->check(got, n, &s) == n;
    }
    sv_rlwe_portable.accumulate(one, want, &weight, n, &s);
    kernel->accumulate(two, want, &weight, n, &s);
    sv_rlwe_portable.add(one, read, &weight, n, &s);
    kernel->add(two, read, &weight, n, &s);
    for (unsigned j = 0; j < s.m.primes; j++) {
        same &= memcmp(one[j], two[j], 8 * n) == 0;
    }
    sv_rlwe_portable.pack(want, read, n, &s);
    kernel->pack(got, read, n, &s);
    same &= memcmp(want, got, size) == 0;
    sv_rlwe_portable.unpack(one, want, n, &s);
    kernel->unpack(two, want, n, &s);
    for (unsigned j = 0; j < s.m.primes; j++) {
        same &= memcmp(one[j], two[j], 8 * n) == 0;
    }
    for (size_t i = 0; i < size; i++) {
        got[i] = (uint8_t)(i < next_word() % size ? want[i] : 0xff);
    }
    same &= sv_rlwe_portable.check(got, n, &s) == kernel->check(got, n, &s);
    sv_rlwe_portable.open(opened, &r[0], read, n, &s);
    kernel->open(again, &r[1], read, n, &s);
    same &= memcmp(opened, again, wide) == 0 && r[0] == r[1];
    for (unsigned j = 0; j < s.m.primes; j++) {
        free(y[j]), free(one[j]), free(two[j]);
    }
    free(values), free(random), free(want), free(got), free(opened), free(again);
    return same;
}

static int runs(int backend) {
#ifdef SV_EMULATE_AVX512
    return backend != 1; /* the AVX-512 one in plain C, and no other vectors */
#else
    const unsigned features = sv_cpu_features(), avx2 = 3, avx512 = avx2 | 15 << 3 | 1 << 7;
    const unsigned needed = backend == 2 ? avx512 : backend == 1 ? avx2 : 0;
    return (features & needed) == needed;
#endif
}

static const uint64_t SETS[][2] = {
    {0x3ffffffffc001, 0},           {0xffffff7001, 0},        {0x3ffffffffc001, 0x3fffffffcc001},
    {0xfffffdc001, 0xfffffc6001},   {0xffffee001, 0xffffc4001}, {65537 + 50, 0},
    {65537, 65539},
};

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        const int backend = runs(1) ? 1 : 0; /* the last vector of a string would be read from past its end */
        uint64_t *sum[2] = {calloc(64, 8), NULL};
        uint8_t *packed = calloc(64 / 8 * 28 - 1, 1);
        sum[1] = sum[0];
        sv_kahe_kernel_of(backend)->accumulate(sum, packed, 64, 28, 0);
        printf("%d\n", (int)sum[0][0]);
        return 0;
    }
    for (int backend = 0; backend < 3; backend++) {
        const sv_kahe_kernel *of_kahe = sv_kahe_kernel_of(backend);
        const sv_rlwe_kernel *of_rlwe = sv_rlwe_kernel_of(backend);
        if (!runs(backend) || of_kahe == NULL || of_rlwe == NULL) {
            continue;
        }
        for (size_t i = 0; i < sizeof SETS / sizeof SETS[0]; i++) {
            const unsigned bits = modulus_of(SETS[i]).bits;
            for (unsigned W = 1; W < bits; W++) {
                for (unsigned slots = 1; slots <= 16 && 2 * slots < bits; slots += 1 + slots / 4) {
                    const unsigned most = (bits - 1) / slots, slot_bits = most > 62 ? 62 : most;
                    const size_t n = 8 + 8 * (next_word() % 16);
                    if (SETS[i][1] && W > slots * slot_bits + 40) {
                        continue;
                    }
                    if (!kahe(of_kahe, SETS[i], W, slots, slot_bits, n)) {
                        printf("kahe differs: back end %d, set %zu, W %u, S %u, w %u\n", backend, i, W, slots, slot_bits);
                        return 1;
                    }
                }
            }
            for (unsigned drop = 0; drop < 24 && drop + 2 <= bits; drop++) {
                for (unsigned slots = 1; slots <= 16 && 2 * slots < bits; slots += 1 + slots / 4) {
                    const unsigned most = (bits - 1) / slots, slot_bits = most > 62 ? 62 : most;
                    const unsigned scale_bits = bits - slots * slot_bits;
                    const size_t n = 8 + 8 * (next_word() % 16);
                    if (!rlwe(of_rlwe, SETS[i], scale_bits, slots, slot_bits, drop, n)) {
                        printf("rlwe differs: back end %d, set %zu, d %u, S %u, w %u\n", backend, i, drop, slots, slot_bits);
                        return 1;
                    }
                }
            }
        }
        printf("back end %d\n", backend);
    }
    return 0;
}
