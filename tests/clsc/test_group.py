"""The group layer: both back ends give equal bytes; secrets are blinded; borders are strict."""

import os
import secrets
import subprocess
import sys
from typing import ClassVar

import pytest

from sottovoce._ext.errors import DecodeError, KernelUnavailable
from sottovoce.clsc import _arkworks as ark
from sottovoce.clsc import _reference as ref
from sottovoce.clsc import comb, group, signcrypt, unsigncrypt, unsigncrypt_batch

P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
R = group.ORDER
SCALARS = [1, 2, 3, 2**128 - 1, R - 1, R // 3, 0xDEADBEEF << 200]


def test_generators_and_order_are_the_same():
    assert ark.P1.to_compressed_bytes() == ref.P1.to_compressed_bytes()
    assert ark.P2.to_compressed_bytes() == ref.P2.to_compressed_bytes()
    assert ref._R == R
    assert ark.g1_mul_vartime(ark.P1, R - 1) + ark.P1 == ark.ZERO1


@pytest.mark.parametrize("k", SCALARS)
def test_multiples_are_the_same(k):
    for a, b in (
        (ark.g1_mul_vartime(ark.P1, k), ref.g1_mul_vartime(ref.P1, k)),
        (ark.g2_mul_vartime(ark.P2, k), ref.g2_mul_vartime(ref.P2, k)),
        (-ark.g1_mul_vartime(ark.P1, k), -ref.g1_mul_vartime(ref.P1, k)),
        (-ark.g2_mul_vartime(ark.P2, k), -ref.g2_mul_vartime(ref.P2, k)),
    ):
        assert a.to_compressed_bytes() == b.to_compressed_bytes()


def test_identity_equals_only_itself_on_both():
    for backend in (ark, ref):
        assert backend.P1 - backend.P1 == backend.ZERO1
        assert backend.ZERO1 != backend.P1
        assert backend.P2 - backend.P2 == backend.ZERO2
        assert backend.ZERO2 != backend.P2
        assert backend.g1_mul_vartime(backend.P1, 0) == backend.ZERO1
    assert ark.ZERO1.to_compressed_bytes() == ref.ZERO1.to_compressed_bytes()
    assert ark.ZERO2.to_compressed_bytes() == ref.ZERO2.to_compressed_bytes()


@pytest.mark.parametrize("message", [b"", b"abc", bytes(300)])
def test_hash_to_curve_is_the_same(message):
    for dst in (b"SOTTOVOCE-V1-QID-sign", b"SOTTOVOCE-V1-QID-decrypt"):
        a, b = ark.hash_to_g1(dst, message), ref.hash_to_g1(dst, message)
        assert a.to_compressed_bytes() == b.to_compressed_bytes()


def test_multi_exponentiation_is_the_same_and_refuses_unequal_lengths():
    scalars = [5, R - 7, 2**200 + 9]
    for mul, msm, base in (
        ("g1_mul_vartime", "g1_msm_vartime", "P1"),
        ("g2_mul_vartime", "g2_msm_vartime", "P2"),
    ):
        found = set()
        for backend in (ark, ref):
            points = [getattr(backend, mul)(getattr(backend, base), k) for k in (2, 3, 4)]
            total = getattr(backend, msm)(points, scalars)
            expected = getattr(backend, mul)(
                getattr(backend, base), (2 * 5 + 3 * (R - 7) + 4 * scalars[2]) % R
            )
            assert total == expected
            found.add(total.to_compressed_bytes())
            with pytest.raises(ValueError, match=r"unequal|shorter|longer"):
                getattr(backend, msm)(points, scalars[:2])
        assert len(found) == 1


def test_pairing_bytes_are_the_same_and_products_multiply():
    pairs = [(3, 5), (7, 11)]
    bytes_ = []
    for b in (ark, ref):
        g1s = [b.g1_mul_vartime(b.P1, i) for i, _ in pairs]
        g2s = [b.g2_mul_vartime(b.P2, j) for _, j in pairs]
        product = b.multi_pairing(g1s, g2s)
        assert product == b.multi_pairing([b.g1_mul_vartime(b.P1, 3 * 5 + 7 * 11)], [b.P2])
        bytes_.append(product)
    assert bytes_[0] == bytes_[1]
    assert len(bytes_[0]) == group.GT_BYTES


def test_backend_with_other_pairing_bytes_is_refused_before_any_use(world, monkeypatch):
    """A version of the package that writes GT in another way: no packet leaves, none is opened."""
    sender, receiver = world.signer(), world.receiver()
    data = signcrypt(b"m", sender=sender, receivers=[receiver.public_key])
    for backend in (ark, ref):
        assert backend.self_test()
    monkeypatch.setattr(group, "_tested", set())
    real = ark.GT.multi_pairing

    class Other:
        multi_pairing = staticmethod(lambda a, b: "00" + str(real(a, b))[2:])

    monkeypatch.setattr(ark, "GT", Other)
    used = []
    monkeypatch.setattr(group, "g1_mul_secret", lambda *args: used.append(args))
    for call in (
        lambda: signcrypt(b"m", sender=sender, receivers=[receiver.public_key]),
        lambda: unsigncrypt(data, receiver=receiver, trust=world.trust),
        lambda: unsigncrypt_batch([data], receiver=receiver, trust=world.trust),
        lambda: group.multi_pairing([group.P1], [group.P2]),
    ):
        with pytest.raises(KernelUnavailable, match="other bytes of a pairing"):
            call()
    assert not used


def test_self_test_runs_once_and_not_at_import(monkeypatch):
    runs = []
    monkeypatch.setattr(group, "_tested", set())
    monkeypatch.setattr(group._backend, "self_test", lambda: runs.append(1) or True)
    for _ in range(3):
        group.multi_pairing([group.P1], [group.P2])
    assert runs == [1]
    script = "from sottovoce.clsc import group; assert not group._tested"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_pairing_of_a_wrong_length_is_refused(monkeypatch):
    group.self_test()
    monkeypatch.setattr(group._backend, "multi_pairing", lambda a, b: bytes(575))
    with pytest.raises(KernelUnavailable):
        group.multi_pairing([group.P1], [group.P2])


def test_pairing_check_agrees():
    for b in (ark, ref):
        six, two, three = (b.g1_mul_vartime(b.P1, 6), b.g1_mul_vartime(b.P1, 2), b.g2_mul_vartime(b.P2, 3))
        assert b.pairing_is_one([six, -two], [b.P2, three])
        assert not b.pairing_is_one([six, two], [b.P2, three])


def test_gt_relation_power_minus_three_and_tower_basis():
    """e_arkworks = e_py_ecc**-3 under u = w**6 - 1, v = w**2, from the coefficients upwards."""
    from py_ecc.fields import optimized_bls12_381_FQ12 as FQ12
    from py_ecc.optimized_bls12_381 import pairing

    w = FQ12([0, 1] + [0] * 10)
    u, v = w**6 - FQ12.one(), w**2
    assert u * u == -FQ12.one()
    assert v**3 == u + FQ12.one()
    data = ark.multi_pairing([ark.P1], [ark.P2])
    c = [int.from_bytes(data[i : i + 48], "little") for i in range(0, 576, 48)]
    total = FQ12.zero()
    for j in range(2):
        for i in range(3):
            c0, c1 = c[6 * j + 2 * i], c[6 * j + 2 * i + 1]
            total = total + (FQ12.one() * c0 + u * c1) * v**i * w**j
    e = pairing(ref.P2.triple, ref.P1.triple)
    assert total * e * e * e == FQ12.one()


# -- borders ------------------------------------------------------------------------------------


def _on_curve_not_in_subgroup():
    """Compressed bytes of a point of E(Fp) outside the subgroup (the cofactor is large)."""
    x = 4
    while True:
        rhs = (x**3 + 4) % P
        if pow(rhs, (P - 1) // 2, P) == 1:
            return (x | 1 << 383).to_bytes(48, "big")
        x += 1


def _bad_g1():
    good = ark.g1_mul_vartime(ark.P1, 5).to_compressed_bytes()
    x = int.from_bytes(good, "big") & ((1 << 381) - 1)
    not_on_curve = next(n for n in range(1, 50) if pow((n**3 + 4) % P, (P - 1) // 2, P) == P - 1)
    return {
        "truncated by 1": good[:-1],
        "extended by 1": good + b"\0",
        "empty": b"",
        "uncompressed flag": bytes([good[0] & 0x7F]) + good[1:],
        "infinity flag": bytes([good[0] | 0x40]) + good[1:],
        "x at least p": ((x + P) | 1 << 383).to_bytes(48, "big") if x + P < 1 << 381 else None,
        "x = p": (P | 1 << 383).to_bytes(48, "big"),
        "x = 2^381 - 1": b"\xbf" + b"\xff" * 47,
        "all ones": b"\xff" * 48,
        "not on the curve": (not_on_curve | 1 << 383).to_bytes(48, "big"),
        "not in the subgroup": _on_curve_not_in_subgroup(),
        "identity": b"\xc0" + bytes(47),
        "identity with sign": b"\xe0" + bytes(47),
        "identity with x": b"\xc0" + bytes(46) + b"\1",
        "identity uncompressed": b"\x40" + bytes(47),
        "zeros": bytes(48),
    }


def _bad_g2():
    good = ark.g2_mul_vartime(ark.P2, 5).to_compressed_bytes()
    return {
        "truncated by 1": good[:-1],
        "extended by 1": good + b"\0",
        "empty": b"",
        "a point of G1 twice": ark.P1.to_compressed_bytes() * 2,
        "uncompressed flag": bytes([good[0] & 0x7F]) + good[1:],
        "infinity flag": bytes([good[0] | 0x40]) + good[1:],
        "x1 = p": (P | 1 << 383).to_bytes(48, "big") + good[48:],
        "x0 = p": good[:48] + P.to_bytes(48, "big"),
        "flag in x0": good[:48] + bytes([good[48] | 0x80]) + good[49:],
        "halves swapped": good[48:] + good[:48],
        "identity": b"\xc0" + bytes(95),
        "identity with sign": b"\xe0" + bytes(95),
        "identity with x": b"\xc0" + bytes(94) + b"\1",
        "zeros": bytes(96),
    }


@pytest.mark.parametrize("name", [n for n, d in _bad_g1().items() if d is not None])
def test_both_reject_bad_g1(name):
    data = _bad_g1()[name]
    with pytest.raises(DecodeError):
        group.g1_from_bytes(data, "point")
    for backend in (ark, ref):
        with pytest.raises(ValueError):
            backend.g1_decode(data)


@pytest.mark.parametrize("name", list(_bad_g2()))
def test_both_reject_bad_g2(name):
    data = _bad_g2()[name]
    with pytest.raises(DecodeError):
        group.g2_from_bytes(data, "point")
    for backend in (ark, ref):
        with pytest.raises(ValueError):
            backend.g2_decode(data)


def test_both_reject_g2_outside_the_subgroup():
    # x = 2 + 0u and following: a curve point of E'(Fp2) is in the subgroup with probability 1/h2.
    from py_ecc.bls.point_compression import decompress_G2

    for x in range(2, 40):
        data = (1 << 383).to_bytes(48, "big") + x.to_bytes(48, "big")
        try:
            decompress_G2((int.from_bytes(data[:48], "big"), x))
        except ValueError:
            continue
        for backend in (ark, ref):
            with pytest.raises(ValueError):
                backend.g2_decode(data)
        return
    pytest.fail("no point of the curve was found")


def test_both_decode_what_they_encode():
    for k in SCALARS:
        data1 = ark.g1_mul_vartime(ark.P1, k).to_compressed_bytes()
        data2 = ark.g2_mul_vartime(ark.P2, k).to_compressed_bytes()
        for backend in (ark, ref):
            assert backend.g1_decode(data1).to_compressed_bytes() == data1
            assert backend.g2_decode(data2).to_compressed_bytes() == data2


@pytest.mark.parametrize("bad", [0, R, R + 1, 2**256 - 1])
def test_rejects_scalar_zero_and_not_below_r(bad):
    with pytest.raises(DecodeError):
        group.scalar_from_bytes(bad.to_bytes(32, "big"), "z")


def test_scalar_borders():
    for k in (1, R - 1):
        assert group.scalar_from_bytes(group.scalar_to_bytes(k), "z") == k
    for data in (b"", bytes(31) + b"", bytes(32) + b"\1"):
        with pytest.raises(DecodeError):
            group.scalar_from_bytes(data, "z")


def test_unknown_backend_is_refused():
    with pytest.raises(KernelUnavailable, match="SOTTOVOCE_BACKEND"):
        group._load("blst")


def test_arkworks_border_compares_the_encoding(monkeypatch):
    """Whatever the package may accept one day besides the canonical bytes."""

    class Lenient:
        from_compressed_bytes = staticmethod(lambda data: ark.P1 if len(data) == 48 else ark.P2)

    monkeypatch.setattr(ark, "G1Point", Lenient)
    monkeypatch.setattr(ark, "G2Point", Lenient)
    for decode, point in ((ark.g1_decode, ark.P1), (ark.g2_decode, ark.P2)):
        data = point.to_compressed_bytes()
        assert decode(data) == point
        for other in (data[:-1] + b"\0", data[:-1] + b"\xff"):
            assert other != data
            with pytest.raises(ValueError, match="canonical"):
                decode(other)


# -- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, *SCALARS])
def test_window_and_comb_multiplication_are_right(k):
    expected1, expected2 = group.g1_mul_vartime(group.P1, k), group.g2_mul_vartime(group.P2, k)
    assert group.g1_mul_secret(group.P1, k) == expected1
    assert group.g2_mul_secret(group.P2, k) == expected2
    assert comb.p1_mul(k) == expected1
    assert comb.p2_mul(k) == expected2
    base = comb.FixedBase(group.g1_mul_vartime(group.P1, 77))
    for _ in range(5):  # without a table at first, then with it
        assert base.mul(k) == group.g1_mul_vartime(group.P1, 77 * k % R)


@pytest.mark.parametrize("window", [1, 2, 4, 5, 6])
def test_every_window_width_is_right(window):
    table = comb.Comb(group.P1, window)
    for _ in range(5):
        k = secrets.randbelow(R)
        assert table.mul(k) == group.g1_mul_vartime(group.P1, k)


class Traced:
    """An element of ``Z_r`` in place of a point: writes down which kind every addition is.

    The back end finishes an addition of equal operands (a doubling) earlier than one of different ones,
    and one with the identity at once.
    """

    trace: ClassVar[list[str]] = []

    def __init__(self, value):
        self.value = value % R

    def __add__(self, other):
        if 0 in (self.value, other.value) or (self.value + other.value) % R == 0:
            kind = "identity"
        else:
            kind = "double" if self.value == other.value else "add"
        Traced.trace.append(kind)
        return Traced(self.value + other.value)


def awkward_scalars(offset, top=(0, 1, 2, 7)):
    """Where digits are extreme after recoding, low or high weight before, or drawn."""
    for width in (4, 6):
        for low in range(1 << (2 * width)):
            yield (offset + low) % R
    for high in top:
        for next_ in range(16):
            yield (offset + (high << 252) + (next_ << 248)) % R
    yield from (offset % R, -offset % R, R - 1, R - 2, (R - 1) // 2, *(1 << i for i in range(6, 255)))
    yield from (secrets.randbelow(R) for _ in range(300))


@pytest.mark.parametrize("window", [4, 6])
def test_comb_makes_the_same_additions_for_every_scalar(window, monkeypatch):
    monkeypatch.setattr(group, "rerandomise", lambda point: point)
    base = secrets.randbelow(R)
    table = comb.Comb(Traced(base), window)
    windows = -(-255 // window)
    # Twice an entry of the last row: the last addition must be a doubling.  No draw gives one of them.
    twice = {(2 * digit << (window * (windows - 1))) % R for digit in range(1, (1 << window) + 1)}
    for k in awkward_scalars(table._offset):
        Traced.trace.clear()
        assert table.mul(k).value == k * base % R
        if k not in twice:
            assert Traced.trace == ["add"] * (windows - 1), hex(k)


def test_window_makes_the_same_operations_for_every_scalar():
    base = secrets.randbelow(R)
    expected = ["double"] + ["add"] * 14 + (["double"] * 4 + ["add"]) * 63
    for k in awkward_scalars(group._WINDOW_OFFSET):
        Traced.trace.clear()
        assert group._mul_window(Traced(base), k).value == k * base % R
        if k > 32:  # no draw gives the others
            assert Traced.trace == expected, hex(k)


def test_coordinates_are_random_before_a_secret_multiplication(monkeypatch):
    """The same point and scalar: the same result, never the same projective coordinates on the way."""
    for name in ("_backend", "P1", "P2"):
        monkeypatch.setattr(group, name, ref if name == "_backend" else getattr(ref, name))
    monkeypatch.setattr(group, "_G1", ref.G1Point)
    monkeypatch.setattr(group, "_masks1", [])
    monkeypatch.setattr(group, "_masks2", [])
    k = 0x1234567
    for point, multiply in ((ref.P1, group.g1_mul_secret), (ref.P2, group.g2_mul_secret)):
        seen = [group.rerandomise(point) for _ in range(4)]
        assert all(same == point for same in seen)
        assert len({repr(same.triple) for same in seen}) == 4
        for times in (multiply, lambda point, k: comb.Comb(point, 2).mul(k)):
            results = [times(point, k) for _ in range(2)]
            assert results[0] == results[1]
            assert repr(results[0].triple) != repr(results[1].triple)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_forked_child_has_masks_of_its_own():
    for point in (group.P1, group.P2):
        group.rerandomise(point)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            masks = []
            for point, kept in ((group.P1, group._masks1), (group.P2, group._masks2)):
                group.rerandomise(point)
                masks.append(kept[0].to_compressed_bytes())
            os.write(writing, b"".join(masks))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    group.rerandomise(group.P1)
    group.rerandomise(group.P2)
    assert len(theirs) == 48 + 96
    assert theirs[:48] != group._masks1[0].to_compressed_bytes()
    assert theirs[48:] != group._masks2[0].to_compressed_bytes()


def test_inverse_is_right():
    for k in SCALARS:
        assert group.inverse_secret(k) * k % R == 1


def test_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(comb, "_MAX_TABLES", 2)
    monkeypatch.setattr(comb, "_tables", type(comb._tables)())
    bases = [comb.FixedBase(group.g1_mul_vartime(group.P1, k)) for k in (3, 4, 5)]
    for base in bases:
        for _ in range(3):
            base.mul(9)
    assert [base._table is not None for base in bases] == [False, True, True]
    assert bases[0].mul(9) == group.g1_mul_vartime(group.P1, 27)
