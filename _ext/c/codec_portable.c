/* The codec in C99: the definition that every other back end equals. */
#define SV_CODEC_FN static inline
#include "codec_loops.h"

SV_CODEC_BACKEND(portable, )
