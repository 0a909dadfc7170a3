"""How worker processes get the key that opens packets.  A secret key is never pickled into a task.

Either its key file lies on the worker's machine (:class:`WorkerKeyFile`), or it is handed over once, when a
worker starts, over the pipe or connection that starts it (:func:`handover` here, :func:`hold_key` there), and
tasks then name it (:class:`HeldKey`).  Whoever reads a worker's memory has the key, as with the aggregator.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

from .. import clsc
from .._ext.errors import ParameterError
from .wire import expect

_held: dict[bytes, clsc.SecretKey] = {}


def handover(key: clsc.SecretKey) -> tuple[bytes, bytes]:
    """Arguments of :func:`hold_key`: together they are the key, and as secret.

    For the ``initargs`` of a ``ProcessPoolExecutor``, which go over a pipe of this process.

    Returns:
        A key file under a passphrase of 32 random bytes, and that passphrase.
    """
    expect("key", key, clsc.SecretKey)
    passphrase = os.urandom(32)
    return clsc.dump_key(key, passphrase), passphrase


def hold_key(key_file: bytes, passphrase: bytes) -> None:
    """In a worker: keep a key for as long as the process lives, or until :func:`drop_key`.

    Raises:
        KeyFileError, DecodeError, ParameterError: As :func:`sottovoce.clsc.load_key_bytes`.
    """
    key = clsc.load_key_bytes(key_file, passphrase, clsc.SecretKey)
    _held[key.public_key.to_bytes()] = key


def drop_key(public_key: clsc.PublicKey) -> None:
    """In a worker: forget a key; not an error if it is not held."""
    _held.pop(public_key.to_bytes(), None)


@dataclass(frozen=True)
class HeldKey:
    """Names a key that workers hold since :func:`hold_key`.  Public; called in a worker, it gives the key.

    Attributes:
        public_key: Of the key.
    """

    public_key: clsc.PublicKey

    def __post_init__(self) -> None:
        expect("public_key", self.public_key, clsc.PublicKey)

    def __call__(self) -> clsc.SecretKey:
        """The key.

        Raises:
            ParameterError: This process does not hold it.
        """
        key = _held.get(self.public_key.to_bytes())
        if key is None:
            raise ParameterError("worker: holds no such key; hold_key must run in it when it starts")
        return key


@dataclass(frozen=True)
class WorkerKeyFile:
    """Names a key file on the workers' own machines, so that the key is never sent.

    Called in a worker, it gives the key; a process reads it once.

    Attributes:
        path: Of the key file (:func:`sottovoce.clsc.save_key`).
        passphrase_path: Of a file that holds nothing but the passphrase; a newline at its end is not of it.
    """

    path: str
    passphrase_path: str

    def __call__(self) -> clsc.SecretKey:
        """The key.

        Raises:
            OSError: A file cannot be read.
            KeyFileError, DecodeError, ParameterError: As :func:`sottovoce.clsc.load_key`.
        """
        return _load(os.fspath(self.path), os.fspath(self.passphrase_path))


@lru_cache(maxsize=4)
def _load(path: str, passphrase_path: str) -> clsc.SecretKey:
    with open(passphrase_path, "rb") as file:
        passphrase = file.read(4098).removesuffix(b"\n")
    return clsc.load_key(path, passphrase, clsc.SecretKey)
