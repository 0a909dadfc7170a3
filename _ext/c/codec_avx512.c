#include "codec.h"

#if SV_X86
/* The loops of codec_loops.h as 64-byte vectors of eight 64-bit lanes, lane i being number at + i; the
   compiler makes the vectors and the tails.  prefer-vector-width: without it compilers stay at 32 bytes. */
#define SV_CODEC_TARGET SV_TARGET("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#define SV_CODEC_FN static inline __attribute__((always_inline)) SV_CODEC_TARGET
#include "codec_loops.h"

SV_CODEC_BACKEND(avx512, SV_CODEC_TARGET)
#endif
