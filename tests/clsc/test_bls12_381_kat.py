"""Known answers of the layers below: RFC 9380 J.9.1 and K.1, and the bytes of the pairing."""

import pytest

from sottovoce.clsc import _arkworks as ark
from sottovoce.clsc import _reference as ref
from sottovoce.clsc import group, hashes
from support.clsc_vectors import load, raw

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


@pytest.mark.parametrize("backend", [ark, ref], ids=["arkworks", "py_ecc"])
def test_hash_to_g1_rfc9380_j_9_1(backend):
    data = load("bls12_381/hash_to_g1.json", ["msg", "u", "x", "y", "compressed"])
    dst = data["dst"].encode()
    assert len(data["tests"]) == 5
    for t in data["tests"]:
        point = backend.hash_to_g1(dst, t["msg"].encode()).to_compressed_bytes()
        assert point == raw(t["compressed"])
        assert int.from_bytes(point, "big") & ((1 << 381) - 1) == int(t["x"], 16)
        assert bool(point[0] & 0x20) == (int(t["y"], 16) > (P - 1) // 2)


def test_hash_to_field_rfc9380_j_9_1():
    data = load("bls12_381/hash_to_g1.json", ["msg", "u", "x", "y", "compressed"])
    for t in data["tests"]:
        out = hashes.expand_message_xmd(t["msg"].encode(), data["dst"].encode(), 128)
        u = [int.from_bytes(out[i : i + 64], "big") % P for i in (0, 64)]
        assert u == [int(value, 16) for value in t["u"]]


def test_expand_message_xmd_rfc9380_k_1():
    data = load("bls12_381/expand_message_xmd.json", ["msg", "len_in_bytes", "uniform_bytes"])
    assert len(data["tests"]) == 10
    for t in data["tests"]:
        out = hashes.expand_message_xmd(t["msg"].encode(), data["dst"].encode(), t["len_in_bytes"])
        assert out == raw(t["uniform_bytes"])
    with pytest.raises(ValueError):
        hashes.expand_message_xmd(b"", b"", 8161)
    with pytest.raises(ValueError):
        hashes.expand_message_xmd(b"", bytes(256), 32)


def test_hkdf_rfc5869():
    """RFC 5869 appendix A.1 and A.3."""
    okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert hashes.hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42).hex() == okm
    okm = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert hashes.hkdf(b"\x0b" * 22, b"", b"", 42).hex() == okm


@pytest.mark.parametrize("backend", [ark, ref], ids=["arkworks", "py_ecc"])
def test_pairing_bytes(backend):
    """Guards ``str(GT)`` of the pinned package and the relation to py_ecc."""
    data = load("bls12_381/pairing_bytes.json", ["a", "b", "P", "Q", "gt"])
    for t in data["tests"]:
        p, q = backend.g1_decode(raw(t["P"])), backend.g2_decode(raw(t["Q"]))
        assert p == backend.g1_mul_vartime(backend.P1, int(t["a"], 16))
        assert q == backend.g2_mul_vartime(backend.P2, int(t["b"], 16))
        assert backend.multi_pairing([p], [q]) == raw(t["gt"])
        assert len(raw(t["gt"])) == group.GT_BYTES
