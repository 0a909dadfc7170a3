/* Words of narrow symbols in lanes: one word a byte lane of a vector.  Included once by each vector back end, after it has said

     V, LANES                      a vector, and its bytes
     INLINE                        static inline, with the features of the back end
     v_load v_store v_xor v_and    loads and stores at any alignment
     v_zero v_byte v_eq v_max v_adds v_sub v_select(mask, yes, no)      unsigned bytes; masks are bytes 0 or 255
     operand, prepare(x), multiply(operand, operand)      products of lanes in the inner field
     quotient(a, b)                a / b, 0 where b is 0
     digits, digits_of(x)          a vector as constant and map take it
     CONSTANT, constant(tables, i, digits), make_constant(tables, i, c)     products with the i-th constant
     MAP, map(table, digits), make_map(table, images)     a linear map, from the images of 1, 2, 4, ... 128
     element(a, b)                 product of two elements of the inner field, for tables
     GROUP, COEFFICIENT, make_coefficient(code, table, c), product(...)     matrix times tile, see below

   The inner field is one in which the back end multiplies well; for bits = 8 it is isomorphic to that of
   the code.  For bits < 8 only encoding and checking are done in lanes, and words at fault are portable.

   A tile is words side by side: row p has symbol p of WIDTH (or LANES) words.

       words, in memory             tile
       w0: a0 a1 a2 ...             row 0: a0 b0 c0 ...
       w1: b0 b1 b2 ...    <->      row 1: a1 b1 c1 ...
       w2: c0 c1 c2 ...             row 2: a2 b2 c2 ...

   Words that are missing in the last tile are copies of the last word.  Fewer than FEW words, or words at
   fault, are not worth a tile and are portable. */

#include <string.h>

enum { WIDTH = 2 * LANES, FEW = 8, PLACES = 4 };

static inline size_t pad16(size_t count) {
    return (count + 15) & ~(size_t)15;
}

/* ---- tables: parity matrix, maps, constants ---- */

typedef struct {
    uint8_t *parity;   /* [groups][longest message][GROUP] coefficients, by powers of x */
    uint8_t *map_in;   /* field of the code to the inner one, and back */
    uint8_t *map_out;
    uint8_t *roots;    /* a^(fcr+i), i < nsym */
    uint8_t *steps;    /* a^-i to the powers 1 to 4, i <= nsym: to the next places in m(x) */
    uint8_t *scaled;   /* a^-(i+fcr), i < nsym: the same in X^-fcr w(x) */
    uint8_t *image;    /* 256: the inner element of each element of the code */
} vector_tables;

static inline size_t longest(const sv_rs_code *code) {
    return code->order - code->nsym;
}

static inline size_t groups_of(size_t nsym) {
    return (nsym + GROUP - 1) / GROUP;
}

static vector_tables tables_of(const sv_rs_code *code) {
    vector_tables t;
    t.parity = code->vector;
    t.map_in = t.parity + groups_of(code->nsym) * GROUP * COEFFICIENT * longest(code);
    t.map_out = t.map_in + MAP;
    t.roots = t.map_out + MAP;
    t.steps = t.roots + CONSTANT * (size_t)code->nsym;
    t.scaled = t.steps + PLACES * CONSTANT * (size_t)(code->nsym + 1);
    t.image = t.scaled + PLACES * CONSTANT * (size_t)code->nsym;
    return t;
}

static size_t table_bytes(unsigned bits, unsigned nsym) {
    const size_t most = ((size_t)1 << bits) - 1 - nsym;
    return groups_of(nsym) * GROUP * COEFFICIENT * most + 2 * MAP +
           CONSTANT * ((2 * PLACES + 1) * (size_t)nsym + PLACES) + 256;
}

/* An isomorphism takes a to some b of the inner field, and a^i to b^i; a map that does so is one if it is linear. */
static int try_image(const sv_rs_code *code, uint8_t *image, unsigned b) {
    unsigned power = 1;
    memset(image, 0, 256);
    for (unsigned i = 0; i < 255; i++) {
        image[code->exp[i]] = (uint8_t)power;
        power = element((uint8_t)power, (uint8_t)b);
    }
    for (unsigned x = 1; x < 256; x++) {
        const unsigned low = x & (0u - x);
        if (image[x] != (image[low] ^ image[x ^ low])) {
            return 0;
        }
    }
    return power == 1;
}

