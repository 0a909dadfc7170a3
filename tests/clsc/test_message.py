"""Signatures over files: the same ones as over bytes, whatever the file is."""

import io
import os
import threading

import pytest

from sottovoce._ext.errors import ParameterError, SignatureError
from sottovoce.clsc import Usage, message, sign, sign_file, verify, verify_file
from support.clsc_world import World

MESSAGES = [b"", b"a", bytes(range(256)) * 4096, b"x" * ((1 << 20) + 1)]


@pytest.fixture(scope="module")
def world():
    return World("message")


@pytest.fixture(params=["path", "file", "pipe"])
def source(request, tmp_path):
    """A function from bytes to a source of them."""

    def make(data):
        if request.param == "path":
            path = tmp_path / "message"
            path.write_bytes(data)
            return path
        if request.param == "file":
            return io.BytesIO(data)
        reading, writing = os.pipe()

        def feed():
            with os.fdopen(writing, "wb") as stream:
                stream.write(data)

        feeder = threading.Thread(target=feed)
        feeder.start()
        pipe = os.fdopen(reading, "rb")
        request.addfinalizer(pipe.close)
        request.addfinalizer(feeder.join)
        return pipe

    return make


@pytest.mark.parametrize("data", MESSAGES, ids=len)
def test_files_and_bytes_have_the_same_signatures(world, source, data):
    key = world.signer()
    verify_file(key.public_key, source(data), sign(key, data))
    verify(key.public_key, data, sign_file(key, source(data)))


@pytest.mark.parametrize("other", [b"", b"messagf", b"message\0", b"essage"])
def test_another_content_is_refused(world, source, other):
    signature = sign_file(world.signer(), source(b"message"))
    with pytest.raises(SignatureError):
        verify_file(world.signer().public_key, source(other), signature)


def test_a_file_is_signed_from_where_it_stands(world):
    file = io.BytesIO(b"read already|message")
    file.seek(13)
    verify(world.signer().public_key, b"message", sign_file(world.signer(), file))


def test_progress_tells_every_byte(world):
    seen = []
    data = bytes((1 << 20) + 5)
    sign_file(world.signer(), io.BytesIO(data), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1 << 20, len(data)), (len(data), len(data))]


@pytest.mark.parametrize("by", [-1, 1])
def test_a_file_that_changes_meanwhile_is_refused(world, tmp_path, by):
    path = tmp_path / "growing"
    path.write_bytes(bytes(3 << 20))

    def change(done, total):
        if done == 1 << 20:
            os.truncate(path, total + by)

    with pytest.raises(ParameterError, match="changed while it was read"):
        sign_file(world.signer(), path, progress=change)


def test_a_length_that_has_no_encoding_is_refused(world, tmp_path, monkeypatch):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 1 << 32)
    with pytest.raises(ParameterError, match="at most 4294967295 bytes"):
        sign_file(world.signer(), path)
    monkeypatch.setattr(message, "MAX_MESSAGE_BYTES", 4)
    reading, writing = os.pipe()
    os.write(writing, b"12345")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(ParameterError, match="at most 4 bytes"):
        sign_file(world.signer(), pipe)


def test_wrong_keys_and_types(world, tmp_path):
    signature = sign(world.signer(), b"")
    missing = tmp_path / "missing"  # not even looked for
    with pytest.raises(ParameterError):
        sign_file(world.receiver(), missing)
    with pytest.raises(TypeError):
        sign_file(world.signer().public_key, missing)
    with pytest.raises(TypeError):
        verify_file(world.signer(), missing, signature)
    with pytest.raises(TypeError):
        verify_file(world.signer().public_key, missing, "signature")
    with pytest.raises(SignatureError):
        verify_file(world.key("bob", Usage.DECRYPT).public_key, io.BytesIO(), signature)
    with pytest.raises(FileNotFoundError):
        verify_file(world.signer().public_key, missing, signature)
