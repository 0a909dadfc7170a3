"""The files of ``sottovoce he``: an encrypted model, and a public key.

An encrypted model (``.svh``)::

    magic 53 56 48 01 | length of the header (4, big-endian) | header | ciphertext

The header is canonical CBOR: what the ciphertext is of, so that the sum of many becomes arrays again.
The ciphertext is that of :mod:`sottovoce.he.rlwe` or :mod:`sottovoce.he.paillier`, to the end of the file.

A public key is an armoured text, ``HE PUBLIC KEY``, of ``enc("SOTTOVOCE-V1-HE-PUBLIC", scheme, bytes)``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Final

from ..._ext import cbor
from ..._ext.enc import enc
from ..._ext.errors import DecodeError, ParameterError
from ..._ext.spool import NewFile, spool
from ...he import Codec, ModelLayout, paillier, rlwe
from .. import files
from ..armor import Label, armor, dearmor
from ..console import STDOUT, Refused

PublicKey = rlwe.PublicKey | paillier.PublicKey

_MAGIC: Final = b"SVH\x01"
_MAX_HEADER_BYTES: Final = 1 << 22
_VERSION: Final = 1
_SCHEMA: Final[cbor.Schema] = {
    "v": int,
    "scheme": str,
    "key": bytes,
    "clip": float,
    "bits": int,
    "clients": int,
    "examples": int,
    "layout": bytes,
    "names": (list, type(None)),
}
_PUBLIC_TAG: Final = "SOTTOVOCE-V1-HE-PUBLIC"
_SCHEMES: Final[dict[str, type[PublicKey]]] = {"rlwe": rlwe.PublicKey, "paillier": paillier.PublicKey}
_MAX_KEY_TEXT: Final = 1 << 20


# -- public keys ----------------------------------------------------------------------------------


def scheme_of(key: PublicKey) -> str:
    """``rlwe`` or ``paillier``."""
    return next(name for name, kind in _SCHEMES.items() if isinstance(key, kind))


def public_text(key: PublicKey) -> str:
    """The text that is given to others."""
    return armor(Label.HE_PUBLIC_KEY, enc(_PUBLIC_TAG, scheme_of(key), key.to_bytes()))


def read_public(name: str) -> PublicKey:
    """A public key from its text.

    Raises:
        DecodeError: Not such a text, or no valid key; the message begins with the name of the file.
        Refused: Too long.
        OSError: It cannot be read.
    """
    try:
        body = dearmor(Label.HE_PUBLIC_KEY, files.read_bytes(name, _MAX_KEY_TEXT))
        for scheme, kind in _SCHEMES.items():
            head = enc(_PUBLIC_TAG, scheme)
            if body.startswith(head):
                key = kind.from_bytes(body[len(head) + 4 :])
                if enc(_PUBLIC_TAG, scheme, key.to_bytes()) == body:
                    return key
        raise DecodeError("public key: of an unknown scheme")
    except DecodeError as error:
        raise DecodeError(f"{name}: {error}") from None


# -- encrypted models -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """What all summands have in common.

    Attributes:
        scheme: ``rlwe`` or ``paillier``.
        key: Id of the public key.
        clip: Entries were clipped to ``+-clip``.
        bits: Bits of a value.
        clients: Ciphertexts that may be added.
        examples: The cap by which weights were computed; 0 where all weigh the same.
        layout: Canonical bytes of the layout.
        names: Of the arrays of an ``.npz``; None for an ``.npy``.
    """

    scheme: str
    key: bytes
    clip: float
    bits: int
    clients: int
    examples: int
    layout: bytes
    names: tuple[str, ...] | None

    @property
    def model(self) -> ModelLayout:
        """Shapes and dtypes."""
        return ModelLayout.from_bytes(self.layout)

    @property
    def codec(self) -> Codec:
        """For dequantizing: the rounding does not matter."""
        return Codec(self.clip, self.bits, self.clients)

    def to_bytes(self) -> bytes:
        """Magic number, length, CBOR."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        values["names"] = None if self.names is None else list(self.names)
        body = cbor.dumps({"v": _VERSION, **values})
        return _MAGIC + len(body).to_bytes(4, "big") + body

    def difference(self, other: Header) -> str | None:
        """The first field in which another differs, with both values if they are short."""
        for name in (f.name for f in fields(self)):
            mine, its = getattr(self, name), getattr(other, name)
            if mine != its:
                return f"{name} {its}, not {mine}" if isinstance(mine, int | float | str) else name
        return None


