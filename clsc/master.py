"""The issuer's secrets: the root key that signs epochs, the master secret of an epoch, a share of one."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .._ext.enc import enc
from .._ext.errors import ParameterError
from . import comb, group
from .group import ORDER, RandomBytes
from .hashes import SUITE
from .params import PARAMS_TAG, EpochParams, Mode, broken_rule, read_fields, split
from .server_share import ServerShare, is_share, no_server


class RootKey:
    """The long-lived Ed25519 key of an issuer; signs :class:`EpochParams`.  SECRET.

    Parties pin its public key and nothing else.  One object signs at most one ``EpochParams`` for
    each (mode, epoch): an issuer that shows different ones to different people marks them.

    Args:
        key: Of ``cryptography``, kept; made by :meth:`generate` or read from a key file.

    Threads: safe.  Cannot be pickled.

    Timing: signing is left to OpenSSL (``cryptography``) and not measured here.
    Source: Ed25519, RFC 8032, section 5.1; docs/clsc.md, "Epochs, modes, trust".
    """

    __slots__ = ("_key", "_lock", "_signed", "public_key")

    public_key: bytes
    """32 bytes, the encoded point of RFC 8032, section 5.1.5: what parties pin."""

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

    def _sign_revocations(self, body: bytes) -> bytes:
        """For :meth:`RevocationList.sign`; that one list follows another is the registry's business."""
        return self._key.sign(body)

    def _sign_admission_keys(self, body: bytes) -> bytes:
        """For :func:`.admission.sign_admission_keys`."""
        return self._key.sign(body)

    def _sign_notice(self, body: bytes) -> bytes:
        """For :func:`.notice.sign_notice`; one that contradicts another convicts the issuer."""
        return self._key.sign(body)

    def sign_params(
        self,
        mode: Mode,
        epoch: bytes,
        Y: bytes,
        Y_servers: Sequence[bytes],
        *,
        not_before: int,
        not_after: int,
        threshold: int,
        answers: int = 1,
        corrupted: int = 0,
    ) -> EpochParams:
        """Sign parameters whose points were made elsewhere, by a dealer or by a :class:`DkgParticipant`.

        Every rule that :meth:`EpochParams.from_bytes` holds against them is checked before anything is
        signed; what is refused here does not use the (mode, epoch) up.

        Args:
            mode: Kind of names.
            epoch: 1 to 64 bytes, e.g. ``b"2026-W47"``; public.
            Y: 96 bytes, the public key ``s*P2``, compressed.
            Y_servers: ``n`` times 96 bytes, 1 to 64 of them, the ``s_j*P2`` of servers 1 to ``n``.
            not_before: Unix second, from 0; keys are accepted from here
            not_after: to here, inclusive; later than ``not_before``, below 2**40.
            threshold: ``t``, 1 to ``n``: how many servers issue together.
            answers: ``q``, 1 to 2**64 - 1; different requests that each server answers per party.
            corrupted: ``f``, 0 to ``t - 1``; servers that may be corrupted; ``q(n-f) < (q+1)(t-f)`` must
                hold.

        Returns:
            The signed parameters.

        Raises:
            TypeError: Wrong types.
            ParameterError: A length, time or number out of range, or the epoch was signed already.
            DecodeError: A point is not valid, or the points do not lie on one polynomial of degree
                exactly ``threshold - 1`` in the exponent, or are not pairwise distinct.

        Timing: secret is the signing key only; Ed25519 is left to OpenSSL (``cryptography``).
        """
        check_arguments(mode, epoch, not_before, not_after, threshold, len(Y_servers), answers, corrupted)
        if not isinstance(Y, bytes) or not all(isinstance(point, bytes) for point in Y_servers):
            raise TypeError("Y, Y_servers: bytes expected")
        body = enc(
            PARAMS_TAG, self.public_key, SUITE, str(mode), epoch, Y, not_before, not_after,
            threshold, len(Y_servers), answers, corrupted, *Y_servers,
        )  # fmt: skip
        read_fields(split(body))
        return EpochParams.from_bytes(body + self._sign(mode, epoch, body), self.public_key)

    def __repr__(self) -> str:
        return f"RootKey(public_key={self.public_key.hex()})"

    def __reduce__(self) -> Any:
        raise TypeError("a RootKey is secret and cannot be pickled")