static void init_tables(sv_rs_code *code) {
    const vector_tables t = tables_of(code);
    const size_t nsym = code->nsym, groups = groups_of(nsym);
    uint8_t column[256 + GROUP];
    memset(column, 0, sizeof column);
    for (size_t s = 0; s < nsym; s++) {
        column[s] = (uint8_t)code->gen[s + 1]; /* x^nsym mod gen */
    }
    for (size_t j = 0; j < longest(code); j++) {
        for (size_t s = 0; s < groups * GROUP; s++) {
            uint8_t *at = t.parity + COEFFICIENT * (GROUP * (longest(code) * (s / GROUP) + j) + s % GROUP);
            make_coefficient(code, at, s < nsym ? column[s] : 0);
        }
        const unsigned feedback = column[0];
        for (size_t s = 0; s < nsym; s++) { /* times x; column[nsym] is 0 */
            column[s] = column[s + 1] ^ (uint8_t)sv_rs_mul(code, feedback, code->gen[s + 1]);
        }
    }
    if (code->bits != 8) {
        return;
    }
    for (unsigned b = 2; b < 256 && !try_image(code, t.image, b); b++) {
    }
    uint8_t there[8], back[8];
    for (unsigned bit = 0; bit < 8; bit++) {
        there[bit] = t.image[1u << bit];
    }
    for (unsigned x = 1; x < 256; x++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            if (t.image[x] == 1u << bit) {
                back[bit] = (uint8_t)x;
            }
        }
    }
    make_map(t.map_in, there);
    make_map(t.map_out, back);
    for (size_t i = 0; i <= nsym; i++) {
        const size_t back = code->order - i, back_scaled = code->order - (code->fcr + i) % code->order;
        for (size_t q = 0; q < PLACES; q++) {
            make_constant(t.steps, PLACES * i + q, t.image[code->exp[back * (q + 1) % code->order]]);
            if (i < nsym) {
                make_constant(t.scaled, PLACES * i + q, t.image[code->exp[back_scaled * (q + 1) % code->order]]);
            }
        }
        if (i < nsym) {
            make_constant(t.roots, i, t.image[code->exp[(code->fcr + i) % code->order]]);
        }
    }
}

/* ---- scratch ---- */

typedef struct {
    uint8_t *tile, *rest, *flat; /* rest: remainders; flat: rows of words again */
    uint8_t *remainder;          /* of the words at fault that wait, rows of LANES from here on */
    uint8_t *syndrome, *gap, *other, *locator, *previous, *evaluator, *known, *errata, *again;
    uint8_t *portable;
    size_t word[LANES];
    size_t waiting;
} lane_scratch;

static size_t scratch_bytes(const sv_rs_code *code, size_t n) {
    const size_t rows = pad16(code->nsym + 2 * GROUP);
    return WIDTH * (2 * pad16(n) + 2 * rows) + LANES * (9 * rows + pad16(n)) + 64;
}

static lane_scratch lend(const sv_rs_code *code, size_t n, uint8_t *scratch) {
    lane_scratch s;
    uint8_t *next = (uint8_t *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    const size_t rows = pad16(code->nsym + 2 * GROUP), lanes = LANES * rows;
    s.tile = next;
    s.flat = next += WIDTH * pad16(n);
    s.rest = next += WIDTH * (pad16(n) + rows);
    s.remainder = next += WIDTH * rows;
    s.syndrome = next += lanes;
    s.gap = next += lanes;
    s.other = next += lanes;
    s.locator = next += lanes;
    s.previous = next += lanes;
    s.evaluator = next += lanes;
    s.known = next += lanes;
    s.again = next += lanes;
    s.errata = next += lanes;
    s.portable = next + LANES * pad16(n);
    s.waiting = 0;
    return s;
}

/* ---- words to tile and back: blocks of 16 x 16 bytes ---- */

/* One round moves the top bit of the row index to the bottom of the column index; four transpose. */
INLINE void transpose16(__m128i x[16]) {
    __m128i y[16];
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++) {
            y[2 * i] = _mm_unpacklo_epi8(x[i], x[i + 8]);
            y[2 * i + 1] = _mm_unpackhi_epi8(x[i], x[i + 8]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            x[i] = y[i];
        }
    }
}