def read_header(stream: BinaryIO, name: str) -> Header:
    """Read a header; the stream then stands at the ciphertext.

    Raises:
        DecodeError: Not such a file; the message begins with its name.
    """
    start = stream.read(8)
    if start[:3] != _MAGIC[:3] or len(start) != 8:
        raise DecodeError(f"{name}: not an encrypted model")
    if start[:4] != _MAGIC:
        raise DecodeError(f"{name}: an encrypted model of an unknown version")
    length = int.from_bytes(start[4:], "big")
    if length > _MAX_HEADER_BYTES:
        raise DecodeError(f"{name}: the header is too long")
    header = stream.read(length)
    if len(header) != length:
        raise DecodeError(f"{name}: cut in its header")
    try:
        return _parse(header)
    except (DecodeError, ParameterError) as error:
        raise DecodeError(f"{name}: {error}") from None


def _parse(data: bytes) -> Header:
    found = cbor.loads_map(data, _SCHEMA)
    if found.pop("v") != _VERSION:
        raise DecodeError("header: unknown version")
    if found["scheme"] not in _SCHEMES:
        raise DecodeError("header: unknown scheme")
    if found["examples"] < 0:
        raise DecodeError("header: examples below 0")
    names = found["names"]
    n_arrays = len(ModelLayout.from_bytes(found["layout"]).shapes)
    if names is None:
        if n_arrays != 1:
            raise DecodeError("header: several arrays without names")
    elif len(names) != n_arrays or any(type(n) is not str for n in names) or len(set(names)) != n_arrays:
        raise DecodeError("header: a name for each array expected")
    elif (outside := _leading_outside(names)) is not None:
        raise DecodeError(f"header: the name {outside[:64]!r} leads out of its folder")
    found["names"] = None if names is None else tuple(names)
    header = Header(**found)
    header.codec  # noqa: B018 - checks the numbers
    return header


def _leading_outside(names: Iterable[str]) -> str | None:
    """The first name that whoever unpacks the ``.npz`` might get written elsewhere."""
    for name in names:
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name:
            return name
    return None


def check_names(names: Iterable[str], source: str) -> None:
    """Refuse names of arrays that nobody would open again.

    Raises:
        Refused: A name leads out of the archive's folder.
    """
    outside = _leading_outside(names)
    if outside is not None:
        raise Refused(f"{source}: the name {outside[:64]!r} leads out of its folder", "rename the array")


@contextlib.contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """A file that can be sought in; standard input is copied to a private one.

    Raises:
        Refused: Standard input is a terminal.
        OSError: It cannot be read.
    """
    source = files.binary_input(name)
    if isinstance(source, Path):
        with source.open("rb") as stream:
            if stream.seekable():
                yield stream
                return
            with spool() as kept:
                files.copy(stream, kept)
                kept.seek(0)
                yield kept
        return
    with spool() as kept:
        files.copy(source, kept)
        kept.seek(0)
        yield kept


@contextlib.contextmanager
def sink(name: str | None, *, force: bool) -> Iterator[BinaryIO]:
    """Where an encrypted model goes: a file that appears whole or not at all, or standard output."""
    if name is None or name == STDOUT:
        if sys.stdout is None:
            raise Refused("standard output is closed", "-o FILE")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif files.is_special(name):
        with Path(name).open("wb") as stream:
            yield stream
    else:
        with NewFile(Path(name).resolve(), overwrite=force) as new:
            yield new.file
            new.publish()


class Counted(io.RawIOBase):
    """Tells how many bytes have passed through a file: the library calls nobody back.

    Args:
        file: What is read or written.
        tell: Called with the number of bytes of every call.
    """

    def __init__(self, file: BinaryIO, tell: Any) -> None:
        self._file = file
        self._tell = tell

    def readable(self) -> bool:
        return self._file.readable()

    def writable(self) -> bool:
        return self._file.writable()

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        done: int = self._file.readinto(buffer)  # type: ignore[attr-defined]  # every file of ours has it
        self._tell(done)
        return done

    def write(self, data: Any) -> int:
        done = self._file.write(data)
        self._tell(done)
        return done
