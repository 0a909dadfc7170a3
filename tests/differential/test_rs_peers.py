"""rs against other people's code: zfec, pyeclib, reedsolo, ISA-L, and HPKE of `cryptography` against ours.

Each test skips where its peer is not installed; wheels of pyeclib bring an ISA-L of their own;
another is a system library (libisal2 on Debian).
"""

import ctypes
import ctypes.util
import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sottovoce.rs import Erasure, field
from support import rs_twin

SHAPES = [(1, 2), (2, 3), (3, 5), (10, 14), (20, 30), (100, 150), (128, 255)]


def seeded(k, length):
    return np.random.default_rng([k, length]).integers(0, 256, (k, length), np.uint8)


@pytest.mark.parametrize(("k", "n"), [*SHAPES, (100, 256)])
def test_zfec_has_the_same_shards_both_ways(k, n):
    zfec = pytest.importorskip("zfec")
    code, data = Erasure(k, n, "zfec"), seeded(k, 77)
    parity = code.encode(data)
    theirs = zfec.Encoder(k, n).encode([row.tobytes() for row in data], list(range(k, n)))
    assert [row.tobytes() for row in parity] == [bytes(t) for t in theirs]
    shards = [*(row.tobytes() for row in data), *theirs]
    kept = sorted(np.random.default_rng(k).permutation(n)[:k].tolist())
    assert np.array_equal(code.reconstruct({i: shards[i] for i in kept}), data)
    # zfec wants a data block at its own index.
    spare = [i for i in kept if i >= k]
    order = [i if i in kept else spare.pop() for i in range(k)]
    ours = [data[i].tobytes() if i < k else parity[i - k].tobytes() for i in order]
    back = zfec.Decoder(k, n).decode(ours, order)
    assert [bytes(row) for row in back] == [row.tobytes() for row in data]


PYECLIB = {
    "cauchy": "isa_l_rs_cauchy",
    "isal-vand-inv": "isa_l_rs_vand_inv",
    "isal-vand": "isa_l_rs_vand",
}


def fragments(k, n, kind, data):
    """What pyeclib's ISA-L makes of rows of a length that it does not pad, its headers cut off."""
    ec_iface = pytest.importorskip("pyeclib.ec_iface")
    driver = ec_iface.ECDriver(k=k, m=n - k, ec_type=kind)
    made = driver.encode(data.tobytes())
    return driver, made, [bytes(fragment)[-data.shape[1] :] for fragment in made]


@pytest.mark.parametrize(("k", "n"), [(1, 2), (2, 3), (3, 5), (4, 8), (10, 14), (20, 30)])
@pytest.mark.parametrize("matrix", PYECLIB)
def test_pyeclib_has_the_same_shards_both_ways(matrix, k, n):
    data = seeded(k, 96)
    code = Erasure(k, n, matrix)
    driver, made, theirs = fragments(k, n, PYECLIB[matrix], data)
    assert theirs[:k] == [row.tobytes() for row in data]
    shards = dict(enumerate(theirs))
    code.verify(shards)
    if matrix != "isal-vand":
        assert [row.tobytes() for row in code.encode(data)] == theirs[k:]
    lost = list(range(min(k, n - k)))
    kept = {i: shards[i] for i in shards if i not in lost}
    assert np.array_equal(code.reconstruct(kept), data)
    # Ours, behind its headers, in its decoder.
    ours = [made[i][: -data.shape[1]] + shards[i] for i in kept]
    assert driver.decode(ours) == data.tobytes()


def test_reedsolo_has_the_same_field():
    reedsolo = pytest.importorskip("reedsolo")
    reedsolo.init_tables(0x11D)
    everything = np.arange(256, dtype=np.uint8)
    for a in range(256):
        theirs = [reedsolo.gf_mul(a, b) for b in range(256)]
        assert field.multiply(np.uint8(a), everything).tolist() == theirs
    for a in range(1, 256):
        assert int(field.inverse(np.uint8([a]))[0]) == reedsolo.gf_inverse(a)


@pytest.mark.parametrize(("k", "n"), SHAPES)
def test_isa_l_cauchy_has_the_same_bytes(k, n):
    name = ctypes.util.find_library("isal")
    if name is None:
        pytest.skip("libisal is not installed")
    isal, m, length = ctypes.CDLL(name), n - k, 131
    matrix, tables = ctypes.create_string_buffer(n * k), ctypes.create_string_buffer(32 * k * m)
    isal.gf_gen_cauchy1_matrix(matrix, n, k)
    isal.ec_init_tables(k, m, ctypes.cast(ctypes.byref(matrix, k * k), ctypes.c_void_p), tables)
    data, parity = seeded(k, length), np.zeros((m, length), np.uint8)
    rows_in = (ctypes.c_void_p * k)(*(row.ctypes.data for row in data))
    rows_out = (ctypes.c_void_p * m)(*(row.ctypes.data for row in parity))
    isal.ec_encode_data(length, k, m, tables, rows_in, rows_out)
    assert np.array_equal(Erasure(k, n).encode(data), parity)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 1000])
def test_hpke_of_cryptography_and_the_one_written_out_open_each_other(size):
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    secret, plaintext, info = os.urandom(32), os.urandom(size), rs_twin.info_of(b"round")
    private = X25519PrivateKey.from_private_bytes(secret)
    sealed = suite.encrypt(plaintext, private.public_key(), info=info)
    assert rs_twin.hpke_open(secret, info, sealed) == plaintext
    sealed = rs_twin.hpke_seal(os.urandom(32), private.public_key().public_bytes_raw(), info, plaintext)
    assert suite.decrypt(sealed, private, info=info) == plaintext
