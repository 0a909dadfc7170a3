#include "rlwe.h"

const sv_rlwe_kernel *sv_rlwe_kernel_of(int backend) {
    switch (backend) {
    case SV_RLWE_PORTABLE:
        return &sv_rlwe_portable;
#if SV_X86
#ifndef SV_EMULATE_AVX512
    case SV_RLWE_AVX2:
        return &sv_rlwe_avx2;
#endif
    case SV_RLWE_AVX512:
        return &sv_rlwe_avx512;
#endif
    default:
        return NULL;
    }
}
