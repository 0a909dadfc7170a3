#ifndef SOTTOVOCE_CODEC_H
#define SOTTOVOCE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "cpu.h"

/* Floats to bounded integers and sums of those back to floats.  Arithmetic is IEEE double in exactly the
   order that is written here, so every back end gives the same bits.  Values may be secret: no address
   and no branch depends on them, but for the index of one that is refused.  A value is read once: another
   thread that writes to the caller's array changes the result, not what was checked.  No output overlaps
   an input. */

enum { SV_CODEC_PORTABLE = 0, SV_CODEC_AVX2 = 1, SV_CODEC_AVX512 = 2 };

/* Types of floats; half precision comes as its 16 bits. */
enum { SV_CODEC_F16 = 0, SV_CODEC_F32 = 1, SV_CODEC_F64 = 2 };

/* y = clip(x[i], -clip, clip) / clip * weight; out[i] = floor(y + random[i] 2^-32), clamped to +-weight, or
   the integer nearest to y, ties to even, if random is NULL.  Returns the first index that is NaN or
   infinite, or -1; out is of no use then.  clip finite and positive, 1 <= weight < 2^24. */
int64_t sv_codec_quantize(int64_t *out, const void *x, int kind, size_t n, double clip, int64_t weight,
                          const uint32_t *random, int backend);

/* out[i] = clip * (total[i] / weights), rounded to the type of out, nearest and ties to even.  Returns the
   first index that is not finite in that type, or -1.  |total[i]| < 2^51 (beyond it the number is wrong and
   nothing worse), 1 <= weights < 2^51, clip finite and positive. */
int64_t sv_codec_dequantize(void *out, int kind, const int64_t *total, size_t n, double clip, int64_t weights,
                            int backend);

/* out[i] = values[i] in 32 bits.  Returns the first index with |values[i]| > bound, or -1; out is of no use
   then.  0 <= bound < 2^31. */
int64_t sv_codec_narrow(int32_t *out, const int64_t *values, size_t n, int64_t bound, int backend);

/* Least and largest of n >= 1 values. */
void sv_codec_extremes(int64_t *low, int64_t *high, const int64_t *values, size_t n, int backend);

/* Back ends; the portable functions are the definition. */
int64_t sv_codec_quantize_portable(int64_t *out, const void *x, int kind, size_t n, double clip,
                                   int64_t weight, const uint32_t *random);
int64_t sv_codec_dequantize_portable(void *out, int kind, const int64_t *total, size_t n, double clip,
                                     int64_t weights);
int64_t sv_codec_narrow_portable(int32_t *out, const int64_t *values, size_t n, int64_t bound);
void sv_codec_extremes_portable(int64_t *low, int64_t *high, const int64_t *values, size_t n);
#if SV_X86
int64_t sv_codec_quantize_avx2(int64_t *out, const void *x, int kind, size_t n, double clip, int64_t weight,
                               const uint32_t *random);
int64_t sv_codec_dequantize_avx2(void *out, int kind, const int64_t *total, size_t n, double clip,
                                 int64_t weights);
int64_t sv_codec_narrow_avx2(int32_t *out, const int64_t *values, size_t n, int64_t bound);
void sv_codec_extremes_avx2(int64_t *low, int64_t *high, const int64_t *values, size_t n);
int64_t sv_codec_quantize_avx512(int64_t *out, const void *x, int kind, size_t n, double clip, int64_t weight,
                                 const uint32_t *random);
int64_t sv_codec_dequantize_avx512(void *out, int kind, const int64_t *total, size_t n, double clip,
                                   int64_t weights);
int64_t sv_codec_narrow_avx512(int32_t *out, const int64_t *values, size_t n, int64_t bound);
void sv_codec_extremes_avx512(int64_t *low, int64_t *high, const int64_t *values, size_t n);
#endif

#endif
