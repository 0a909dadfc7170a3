"""CBOR and private files: what everything else is built on."""

import tempfile
from functools import cache
from pathlib import Path

from fuzz.core import Target, taken
from sottovoce._ext import cbor, sealed, sqlite_file
from sottovoce._ext.enc import enc
from sottovoce._ext.errors import DecodeError, KeyFileError, StoreError

PASSPHRASE = b"fuzz"
_CHEAP = sealed.Cost(memory_kib=8, passes=1, lanes=1)


@cache
def _scratch() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="sottovoce-fuzz-")


def folder() -> Path:
    """Of this process; gone when it ends."""
    return Path(_scratch().name)


def seal_cheaply(body: bytes) -> bytes:
    """A key file whose passphrase costs nothing, so that what is inside can be fuzzed."""
    data = sealed.seal(body, PASSPHRASE, _CHEAP, lambda n: bytes(n))
    assert isinstance(data, bytes), data
    return data


def read_sealed(data: bytes) -> None:
    # The header names the cost: what is allowed takes a second and a gigabyte, so it is made cheap here.
    if data[:4] == sealed.MAGIC and len(data) > 12:
        data = data[:5] + bytes([min(data[5], 2)]) + bytes([0, min(data[7], 2)]) + b"\0\0\0" + data[11:]
    body = sealed.open_(data, PASSPHRASE)
    if isinstance(body, Exception):
        raise body
    assert seal_with_header_of(data, body) == data


def seal_with_header_of(data: bytes, body: bytes) -> bytes:
    cost = sealed.Cost(int.from_bytes(data[8:12], "big"), int.from_bytes(data[6:8], "big"), data[5])
    again = sealed.seal(body, PASSPHRASE, cost, lambda n: data[12 : 12 + n])
    assert isinstance(again, bytes), again
    return again


def read_mark(data: bytes) -> bytes:
    path = folder() / "mark"
    path.write_bytes(data)
    found = sqlite_file.read_mark(str(path))
    assert found is not None
    return enc(sqlite_file.MARK_TAG, *found)


def split_fields(data: bytes) -> bytes:
    from sottovoce.clsc.params import split

    return enc(*split(data))


TARGETS = [
    Target("ext/cbor", lambda data: cbor.dumps(cbor.loads(data)), of=("_ext.cbor.loads",), tries=200),
    Target("ext/enc", split_fields, tries=200),
    Target(
        "ext/key-file",
        taken(read_sealed),
        (DecodeError, KeyFileError),
        of=("clsc.keyfile.load_key_bytes", "clsc.keyfile.load_key", "he.keyfile.load_key"),
        tries=30,
    ),
    Target("ext/mark", read_mark, (StoreError,)),
]
