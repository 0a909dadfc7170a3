"""No exception of the key files carries a passphrase, a key, or what was decrypted."""

import os

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from sottovoce._ext import sealed
from sottovoce._ext.errors import DecodeError, KeyFileError, ParameterError
from sottovoce.clsc import RootKey, group, keybody, keyfile

PASSPHRASE = b"TOP-SECRET-PASSPHRASE"
CHEAP = sealed.Cost(memory_kib=16, passes=1, lanes=1)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(sealed, "COST", CHEAP)


def inside(value, depth=4):
    yield value
    if depth and isinstance(value, (list, tuple, set)):
        for part in value:
            yield from inside(part, depth - 1)
    if depth and isinstance(value, dict):
        yield from inside([*value, *value.values()], depth - 1)


def tracebacks(error):
    """Of the error and of those that hang on it."""
    while error is not None:
        assert error.__cause__ is None
        tb = error.__traceback__
        while tb:
            yield tb
            tb = tb.tb_next
        error = error.__context__


def assert_silent(error, key):
    """Locals of our frames hold neither the passphrase nor a part of the key, nor the key itself."""
    secrets = {PASSPHRASE, keybody.encode(key), group.scalar_to_bytes(key._x), key._d_bytes}
    frames = 0
    for tb in tracebacks(error):
        if tb.tb_frame.f_globals["__name__"].startswith("sottovoce."):
            frames += 1
            for name, local in tb.tb_frame.f_locals.items():
                where = f"{tb.tb_frame.f_code.co_qualname}: {name}"
                for value in inside(local):
                    assert value is not key, where
                    assert value != key._x, where
                    if isinstance(value, (bytes, bytearray)):
                        assert not any(secret in bytes(value) for secret in secrets), where
                assert PASSPHRASE.decode() not in repr(local), where
    assert frames


def test_the_walker_finds_what_is_there(world):
    key = world.signer()
    scope = {"__name__": "sottovoce.fake"}
    exec("def leak(box):\n    raise ValueError\n", scope)
    for box in (PASSPHRASE, [b"." + PASSPHRASE], (key,), {"x": key._x}, keybody.encode(key) + b"."):
        with pytest.raises(ValueError) as caught:
            scope["leak"](box)
        with pytest.raises(AssertionError, match="leak: box"):
            assert_silent(caught.value, key)


def test_reading_and_writing(world, tmp_path, monkeypatch):
    key = world.signer()
    path, taken, public = (tmp_path / name for name in ("key", "taken", "public"))
    keyfile.save_key(taken, key, PASSPHRASE)
    public.write_bytes(taken.read_bytes())
    public.chmod(0o644)
    data = taken.read_bytes()
    altered = data[:-1] + bytes([data[-1] ^ 1])
    # Decrypts well, and is refused by the checks of the key: the plaintext was in our hands.
    invalid = sealed.seal(keybody.encode(key)[:-1] + b"?", PASSPHRASE, CHEAP, os.urandom)
    for expected, call in (
        (KeyFileError, lambda: keyfile.load_key_bytes(altered, PASSPHRASE)),
        (KeyFileError, lambda: keyfile.load_key_bytes(invalid, PASSPHRASE)),
        (DecodeError, lambda: keyfile.load_key_bytes(data + b".", PASSPHRASE)),
        (ParameterError, lambda: keyfile.load_key_bytes(data, PASSPHRASE, RootKey)),
        (TypeError, lambda: keyfile.load_key_bytes(None, PASSPHRASE)),
        (TypeError, lambda: keyfile.dump_key(key, PASSPHRASE.decode())),
        (ParameterError, lambda: keyfile.dump_key(key, PASSPHRASE * 1000)),
        (TypeError, lambda: keyfile.dump_key(key.public_key, PASSPHRASE)),
        (FileExistsError, lambda: keyfile.save_key(taken, key, PASSPHRASE)),
        (FileNotFoundError, lambda: keyfile.save_key(path / "deeper", key, PASSPHRASE)),
        (ParameterError, lambda: keyfile.save_key(path, key, b"")),
        (FileNotFoundError, lambda: keyfile.load_key(path, PASSPHRASE)),
        (PermissionError, lambda: keyfile.load_key(public, PASSPHRASE)),
        (ParameterError, lambda: keyfile.load_key(taken, PASSPHRASE, RootKey)),
    ):
        with pytest.raises(expected) as caught:
            call()
        assert_silent(caught.value, key)

    def no_memory(*_):
        raise MemoryError

    def no_argon2(**_):
        raise UnsupportedAlgorithm("old OpenSSL")

    for replacement, expected in (
        (lambda **_: type("Kdf", (), {"derive": no_memory})(), MemoryError),
        (no_argon2, RuntimeError),
    ):
        monkeypatch.setattr(sealed, "Argon2id", replacement)
        for call in (
            lambda: keyfile.load_key_bytes(data, PASSPHRASE),
            lambda: keyfile.save_key(path, key, PASSPHRASE),
        ):
            with pytest.raises(expected, match="key file: ") as caught:
                call()
            assert_silent(caught.value, key)
