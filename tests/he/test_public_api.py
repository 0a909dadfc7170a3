"""The names that a release may not lose."""

from inspect import signature

import pytest

import sottovoce.he
from sottovoce.he import kahe, paillier, rlwe


def test_names_of_the_package():
    assert all(hasattr(sottovoce.he, name) for name in sottovoce.he.__all__)


def test_names_of_kahe():
    assert kahe.__all__ == [
        "Ciphertext",
        "CiphertextSum",
        "DegreeProof",
        "KeyShare",
        "OneTimeKey",
        "OpenedSum",
        "Params",
        "ShareSum",
        "open_sum",
    ]
    assert all(hasattr(kahe, name) for name in kahe.__all__)


def test_names_of_paillier():
    assert paillier.__all__ == [
        "Ciphertext",
        "CiphertextSum",
        "Params",
        "PublicKey",
        "SecretKey",
        "add",
        "keygen",
    ]
    assert all(hasattr(paillier, name) for name in paillier.__all__)


def test_names_of_rlwe():
    assert rlwe.__all__ == [
        "Ciphertext",
        "CiphertextSum",
        "Params",
        "PublicKey",
        "SecretKey",
        "add",
        "keygen",
        "params_of",
    ]
    assert all(hasattr(rlwe, name) for name in rlwe.__all__)


def test_public_key_schemes_have_one_shape():
    """What a program does with one of them it can do with the other."""
    for module in (rlwe, paillier):
        for kind, names in (
            (module.PublicKey, ("encrypt", "to_bytes", "from_bytes")),
            (module.Ciphertext, ("to_bytes", "from_bytes", "weight_sum", "digest")),
            (module.CiphertextSum, ("add", "merge", "to_ciphertext", "weight_sum")),
            (module.SecretKey, ("decrypt", "to_bytes", "from_bytes")),
        ):
            assert all(hasattr(kind, name) for name in names), (module.__name__, kind)
        assert list(signature(module.add).parameters) == ["ciphertexts", "weights"]


@pytest.mark.parametrize("module", [kahe, paillier, rlwe])
def test_every_public_name_is_documented(module):
    for name in module.__all__:
        thing = getattr(module, name)
        assert thing.__doc__
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (
                    callable(value) or isinstance(value, property | classmethod)
                ):
                    assert value.__doc__, f"{name}.{member}"