/* Symbols 0 ... count-1 of present words to rows of the tile. */
TARGET static void fill(uint8_t *tile, const uint8_t *words, size_t stride, size_t present, size_t count) {
    for (size_t lane = 0; lane < present; lane += 16) { /* nobody looks at the lanes beyond */
        const uint8_t *row[16];
        for (size_t i = 0; i < 16; i++) {
            row[i] = words + stride * (lane + i < present ? lane + i : present - 1);
        }
        if (count < 16) {
            for (size_t p = 0; p < count; p++) {
                for (size_t i = 0; i < 16; i++) {
                    tile[p * WIDTH + lane + i] = row[i][p];
                }
            }
            continue;
        }
        for (size_t p = 0; p < count; p += 16) {
            const size_t at = p + 16 <= count ? p : count - 16; /* the last block overlaps the one before */
            __m128i x[16];
            for (size_t i = 0; i < 16; i++) {
                x[i] = _mm_loadu_si128((const __m128i *)(row[i] + at));
            }
            transpose16(x);
            for (size_t i = 0; i < 16; i++) {
                _mm_storeu_si128((__m128i *)(tile + (at + i) * WIDTH + lane), x[i]);
            }
        }
    }
}

/* Rows 0 ... pad16(count)-1 of a tile to present words, pad16(count) bytes apart. */
TARGET static void flatten(uint8_t *flat, const uint8_t *tile, size_t width, size_t present, size_t count) {
    const size_t stride = pad16(count);
    for (size_t lane = 0; lane < present; lane += 16) {
        for (size_t p = 0; p < stride; p += 16) {
            __m128i x[16];
            for (size_t i = 0; i < 16; i++) {
                x[i] = _mm_loadu_si128((const __m128i *)(tile + (p + i) * width + lane));
            }
            transpose16(x);
            for (size_t i = 0; i < 16; i++) {
                _mm_storeu_si128((__m128i *)(flat + (lane + i) * stride + p), x[i]);
            }
        }
    }
}

/* ---- words at fault, LANES of them at once ---- */

#define AT(rows, i) ((rows) + LANES * (i))

/* Step 1 of the definition in rsword_portable.c, for lanes that have more erasures than the step has seen. */
TARGET static void take_out_erasures(const lane_scratch *s, size_t nsym, size_t most, V erasures) {
    for (size_t l = 0; l < most; l++) {
        const V active = v_select(v_eq(v_max(erasures, v_byte(l)), v_byte(l)), v_zero(), v_byte(255));
        const operand locator = prepare(v_load(AT(s->known, l)));
        for (size_t i = 0; i + l + 1 < nsym; i++) {
            const V here = v_load(AT(s->gap, i));
            const V next = v_xor(v_load(AT(s->gap, i + 1)), multiply(prepare(here), locator));
            v_store(AT(s->gap, i), v_select(active, next, here));
        }
    }
}

/* Step 2 without inversions and reformulated (Sarwate and Shanbhag 2001): gap holds the coefficients
   r, r + 1, ... of s(x) T(x), so its first one is the discrepancy; other the same of the previous locator.
   Lanes differ in what they do only by masks, and one that has had its nsym - v steps does nothing any more.
   Coefficients above half of the steps are not kept: a lane that needs them is beyond its capacity. */