class MasterKey:
    """The master secret ``s`` of one (epoch, mode), and its parameters.  SECRET.

    With it one can issue any key of its epoch, and read or sign with none that a user made.

    Threads: safe.  Cannot be pickled; ``repr`` shows the parameters only.

    Timing: ``s`` is a Python integer; on the curve it meets comb tables, and in :meth:`Issuer.issue` a fixed
        sequence of doublings and additions.
    Source: Boneh, Lynn, Shacham, ASIACRYPT 2001 (a partial key is such a signature); Al-Riyami and Paterson,
        ASIACRYPT 2003; docs/clsc.md, "Epochs, modes, trust".
    """

    __slots__ = ("_s", "params")

    params: EpochParams
    """Parameters of the epoch: ``params.Y`` is ``s*P2``."""

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
            not_before: Unix second, from 0; keys are accepted from here
            not_after: to here, inclusive; later than ``not_before``, below 2**40.

        Raises:
            TypeError: Wrong types.
            ParameterError: A length or time out of range, or the epoch was signed already.

        Timing: two comb multiplications by ``s`` in G2, always the same number of additions.
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
        check_arguments(mode, epoch, not_before, not_after, 1, 1, 1, 0)
        s = group.random_scalar(random_bytes)
        y = comb.p2_mul(s).to_compressed_bytes()
        # t = n = q = 1 and f = 0: one issuer, whose only share is the key itself.
        try:
            params = root.sign_params(
                mode, epoch, y, [y], not_before=not_before, not_after=not_after, threshold=1
            )
        except BaseException:
            del s  # a traceback keeps the variables of the frames that it passes
            raise
        return cls(s, params)

    def __repr__(self) -> str:
        return f"MasterKey({getattr(self, 'params', None)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a MasterKey is secret and cannot be pickled")


class MasterShare(ServerShare):
    """Server ``index``'s share ``s_j`` of the master secret of a threshold issuer.  SECRET.

    Made by :func:`.deal` or by a key generation among the servers (:class:`DkgParticipant`).  With it a
    server answers requests on its own; any ``params.threshold`` answers combine to a partial key, and
    fewer say nothing about one.

    Attributes:
        params: Parameters of the epoch.
        index: 1 to ``params.servers``.

    Threads: safe.  Cannot be pickled.

    Timing: as :class:`MasterKey`.
    Source: Shamir, CACM 1979; Feldman, FOCS 1987; Boldyreva, PKC 2003, section 3; docs/clsc-threshold.md,
        "Several servers issue together".
    """

    __slots__ = ("params",)

    params: EpochParams

    def __init__(self, s: int, params: EpochParams, index: int) -> None:
        """Bind a share to its parameters.

        Args:
            s: SECRET, in ``[1, r)``.
            params: Parameters of the epoch.
            index: 1 to ``params.servers``.

        Raises:
            TypeError: ``params`` or ``index`` is of another type.
            ParameterError: ``index`` is out of range, or ``s*P2`` is not the key of that server: with
                such a share every answer would be wrong, and spend quota all the same.

        Timing: one comb multiplication by ``s`` in G2, always the same number of additions.
        """
        reason = _no_server(params, index)
        fits = reason is None and is_share(s, index, params.Y_servers)
        if fits:
            set_ = object.__setattr__
            set_(self, "_s", s)
            set_(self, "params", params)
            set_(self, "index", index)
        del s  # a traceback keeps the variables of the frame that raises
        if reason is not None:
            raise reason
        if not fits:
            raise ParameterError(f"s: not the share of server {index} of these parameters")

    def __repr__(self) -> str:
        return f"MasterShare({getattr(self, 'index', None)} of {getattr(self, 'params', None)!r})"


def _no_server(params: object, index: int) -> Exception | None:
    return no_server("params", params, EpochParams, "index", index, attrgetter("servers"))


def check_arguments(
    mode: Mode, epoch: bytes, not_before: int, not_after: int, t: int, n: int, q: int, f: int
) -> None:
    """Refuse what no parameters can hold, before anything is drawn or signed.

    Raises:
        TypeError: Wrong types.
        ParameterError: A length, time or number out of range.
    """
    if not isinstance(mode, Mode):
        raise TypeError(f"mode: Mode expected, got {type(mode).__name__}")
    if not isinstance(epoch, bytes):
        raise TypeError(f"epoch: bytes expected, got {type(epoch).__name__}")
    if any(type(value) is not int for value in (not_before, not_after)):
        raise TypeError("not_before, not_after: int expected")
    if any(type(value) is not int for value in (t, n, q, f)):
        raise TypeError("threshold, servers, answers, corrupted: int expected")
    reason = broken_rule(epoch, not_before, not_after, t, n, q, f)
    if reason:
        raise ParameterError(reason)
