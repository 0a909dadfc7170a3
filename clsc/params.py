"""Epochs: the root key of an issuer, its signed parameters, its master secrets.

A master key belongs to one *epoch* (a byte string) and one *mode*.  Each (epoch, mode) has its OWN
independent secret ``s`` with public ``Y = s*P2``.  That is no bookkeeping: blind issuing multiplies
a group element chosen by the client, so a secret shared with another mode would hand a client the
partial key of any name there.

Wire format of :class:`EpochParams`::

    enc("SOTTOVOCE-V1-PARAMS", root public key (32), suite, mode, epoch, Y (96), not_before,
        not_after, t, n, q, f, Y_1 (96), ..., Y_n (96))  ||  Ed25519 signature of all that (64)

``params_id`` is the SHA-256 of the part before the signature.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .._ext.errors import DecodeError, ParameterError
from .._ext.limits import MAX_EPOCH_BYTES, MAX_KGC_SERVERS
from . import group, polynomial
from .hashes import SUITE

if TYPE_CHECKING:
    from .group import G2

PARAMS_TAG: Final = b"SOTTOVOCE-V1-PARAMS"
_FIXED_FIELDS: Final = 12
_SIGNATURE_BYTES: Final = 64
_ROOT_BYTES: Final = 32
MAX_TIME: Final = 1 << 40
"""Unix seconds; some 34,000 years.  Far below what a float of a clock holds exactly."""

_MAX_BYTES: Final = 1024 + MAX_KGC_SERVERS * (4 + group.G2_BYTES)


class Mode(StrEnum):
    """What kind of name the keys of an epoch have."""

    IDENTITY = "identity"
    """Long-lived names of 1 to 64 bytes: servers, enrolled devices."""
    TRACEABLE = "traceable"
    """Pseudonyms of exactly 64 bytes that the issuer makes and can open."""
    BLIND = "blind"
    """Pseudonyms that the issuer never sees; the name is empty."""


class Usage(StrEnum):
    """What a key is for; keys of the two usages are unrelated."""

    SIGN = "sign"
    """Signs messages and packets, and requests in mode ``traceable``."""
    DECRYPT = "decrypt"
    """Opens packets."""


def identity_fits(mode: Mode, identity: bytes) -> bool:
    """The mode rule, held by every sender and verifier.

    Without it somebody with a blind key could claim the name ``b"alice"``.
    """
    if mode is Mode.IDENTITY:
        return 1 <= len(identity) <= 64
    if mode is Mode.TRACEABLE:
        return len(identity) == 64
    return identity == b""


class EpochParams:
    """The signed public parameters of one (epoch, mode); immutable, equal by ``params_id``.

    Made by :meth:`MasterKey.generate` or read by :meth:`from_bytes`; never partly checked.

    Attributes:
        params_id: 32 bytes, SHA-256 of the signed part.
        root_public_key: 32 bytes; who signed it.
        mode: Kind of names.
        epoch: 1 to 64 bytes.
        not_before: First unix second in which keys of this epoch are accepted, from 0.
        not_after: Last one, below 2**40.
        threshold: ``t`` of ``n`` servers issue together (1 for a single issuer).
        servers: ``n``, 1 to 64.
        answers: ``q``, different requests at most that each server answers a party, whatever its quota.
        corrupted: ``f``, corrupted servers under which no party gets a key too many.
        Y: The public key ``s*P2``, a point object of the back end.
        Y_servers: The ``s_j*P2`` of servers 1 to ``n``, likewise.

    Threads: safe.  May be pickled.

    Timing: variable, of public data only.
    Source: docs/clsc.md, "Epochs, modes, trust"; of several servers: docs/clsc-threshold.md, "What loading
        ``EpochParams`` checks", after Jarecki, Kiayias, Krawczyk, Xu, ACNS 2017 (the bound), and Cascudo and
        David, ACNS 2017 (the degree).
    """

    __slots__ = (
        "Y",
        "Y_servers",
        "_bytes",
        "answers",
        "corrupted",
        "epoch",
        "mode",
        "not_after",
        "not_before",
        "params_id",
        "root_public_key",
        "servers",
        "threshold",
    )

    def __init__(self, signed: bytes, root_public_key: bytes) -> None:
        """Use :meth:`from_bytes`; same checks."""
        set_ = object.__setattr__
        body = signed[:-_SIGNATURE_BYTES]
        fields = split(body)
        if len(fields) < _FIXED_FIELDS or fields[0] != PARAMS_TAG:
            raise DecodeError("params: not epoch parameters")
        if fields[1] != root_public_key:
            raise DecodeError("params: signed by another root key")
        try:
            Ed25519PublicKey.from_public_bytes(root_public_key).verify(signed[-_SIGNATURE_BYTES:], body)
        except (InvalidSignature, ValueError):
            raise DecodeError("params: root signature does not verify") from None
        read = read_fields(fields)
        set_(self, "_bytes", signed)
        set_(self, "params_id", hashlib.sha256(body).digest())
        set_(self, "root_public_key", root_public_key)
        for name, value in read._asdict().items():
            set_(self, name, value)

    Y: G2
    Y_servers: tuple[G2, ...]
    _bytes: bytes
    params_id: bytes
    root_public_key: bytes
    mode: Mode
    epoch: bytes
    not_before: int
    not_after: int
    threshold: int
    servers: int
    answers: int
    corrupted: int

    @classmethod
    def from_bytes(cls, data: bytes, root_public_key: bytes) -> Self:
        """Read and check parameters, the root signature included.

        Args:
            data: As :meth:`to_bytes` gives them, at most 7,424 bytes.
            root_public_key: 32 bytes, the pinned root key.

        Raises:
            TypeError: An argument is not bytes.
            ParameterError: ``root_public_key`` is not 32 bytes.
            DecodeError: Not canonical, signed by another key, or a rule is broken.
        """
        if not isinstance(data, bytes) or not isinstance(root_public_key, bytes):
            raise TypeError("params: bytes expected")
        if len(root_public_key) != _ROOT_BYTES:
            raise ParameterError(f"root_public_key: 32 bytes expected, got {len(root_public_key)}")
        if not _SIGNATURE_BYTES < len(data) <= _MAX_BYTES:
            raise DecodeError(f"params: wrong length ({len(data)} bytes)")
        return cls(data, root_public_key)

    def to_bytes(self) -> bytes:
        """``enc(...) || signature``: ``315 + mode + epoch + 100*n`` bytes, of both names their lengths."""
        return self._bytes

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("EpochParams is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("EpochParams is immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EpochParams) and other.params_id == self.params_id

    def __hash__(self) -> int:
        return hash(self.params_id)

    def __repr__(self) -> str:
        if not hasattr(self, "params_id"):
            return "EpochParams(not made)"
        return f"EpochParams({self.mode}, epoch={self.epoch!r}, params_id={self.params_id.hex()[:16]}…)"

    def __reduce__(self) -> Any:
        return EpochParams.from_bytes, (self._bytes, self.root_public_key)


def split(data: bytes, name: str = "params", *, at_most: int | None = None) -> list[bytes]:
    """Undo ``enc``: every byte belongs to a field, and there are at most so many.

    ``name`` is for the message.
    """
    fields: list[bytes] = []
    pos = 0
    while pos < len(data):
        end = pos + 4 + int.from_bytes(data[pos : pos + 4], "big")
        if pos + 4 > len(data) or end > len(data):
            raise DecodeError(f"{name}: truncated")
        if len(fields) == at_most:
            raise DecodeError(f"{name}: too many fields")
        fields.append(data[pos + 4 : end])
        pos = end
    return fields


def read_integer(field: bytes, name: str = "params") -> int:
    if len(field) != 8:
        raise DecodeError(f"{name}: an integer has 8 bytes")
    return int.from_bytes(field, "big")


class _Fields(NamedTuple):
    """The fields of a body that keeps every rule; the names are those of :class:`EpochParams`."""

    mode: Mode
    epoch: bytes
    Y: G2
    not_before: int
    not_after: int
    threshold: int
    servers: int
    answers: int
    corrupted: int
    Y_servers: tuple[G2, ...]


def broken_rule(epoch: bytes, not_before: int, not_after: int, t: int, n: int, q: int, f: int) -> str | None:
    """The rule that these values break, in words for an error, or None."""
    if not 1 <= len(epoch) <= MAX_EPOCH_BYTES:
        return f"epoch of 1 to {MAX_EPOCH_BYTES} bytes expected, got {len(epoch)}"
    if not 0 <= not_before < not_after < MAX_TIME:
        return "0 <= not_before < not_after < 2**40 expected"
    if not 1 <= t <= n <= MAX_KGC_SERVERS:
        return f"1 <= t <= n <= {MAX_KGC_SERVERS} servers expected, got t = {t}, n = {n}"
    # With f corrupted servers a party can get floor(q(n-f)/(t-f)) keys by asking different
    # servers for different ones; this is the condition that it gets no more than q.
    if not 1 <= q < 1 << 64 or not 0 <= f < t or not q * (n - f) < (q + 1) * (t - f):
        broken = f"q(n-f) < (q+1)(t-f) does not hold for t = {t}, n = {n}, q = {q}, f = {f}"
        if not 1 <= q < 1 << 64 or f < 0:
            return broken
        least = (more for more in range(max(t, f) + 1, n + 1) if q * (n - f) < (q + 1) * (more - f))
        return next((f"{broken}; it does from t = {more} on" for more in least), broken)
    return None


def read_fields(fields: list[bytes]) -> _Fields:
    """Check every rule of a body but the root's signature; ``fields`` as :func:`split` gives them.

    Raises:
        DecodeError: A rule is broken.
    """
    if read_integer(fields[2]) != SUITE:
        raise DecodeError(f"params: suite {SUITE} expected")
    try:
        mode = Mode(fields[3].decode("ascii"))
    except ValueError:
        raise DecodeError("params: unknown mode") from None
    epoch = fields[4]
    Y = group.g2_from_bytes(fields[5], "params: Y")
    not_before, not_after, t, n, q, f = (read_integer(field) for field in fields[6:12])
    reason = broken_rule(epoch, not_before, not_after, t, n, q, f)
    if reason:
        raise DecodeError(f"params: {reason}")
    if len(fields) != _FIXED_FIELDS + n:
        raise DecodeError(f"params: the keys of {n} servers expected")
    # One server with the key of another counts for two; one whose share is ``s`` issues alone.
    if t > 1 and len({fields[5], *fields[_FIXED_FIELDS:]}) != n + 1:
        raise DecodeError("params: Y, Y_1, ..., Y_n are not pairwise distinct")
    Y_servers = tuple(
        group.g2_from_bytes(data, f"params: Y_{j}") for j, data in enumerate(fields[_FIXED_FIELDS:], 1)
    )
    if not polynomial.has_degree_below((Y, *Y_servers), t):
        raise DecodeError("params: the keys of the servers do not interpolate to Y")
    # With a lower degree fewer than t servers know s, and the bound on quota does not hold.
    if not polynomial.has_full_degree((Y, *Y_servers), t):
        raise DecodeError(f"params: fewer than t = {t} servers could issue together")
    return _Fields(mode, epoch, Y, not_before, not_after, t, n, q, f, Y_servers)
