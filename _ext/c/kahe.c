#include "kahe.h"

const sv_kahe_kernel *sv_kahe_kernel_of(int backend) {
    switch (backend) {
    case SV_KAHE_PORTABLE:
        return &sv_kahe_portable;
#if SV_X86
#ifndef SV_EMULATE_AVX512
    case SV_KAHE_AVX2:
        return &sv_kahe_avx2;
#endif
    case SV_KAHE_AVX512:
        return &sv_kahe_avx512;
#endif
    default:
        return NULL;
    }
}
