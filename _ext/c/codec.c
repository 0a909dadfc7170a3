/* Dispatch: the number of a back end, checked in Python, to its functions. */
#include "codec.h"

#if SV_X86
#define SV_DISPATCH(name, arguments)                                                                           \
    (backend == SV_CODEC_AVX512 ? name##_avx512 arguments                                                      \
     : backend == SV_CODEC_AVX2 ? name##_avx2 arguments                                                        \
                                : name##_portable arguments)
#else
#define SV_DISPATCH(name, arguments) ((void)backend, name##_portable arguments)
#endif

int64_t sv_codec_quantize(int64_t *out, const void *x, int kind, size_t n, double clip, int64_t weight,
                          const uint32_t *random, int backend) {
    return SV_DISPATCH(sv_codec_quantize, (out, x, kind, n, clip, weight, random));
}

int64_t sv_codec_dequantize(void *out, int kind, const int64_t *total, size_t n, double clip, int64_t weights,
                            int backend) {
    return SV_DISPATCH(sv_codec_dequantize, (out, kind, total, n, clip, weights));
}

int64_t sv_codec_narrow(int32_t *out, const int64_t *values, size_t n, int64_t bound, int backend) {
    return SV_DISPATCH(sv_codec_narrow, (out, values, n, bound));
}

void sv_codec_extremes(int64_t *low, int64_t *high, const int64_t *values, size_t n, int backend) {
    SV_DISPATCH(sv_codec_extremes, (low, high, values, n));
}