TARGET static V berlekamp_massey(const lane_scratch *s, size_t steps, size_t kept, V values) {
    V length = v_zero(), last = v_byte(1);
    for (size_t i = 0; i <= kept; i++) {
        v_store(AT(s->locator, i), i ? v_zero() : v_byte(1));
        v_store(AT(s->previous, i), i ? v_zero() : v_byte(1));
    }
    for (size_t r = 0; r < steps; r++) {
        const V idle = v_eq(v_max(values, v_byte(r)), v_byte(r));
        const V first = v_select(idle, v_zero(), v_load(s->gap));
        const V even = v_eq(first, v_zero());
        const V twice = v_adds(length, length);
        const V longer = v_select(even, v_zero(), v_eq(v_max(twice, v_byte(r)), v_byte(r)));
        const operand scale = prepare(v_select(idle, v_byte(1), last)), gap = prepare(first);
        for (size_t i = 0; i + r + 1 < steps; i++) {
            const V next = v_load(AT(s->gap, i + 1)), other = v_load(AT(s->other, i));
            v_store(AT(s->gap, i), v_xor(multiply(prepare(next), scale), multiply(prepare(other), gap)));
            v_store(AT(s->other, i), v_select(longer, next, other));
        }
        for (size_t j = r + 1 < kept ? r + 1 : kept; j > 0; j--) {
            const V here = v_load(AT(s->locator, j)), before = v_load(AT(s->previous, j - 1));
            v_store(AT(s->locator, j), v_xor(multiply(prepare(here), scale), multiply(prepare(before), gap)));
            v_store(AT(s->previous, j), v_select(longer, here, before));
        }
        const V constant_term = v_load(s->locator);
        v_store(s->locator, multiply(prepare(constant_term), scale));
        v_store(s->previous, v_select(longer, constant_term, v_zero()));
        last = v_select(longer, first, last);
        length = v_select(longer, v_sub(v_byte(r + 1), length), length);
    }
    return length;
}

/* sum[q] = the terms first, first + 2 or + 1, ... below count of a polynomial at the q-th of four places; then
   the terms are those at the place after the fourth.  Tables have a^-i, a^-2i, a^-3i, a^-4i of every term i. */
INLINE void four_places(V sum[PLACES], const uint8_t *tables, uint8_t *terms, size_t first, size_t step,
                        size_t count) {
    V sum0 = v_zero(), sum1 = v_zero(), sum2 = v_zero(), sum3 = v_zero();
    for (size_t i = first; i < count; i += step) {
        const V term = v_load(AT(terms, i));
        const digits split = digits_of(term);
        sum0 = v_xor(sum0, term);
        sum1 = v_xor(sum1, constant(tables, PLACES * i, split));
        sum2 = v_xor(sum2, constant(tables, PLACES * i + 1, split));
        sum3 = v_xor(sum3, constant(tables, PLACES * i + 2, split));
        v_store(AT(terms, i), constant(tables, PLACES * i + 3, split));
    }
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
    sum[3] = sum3;
}

/* Steps 3 and 4 at every place from the last to the first; how many zeros m(x) has in each lane. */
TARGET static V find_errata(const vector_tables *t, const lane_scratch *s, size_t n, size_t degree) {
    V zeros = v_zero();
    for (size_t j = 0; j < n; j += PLACES) {
        V even[PLACES], odd[PLACES], above[PLACES];
        four_places(even, t->steps, s->locator, 0, 2, degree + 1);
        four_places(odd, t->steps, s->locator, 1, 2, degree + 1);
        four_places(above, t->scaled, s->evaluator, 0, 1, degree);
        for (size_t q = 0; q < PLACES && j + q < n; q++) {
            const V zero = v_eq(odd[q], even[q]);
            const V value = map(t->map_out, digits_of(v_and(zero, quotient(above[q], odd[q]))));
            zeros = v_sub(zeros, zero);
            v_store(AT(s->errata, n - 1 - j - q), value);
        }
    }
    return zeros;
}

