"""Key shares, their sums, and the proof that a client's shares lie on polynomials of degree t - 1."""

from __future__ import annotations

import hmac
import threading
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from .._ext.enc import sha256_enc
from .._ext.errors import DecodeError, ParameterError, ProofError, RangeError
from ._kahe_params import (
    DIGEST_BYTES,
    MIN_SUMMANDS,
    N_CHECKS,
    SALT_BYTES,
    Params,
    check_context,
    check_index,
    check_length,
    check_params,
    residues_from_bytes,
    residues_to_bytes,
)
from ._random import Stream
from ._shamir import P, dot, evaluate, reduce

MAX_SENDER_BYTES = 1024


def check_sender(sender: bytes) -> None:
    """A sender is named by a short byte string, its pseudonym."""
    if not isinstance(sender, bytes):
        raise TypeError(f"sender: bytes expected, got {type(sender).__name__}")
    if not 1 <= len(sender) <= MAX_SENDER_BYTES:
        raise ParameterError(f"sender: 1 to {MAX_SENDER_BYTES} bytes expected, got {len(sender)}")


def check_digest(digest: bytes) -> None:
    """SHA-256 of a ciphertext."""
    if not isinstance(digest, bytes):
        raise TypeError(f"ciphertext_digest: bytes expected, got {type(digest).__name__}")
    if len(digest) != DIGEST_BYTES:
        raise ParameterError(f"ciphertext_digest: {DIGEST_BYTES} bytes expected, got {len(digest)}")


