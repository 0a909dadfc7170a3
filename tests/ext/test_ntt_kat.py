"""Known answers: the product of ``a_i = i`` and ``b_i = i^2 + 1`` modulo ``(X^N + 1, q)``."""

import hashlib

import numpy as np
import pytest

from sottovoce._ext import ntt
from sottovoce._ext.kernel import usable

ANSWERS = [
    (
        (2048, 0x3FFFFFFFFC001, 0x2B86CE7575F16),
        {0: 1124433889575937, 1: 1124431028363267, 2047: 1463156035584},
        "d0164cb970027df829bd16f25bc85a4254a913cc049c807b67af8bd4b71bc33a",
    ),
    (
        (4096, 0x3FFFFFFFCC001, 0x36F7CA5A7D990),
        {},
        "b761e20b9f944be2a04aea408c713ada7a7e2968b30031037efbbefe56567a84",
    ),
    (
        (2048, 0xFFFFFF7001, 0x304747E563),
        {},
        "ebd1aef2d7d4c318dd2649d4382bd16af85dba3c0d78bc00e28a54f80e1cd1c8",
    ),
]


@pytest.mark.parametrize("backend", usable(ntt.BACKENDS), ids=lambda b: b.name)
@pytest.mark.parametrize(("ring", "coefficients", "digest"), ANSWERS)
def test_product_of_two_polynomials(backend, ring, coefficients, digest):
    transform = ntt.Ntt(*ring, backend=backend)
    i = np.arange(ring[0], dtype=np.uint64)[None]
    a, b = i.copy(), i * i + np.uint64(1)
    transform.forward(a)
    transform.forward(b)
    transform.multiply(a, a, b[0])
    transform.inverse(a)
    assert {k: int(a[0, k]) for k in coefficients} == coefficients
    assert hashlib.sha256(a.astype("<u8").tobytes()).hexdigest() == digest
