/* Every back end of Reed-Solomon words on heap buffers of exactly the right size, for AddressSanitizer and
   UndefinedBehaviorSanitizer, and (built over the emulated intrinsics) the AVX-512 one on any machine; built and
   run by test_rsword_native.py.  Arguments: numbers of back ends to compare with the portable one, or "overrun",
   which decodes words one symbol longer than their memory. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsword.h"

#ifdef SV_EMULATE_AVX512 /* rsword_avx2.c is left out there */
size_t sv_rs_avx2_tables(unsigned bits, unsigned nsym) { (void)bits; (void)nsym; abort(); }
void sv_rs_avx2_init(sv_rs_code *code) { (void)code; abort(); }
size_t sv_rs_avx2_scratch(const sv_rs_code *code, size_t n) { (void)code; (void)n; abort(); }
void sv_rs_encode_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) { (void)code; (void)batch; (void)scratch; abort(); }
void sv_rs_check_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) { (void)code; (void)batch; (void)scratch; abort(); }
void sv_rs_decode_avx2(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) { (void)code; (void)batch; (void)scratch; abort(); }
#endif

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

typedef struct { unsigned bits; uint32_t prim; unsigned generator; } field;
static const field FIELDS[] = {{8, 0x11D, 2}, {8, 0x187, 0xAD}, {8, 0x11B, 3}, {5, 0x25, 2}, {10, 0x409, 2}};

static uint8_t *room(size_t bytes) {
    uint8_t *memory = malloc(bytes ? bytes : 1);
    memset(memory, 0xA5, bytes);
    return memory;
}

static void put(uint8_t *words, size_t width, size_t at, unsigned value) {
    const uint16_t wide = (uint16_t)value;
    if (width == 1) {
        words[at] = (uint8_t)value;
    } else {
        memcpy(words + 2 * at, &wide, 2);
    }
}

typedef struct { uint8_t *encoded, *decoded; int32_t *status; } result;

/* Encodes, damages as the seed says, decodes and checks. */
static result run(field f, unsigned fcr, unsigned nsym, size_t n, size_t words, uint32_t seed, int backend, size_t excess) {
    sv_rs_code code;
    const size_t width = f.bits <= 8 ? 1 : 2, k = n - nsym;
    uint8_t *tables = room(sv_rs_table_bytes(f.bits, nsym, backend));
    if (sv_rs_init(&code, tables, f.bits, f.prim, f.generator, fcr, nsym, backend) != SV_RS_OK) {
        exit(2);
    }
    uint8_t *scratch = room(sv_rs_scratch_bytes(&code, n)), *message = room(words * k * width);
    uint8_t *received = room(words * n * width), *erased = room(words * n);
    result r = {room(words * n * width), room(words * n * width), malloc(words * sizeof(int32_t))};
    state = seed;
    for (size_t i = 0; i < words * k; i++) {
        put(message, width, i, draw(code.order + 1));
    }
    sv_rs_batch batch = {words, n, message, k * width, r.encoded, n * width, NULL, 0, NULL};
    sv_rs_encode(&code, &batch, scratch);
    memcpy(received, r.encoded, words * n * width);
    memset(erased, 0, words * n);
    for (size_t w = 0; w < words; w++) {
        const uint32_t errors = draw(3) ? draw(nsym / 2 + 2) : 0, erasures = draw(2) ? draw(nsym + 2) : 0;
        for (uint32_t i = 0; i < errors; i++) {
            put(received, width, w * n + draw((uint32_t)n), draw(code.order + 1));
        }
        for (uint32_t i = 0; i < erasures; i++) {
            erased[w * n + draw((uint32_t)n)] = 1;
        }
    }
    const sv_rs_batch again = {words, n + excess, received, n * width, r.decoded, n * width, erased, n, r.status};
    sv_rs_decode(&code, &again, scratch);
    int32_t *flags = malloc(words * sizeof(int32_t));
    const sv_rs_batch last = {words, n, r.decoded, n * width, r.decoded, n * width, NULL, 0, flags};
    sv_rs_check(&code, &last, scratch);
    for (size_t w = 0; w < words; w++) {
        if (r.status[w] >= 0 && !flags[w]) {
            printf("word %zu is called corrected and is no codeword\n", w);
            exit(1);
        }
    }
    free(flags);
    free(tables);
    free(scratch);
    free(message);
    free(received);
    free(erased);
    return r;
}

static void drop(result r) {
    free(r.encoded);
    free(r.decoded);
    free(r.status);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "overrun") == 0) {
        drop(run(FIELDS[0], 0, 4, 20, 1, 1, SV_RS_PORTABLE, 1));
        return 0;
    }
    for (int a = 1; a < argc; a++) {
        const int backend = atoi(argv[a]);
        for (uint32_t trial = 0; trial < 60; trial++) {
            state = trial + 1000;
            const field f = FIELDS[trial % 5];
            const uint32_t order = (1u << f.bits) - 1;
            const unsigned nsym = 1 + draw(trial % 7 ? 20 : (order < 255 ? order : 255) - 2);
            const size_t n = nsym + 1 + draw((order < 255 ? order : 255) - nsym), words = 1 + draw(150);
            const result want = run(f, trial, nsym, n, words, trial, SV_RS_PORTABLE, 0);
            const result got = run(f, trial, nsym, n, words, trial, backend, 0);
            const size_t bytes = words * n * (f.bits <= 8 ? 1 : 2);
            if (memcmp(want.encoded, got.encoded, bytes) || memcmp(want.decoded, got.decoded, bytes) ||
                memcmp(want.status, got.status, words * sizeof(int32_t))) {
                printf("back end %d differs in trial %u: nsym %u, n %zu, %zu words\n", backend, trial, nsym, n, words);
                return 1;
            }
            drop(want);
            drop(got);
        }
        printf("back end %d\n", backend);
    }
    return 0;
}
