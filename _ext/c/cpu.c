#include "cpu.h"

unsigned int sv_cpu_features(void) {
    unsigned int bits = 0;
#if SV_X86
    __builtin_cpu_init();
    bits |= (unsigned)(__builtin_cpu_supports("avx2") != 0) << 0;
    bits |= (unsigned)(__builtin_cpu_supports("fma") != 0) << 1;
    bits |= (unsigned)(__builtin_cpu_supports("gfni") != 0) << 2;
    bits |= (unsigned)(__builtin_cpu_supports("avx512f") != 0) << 3;
    bits |= (unsigned)(__builtin_cpu_supports("avx512bw") != 0) << 4;
    bits |= (unsigned)(__builtin_cpu_supports("avx512dq") != 0) << 5;
    bits |= (unsigned)(__builtin_cpu_supports("avx512vl") != 0) << 6;
    bits |= (unsigned)(__builtin_cpu_supports("avx512ifma") != 0) << 7;
    bits |= (unsigned)(__builtin_cpu_supports("avx512vbmi") != 0) << 8;
#elif SV_NEON
    bits |= 1u << 9;
#endif
    return bits;
}
