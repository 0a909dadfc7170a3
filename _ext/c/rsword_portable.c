#include <string.h>

#include "rsword.h"

/* The definition.  A word is divided by the generator polynomial as by a shift register; the remainder r is
   zero for a codeword and has the syndromes of the word, S_i = r(a^(fcr+i)) for i = 0 ... nsym-1.

   With errata e_l at locators X_l:  S_i = sum of e_l X_l^(fcr+i).  Of these v locators are known (erasures):

   1  T = S with the erasures taken out, one at a time:  T_i <- T_(i+1) - X T_i   (nsym - v values are left)
   2  Berlekamp-Massey on T gives s(x), product of (1 - X x) over the unknown ones; L is its degree
   3  Chien: the zeros of s among X^-1 of the word's places; there must be L
   4  Forney: with m(x) = s(x) times the factors of the erasures and w(x) = S(x) m(x) mod x^nsym,
      e = X^-fcr w(1/X) / o(1/X), where o(x) = x m'(x), the odd terms of m
   5  the syndromes of the errata must be those of the word. */

typedef struct {
    uint16_t *syndrome, *rest, *locator, *previous, *copy, *evaluator; /* nsym + 2 each */
    uint16_t *place, *value;                                          /* nsym each */
    uint16_t *remainder;                                              /* nsym */
} scratch_of;

