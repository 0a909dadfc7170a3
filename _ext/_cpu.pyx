"""Processor features, as the compiler's run-time library reports them."""

cdef extern from "cpu.h":
    unsigned int sv_cpu_features() nogil

_NAMES = (
    "avx2", "fma", "gfni", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512ifma", "avx512vbmi", "neon"
)


def features():
    """Names of the features that this processor has and the system enables."""
    cdef unsigned int bits = sv_cpu_features()
    return [name for i, name in enumerate(_NAMES) if bits >> i & 1]
