"""Revocation within an epoch: a numbered list of keys, signed by the root key.

Wire format (``184 + 20 * n`` bytes for ``n`` keys)::

    enc("SOTTOVOCE-V1-REVOKED", root public key (32), params_id (32), number, issued_at,
        pid_1 (16), ..., pid_n (16))  ||  Ed25519 signature of all that (64)

The ``pid`` are distinct and ascending.  Lists of the same parameters only grow: number 8 holds all of number
7.  So two lists of which neither can have followed the other convict the issuer, which showed different
ones to different people.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError, SenderError
from .._ext.limits import MAX_REVOKED
from .keys import PID_BYTES
from .master import RootKey
from .params import MAX_TIME

REVOKED_TAG: Final = "SOTTOVOCE-V1-REVOKED"
MAX_NUMBER: Final = (1 << 32) - 1
"""Of a list: one a second for 136 years."""

_SIGNATURE_BYTES: Final = 64
_HEAD_BYTES: Final = 120  # 4 + 20, 4 + 32, 4 + 32, 4 + 8, 4 + 8
_PID_FIELD_BYTES: Final = 4 + PID_BYTES


class RevocationConflict(SenderError):  # noqa: N818  # says what happened, as ParamsConflict does
    """The issuer signed two revocation lists of which neither can have followed the other.

    Attributes:
        first: Signed bytes of the list known before.
        second: Signed bytes of the other.  Both carry the root signature: together they are evidence
            against the issuer.
    """

    def __init__(self, message: str, first: bytes, second: bytes) -> None:
        super().__init__(message)
        self.first = first
        self.second = second

    def __reduce__(self) -> Any:
        return RevocationConflict, (self.args[0], self.first, self.second)


class RevocationList:
    """Keys of one epoch that are not to be accepted any more; immutable, checked when made.

    Made by :meth:`sign` or read by :meth:`from_bytes`.  A verifier takes it with
    :meth:`TrustStore.add_revocations`.  It shows whom the issuer revoked to anybody who has seen the keys;
    a ``pid`` says nothing to others.  It works as fast as it is distributed, not faster: somebody without
    it goes on accepting the key.

    Attributes:
        root_public_key: 32 bytes; who signed it.
        params_id: 32 bytes; the parameters whose keys are meant.
        number: 1 to 2**32 - 1; a later list has a larger one.
        issued_at: Unix second, by the issuer's clock, 0 to 2**40 - 1.
        pids: Distinct, ascending, 16 bytes each; at most ``MAX_REVOKED`` (65,536).

    Threads: safe.  May be pickled.

    Timing: variable, of public data only.
    Source: Ed25519, RFC 8032, section 5.1; docs/clsc-stores.md, "Revocation lists".
    """

    __slots__ = ("_bytes", "issued_at", "number", "params_id", "pids", "root_public_key")

    root_public_key: bytes
    params_id: bytes
    number: int
    issued_at: int
    pids: tuple[bytes, ...]
    _bytes: bytes

    def __init__(self, signed: bytes, root_public_key: bytes) -> None:
        """Use :meth:`from_bytes`; same checks."""
        body, signature = signed[:-_SIGNATURE_BYTES], signed[-_SIGNATURE_BYTES:]
        # Every field has a fixed place, so cut first and then see that encoding gives the same bytes.
        root, params_id = body[28:60], body[64:96]
        number, issued_at = (int.from_bytes(body[at : at + 8], "big") for at in (100, 112))
        pids = tuple(
            body[at + 4 : at + _PID_FIELD_BYTES] for at in range(_HEAD_BYTES, len(body), _PID_FIELD_BYTES)
        )
        if enc(REVOKED_TAG, root, params_id, number, issued_at, *pids) != body:
            raise DecodeError("revocations: not a revocation list")
        if root != root_public_key:
            raise DecodeError("revocations: signed by another root key")
        try:
            Ed25519PublicKey.from_public_bytes(root).verify(signature, body)
        except (InvalidSignature, ValueError):
            raise DecodeError("revocations: root signature does not verify") from None
        if not 1 <= number <= MAX_NUMBER or issued_at >= MAX_TIME:
            raise DecodeError("revocations: number or time out of range")
        if any(a >= b for a, b in pairwise(pids)):
            raise DecodeError("revocations: distinct, ascending keys expected")
        set_ = object.__setattr__
        set_(self, "_bytes", signed)
        set_(self, "root_public_key", root)
        set_(self, "params_id", params_id)
        set_(self, "number", number)
        set_(self, "issued_at", issued_at)
        set_(self, "pids", pids)

    @classmethod
    def sign(
        cls, root: RootKey, params_id: bytes, *, number: int, issued_at: int, pids: Iterable[bytes]
    ) -> Self:
        """Make a list; record it with :meth:`SqliteRegistry.add_revocations` before it is published.

        Args:
            root: The key that signed the parameters.
            params_id: 32 bytes.
            number: 1 to 2**32 - 1, larger than that of every earlier list of these parameters.
            issued_at: Unix second, below 2**40.
            pids: 16 bytes each, in any order; everything that an earlier list held, and more.

        Raises:
            TypeError: Wrong types.
            ParameterError: A length or number out of range, or more than ``MAX_REVOKED`` keys.

        Timing: secret is the signing key only; Ed25519 is left to OpenSSL (``cryptography``).
        """
        if not isinstance(root, RootKey):
            raise TypeError(f"root: RootKey expected, got {type(root).__name__}")
        if type(number) is not int or type(issued_at) is not int or not isinstance(params_id, bytes):
            raise TypeError("revocations: params_id as bytes, number and issued_at as int expected")
        distinct = set(pids)
        if not all(isinstance(pid, bytes) for pid in distinct):
            raise TypeError("pids: bytes expected")
        if len(params_id) != 32:
            raise ParameterError(f"params_id: 32 bytes expected, got {len(params_id)}")
        if not 1 <= number <= MAX_NUMBER or not 0 <= issued_at < MAX_TIME:
            raise ParameterError("number, issued_at: 1 to 2**32 - 1 and 0 to 2**40 - 1 expected")
        if len(distinct) > MAX_REVOKED or not all(len(pid) == PID_BYTES for pid in distinct):
            raise ParameterError(f"pids: at most {MAX_REVOKED} of {PID_BYTES} bytes expected")
        body = enc(REVOKED_TAG, root.public_key, params_id, number, issued_at, *sorted(distinct))
        return cls.from_bytes(body + root._sign_revocations(body), root.public_key)

    @classmethod
    def from_bytes(cls, data: bytes, root_public_key: bytes) -> Self:
        """Read and check a list, the root signature included.

        Args:
            data: As :meth:`to_bytes` gives them: ``184 + 20*n`` bytes.
            root_public_key: 32 bytes, the pinned root key.

        Raises:
            TypeError: An argument is not bytes.
            ParameterError: ``root_public_key`` is not 32 bytes.
            DecodeError: Not canonical, too long, signed by another key, or a rule is broken.
        """
        if not isinstance(data, bytes) or not isinstance(root_public_key, bytes):
            raise TypeError("revocations: bytes expected")
        if len(root_public_key) != 32:
            raise ParameterError(f"root_public_key: 32 bytes expected, got {len(root_public_key)}")
        room = len(data) - _HEAD_BYTES - _SIGNATURE_BYTES
        if not 0 <= room <= MAX_REVOKED * _PID_FIELD_BYTES or room % _PID_FIELD_BYTES:
            raise DecodeError(f"revocations: {len(data)} bytes are no list of at most {MAX_REVOKED} keys")
        return cls(data, root_public_key)

    def to_bytes(self) -> bytes:
        """``enc(...) || signature``: 184 bytes and 20 for each key."""
        return self._bytes

    def check_agrees(self, known: RevocationList) -> None:
        """Return if one of the two lists can have followed the other.

        Equal numbers: equal content.  Otherwise the one with the larger number holds all of the other.

        Args:
            known: Another list of the same parameters.

        Raises:
            ParameterError: Lists of other parameters, or of another root key.
            RevocationConflict: They cannot; ``first`` is ``known``.
        """
        if (self.root_public_key, self.params_id) != (known.root_public_key, known.params_id):
            raise ParameterError("known: a list of the same parameters expected")
        older, newer = sorted((self, known), key=lambda listing: listing.number)
        agree = set(older.pids) <= set(newer.pids)
        if not agree or (self.number == known.number and self != known):
            raise RevocationConflict(
                f"revocations: lists {known.number} and {self.number} contradict each other",
                known.to_bytes(),
                self.to_bytes(),
            )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("RevocationList is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("RevocationList is immutable")

    def __eq__(self, other: object) -> bool:
        # Without the signature: a second signature of the same content says nothing new.
        return (
            isinstance(other, RevocationList)
            and other._bytes[:-_SIGNATURE_BYTES] == self._bytes[:-_SIGNATURE_BYTES]
        )

    def __hash__(self) -> int:
        return hash(self._bytes[:-_SIGNATURE_BYTES])

    def __repr__(self) -> str:
        if not hasattr(self, "pids"):
            return "RevocationList(not made)"
        of = self.params_id.hex()[:16]
        return f"RevocationList(number={self.number}, {len(self.pids)} keys, params_id={of}…)"

    def __reduce__(self) -> Any:
        return RevocationList.from_bytes, (self._bytes, self.root_public_key)
