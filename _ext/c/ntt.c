/* Dispatch.  A ring that the vector back ends do not take (q of 50 bits or more, few coefficients) comes
   without vector tables, and the portable functions do it. */
#include "ntt.h"

void sv_ntt_forward(uint64_t *x, size_t rows, const sv_ntt_tables *t, int backend) {
#if SV_X86
    if (t->vector_w && backend == SV_NTT_AVX512) {
        sv_ntt_forward_avx512(x, rows, t);
        return;
    }
    if (t->vector_w && backend == SV_NTT_AVX2) {
        sv_ntt_forward_avx2(x, rows, t);
        return;
    }
#else
    (void)backend;
#endif
    sv_ntt_forward_portable(x, rows, t);
}

void sv_ntt_inverse(uint64_t *x, size_t rows, const sv_ntt_tables *t, int backend) {
#if SV_X86
    if (t->vector_v && backend == SV_NTT_AVX512) {
        sv_ntt_inverse_avx512(x, rows, t);
        return;
    }
    if (t->vector_v && backend == SV_NTT_AVX2) {
        sv_ntt_inverse_avx2(x, rows, t);
        return;
    }
#else
    (void)backend;
#endif
    sv_ntt_inverse_portable(x, rows, t);
}

void sv_ntt_multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t rows,
                     const sv_ntt_tables *t, int backend) {
#if SV_X86
    if (t->vector_w && backend == SV_NTT_AVX512) {
        sv_ntt_multiply_avx512(out, a, b, rows, t);
        return;
    }
    if (t->vector_w && backend == SV_NTT_AVX2) {
        sv_ntt_multiply_avx2(out, a, b, rows, t);
        return;
    }
#else
    (void)backend;
#endif
    sv_ntt_multiply_portable(out, a, b, rows, t);
}
