"""The AVX-512 transform, built over intrinsics in plain C, against the portable one: on any machine."""

import ctypes

import numpy as np
import pytest

from sottovoce._ext import ntt
from support import emulated
from support.ntt_rings import RINGS, SMALL, patterns

AVX512 = next(b for b in ntt.BACKENDS if b.name == "avx512")


class Tables(ctypes.Structure):
    """``sv_ntt_tables`` of ntt.h."""

    _fields_ = [
        ("q", ctypes.c_uint64),
        ("n", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ("w", "w_shoup", "v", "v_shoup")),
        ("n_inv", ctypes.c_uint64),
        ("n_inv_shoup", ctypes.c_uint64),
        ("bits", ctypes.c_uint),
        ("barrett", ctypes.c_uint64),
        ("vector_w", ctypes.c_void_p),
        ("vector_v", ctypes.c_void_p),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return emulated.library(tmp_path_factory.mktemp("emulated"), "ntt")


class Emulated:
    """The C functions with the tables that ``Ntt`` makes for the AVX-512 back end."""

    def __init__(self, library, n, q, psi):
        made = ntt.tables(n, q, psi, AVX512)
        self.keep = made
        self.tables = Tables(
            q,
            n,
            *(made[name].ctypes.data for name in ("w", "w_shoup", "v", "v_shoup")),
            made["n_inv"],
            made["n_inv_shoup"],
            q.bit_length(),
            made["barrett"],
            made["vector_w"].ctypes.data,
            made["vector_v"].ctypes.data,
        )
        self.library, self.n = library, n

    def call(self, name, *arrays):
        function = getattr(self.library, f"sv_ntt_{name}_avx512")
        function.argtypes = [*(ctypes.c_void_p for _ in arrays), ctypes.c_size_t, ctypes.c_void_p]
        function.restype = None
        pointers = (a.ctypes.data for a in arrays)
        function(*pointers, arrays[0].size // self.n, ctypes.byref(self.tables))


@pytest.mark.parametrize(("n", "q", "psi"), [r for r in (*RINGS, *SMALL) if r[0] >= 64 and r[1] < 2**50])
def test_every_function_gives_the_portable_bits(library, n, q, psi):
    portable = ntt.Ntt(n, q, psi, backend=ntt.BACKENDS[0])
    vector = Emulated(library, n, q, psi)
    rows = patterns(n, q)
    for name in ("forward", "inverse"):
        want, got = rows.copy(), rows.copy()
        getattr(portable, name)(want)
        vector.call(name, got)
        assert np.array_equal(got, want)
    for b in rows:
        want, got = np.empty_like(rows), np.empty_like(rows)
        portable.multiply(want, rows, b)
        vector.call("multiply", got, rows, b)
        assert np.array_equal(got, want)