static scratch_of lend(const sv_rs_code *code, uint8_t *scratch) {
    uint16_t *next = (uint16_t *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    const size_t size = code->nsym + 2;
    scratch_of lent = {next,            next + size,     next + 2 * size, next + 3 * size, next + 4 * size,
                       next + 5 * size, next + 6 * size, next + 7 * size, next + 8 * size};
    return lent;
}

size_t sv_rs_portable_scratch(const sv_rs_code *code, size_t n) {
    (void)n;
    return 64 + 9 * sizeof(uint16_t) * (code->nsym + 2);
}

static inline unsigned symbol(const sv_rs_code *code, const uint8_t *word, size_t at) {
    if (sv_rs_narrow(code)) {
        return word[at];
    }
    uint16_t wide;
    memcpy(&wide, word + 2 * at, 2);
    return wide;
}

static inline void store(const sv_rs_code *code, uint8_t *word, size_t at, unsigned value) {
    if (sv_rs_narrow(code)) {
        word[at] = (uint8_t)value;
    } else {
        const uint16_t wide = (uint16_t)value;
        memcpy(word + 2 * at, &wide, 2);
    }
}

/* The shift register in words of 64 bits, symbol j in bits 8 (j mod 8) of word j / 8. */
static inline void shift_register(uint64_t *out, const uint64_t *steps, const uint8_t *message, size_t count,
                                  const size_t words) {
    uint64_t state[32 + 1];
    memset(state, 0, sizeof state);
    for (size_t p = 0; p < count; p++) {
        const uint64_t *row = steps + words * (uint8_t)(message[p] ^ state[0]);
        for (size_t i = 0; i < words; i++) {
            state[i] = (state[i] >> 8 | state[i + 1] << 56) ^ row[i]; /* state[words] stays 0 */
        }
    }
    memcpy(out, state, sizeof(uint64_t) * words);
}

/* out = (message x^nsym) mod gen, for count narrow symbols. */
static void divide_narrow(const sv_rs_code *code, uint8_t *out, const uint8_t *message, size_t count) {
    const size_t nsym = code->nsym;
    uint64_t state[32];
    switch (sv_rs_step_words(nsym)) { /* constant counts, so that the state stays in registers */
    case 1:
        shift_register(state, code->steps, message, count, 1);
        break;
    case 2:
        shift_register(state, code->steps, message, count, 2);
        break;
    case 3:
        shift_register(state, code->steps, message, count, 3);
        break;
    case 4:
        shift_register(state, code->steps, message, count, 4);
        break;
    default:
        shift_register(state, code->steps, message, count, sv_rs_step_words(nsym));
    }
    for (size_t j = 0; j < nsym; j++) {
        out[j] = (uint8_t)(state[j / 8] >> 8 * (j % 8));
    }
}

static void divide_wide(const sv_rs_code *code, uint16_t *state, const uint8_t *message, size_t count) {
    const size_t nsym = code->nsym;
    memset(state, 0, sizeof(uint16_t) * (nsym + 1));
    for (size_t p = 0; p < count; p++) {
        const unsigned feedback = symbol(code, message, p) ^ state[0];
        for (size_t j = 0; j < nsym; j++) {
            state[j] = state[j + 1] ^ sv_rs_mul(code, feedback, code->gen[j + 1]);
        }
    }
}

/* remainder[s] is the coefficient of x^(nsym-1-s); true if the word is a codeword. */
static int divide(const sv_rs_code *code, uint16_t *remainder, const uint8_t *word, size_t n) {
    const size_t nsym = code->nsym, k = n - nsym;
    unsigned any = 0;
    if (sv_rs_narrow(code)) {
        uint8_t narrow[256];
        divide_narrow(code, narrow, word, k);
        for (size_t s = 0; s < nsym; s++) {
            any |= remainder[s] = narrow[s] ^ word[k + s];
        }
    } else {
        divide_wide(code, remainder, word, k);
        for (size_t s = 0; s < nsym; s++) {
            any |= remainder[s] ^= symbol(code, word, k + s);
        }
    }
    return any == 0;
}

void sv_rs_encode_portable(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    const scratch_of lent = lend(code, scratch);
    const size_t nsym = code->nsym, k = batch->n - nsym, width = sv_rs_narrow(code) ? 1 : 2;
    for (size_t w = 0; w < batch->words; w++) {
        const uint8_t *message = batch->in + w * batch->in_stride;
        uint8_t *word = batch->out + w * batch->out_stride;
        if (word != message) {
            memcpy(word, message, k * width);
        }
        if (width == 1) {
            divide_narrow(code, word + k, word, k);
        } else {
            divide_wide(code, lent.rest, word, k);
            memcpy(word + 2 * k, lent.rest, 2 * nsym);
        }
    }
}

void sv_rs_check_portable(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    const scratch_of lent = lend(code, scratch);
    for (size_t w = 0; w < batch->words; w++) {
        batch->status[w] = divide(code, lent.rest, batch->in + w * batch->in_stride, batch->n);
    }
}

/* a + b modulo order, both below it. */
static inline unsigned plus(const sv_rs_code *code, unsigned a, unsigned b) {
    const unsigned sum = a + b;
    return sum < code->order ? sum : sum - code->order;
}

/* a b modulo order. */
static inline unsigned times(const sv_rs_code *code, unsigned a, unsigned b) {
    return (unsigned)((uint64_t)a * b % code->order);
}

/* value of poly, count coefficients, constant first, at a^power, power below order; only every step-th term
   from first on, first and step being 1 or less and 1 or 2. */
static unsigned value_at(const sv_rs_code *code, const uint16_t *poly, size_t first, size_t step, size_t count,
                         unsigned power) {
    const unsigned each = step == 1 ? power : plus(code, power, power);
    unsigned sum = 0, at = first ? power : 0;
    for (size_t i = first; i < count; i += step) {
        sum ^= poly[i] ? code->exp[code->log[poly[i]] + at] : 0;
        at = plus(code, at, each);
    }
    return sum;
}

/* poly <- poly (1 - X x), of count coefficients before. */
static void times_factor(const sv_rs_code *code, uint16_t *poly, size_t count, unsigned locator) {
    poly[count] = 0;
    for (size_t i = count; i > 0; i--) {
        poly[i] ^= sv_rs_mul(code, poly[i - 1], locator);
    }
}

/* Step 2: error locator of the count values in rest; returns L. */
static size_t berlekamp_massey(const sv_rs_code *code, const scratch_of *t, size_t count) {
    uint16_t *locator = t->locator, *previous = t->previous;
    size_t length = 0;
    unsigned last = 1;
    memset(locator, 0, sizeof(uint16_t) * (code->nsym + 2));
    memset(previous, 0, sizeof(uint16_t) * (code->nsym + 2));
    locator[0] = previous[0] = 1;
    for (size_t r = 0; r < count; r++) {
        unsigned gap = t->rest[r];
        for (size_t j = 1; j <= length; j++) {
            gap ^= sv_rs_mul(code, locator[j], t->rest[r - j]);
        }
        memmove(previous + 1, previous, sizeof(uint16_t) * (code->nsym + 1)); /* previous times x */
        previous[0] = 0;
        if (gap == 0) {
            continue;
        }
        const unsigned ratio = code->exp[code->log[gap] + code->order - code->log[last]];
        const int longer = 2 * length <= r;
        if (longer) {
            memcpy(t->copy, locator, sizeof(uint16_t) * (code->nsym + 2));
        }
        for (size_t j = 1; j <= r + 1; j++) { /* previous has been moved so often; its constant is 0 */
            locator[j] ^= sv_rs_mul(code, ratio, previous[j]);
        }
        if (longer) {
            memcpy(previous, t->copy, sizeof(uint16_t) * (code->nsym + 2));
            last = gap;
            length = r + 1 - length;
        }
    }
    return length;
}

/* The errata of a word with this remainder: places and values; how many, or SV_RS_FAILED.  place holds
   the erasures at the start. */
static long solve(const sv_rs_code *code, const scratch_of *t, size_t n, size_t erasures) {
    const size_t nsym = code->nsym, order = code->order;
    /* All of them at once, so that no product waits for the one before. */
    memset(t->syndrome, 0, sizeof(uint16_t) * nsym);
    for (size_t s = 0; s < nsym; s++) {
        unsigned root = code->fcr;
        for (size_t i = 0; i < nsym; i++) {
            const unsigned sum = t->syndrome[i], product = code->exp[code->log[sum] + root];
            t->syndrome[i] = (uint16_t)((sum ? product : 0) ^ t->remainder[s]);
            root = plus(code, root, 1);
        }
    }
    memcpy(t->rest, t->syndrome, sizeof(uint16_t) * nsym);
    for (size_t v = 0; v < erasures; v++) {
        const unsigned locator = code->exp[n - 1 - t->place[v]];
        for (size_t i = 0; i + v + 1 < nsym; i++) {
            t->rest[i] = t->rest[i + 1] ^ sv_rs_mul(code, t->rest[i], locator);
        }
    }
    const size_t errors = berlekamp_massey(code, t, nsym - erasures);
    if (2 * errors + erasures > nsym) {
        return SV_RS_FAILED;
    }
    size_t count = erasures, terms = 0;
    for (size_t i = 1; i <= errors; i++) {
        if (t->locator[i]) {
            t->copy[terms] = code->log[t->locator[i]];
            t->evaluator[terms++] = (uint16_t)(order - i); /* there is room until step 4 */
        }
    }
    for (size_t j = 0; errors && j < n; j++) { /* copy: logarithms of the terms at a^-j, without the constant 1 */
        unsigned sum = 0;
        for (size_t i = 0; i < terms; i++) {
            const unsigned at = t->copy[i];
            sum ^= code->exp[at];
            t->copy[i] = (uint16_t)plus(code, at, t->evaluator[i]);
        }
        if (sum == 1) {
            if (count == erasures + errors) {
                return SV_RS_FAILED;
            }
            t->place[count++] = (uint16_t)(n - 1 - j);
        }
    }
    if (count != erasures + errors) {
        return SV_RS_FAILED;
    }
    for (size_t v = 0; v < erasures; v++) {
        times_factor(code, t->locator, errors + v + 1, code->exp[n - 1 - t->place[v]]);
    }
    for (size_t i = 0; i < count; i++) {
        unsigned sum = 0;
        for (size_t j = 0; j <= i; j++) {
            sum ^= sv_rs_mul(code, t->syndrome[i - j], t->locator[j]);
        }
        t->evaluator[i] = (uint16_t)sum;
    }
    for (size_t l = 0; l < count; l++) {
        const unsigned power = (unsigned)n - 1 - t->place[l], back = power ? code->order - power : 0;
        const unsigned above = value_at(code, t->evaluator, 0, 1, count, back);
        const unsigned below = value_at(code, t->locator, 1, 2, count + 1, back);
        if (below == 0) {
            return SV_RS_FAILED; /* an erasure was found again as an error */
        }
        const unsigned shift = plus(code, times(code, code->fcr, back), code->order - 1 - code->log[below]);
        t->value[l] = above ? code->exp[code->log[above] + plus(code, shift, 1)] : 0;
    }
    for (size_t l = 0; l < count; l++) {
        const unsigned power = (unsigned)n - 1 - t->place[l];
        unsigned at = plus(code, code->log[t->value[l]], times(code, power, code->fcr));
        for (size_t i = 0; t->value[l] && i < nsym; i++) {
            t->syndrome[i] ^= code->exp[at];
            at = plus(code, at, power);
        }
    }
    for (size_t i = 0; i < nsym; i++) {
        if (t->syndrome[i]) {
            return SV_RS_FAILED;
        }
    }
    return (long)count;
}

void sv_rs_decode_portable(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    const scratch_of lent = lend(code, scratch);
    const size_t n = batch->n, bytes = n * (sv_rs_narrow(code) ? 1 : 2);
    for (size_t w = 0; w < batch->words; w++) {
        const uint8_t *in = batch->in + w * batch->in_stride;
        uint8_t *word = batch->out + w * batch->out_stride;
        size_t erasures = 0;
        if (word != in) {
            memcpy(word, in, bytes);
        }
        if (batch->erased) {
            const uint8_t *flags = batch->erased + w * batch->erased_stride;
            for (size_t p = 0; p < n && erasures <= code->nsym; p++) {
                if (flags[p]) {
                    if (erasures < code->nsym) {
                        lent.place[erasures] = (uint16_t)p;
                    }
                    erasures++;
                }
            }
        }
        if (erasures > code->nsym) {
            batch->status[w] = SV_RS_FAILED;
            continue;
        }
        if (divide(code, lent.remainder, word, n)) {
            batch->status[w] = 0;
            continue;
        }
        const long count = solve(code, &lent, n, erasures);
        batch->status[w] = count < 0 ? SV_RS_FAILED : 0;
        for (long l = 0; l < count; l++) {
            if (lent.value[l]) {
                store(code, word, lent.place[l], symbol(code, word, lent.place[l]) ^ lent.value[l]);
                batch->status[w]++;
            }
        }
    }
}
