"""The names that a release may not lose."""

import pytest

import sottovoce.he
from sottovoce.he import kahe, paillier


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
        "add_into",
        "keygen",
        "sum",
    ]
    assert all(hasattr(paillier, name) for name in paillier.__all__)


@pytest.mark.parametrize("module", [kahe, paillier])
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
