"""The messages of :mod:`.dkg`: fixed layouts, read strictly, bound to their session and sender.

Every message begins with the same 35 bytes, ``suite (1) | kind (1) | session (32) | sender (1)``; then:

====  ==============  =========  ======================================================  ============
kind  message         channel    rest                                                    bytes in all
====  ==============  =========  ======================================================  ============
1     Commit          broadcast  digest of the Reveal (32)                               67
2     Reveal          broadcast  A_0 (96), ..., A_(t-1) (96), R (96), z (32)             163 + 96 t
3     PrivateShare    pairwise   receiver (1), f(receiver) (32)                          68
4     Complaints      broadcast  count (1), accused (1 each, ascending)                  36 + count
5     Justifications  broadcast  count (1), then receiver (1), f(receiver) (32) each     36 + 33 count
6     Confirm         broadcast  transcript (32)                                         67
====  ==============  =========  ======================================================  ============

``A_k = a_k*P2`` for the coefficients of the sender's polynomial ``f``; ``(R, z)`` is Schnorr's proof of
``a_0``; the digest is ``SHA-256(enc("SOTTOVOCE-V1-DKG-COMMIT", bytes of the Reveal))``.  Points are
canonical, in the subgroup and not the identity; scalars are in ``[1, r)``; indices are 1 to 64.

The objects are immutable and made by ``from_bytes`` or by the participant itself; a message that can be
read is canonical: it encodes to the same bytes again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError
from .._ext.limits import MAX_KGC_SERVERS
from . import group
from .group import G2_BYTES, SCALAR_BYTES
from .hashes import SUITE

if TYPE_CHECKING:
    from .group import G2

SESSION_BYTES: Final = 32
DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = 35
_PROOF_BYTES: Final = G2_BYTES + SCALAR_BYTES
_ENTRY_BYTES: Final = 1 + SCALAR_BYTES


def _head(kind: int, session: bytes, sender: int) -> bytes:
    return bytes([SUITE, kind]) + session + bytes([sender])


def _broken_head(data: bytes, kind: int, name: str) -> str | None:
    """What is wrong with the first 35 bytes, or None."""
    if len(data) < _HEAD_BYTES:
        return f"{name}: truncated ({len(data)} bytes)"
    if data[0] != SUITE:
        return f"{name}: suite {SUITE} expected, got {data[0]}"
    if data[1] != kind:
        return f"{name}: message of kind {kind} expected, got {data[1]}"
    if not 1 <= data[34] <= MAX_KGC_SERVERS:
        return f"{name}: sender 1 to {MAX_KGC_SERVERS} expected, got {data[34]}"
    return None


def _read_head(data: bytes, kind: int, name: str) -> tuple[bytes, int]:
    if not isinstance(data, bytes):
        raise TypeError(f"{name}: bytes expected, got {type(data).__name__}")
    reason = _broken_head(data, kind, name)
    if reason:
        raise DecodeError(reason)
    return data[2:34], data[34]


@dataclass(frozen=True, slots=True)
class Commit:
    """Binds its sender to a :class:`Reveal` before anybody shows one."""

    KIND: ClassVar = 1
    NAME: ClassVar = "commit"
    session: bytes
    sender: int
    digest: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """67 bytes.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not canonical.
        """
        session, sender = _read_head(data, cls.KIND, cls.NAME)
        if len(data) != _HEAD_BYTES + DIGEST_BYTES:
            raise DecodeError(f"commit: {_HEAD_BYTES + DIGEST_BYTES} bytes expected, got {len(data)}")
        return cls(session, sender, data[_HEAD_BYTES:])

    def to_bytes(self) -> bytes:
        """67 bytes."""
        return _head(self.KIND, self.session, self.sender) + self.digest


@dataclass(frozen=True, slots=True)
class Reveal:
    """Feldman's commitments to the coefficients, and the proof that the sender knows ``a_0``.

    Attributes:
        commitments: ``A_0, ..., A_(t-1)``.
        R: Commitment of the proof, 96 bytes.
        z: Response of the proof.
    """

    KIND: ClassVar = 2
    NAME: ClassVar = "reveal"
    session: bytes
    sender: int
    commitments: tuple[G2, ...]
    R: bytes
    z: int

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """``163 + 96 t`` bytes.  That the proof holds, and ``t`` is that of the session, is checked later.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not canonical, a point that is not valid, or a scalar out of range.
        """
        session, sender = _read_head(data, cls.KIND, cls.NAME)
        t, rest = divmod(len(data) - _HEAD_BYTES - _PROOF_BYTES, G2_BYTES)
        if rest or not 1 <= t <= MAX_KGC_SERVERS:
            raise DecodeError(f"reveal: no number of commitments has {len(data)} bytes")
        at = _HEAD_BYTES + t * G2_BYTES
        # Scalar first: it is cheap to refuse.
        z = group.scalar_from_bytes(data[at + G2_BYTES :], "reveal: z")
        R = data[at : at + G2_BYTES]
        group.g2_from_bytes(R, "reveal: R")
        commitments = tuple(
            group.g2_from_bytes(data[i : i + G2_BYTES], f"reveal: A_{k}")
            for k, i in enumerate(range(_HEAD_BYTES, at, G2_BYTES))
        )
        return cls(session, sender, commitments, R, z)

    def to_bytes(self) -> bytes:
        """``163 + 96 t`` bytes."""
        points = b"".join(point.to_compressed_bytes() for point in self.commitments)
        proof = self.R + group.scalar_to_bytes(self.z)
        return _head(self.KIND, self.session, self.sender) + points + proof

    def digest(self) -> bytes:
        """32 bytes: what the :class:`Commit` of this reveal says."""
        return sha256_enc("SOTTOVOCE-V1-DKG-COMMIT", self.to_bytes())


@dataclass(frozen=True, slots=True)
class PrivateShare:
    """The sender's polynomial at the receiver's index.  SECRET; travels confidentially.

    Not shown by ``repr``; cannot be pickled.
    """

    KIND: ClassVar = 3
    NAME: ClassVar = "share"
    session: bytes
    sender: int
    receiver: int
    value: int = field(repr=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """68 bytes.  Whether it is the right share is checked against the :class:`Reveal` later.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not canonical.
        """
        found = cls._parse(data)
        del data  # a traceback keeps the variables of the frame that raises
        if isinstance(found, Exception):
            raise found
        return found

    @classmethod
    def _parse(cls, data: object) -> Self | Exception:
        """The message, or the error to be raised from a frame that does not hold the share."""
        if not isinstance(data, bytes):
            return TypeError(f"share: bytes expected, got {type(data).__name__}")
        reason = _broken_head(data, cls.KIND, cls.NAME)
        if reason:
            return DecodeError(reason)
        if len(data) != _HEAD_BYTES + _ENTRY_BYTES:
            return DecodeError(f"share: {_HEAD_BYTES + _ENTRY_BYTES} bytes expected, got {len(data)}")
        receiver, value = data[35], int.from_bytes(data[36:], "big")
        if not 1 <= receiver <= MAX_KGC_SERVERS:
            return DecodeError(f"share: receiver 1 to {MAX_KGC_SERVERS} expected, got {receiver}")
        if not 0 < value < group.ORDER:
            return DecodeError("share: not in [1, r)")
        return cls(data[2:34], data[34], receiver, value)

    def to_bytes(self) -> bytes:
        """68 bytes, SECRET."""
        entry = bytes([self.receiver]) + group.scalar_to_bytes(self.value)
        return _head(self.KIND, self.session, self.sender) + entry

    def __reduce__(self) -> Any:
        raise TypeError("a PrivateShare is secret and cannot be pickled")


@dataclass(frozen=True, slots=True)
class Complaints:
    """Whose private share did not arrive or is wrong; ascending, possibly nobody."""

    KIND: ClassVar = 4
    NAME: ClassVar = "complaints"
    session: bytes
    sender: int
    accused: tuple[int, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """36 bytes and one for each accused.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not canonical, or the sender accuses itself.
        """
        session, sender = _read_head(data, cls.KIND, cls.NAME)
        if len(data) == _HEAD_BYTES or len(data) != _HEAD_BYTES + 1 + data[_HEAD_BYTES]:
            raise DecodeError(f"complaints: wrong length ({len(data)} bytes)")
        accused = tuple(data[_HEAD_BYTES + 1 :])
        _check_indices(accused, sender, "complaints")
        return cls(session, sender, accused)

    def body(self) -> bytes:
        """What follows the head: ``count (1) | accused``."""
        return bytes([len(self.accused), *self.accused])

    def to_bytes(self) -> bytes:
        """36 bytes and one for each accused."""
        return _head(self.KIND, self.session, self.sender) + self.body()


@dataclass(frozen=True, slots=True)
class Justifications:
    """The disputed shares, published by the accused; ascending by receiver, possibly none."""

    KIND: ClassVar = 5
    NAME: ClassVar = "justifications"
    session: bytes
    sender: int
    shares: tuple[tuple[int, int], ...]
    """``(receiver, f(receiver))``; public from now on."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """36 bytes and 33 for each share.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not canonical, or the sender justifies itself to itself.
        """
        session, sender = _read_head(data, cls.KIND, cls.NAME)
        at = _HEAD_BYTES + 1
        if len(data) == _HEAD_BYTES or len(data) != at + _ENTRY_BYTES * data[_HEAD_BYTES]:
            raise DecodeError(f"justifications: wrong length ({len(data)} bytes)")
        shares = tuple(
            (data[i], group.scalar_from_bytes(data[i + 1 : i + _ENTRY_BYTES], "justifications: share"))
            for i in range(at, len(data), _ENTRY_BYTES)
        )
        _check_indices(tuple(receiver for receiver, _ in shares), sender, "justifications")
        return cls(session, sender, shares)

    def body(self) -> bytes:
        """What follows the head: ``count (1) | (receiver (1) | share (32)) each``."""
        entries = b"".join(bytes([j]) + group.scalar_to_bytes(value) for j, value in self.shares)
        return bytes([len(self.shares)]) + entries

    def to_bytes(self) -> bytes:
        """36 bytes and 33 for each share."""
        return _head(self.KIND, self.session, self.sender) + self.body()


@dataclass(frozen=True, slots=True)
class Confirm:
    """The hash of all that the sender saw on the broadcast channel."""

    KIND: ClassVar = 6
    NAME: ClassVar = "confirm"
    session: bytes
    sender: int
    transcript: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """67 bytes.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not canonical.
        """
        session, sender = _read_head(data, cls.KIND, cls.NAME)
        if len(data) != _HEAD_BYTES + DIGEST_BYTES:
            raise DecodeError(f"confirm: {_HEAD_BYTES + DIGEST_BYTES} bytes expected, got {len(data)}")
        return cls(session, sender, data[_HEAD_BYTES:])

    def to_bytes(self) -> bytes:
        """67 bytes."""
        return _head(self.KIND, self.session, self.sender) + self.transcript


def _check_indices(indices: tuple[int, ...], sender: int, name: str) -> None:
    in_range = all(1 <= j <= MAX_KGC_SERVERS and j != sender for j in indices)
    if not in_range or list(indices) != sorted(set(indices)):
        raise DecodeError(f"{name}: ascending indices of other servers expected")