TARGET static void settle(const sv_rs_code *code, const sv_rs_batch *batch, lane_scratch *s) {
    const vector_tables t = tables_of(code);
    const size_t n = batch->n, nsym = code->nsym, k = n - nsym;
    uint8_t erased[LANES];
    size_t most = 0, fewest = 0;
    memset(erased, 0, sizeof erased);
    if (batch->erased) {
        memset(s->known, 0, LANES * nsym);
        fewest = nsym;
        for (size_t lane = 0; lane < s->waiting; lane++) {
            const uint8_t *flags = batch->erased + s->word[lane] * batch->erased_stride;
            size_t count = 0;
            for (size_t p = 0; p < n; p++) {
                if (flags[p]) {
                    AT(s->known, count++)[lane] = t.image[code->exp[n - 1 - p]];
                }
            }
            erased[lane] = (uint8_t)count;
            most = count > most ? count : most;
            fewest = count < fewest ? count : fewest;
        }
    }
    const V erasures = v_load(erased), values = v_sub(v_byte(nsym), erasures);
    for (size_t i = 0; i < nsym; i++) { /* the inner field; evaluator has room until it is needed */
        v_store(AT(s->evaluator, i), map(t.map_in, digits_of(v_load(AT(s->remainder, i)))));
    }
    for (size_t i = 0; i < nsym; i++) {
        V sum = v_load(s->evaluator);
        for (size_t j = 1; j < nsym; j++) {
            sum = v_xor(constant(t.roots, i, digits_of(sum)), v_load(AT(s->evaluator, j)));
        }
        v_store(AT(s->syndrome, i), sum);
        v_store(AT(s->gap, i), sum);
    }
    take_out_erasures(s, nsym, most, erasures);
    memcpy(s->other, s->gap, LANES * nsym);
    const size_t steps = nsym - fewest, degree = (nsym + most) / 2;
    const V length = berlekamp_massey(s, steps, steps / 2, values);
    for (size_t i = steps / 2 + 1; i <= degree; i++) {
        v_store(AT(s->locator, i), v_zero());
    }
    for (size_t l = 0; l < most; l++) { /* times (1 - X x); X is 0 where a lane has no such erasure */
        const operand locator = prepare(v_load(AT(s->known, l)));
        for (size_t j = degree; j > 0; j--) {
            const V before = multiply(prepare(v_load(AT(s->locator, j - 1))), locator);
            v_store(AT(s->locator, j), v_xor(v_load(AT(s->locator, j)), before));
        }
    }
    for (size_t i = 0; i < degree; i++) {
        V sum = v_zero();
        for (size_t j = 0; j <= i; j++) {
            sum = v_xor(sum, multiply(prepare(v_load(AT(s->syndrome, i - j))), prepare(v_load(AT(s->locator, j)))));
        }
        v_store(AT(s->evaluator, i), sum);
    }
    const V zeros = find_errata(&t, s, n, degree);
    memset(AT(s->errata, n), 0, LANES * (pad16(n) - n));
    product(t.parity, groups_of(nsym), longest(code), s->again, s->errata, k, LANES);
    /* Too many errors for what is left of nsym, not as many zeros as the degree, or another remainder. */
    const V twice = v_adds(length, length);
    V wrong = v_xor(v_max(twice, values), values);
    wrong = v_or(wrong, v_xor(zeros, v_adds(length, erasures)));
    for (size_t i = 0; i < nsym; i++) {
        const V sum = v_xor(v_load(AT(s->again, i)), v_load(AT(s->errata, k + i)));
        wrong = v_or(wrong, v_xor(sum, v_load(AT(s->remainder, i))));
    }
    const V good = v_eq(wrong, v_zero());
    V changed = v_zero();
    for (size_t p = 0; p < n; p++) {
        const V value = v_and(good, v_load(AT(s->errata, p)));
        v_store(AT(s->errata, p), value);
        changed = v_sub(changed, v_eq(v_eq(value, v_zero()), v_zero()));
    }
    flatten(s->flat, s->errata, LANES, s->waiting, n);
    uint8_t fine[LANES], weight[LANES];
    v_store(fine, good);
    v_store(weight, changed);
    for (size_t lane = 0; lane < s->waiting; lane++) {
        batch->status[s->word[lane]] = fine[lane] ? weight[lane] : SV_RS_FAILED;
        uint8_t *word = batch->out + s->word[lane] * batch->out_stride;
        const uint8_t *add = s->flat + lane * pad16(n);
        for (size_t p = 0; p < n; p++) {
            word[p] ^= add[p];
        }
    }
    s->waiting = 0;
}

/* ---- batches ---- */

static sv_rs_batch part(const sv_rs_batch *batch, size_t first, size_t words) {
    sv_rs_batch some = *batch;
    some.words = words;
    some.in += first * batch->in_stride;
    some.out += first * batch->out_stride;
    some.status += batch->status ? first : 0;
    some.erased += batch->erased ? first * batch->erased_stride : 0;
    return some;
}

TARGET static void encode_lanes(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    const lane_scratch s = lend(code, batch->n, scratch);
    const size_t nsym = code->nsym, k = batch->n - nsym;
    for (size_t first = 0; first < batch->words; first += WIDTH) {
        const size_t present = batch->words - first < WIDTH ? batch->words - first : WIDTH;
        const sv_rs_batch some = part(batch, first, present);
        if (present < FEW) {
            sv_rs_encode_portable(code, &some, s.portable);
            break;
        }
        fill(s.tile, some.in, some.in_stride, present, k);
        product(tables_of(code).parity, groups_of(nsym), longest(code), s.rest, s.tile, k, WIDTH);
        flatten(s.flat, s.rest, WIDTH, present, nsym);
        for (size_t w = 0; w < present; w++) {
            uint8_t *word = some.out + w * some.out_stride;
            if (word != some.in + w * some.in_stride) {
                memcpy(word, some.in + w * some.in_stride, k);
            }
            memcpy(word + k, s.flat + w * pad16(nsym), nsym);
        }
    }
}

