#include "codec.h"

#if SV_X86
/* The loops of codec_loops.h as 32-byte vectors of four 64-bit lanes, lane i being number at + i; the
   compiler makes the vectors and the tails.  No fma: it would give other bits. */
#define SV_CODEC_FN static inline __attribute__((always_inline)) SV_TARGET("avx2")
#include "codec_loops.h"

SV_CODEC_BACKEND(avx2, SV_TARGET("avx2"))
#endif
