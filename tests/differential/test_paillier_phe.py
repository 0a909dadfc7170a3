"""he.paillier against ``phe``: each opens what the other made, byte for byte where the randomness is given.

``phe`` is GPL and a dependency of the tests only; the library imports it when a conversion is called.
"""

import subprocess
import sys

import numpy as np
import phe
import pytest
from phe.paillier import EncryptedNumber

from sottovoce._ext.errors import KernelUnavailable, ParameterError, RangeError
from sottovoce.he import _paillier_phe, paillier
from support.paillier_world import KEYS, NOT_BLUM, REAL, SHORT, key, make_params

NAMES = [REAL, SHORT, NOT_BLUM]
ONE_EACH = make_params(REAL, 5, slots=1)
VALUES = np.array([0, 1, -1, 32767, -32767])


def theirs(name=REAL):
    k = KEYS[name]
    public = phe.PaillierPublicKey(int(k["n"], 16))
    return public, phe.PaillierPrivateKey(public, int(k["p"], 16), int(k["q"], 16))


@pytest.mark.parametrize("name", NAMES)
def test_phe_opens_ours(name):
    params = make_params(name, 5, slots=1)
    numbers = key(name).public_key.encrypt(VALUES, params).to_phe()
    _, private = theirs(name)
    assert [private.decrypt(x) for x in numbers] == VALUES.tolist()
    assert all(x.exponent == 0 for x in numbers)


@pytest.mark.parametrize("name", NAMES)
def test_we_open_theirs(name):
    public, _ = theirs(name)
    numbers = [public.encrypt(int(v)) for v in VALUES]
    c = paillier.Ciphertext.from_phe(numbers, key(name).public_key, make_params(name, 5, slots=1))
    assert key(name).decrypt(c).tolist() == VALUES.tolist()


def test_sums_across_both():
    public, private = theirs()
    ours = key().public_key.encrypt(VALUES, ONE_EACH)
    numbers = [public.encrypt(int(v)) for v in VALUES[::-1]]
    expected = (VALUES + VALUES[::-1]).tolist()
    here = paillier.add([ours, paillier.Ciphertext.from_phe(numbers, key().public_key, ONE_EACH)])
    assert key().decrypt(here).tolist() == expected
    there = [a + b for a, b in zip(ours.to_phe(), numbers, strict=True)]
    assert [private.decrypt(x) for x in there] == expected
    back = paillier.Ciphertext.from_phe([3 * x for x in there], key().public_key, ONE_EACH, weight=6)
    assert back.weight_sum == 6
    assert key().decrypt(back).tolist() == [3 * x for x in expected]


def test_packed_integers_cross_over():
    params = make_params(REAL, 100)
    values = np.random.default_rng(4).integers(-32767, 32768, 100)
    _, private = theirs()
    packed = [private.decrypt(x) for x in key().public_key.encrypt(values, params).to_phe()]
    assert packed == [
        sum(int(v) << (26 * j) for j, v in enumerate(values[start : start + 78])) for start in (0, 78)
    ]
    public, _ = theirs()
    c = paillier.Ciphertext.from_phe([public.encrypt(m) for m in packed], key().public_key, params)
    assert np.array_equal(key().decrypt(c), values)


@pytest.mark.parametrize("name", NAMES)
def test_ciphertexts_are_those_of_phe_for_the_same_r(name):
    # hs^alpha = (h^n)^alpha = r^n with r = h^alpha mod n.
    public, _ = theirs(name)
    h, n_bytes = int(KEYS[name]["h"], 16), KEYS[name]["exponentBits"] // 8
    ours = key(name).public_key
    alphas = ours._draw(5)
    c = ours._encrypt_derand(VALUES, make_params(name, 5, slots=1), alphas.copy())
    for i, v in enumerate(VALUES):
        alpha = int.from_bytes(alphas[i].tobytes(), "little")
        assert 0 < alpha < 1 << (8 * n_bytes)
        assert c._c[i] == public.raw_encrypt(int(v) % public.n, pow(h, alpha, public.n))


