"""How worker processes get the key that opens packets.  A secret key is never pickled into a task.

Either its key file lies on the worker's machine (:class:`WorkerKeyFile`), or it is handed over once, when a
worker starts, over the pipe or connection that starts it (:func:`handover` here, :func:`hold_key` there), and
tasks then name it (:class:`HeldKey`).  Whoever reads a worker's memory has the key, as with the aggregator.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import Final

from .. import clsc
from .._ext import sealed
from .._ext.errors import ParameterError
from .wire import expect

FILE_KEY_IDLE_S: Final = 600
"""A key that was read from a file is held for this long after its last use: a batch of a round follows the
other, and reading it takes a moment and 64 MiB each time (docs/keyfiles.md)."""

_held: dict[bytes, clsc.SecretKey] = {}


def handover(key: clsc.SecretKey) -> tuple[bytes, bytes]:
    """Arguments of :func:`hold_key`: together they are the key, and as secret.

    For the ``initargs`` of a ``ProcessPoolExecutor``, which go over a pipe of this process.

    Args:
        key: The aggregator's ``decrypt`` key.

    Returns:
        A key file under a passphrase of 32 random bytes, and that passphrase.

    Raises:
        TypeError: No SecretKey.

    Timing: as :func:`sottovoce.clsc.dump_key`.
    Source: docs/fl-scale.md, "An aggregator over an executor".
    """
    expect("key", key, clsc.SecretKey)
    passphrase = os.urandom(32)
    return clsc.dump_key(key, passphrase), passphrase


def hold_key(key_file: bytes, passphrase: bytes) -> None:
    """In a worker: keep a key for as long as the process lives, or until :func:`drop_key`.

    Args:
        key_file: Bytes of a key file, at most 64 KiB.
        passphrase: That opens it, 1 to 4096 bytes.

    Raises:
        TypeError, KeyFileError, DecodeError, ParameterError: As :func:`sottovoce.clsc.load_key_bytes`.

    Timing: as :func:`sottovoce.clsc.load_key_bytes`.
    Source: docs/fl-scale.md, "An aggregator over an executor".
    """
    key = clsc.load_key_bytes(key_file, passphrase, clsc.SecretKey)
    _held[key.public_key.to_bytes()] = key


def drop_key(public_key: clsc.PublicKey) -> None:
    """In a worker: forget a key, also one that was read from a file; not an error if it is not held.

    Args:
        public_key: Of the key.

    Source: docs/fl-scale.md, "An aggregator over an executor".
    """
    _held.pop(public_key.to_bytes(), None)
    _from_file.forget(public_key)


@dataclass(frozen=True)
class HeldKey:
    """Names a key that workers hold since :func:`hold_key`.  Public; called in a worker, it gives the key.

    Attributes:
        public_key: Of the key.

    Raises:
        TypeError: No PublicKey.

    Source: docs/fl-scale.md, "An aggregator over an executor".
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

    Called in a worker, it gives the key.  A process holds one such key at a time: until another file is
    named, or this one was replaced; ten minutes after its last use; or until its epoch ends, whichever comes
    first.  :func:`drop_key` forgets it at once.

    Attributes:
        path: Of the key file (:func:`sottovoce.clsc.save_key`).
        passphrase_path: Of a file that holds nothing but the passphrase; a newline at its end is not of it.
            Refused if others than its owner may read it.

    Timing: as :func:`sottovoce.clsc.load_key` where it reads; shows whether it did.
    Source: docs/fl-scale.md, "An aggregator over an executor".
    """

    path: str
    passphrase_path: str

    def __call__(self) -> clsc.SecretKey:
        """The key.

        Raises:
            OSError: A file cannot be read; PermissionError: others may read it.
            KeyFileError, DecodeError, ParameterError: As :func:`sottovoce.clsc.load_key`.
        """
        return _from_file.get(os.fspath(self.path), os.fspath(self.passphrase_path))


class _FileKey:
    """The one key that this process holds from a file, and when it goes."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._name: tuple[object, ...] = ()
        self._key: clsc.SecretKey | None = None
        self._until = 0.0
        self._timer: threading.Timer | None = None

    def get(self, path: str, passphrase_path: str) -> clsc.SecretKey:
        """The key of a file, read if it is not held."""
        status = os.stat(path)
        name = path, passphrase_path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        with self._lock:
            if self._key is None or self._name != name or time.time() >= self._until:
                self.forget()
                self._key, self._name = _load(path, passphrase_path), name
            key = self._key
            # The last second of an epoch is of it.
            self._until = min(time.time() + FILE_KEY_IDLE_S, key.public_key.params.not_after + 1)
            if self._timer is None:
                self._wait()
            return key

    def forget(self, public_key: clsc.PublicKey | None = None) -> None:
        """Drop the key; given one, only if it is that."""
        with self._lock:
            if public_key is not None and (
                self._key is None or self._key.public_key.to_bytes() != public_key.to_bytes()
            ):
                return
            if self._timer is not None:
                self._timer.cancel()
            self._name, self._key, self._timer = (), None, None

    def _wait(self) -> None:
        self._timer = threading.Timer(max(0.0, self._until - time.time()), self._expire)
        self._timer.daemon = True  # a worker that ends takes the key with it
        self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # forgotten, or another key, while this one waited for the lock
            self._timer = None
            if time.time() >= self._until:
                self.forget()
            else:
                self._wait()  # it was used meanwhile


_from_file = _FileKey()


def _load(path: str, passphrase_path: str) -> clsc.SecretKey:
    data = sealed.read_private(passphrase_path)
    if isinstance(data, Exception):
        raise data
    return clsc.load_key(path, data.removesuffix(b"\n"), clsc.SecretKey)
