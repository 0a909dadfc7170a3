"""Key files of ``he``: what they hold, what they refuse, and what no error carries."""

import os
import stat

import pytest

from sottovoce import clsc, he
from sottovoce._ext import sealed
from sottovoce._ext.enc import enc
from sottovoce._ext.errors import DecodeError, KeyFileError, ParameterError
from sottovoce.he import keyfile, paillier, rlwe
from support.paillier_world import key as paillier_key

PASSPHRASE = b"TOP-SECRET-PASSPHRASE"
TAG = "SOTTOVOCE-V1-HE-KEY"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """One guess costs what a test can pay."""
    monkeypatch.setattr(sealed, "COST", sealed.Cost(memory_kib=16, passes=1, lanes=1))


@pytest.fixture(scope="module")
def keys():
    return {"rlwe": rlwe.keygen("RLWE_128_N2048_Q50"), "paillier": paillier_key()}


@pytest.mark.parametrize("name", ["rlwe", "paillier"])
def test_a_key_comes_back(tmp_path, keys, name):
    path = tmp_path / "key"
    he.save_key(path, keys[name], PASSPHRASE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys[name].to_bytes()[:64] not in path.read_bytes()
    for back in (he.load_key(path, PASSPHRASE), he.load_key(path, PASSPHRASE, type(keys[name]))):
        assert type(back) is type(keys[name])
        assert back.to_bytes() == keys[name].to_bytes()


@pytest.mark.parametrize("set_name", list(he.SETS))
def test_the_key_of_every_set_fits(tmp_path, set_name):
    key = rlwe.keygen(set_name)
    he.save_key(tmp_path / "key", key, PASSPHRASE)
    assert he.load_key(tmp_path / "key", PASSPHRASE, rlwe.SecretKey).to_bytes() == key.to_bytes()


def test_another_kind_is_named(tmp_path, keys):
    he.save_key(tmp_path / "key", keys["rlwe"], PASSPHRASE)
    with pytest.raises(ParameterError, match=r"holds a rlwe\.SecretKey, expected a paillier\.SecretKey"):
        he.load_key(tmp_path / "key", PASSPHRASE, paillier.SecretKey)
    # Keys of signcryption and of encryption are in the same files, and are not taken for each other.
    root = clsc.RootKey.generate()
    clsc.save_key(tmp_path / "root", root, PASSPHRASE)
    with pytest.raises(KeyFileError):
        he.load_key(tmp_path / "root", PASSPHRASE)
    with pytest.raises(KeyFileError):
        clsc.load_key(tmp_path / "key", PASSPHRASE)


def write(path, body):
    path.write_bytes(sealed.seal(body, PASSPHRASE, sealed.COST, os.urandom))
    path.chmod(0o600)


def test_what_was_sealed_and_is_no_key_is_refused_like_a_wrong_passphrase(tmp_path, keys):
    good = keys["rlwe"].to_bytes()
    for number, body in enumerate(
        (
            b"",
            good,
            enc(TAG, "rlwe", good[:-1]),
            enc(TAG, "rlwe", good + b"\0"),
            enc(TAG, "paillier", good),
            enc(TAG, "RLWE", good),
            enc(TAG, "kahe", good),
            enc(TAG, "rlwe", good, b""),
            enc("SOTTOVOCE-V1-KEY", "rlwe", good),
            enc(TAG, "rlwe", bytes([good[0] ^ 1]) + good[1:]),
            enc(TAG, "rlwe", good[:-1] + bytes([good[-1] ^ 1])),
        )
    ):
        path = tmp_path / str(number)
        write(path, body)
        with pytest.raises(KeyFileError) as caught:
            he.load_key(path, PASSPHRASE)
        assert str(caught.value) == str(KeyFileError())
        assert caught.value.__cause__ is None


def frames(error):
    tb = error.__traceback__
    while tb:
        if tb.tb_frame.f_globals["__name__"].startswith("sottovoce."):
            yield tb.tb_frame
        tb = tb.tb_next


def test_no_error_carries_the_key_or_the_passphrase(tmp_path, keys):
    key = keys["rlwe"]
    taken, public, altered = (tmp_path / name for name in ("taken", "public", "altered"))
    he.save_key(taken, key, PASSPHRASE)
    public.write_bytes(taken.read_bytes())
    public.chmod(0o644)
    altered.write_bytes(taken.read_bytes()[:-1] + b"?")
    altered.chmod(0o600)
    for expected, call in (
        (KeyFileError, lambda: he.load_key(altered, PASSPHRASE)),
        (KeyFileError, lambda: he.load_key(taken, b"another one")),
        (PermissionError, lambda: he.load_key(public, PASSPHRASE)),
        (FileNotFoundError, lambda: he.load_key(tmp_path / "none", PASSPHRASE)),
        (ParameterError, lambda: he.load_key(taken, PASSPHRASE, paillier.SecretKey)),
        (ParameterError, lambda: he.load_key(taken, b"")),
        (FileExistsError, lambda: he.save_key(taken, key, PASSPHRASE)),
        (ParameterError, lambda: he.save_key(tmp_path / "x", key, b"")),
        (TypeError, lambda: he.save_key(tmp_path / "x", key.public_key, PASSPHRASE)),
        (TypeError, lambda: he.save_key(tmp_path / "x", key, PASSPHRASE.decode())),
    ):
        with pytest.raises(expected) as caught:
            call()
        seen = 0
        for frame in frames(caught.value):
            seen += 1
            for name, local in frame.f_locals.items():
                where = f"{frame.f_code.co_qualname}: {name}"
                assert local is not key, where
                assert PASSPHRASE.decode() not in repr(local), where
                if isinstance(local, (bytes, bytearray)):
                    assert key.to_bytes()[-64:] not in bytes(local), where
        assert seen
    assert not (tmp_path / "x").exists()


def test_a_file_that_is_no_key_file_is_told_before_the_passphrase_is_used(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"not a key file")
    path.chmod(0o600)
    with pytest.raises(DecodeError, match="not a key file"):
        he.load_key(path, PASSPHRASE)


def test_kinds_have_names():
    assert {keyfile._name(kind) for kind in (rlwe.SecretKey, paillier.SecretKey)} == {
        "rlwe.SecretKey",
        "paillier.SecretKey",
    }