@pytest.mark.parametrize("name", NAMES)
def test_keys_there_and_back(name):
    public, private = theirs(name)
    imported = paillier.SecretKey.from_phe(private)
    assert imported.public_key.n == public.n
    assert imported.public_key.key_id == key(name).public_key.key_id
    assert imported.public_key._hs != key(name).public_key._hs  # made here, at random
    assert imported.to_phe() == private
    assert key(name).public_key.to_phe() == public
    assert paillier.SecretKey.from_bytes(imported.to_bytes()).to_bytes() == imported.to_bytes()
    client = paillier.PublicKey.from_phe(public, short=True)
    assert client.exponent_bits == 448
    params = make_params(name, 5)
    both = paillier.add([k.encrypt(VALUES, params) for k in (client, key(name).public_key)])
    assert imported.decrypt(both).tolist() == (2 * VALUES).tolist()
    # An n-th power, whatever the primes are; and a square modulo n.
    for p in (int(KEYS[name]["p"], 16), int(KEYS[name]["q"], 16)):
        assert pow(client._hs, p - 1, p * p) == 1
        assert pow(client._hs, (p - 1) // 2, p) == 1


def test_a_key_that_phe_made():
    public, private = phe.generate_paillier_keypair(n_length=2048)
    ours = paillier.SecretKey.from_phe(private)
    c = ours.public_key.encrypt(VALUES, ONE_EACH)
    assert [private.decrypt(x) for x in c.to_phe()] == VALUES.tolist()
    c = paillier.Ciphertext.from_phe([public.encrypt(int(v)) for v in VALUES], ours.public_key, ONE_EACH)
    assert ours.decrypt(c).tolist() == VALUES.tolist()


def test_what_phe_cannot_mean_is_refused():
    public, private = theirs()
    good = [public.encrypt(int(v)) for v in VALUES]
    ours = key().public_key
    other = phe.PaillierPublicKey(key(NOT_BLUM).public_key.n)
    n = public.n

    def take(numbers, **more):
        return paillier.Ciphertext.from_phe(numbers, ours, ONE_EACH, **more)

    with pytest.raises(ParameterError, match="5 expected, got 4"):
        take(good[:4])
    with pytest.raises(ParameterError, match="index 1: exponent 0 expected"):
        take([good[0], public.encrypt(0.5), *good[2:]])
    with pytest.raises(ParameterError, match="index 4: of another key"):
        take([*good[:4], other.encrypt(1)])
    for bad in (0, n, n * n, n * n + 1, -1, int(KEYS[REAL]["p"], 16)):
        with pytest.raises(ParameterError, match="number 2"):
            take([*good[:2], EncryptedNumber(public, bad), *good[3:]])
    for weight in (0, 1025, -1):
        with pytest.raises(RangeError, match="weight"):
            take(good, weight=weight)
    for call in (
        lambda: take([1, 2, 3, 4, 5]),
        lambda: take(good, weight=1.0),
        lambda: paillier.Ciphertext.from_phe(good, public, ONE_EACH),
        lambda: paillier.PublicKey.from_phe(n),
        lambda: paillier.PublicKey.from_phe(ours),
        lambda: paillier.SecretKey.from_phe(public),
        lambda: paillier.PublicKey.from_phe(public, short=1),
    ):
        with pytest.raises(TypeError):
            call()
    small_public, small = phe.generate_paillier_keypair(n_length=512)
    with pytest.raises(ParameterError, match="2048, 3072, 4096"):
        paillier.PublicKey.from_phe(small_public)
    with pytest.raises(ParameterError, match="2048, 3072, 4096"):
        paillier.SecretKey.from_phe(small)
    with pytest.raises(ParameterError, match="even"):
        paillier.PublicKey.from_phe(phe.PaillierPublicKey(n - 1))
    private.p, private.q = 1, n  # not what phe makes, but what it can hold
    with pytest.raises(ParameterError, match="two primes"):
        paillier.SecretKey.from_phe(private)


def test_phe_is_not_imported_until_a_conversion_is_called():
    code = (
        "import sys, sottovoce.he, sottovoce.cli; from sottovoce.he import paillier;"
        "assert not [m for m in sys.modules if m == 'phe' or m.startswith('phe.')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_phe_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "phe.paillier", None)
    c = key().public_key.encrypt(VALUES, ONE_EACH)
    for call in (c.to_phe, key().to_phe, key().public_key.to_phe, _paillier_phe.load):
        with pytest.raises(KernelUnavailable, match=r"sottovoce\[phe\]") as caught:
            call()
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)
