#ifndef SOTTOVOCE_CPU_H
#define SOTTOVOCE_CPU_H

/* x86-64 with a compiler that has __builtin_cpu_supports and target attributes (GCC, Clang).
   Everything else gets the portable files.  SV_EMULATE_AVX512: tests build AVX-512 files, on any
   processor, over intrinsics in plain C (tests/ext/emulated). */
#if ((defined(__x86_64__) || defined(_M_X64)) && defined(__GNUC__)) || defined(SV_EMULATE_AVX512)
#define SV_X86 1
#else
#define SV_X86 0
#endif

/* AArch64, of which Advanced SIMD is the baseline: nothing to ask for, and no attribute needed. */
#if defined(__aarch64__) && defined(__GNUC__) && !SV_X86
#define SV_NEON 1
#else
#define SV_NEON 0
#endif

/* Before each function that uses intrinsics; the emulated build defines it as nothing. */
#ifndef SV_TARGET
#if SV_NEON
#define SV_TARGET(features)
#else
#define SV_TARGET(features) __attribute__((target(features)))
#endif
#endif

/* One bit a feature, in the order of _cpu.pyx: avx2 fma gfni avx512f avx512bw avx512dq avx512vl
   avx512ifma avx512vbmi neon.  A bit is set only if the operating system saves the registers too. */
unsigned int sv_cpu_features(void);

#endif
