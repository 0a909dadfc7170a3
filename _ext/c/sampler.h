#ifndef SOTTOVOCE_SAMPLER_H
#define SOTTOVOCE_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

/* Random words to samples.  Secret may be: random, x, and the outputs of everything but uniform; no
   address and no branch depends on them, but for how many words ternary rejects, which says nothing about
   those it keeps.  No output overlaps an input, except where it is said. */

enum { SV_SAMPLER_PORTABLE = 0, SV_SAMPLER_AVX2 = 1, SV_SAMPLER_AVX512 = 2 };

/* What ternary writes for a word that it rejects. */
#define SV_SAMPLER_REJECTED 2

/* Centred binomial.  Words are 64 bits, little-endian, any alignment.
   eta = 21: one word a sample, popcount(bits 0..20) - popcount(bits 21..41);
   eta = 42: two words a sample, popcount(bits 0..41 of the first) - popcount(bits 0..41 of the second). */
void sv_sampler_cbd(int64_t *out, const uint8_t *random, size_t n, int eta, int backend);

/* Exactly uniform in {-1, 0, 1}: out[i] = random[i] / 21845 - 1, which is SV_SAMPLER_REJECTED for 65535
   alone (3 * 21845 = 65535).  Returns the number of those. */
size_t sv_sampler_ternary(int64_t *out, const uint16_t *random, size_t n, int backend);

/* Those of words & (2^bits - 1) that are below bound, in order, until n are written or the m words are
   used up; returns how many were written.  1 <= bits <= 63, 1 <= bound <= 2^63 - 1.  Public: branches on
   the words.  out may be words itself (nothing is written before it was read). */
size_t sv_sampler_uniform(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                          uint64_t bound, int backend);

/* out[i] = x[i] mod q for |x[i]| < q < 2^63. */
void sv_sampler_residues(uint64_t *out, const int64_t *x, size_t n, uint64_t q, int backend);

/* Back ends.  The portable functions are the definition.  A vectorised one does what the portable one
   does: whole vectors, then the portable function for the rest. */
void sv_sampler_cbd_portable(int64_t *out, const uint8_t *random, size_t n, int eta);
size_t sv_sampler_ternary_portable(int64_t *out, const uint16_t *random, size_t n);
size_t sv_sampler_uniform_portable(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                                   uint64_t bound);
void sv_sampler_residues_portable(uint64_t *out, const int64_t *x, size_t n, uint64_t q);
#if SV_X86
void sv_sampler_cbd_avx2(int64_t *out, const uint8_t *random, size_t n, int eta);
size_t sv_sampler_ternary_avx2(int64_t *out, const uint16_t *random, size_t n);
size_t sv_sampler_uniform_avx2(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                               uint64_t bound);
void sv_sampler_residues_avx2(uint64_t *out, const int64_t *x, size_t n, uint64_t q);
void sv_sampler_cbd_avx512(int64_t *out, const uint8_t *random, size_t n, int eta);
size_t sv_sampler_ternary_avx512(int64_t *out, const uint16_t *random, size_t n);
size_t sv_sampler_uniform_avx512(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                                 uint64_t bound);
void sv_sampler_residues_avx512(uint64_t *out, const int64_t *x, size_t n, uint64_t q);
#endif

#endif
