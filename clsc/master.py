"""The issuer's secrets: the root key that signs epochs, and the master secret of each epoch."""

from __future__ import annotations

import os
import threading
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .._ext.enc import enc
from .._ext.errors import ParameterError
from .._ext.limits import MAX_EPOCH_BYTES
from . import comb, group
from .group import ORDER, RandomBytes
from .hashes import SUITE
from .params import MAX_TIME, PARAMS_TAG, EpochParams, Mode


class RootKey:
    """The long-lived Ed25519 key of an issuer; signs :class:`EpochParams`.  SECRET.

    Parties pin its public key and nothing else.  One object signs at most one ``EpochParams`` for
    each (mode, epoch): an issuer that shows different ones to different people marks them.

    Threads: safe.
    """

    __slots__ = ("_key", "_lock", "_signed", "public_key")

    public_key: bytes
    """32 bytes."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()
        self._signed: set[tuple[Mode, bytes]] = set()
        self._lock = threading.Lock()

    @classmethod
    def generate(cls) -> Self:
        """A fresh root key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def _from_seed_derand(cls, seed: bytes) -> Self:
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def _sign(self, mode: Mode, epoch: bytes, body: bytes) -> bytes:
        with self._lock:
            if (mode, epoch) in self._signed:
                raise ParameterError(f"epoch: parameters of mode {mode} were signed for this epoch already")
            self._signed.add((mode, epoch))
        return self._key.sign(body)

    def __repr__(self) -> str:
        return f"RootKey(public_key={self.public_key.hex()})"

    def __reduce__(self) -> Any:
        raise TypeError("a RootKey is secret and cannot be pickled")


class MasterKey:
    """The master secret ``s`` of one (epoch, mode), and its parameters.  SECRET."""

    __slots__ = ("_s", "params")

    params: EpochParams

    def __init__(self, s: int, params: EpochParams) -> None:
        """Use :meth:`generate`; raises ParameterError unless ``s`` is the secret of ``params``.

        With another one every answer would be wrong, and spend a unit of quota all the same.
        """
        fits = type(s) is int and 0 < s < ORDER and comb.p2_mul(s) == params.Y
        if fits:
            self._s = s
            self.params = params
        del s  # a traceback keeps the variables of the frame that raises
        if not fits:
            raise ParameterError("s: not the secret of these parameters")

    @classmethod
    def generate(cls, root: RootKey, mode: Mode, epoch: bytes, *, not_before: int, not_after: int) -> Self:
        """Draw ``s`` and have ``root`` sign the parameters.

        Args:
            root: Signs at most once for each (mode, epoch).
            mode: Kind of names.
            epoch: 1 to 64 bytes, e.g. ``b"2026-W47"``; public.
            not_before: Unix second; keys are accepted from here
            not_after: to here, inclusive.

        Raises:
            TypeError: Wrong types.
            ParameterError: A length or time out of range, or the epoch was signed already.

        Timing: one comb multiplication by ``s`` in G2.
        """
        return cls._generate_derand(root, mode, epoch, not_before, not_after, os.urandom)

    @classmethod
    def _generate_derand(
        cls,
        root: RootKey,
        mode: Mode,
        epoch: bytes,
        not_before: int,
        not_after: int,
        random_bytes: RandomBytes,
    ) -> Self:
        if not isinstance(mode, Mode):
            raise TypeError(f"mode: Mode expected, got {type(mode).__name__}")
        if not isinstance(epoch, bytes):
            raise TypeError(f"epoch: bytes expected, got {type(epoch).__name__}")
        if type(not_before) is not int or type(not_after) is not int:
            raise TypeError("not_before, not_after: int expected")
        if not 1 <= len(epoch) <= MAX_EPOCH_BYTES:
            raise ParameterError(f"epoch: 1 to {MAX_EPOCH_BYTES} bytes expected, got {len(epoch)}")
        if not 0 <= not_before < not_after < MAX_TIME:
            raise ParameterError("not_before, not_after: 0 <= not_before < not_after < 2**40 expected")
        s = group.random_scalar(random_bytes)
        y = comb.p2_mul(s).to_compressed_bytes()
        # t = n = q = 1 and f = 0: one issuer, whose only share is the key itself.
        body = enc(
            PARAMS_TAG, root.public_key, SUITE, str(mode), epoch, y, not_before, not_after, 1, 1, 1, 0, y
        )  # fmt: skip
        signed = body + root._sign(mode, epoch, body)
        return cls(s, EpochParams.from_bytes(signed, root.public_key))

    def __repr__(self) -> str:
        return f"MasterKey({getattr(self, 'params', None)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a MasterKey is secret and cannot be pickled")