/* Remainders of present words to s->rest; 1 in fault for lanes in which one is not zero. */
TARGET static void divide_lanes(const sv_rs_code *code, const sv_rs_batch *some, const lane_scratch *s,
                                uint8_t fault[WIDTH]) {
    const size_t nsym = code->nsym, k = some->n - nsym;
    fill(s->tile, some->in, some->in_stride, some->words, some->n);
    product(tables_of(code).parity, groups_of(nsym), longest(code), s->rest, s->tile, k, WIDTH);
    for (size_t lane = 0; lane < WIDTH; lane += LANES) {
        V any = v_zero();
        for (size_t i = 0; i < nsym; i++) {
            uint8_t *at = s->rest + i * WIDTH + lane;
            const V rest = v_xor(v_load(at), v_load(s->tile + (k + i) * WIDTH + lane));
            v_store(at, rest);
            any = v_or(any, rest);
        }
        v_store(fault + lane, v_eq(v_eq(any, v_zero()), v_zero()));
    }
}

TARGET static void check_lanes(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    const lane_scratch s = lend(code, batch->n, scratch);
    for (size_t first = 0; first < batch->words; first += WIDTH) {
        const size_t present = batch->words - first < WIDTH ? batch->words - first : WIDTH;
        const sv_rs_batch some = part(batch, first, present);
        uint8_t fault[WIDTH];
        if (present < FEW) {
            sv_rs_check_portable(code, &some, s.portable);
            break;
        }
        divide_lanes(code, &some, &s, fault);
        for (size_t w = 0; w < present; w++) {
            some.status[w] = fault[w] == 0;
        }
    }
}

TARGET static void settle_or_portable(const sv_rs_code *code, const sv_rs_batch *batch, lane_scratch *s) {
    if (code->bits == 8 && s->waiting >= FEW) {
        settle(code, batch, s);
        return;
    }
    for (size_t i = 0; i < s->waiting; i++) {
        const sv_rs_batch one = part(batch, s->word[i], 1);
        sv_rs_decode_portable(code, &one, s->portable);
    }
    s->waiting = 0;
}

static size_t count_flags(const uint8_t *flags, size_t n) {
    size_t count = 0;
    for (size_t p = 0; p < n; p++) {
        count += flags[p] != 0;
    }
    return count;
}

TARGET static void decode_lanes(const sv_rs_code *code, const sv_rs_batch *batch, uint8_t *scratch) {
    lane_scratch s = lend(code, batch->n, scratch);
    const size_t n = batch->n, nsym = code->nsym;
    memset(s.remainder, 0, LANES * nsym); /* lanes that stay empty hold no fault */
    for (size_t first = 0; first < batch->words; first += WIDTH) {
        const size_t present = batch->words - first < WIDTH ? batch->words - first : WIDTH;
        const sv_rs_batch some = part(batch, first, present);
        uint8_t fault[WIDTH];
        if (present < FEW) {
            sv_rs_decode_portable(code, &some, s.portable);
            break;
        }
        divide_lanes(code, &some, &s, fault);
        for (size_t w = 0; w < present; w++) {
            if (some.out != some.in) {
                memcpy(some.out + w * some.out_stride, some.in + w * some.in_stride, n);
            }
            some.status[w] = 0;
            if (batch->erased && count_flags(some.erased + w * some.erased_stride, n) > nsym) {
                some.status[w] = SV_RS_FAILED;
            } else if (fault[w]) {
                for (size_t i = 0; i < nsym; i++) {
                    AT(s.remainder, i)[s.waiting] = s.rest[i * WIDTH + w];
                }
                s.word[s.waiting++] = first + w;
                if (s.waiting == LANES) {
                    settle_or_portable(code, batch, &s);
                }
            }
        }
    }
    settle_or_portable(code, batch, &s);
}