class KeyShare:
    """Member ``index``'s share of one client's one-time key.  Secret, immutable, never pickled.

    Carries no context and no sender: :meth:`DegreeProof.verify` binds it to both.

    Bytes: salt (32), masks (4 integers below p), share (N integers below p); integers are 4 bytes
    little-endian.

    Attributes:
        params: The round's parameters.
        index: j, the member's number, 1 to n.

    Timing: depends on N only; that an integer is not below p is told.
    Source: Shamir, CACM 1979, section 2; docs/he.md, "Sharing the key, and the proof of its degree".
    """

    __slots__ = ("_masks", "_salt", "_share", "index", "params")

    params: Params
    index: int
    _salt: bytes
    _masks: NDArray[np.uint64]
    _share: NDArray[np.uint64]

    def __init__(self) -> None:
        raise TypeError("made by OneTimeKey.share or KeyShare.from_bytes")

    @classmethod
    def _of(
        cls, params: Params, index: int, salt: bytes, masks: NDArray[np.uint64], share: NDArray[np.uint64]
    ) -> KeyShare:
        self = object.__new__(cls)
        masks.flags.writeable = share.flags.writeable = False
        for name, value in (
            ("params", params),
            ("index", index),
            ("_salt", salt),
            ("_masks", masks),
            ("_share", share),
        ):
            object.__setattr__(self, name, value)
        return self

    @classmethod
    def from_bytes(cls, data: bytes, params: Params, index: int) -> KeyShare:
        """Read ``params.share_bytes`` bytes.

        Args:
            data: What :meth:`to_bytes` gave.
            params: The round's parameters.
            index: j, the member's number, 1 to n.

        Raises:
            TypeError: ``data`` is not bytes, ``params`` not parameters, or ``index`` no int.
            ParameterError: ``index`` is not 1 to n.
            DecodeError: Another length, or an integer that is not below p.
        """
        check_params(params)
        check_index(params, index)
        check_length("key share", data, params.share_bytes)
        values = residues_from_bytes("key share", data[SALT_BYTES:])
        return cls._of(params, index, data[:SALT_BYTES], values[:N_CHECKS].copy(), values[N_CHECKS:].copy())

    def to_bytes(self) -> bytes:
        """THE SECRET: ``params.share_bytes`` bytes, ``48 + 4 N``."""
        return self._salt + residues_to_bytes(self._masks) + residues_to_bytes(self._share)

    def _commitment(self, context: bytes, sender: bytes) -> bytes:
        """``h_j``."""
        return sha256_enc(
            "SOTTOVOCE-V1-SHARE",
            context,
            sender,
            self.index,
            self._salt,
            residues_to_bytes(self._masks),
            residues_to_bytes(self._share),
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("KeyShare is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("KeyShare is immutable")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a KeyShare is secret and is not pickled")

    def __repr__(self) -> str:
        return f"<kahe.KeyShare of member {self.index}>"


class DegreeProof:
    """What a client publishes so that each member can check its share against all the others'.

    It proves that the shares lie on polynomials of degree below t: every t members reconstruct the same
    key.  It does not prove that the ciphertext uses this key, or that the key is small.

    Bytes: ``h_1 .. h_n`` (32 each), then for every degree d < t four integers below p (4 bytes
    little-endian): ``R_d = gamma . coefficient_d + mask coefficient_d``.  Public, immutable.

    Attributes:
        params: The round's parameters.

    Timing: of its bytes, nothing is secret; of :meth:`verify`, see there.
    Source: a check of random combinations, made non-interactive by hashing (Fiat, Shamir, CRYPTO 1986);
        docs/he.md, "Sharing the key, and the proof of its degree".
    """

    __slots__ = ("_checks", "_hashes", "params")

    params: Params
    _hashes: tuple[bytes, ...]
    _checks: NDArray[np.uint64]

    def __init__(self) -> None:
        raise TypeError("made by OneTimeKey.share or DegreeProof.from_bytes")

    @classmethod
    def _of(cls, params: Params, hashes: tuple[bytes, ...], checks: NDArray[np.uint64]) -> DegreeProof:
        self = object.__new__(cls)
        checks.flags.writeable = False
        object.__setattr__(self, "params", params)
        object.__setattr__(self, "_hashes", hashes)
        object.__setattr__(self, "_checks", checks)
        return self

    @classmethod
    def from_bytes(cls, data: bytes, params: Params) -> DegreeProof:
        """Read ``params.proof_bytes`` bytes.

        Args:
            data: What :meth:`to_bytes` gave.
            params: The round's parameters.

        Raises:
            TypeError: ``data`` is not bytes, or ``params`` not parameters.
            DecodeError: Another length, or an integer that is not below p.
        """
        check_params(params)
        check_length("degree proof", data, params.proof_bytes)
        split = DIGEST_BYTES * params.n_members
        hashes = tuple(data[i : i + DIGEST_BYTES] for i in range(0, split, DIGEST_BYTES))
        checks = residues_from_bytes("degree proof", data[split:]).reshape(params.threshold, N_CHECKS)
        return cls._of(params, hashes, checks)

    def to_bytes(self) -> bytes:
        """``params.proof_bytes`` bytes, ``32 n + 16 t``."""
        return b"".join(self._hashes) + residues_to_bytes(self._checks)

    def verify(self, context: bytes, sender: bytes, ciphertext_digest: bytes, share: KeyShare) -> None:
        """Check a member's share.

        Whether a failure convicts the sender to others depends on which it is (``ProofError.committed``).
        The committed share that misfits does, shown with the sender's signature of proof and ciphertext
        digest: nobody else can find bytes with that hash.  Any other share proves nothing by itself,
        for a member can make it up; it takes the packet in which the sender signed it.

        Args:
            context: The round's header hash, 32 bytes.
            sender: The client's pseudonym, as it was given to :meth:`OneTimeKey.share`.
            ciphertext_digest: SHA-256 of the client's ciphertext, 32 bytes.
            share: The opened share.

        Raises:
            TypeError: Wrong types.
            ParameterError: The share is of other parameters; or a length that is not as above.
            ProofError: The share is not the one committed to (``committed`` is False), or is, but does
                not fit the polynomials (True).

        Timing: the same work for every share, whether it fits or not.
        """
        check_context(context)
        check_sender(sender)
        check_digest(ciphertext_digest)
        if not isinstance(share, KeyShare):
            raise TypeError(f"share: KeyShare expected, got {type(share).__name__}")
        if share.params != self.params:
            raise ParameterError("share: of other parameters than the proof")
        committed = hmac.compare_digest(share._commitment(context, sender), self._hashes[share.index - 1])
        gamma = challenge(self.params, context, sender, ciphertext_digest, self._hashes)
        left = reduce(dot(gamma, share._share) + share._masks)
        fits = np.array_equal(left, evaluate(self._checks, share.index))
        if not (committed and fits):
            raise ProofError("key share does not match the degree proof", committed)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("DegreeProof is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("DegreeProof is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DegreeProof):
            return NotImplemented
        return self.params == other.params and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __reduce__(self) -> tuple[object, ...]:
        return (DegreeProof.from_bytes, (self.to_bytes(), self.params))

    def __repr__(self) -> str:
        return f"<kahe.DegreeProof for {len(self._hashes)} members>"


def challenge(
    params: Params, context: bytes, sender: bytes, ciphertext_digest: bytes, hashes: tuple[bytes, ...]
) -> NDArray[np.uint64]:
    """``gamma``, shape ``(4, N)``: drawn below p from AES-256-CTR under the hash of everything fixed before.

    ``SHA-256(enc("SOTTOVOCE-V1-DEGREE", context, sender, SHA-256(C), h_1 .. h_n))`` is the key; 64-bit
    little-endian words, cut to 31 bits, kept if below p.
    """
    key = sha256_enc("SOTTOVOCE-V1-DEGREE", context, sender, ciphertext_digest, *hashes)
    return Stream(key).below(P, (N_CHECKS, params.N))


class ShareSum:
    """A member's sum of its shares of the agreed contributors.

    Hands out nothing for fewer than three contributors: with one's own share known, a sum of two is
    the other's.  Counts nobody twice, and takes no more once it was handed out, since the difference of
    two sums is the share that was added between them.  What it cannot notice: a second object of the
    same round, shares of several rounds (they carry no context), and clients that are one person.
    Not pickled; t of these open the round's sum.

    Safe to use from several threads: a share is in what is handed out, or refused.

    Attributes:
        params: The round's parameters.
        index: j, the member's number, 1 to n.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``index`` is not 1 to n.

    Timing: independent of the shares' values; depends on N, and on whether a share is refused.
    Source: Shamir, CACM 1979, section 2 (shares add); docs/he.md, "Opening".
    """

    __slots__ = ("_closed", "_count", "_lock", "_named", "_seen", "_total", "index", "params")

    def __init__(self, params: Params, index: int) -> None:
        check_params(params)
        check_index(params, index)
        self.params = params
        self.index = index
        self._lock = threading.Lock()
        self._closed = False
        self._named = False
        self._seen: set[bytes] = set()
        self._count = 0
        self._total = np.zeros(params.N, np.uint64)

    @property
    def count(self) -> int:
        """Shares in the sum, 0 to ``params.max_summands``."""
        return self._count

    def add(self, share: KeyShare, sender: bytes | None = None) -> None:
        """Add one share; verify its degree proof first.

        Args:
            share: A share of this member; read, never kept.
            sender: The pseudonym that the proof was verified with, 1 to 1024 bytes.  Each counts once.
                Of all contributors or of none; without it the same bytes are not taken twice, which two
                clients that conspire can bring about: they make equal shares, and the second is refused here
                though its proof is fine.

        Raises:
            TypeError: Wrong types.
            ParameterError: Of other parameters or another member, a repeated contributor, a sender where
                others had none or the other way round, or after :meth:`to_bytes`.
            RangeError: ``max_summands`` are in it already.  Unchanged after an error.
        """
        if not isinstance(share, KeyShare):
            raise TypeError(f"share: KeyShare expected, got {type(share).__name__}")
        if share.params != self.params or share.index != self.index:
            raise ParameterError("share: of other parameters or another member")
        if sender is None:
            who = sha256_enc("SOTTOVOCE-V1-SHARE-SEEN", share.to_bytes())
        else:
            check_sender(sender)
            who = sha256_enc("SOTTOVOCE-V1-SENDER-SEEN", sender)
        # As a whole: a share that came in while to_bytes was reading would be in the next answer alone.
        with self._lock:
            if self._count >= self.params.max_summands:
                raise RangeError(f"sum: at most {self.params.max_summands} summands")
            if self._closed:
                raise ParameterError("share sum: was handed out, takes no more")
            if self._count and self._named is not (sender is not None):
                # A share known by its bytes and the same one known by its sender would count twice.
                raise ParameterError("sender: of all contributors or of none expected")
            if who in self._seen:
                raise ParameterError("share: this contributor is in the sum already")
            self._total = reduce(self._total + share._share)
            self._named = sender is not None
            self._seen.add(who)
            self._count += 1

    def to_bytes(self) -> bytes:
        """``params.share_sum_bytes`` bytes: count (4), N integers below p (4 each), little-endian.

        Secret: t of them open the round's sum.  Closes the sum for :meth:`add`; gives the same bytes again.

        Raises:
            ParameterError: Fewer than three shares are in it; it stays open then.
        """
        with self._lock:
            if self._count < MIN_SUMMANDS:
                raise ParameterError(
                    f"share sum: at least {MIN_SUMMANDS} contributors expected, got {self._count}"
                )
            self._closed = True
            self._seen.clear()
            return self._count.to_bytes(4, "little") + residues_to_bytes(self._total)

    @classmethod
    def from_bytes(cls, data: bytes, params: Params, index: int) -> ShareSum:
        """Read :meth:`to_bytes`; takes no more shares.

        Args:
            data: What :meth:`to_bytes` gave.
            params: The round's parameters.
            index: j, the number of the member that it is from, 1 to n.

        Raises:
            TypeError: ``data`` is not bytes, ``params`` not parameters, or ``index`` no int.
            ParameterError: ``index`` is not 1 to n.
            DecodeError: Another length, a count outside 3 to ``max_summands``, or an integer not below p.
        """
        self = cls(params, index)
        check_length("share sum", data, params.share_sum_bytes)
        count = int.from_bytes(data[:4], "little")
        if not MIN_SUMMANDS <= count <= params.max_summands:
            raise DecodeError(f"share sum: {MIN_SUMMANDS} to {params.max_summands} contributors, got {count}")
        self._total = residues_from_bytes("share sum", data[4:])
        self._count = count
        self._closed = True
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ShareSum is secret and is not pickled")

    def __repr__(self) -> str:
        return f"<kahe.ShareSum of member {self.index}, {self._count} contributors>"
