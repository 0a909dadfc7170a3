#include <string.h>

#include "rsword.h"

/* Tables of a code, and which back end does a call.  Wide symbols are portable in every back end; their
   vector tables are empty. */

enum { ALIGN = 64 };

static size_t symbols(unsigned bits) {
    return bits <= 8 ? 256 : 65536;
}

static size_t scalar_bytes(unsigned bits, unsigned nsym) {
    const size_t order = ((size_t)1 << bits) - 1;
    const size_t steps = bits <= 8 ? 256 * sv_rs_step_words(nsym) : 0;
    return sizeof(uint64_t) * steps + sizeof(uint16_t) * (2 * order + symbols(bits) + nsym + 1);
}

size_t sv_rs_table_bytes(unsigned bits, unsigned nsym, int backend) {
    size_t vector = 0;
#if SV_X86
    if (bits <= 8 && backend == SV_RS_AVX2) {
        vector = sv_rs_avx2_tables(bits, nsym);
    }
    if (bits <= 8 && backend == SV_RS_AVX512) {
        vector = sv_rs_avx512_tables(bits, nsym);
    }
#endif
    (void)backend;
    return 2 * ALIGN + vector + scalar_bytes(bits, nsym);
}

size_t sv_rs_scratch_bytes(const sv_rs_code *code, size_t n) {
    size_t most = sv_rs_portable_scratch(code, n);
#if SV_X86
    if (sv_rs_narrow(code) && code->backend != SV_RS_PORTABLE) {
        most += code->backend == SV_RS_AVX2 ? sv_rs_avx2_scratch(code, n) : sv_rs_avx512_scratch(code, n);
    }
#endif
    return most + ALIGN;
}

static unsigned slow_product(unsigned a, unsigned b, unsigned bits, uint32_t prim) {
    uint32_t sum = 0, shifted = a;
    for (unsigned bit = 0; bit < bits; bit++) {
        sum ^= b >> bit & 1 ? shifted : 0;
        shifted <<= 1;
        shifted ^= shifted >> bits & 1 ? prim : 0;
    }
    return sum;
}

int sv_rs_init(sv_rs_code *code, uint8_t *memory, unsigned bits, uint32_t prim, unsigned generator, unsigned fcr,
               unsigned nsym, int backend) {
    uintptr_t next = ((uintptr_t)memory + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    code->bits = bits;
    code->order = (1u << bits) - 1;
    code->nsym = nsym;
    code->fcr = fcr % code->order;
    code->backend = backend;
    code->steps = (uint64_t *)next;
    code->exp = (uint16_t *)(code->steps + (bits <= 8 ? 256 * sv_rs_step_words(nsym) : 0));
    code->log = code->exp + 2 * code->order;
    code->gen = code->log + symbols(bits);
    next = ((uintptr_t)memory + ALIGN + scalar_bytes(bits, nsym) + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
    code->vector = (uint8_t *)next;
    for (size_t i = 0; i < symbols(bits); i++) {
        code->log[i] = 0;
    }
    unsigned power = 1;
    for (unsigned i = 0; i < code->order; i++) {
        if (power == 0 || (i && power == 1)) {
            return SV_RS_NOT_PRIMITIVE; /* a comes round too early: it does not generate all elements */
        }
        code->exp[i] = code->exp[i + code->order] = (uint16_t)power;
        code->log[power] = (uint16_t)i;
        power = slow_product(power, generator, bits, prim);
    }
    if (power != 1) {
        return SV_RS_NOT_PRIMITIVE;
    }
    /* gen = product of (x - a^(fcr + i)), leading coefficient first.  The zeros follow each other, so by the
       q-binomial theorem coefficient i is a^(fcr i + i (i - 1) / 2) times the product over j = 1 ... i of
       (a^(nsym - j + 1) - 1) / (a^j - 1): one product a coefficient, in logarithms.  Exponents are from 1 to nsym,
       which is less than the order of a, so that no factor is zero. */
    unsigned at = 0;
    code->gen[0] = 1;
    for (unsigned i = 1; i <= nsym; i++) {
        at += code->log[code->exp[nsym - i + 1] ^ 1u] + code->order - code->log[code->exp[i] ^ 1u];
        at = (at + code->fcr + i - 1) % code->order;
        code->gen[i] = code->exp[at];
    }
    if (bits <= 8) {
        const size_t words = sv_rs_step_words(nsym);
        memset(code->steps, 0, sizeof(uint64_t) * 256 * words);
        for (size_t f = 0; f <= code->order; f++) {
            for (size_t j = 0; j < nsym; j++) {
                const uint64_t product = sv_rs_mul(code, (unsigned)f, code->gen[j + 1]);
                code->steps[f * words + j / 8] |= product << 8 * (j % 8);
            }
        }
    }
    switch (backend) {
    case SV_RS_PORTABLE:
        return SV_RS_OK;
#if SV_X86
    case SV_RS_AVX2:
        if (bits <= 8) {
            sv_rs_avx2_init(code);
        }
        return SV_RS_OK;
    case SV_RS_AVX512:
        if (bits <= 8) {
            sv_rs_avx512_init(code);
        }
        return SV_RS_OK;
#endif
    default:
        return SV_RS_NO_BACKEND;
    }
}

#if SV_X86
#define DISPATCH(name)                                                                  \
    void name(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {     \
        if (!sv_rs_narrow(code) || code->backend == SV_RS_PORTABLE) {                   \
            name##_portable(code, batch, scratch);                                      \
        } else if (code->backend == SV_RS_AVX2) {                                       \
            name##_avx2(code, batch, scratch);                                          \
        } else {                                                                        \
            name##_avx512(code, batch, scratch);                                        \
        }                                                                               \
    }
#else
#define DISPATCH(name)                                                                  \
    void name(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {     \
        name##_portable(code, batch, scratch);                                          \
    }
#endif

DISPATCH(sv_rs_encode)
DISPATCH(sv_rs_check)
DISPATCH(sv_rs_decode)
