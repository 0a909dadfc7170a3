/* Dispatch: the number of a back end, checked in Python, to its functions. */
#include "sampler.h"

#if SV_X86
#define SV_DISPATCH(name, arguments)                                                                           \
    (backend == SV_SAMPLER_AVX512 ? name##_avx512 arguments                                                    \
     : backend == SV_SAMPLER_AVX2 ? name##_avx2 arguments                                                      \
                                  : name##_portable arguments)
#else
#define SV_DISPATCH(name, arguments) ((void)backend, name##_portable arguments)
#endif

void sv_sampler_cbd(int64_t *out, const uint8_t *random, size_t n, int eta, int backend) {
    SV_DISPATCH(sv_sampler_cbd, (out, random, n, eta));
}

size_t sv_sampler_ternary(int64_t *out, const uint16_t *random, size_t n, int backend) {
    return SV_DISPATCH(sv_sampler_ternary, (out, random, n));
}

size_t sv_sampler_uniform(uint64_t *out, size_t n, const uint64_t *words, size_t m, unsigned bits,
                          uint64_t bound, int backend) {
    return SV_DISPATCH(sv_sampler_uniform, (out, n, words, m, bits, bound));
}

void sv_sampler_residues(uint64_t *out, const int64_t *x, size_t n, uint64_t q, int backend) {
    SV_DISPATCH(sv_sampler_residues, (out, x, n, q));
}
