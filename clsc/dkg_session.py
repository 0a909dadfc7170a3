"""What goes into a key generation among servers, and what comes out: session, public result, share."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Self

from .._ext.enc import enc, sha256_enc
from .._ext.errors import DecodeError, ParameterError
from . import group
from .dkg_messages import DIGEST_BYTES
from .hashes import SUITE
from .master import MasterShare, RootKey, check_arguments
from .params import EpochParams, Mode, split

_ROOT_BYTES: Final = 32
_MAX_ATTEMPT: Final = 1 << 64
_PUBLIC_TAG: Final = b"SOTTOVOCE-V1-DKG-PUBLIC"
_FIXED_FIELDS: Final = 5


@dataclass(frozen=True, slots=True)
class DkgSession:
    """What all servers of a run agreed on before it; every message is bound to its hash.

    Attributes:
        root_public_key: 32 bytes; who will sign the parameters.
        mode: Kind of names.
        epoch: 1 to 64 bytes.
        threshold: ``t``, 1 to ``n``.
        servers: ``n``, 1 to 64.
        answers: ``q``, 1 to 2**64 - 1.
        corrupted: ``f``, 0 to ``t - 1``; ``q(n-f) < (q+1)(t-f)`` must hold.
        attempt: Counts the runs for one epoch, 0 to 2^64 - 1: a run that failed is repeated under another
            number, so that no message of the first fits into the second.
        id: 32 bytes, ``SHA-256(enc("SOTTOVOCE-V1-DKG-SESSION", root public key, suite, mode, epoch, t, n,
            q, f, attempt))``.

    Raises:
        TypeError: Wrong types.
        ParameterError: A length or number out of range.

    Timing: variable, of public data only.
    Source: docs/clsc-threshold.md, "Without a dealer".
    """

    root_public_key: bytes
    mode: Mode
    epoch: bytes
    threshold: int
    servers: int
    answers: int = 1
    corrupted: int = 0
    attempt: int = 1
    id: bytes = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.root_public_key, bytes):
            raise TypeError(f"root_public_key: bytes expected, got {type(self.root_public_key).__name__}")
        if len(self.root_public_key) != _ROOT_BYTES:
            raise ParameterError(
                f"root_public_key: {_ROOT_BYTES} bytes expected, got {len(self.root_public_key)}"
            )
        numbers = (self.threshold, self.servers, self.answers, self.corrupted)
        check_arguments(self.mode, self.epoch, 0, 1, *numbers)  # times are the signer's business
        if type(self.attempt) is not int:
            raise TypeError(f"attempt: int expected, got {type(self.attempt).__name__}")
        if not 0 <= self.attempt < _MAX_ATTEMPT:
            raise ParameterError("attempt: 0 to 2**64 - 1 expected")
        digest = sha256_enc(
            "SOTTOVOCE-V1-DKG-SESSION", self.root_public_key, SUITE, str(self.mode), self.epoch, *numbers,
            self.attempt,
        )  # fmt: skip
        object.__setattr__(self, "id", digest)


class DkgFault(IntEnum):
    """Why a server was disqualified: its share of the master secret does not count."""

    NO_COMMITMENT = 1
    """No commitment came in the first round."""
    NO_REVEAL = 2
    """It did not reveal what it committed to, with ``t`` points and a proof that holds."""
    ACCUSED = 3
    """``t - f`` servers or more complained: to answer them all could give its polynomial away."""
    NOT_JUSTIFIED = 4
    """It did not answer a complaint, or with a wrong share."""

    @property
    def words(self) -> str:
        """For an error message."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class DkgPublic:
    """The public result; all honest servers have the same one.

    Whoever signs it compares what at least ``t`` servers hand in: then it is what the honest ones have.

    Attributes:
        session: The session.
        transcript: 32 bytes, hash of all that decided the result.
        Y: 96 bytes, the public key ``s*P2``, compressed.
        Y_servers: ``n`` times 96 bytes, the keys of the servers, the disqualified ones included.
        disqualified: Index and reason, ascending.  A disqualified server contributed nothing to the
            secret, but is still server ``j`` of ``n``; whoever thinks that more than ``corrupted`` of
            them cheat does not sign, and starts anew without them.

    Timing: variable, of public data only.
    Source: Pedersen, EUROCRYPT 1991; docs/clsc-threshold.md, "Without a dealer".
    """

    session: DkgSession
    transcript: bytes
    Y: bytes
    Y_servers: tuple[bytes, ...]
    disqualified: tuple[tuple[int, DkgFault], ...]

    @property
    def qualified(self) -> tuple[int, ...]:
        """Indices of those whose polynomials make up the master secret, ascending; at least ``t``."""
        out = {j for j, _ in self.disqualified}
        return tuple(j for j in range(1, self.session.servers + 1) if j not in out)

    def sign(self, root: RootKey, *, not_before: int, not_after: int) -> EpochParams:
        """:meth:`RootKey.sign_params` with the numbers of the session.

        Args:
            root: The root key that the session names.
            not_before: Unix second, from 0; keys are accepted from here
            not_after: to here, inclusive; later than ``not_before``, below 2**40.

        Returns:
            The parameters of the epoch, for every server's :meth:`DkgResult.share`.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``root`` is not that of the session, a time is out of range, or the epoch was
                signed already.
            DecodeError: The points break a rule of :class:`EpochParams`.

        Timing: secret is the signing key only; Ed25519 is left to OpenSSL (``cryptography``).
        """
        session = self.session
        if root.public_key != session.root_public_key:
            raise ParameterError("root: not the root key of the session")
        return root.sign_params(
            session.mode, session.epoch, self.Y, self.Y_servers, not_before=not_before, not_after=not_after,
            threshold=session.threshold, answers=session.answers, corrupted=session.corrupted,
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes, session: DkgSession) -> Self:
        """Read a result of ``session``.  That the points interpolate is checked by :meth:`sign`.

        Args:
            data: What :meth:`to_bytes` gave; its length follows from ``session`` and who is disqualified.
            session: The one that the result must be of.

        Raises:
            TypeError: Wrong types.
            DecodeError: Not canonical, of another session, or a point is not valid.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"dkg result: bytes expected, got {type(data).__name__}")
        if not isinstance(session, DkgSession):
            raise TypeError(f"session: DkgSession expected, got {type(session).__name__}")
        fields = split(data, "dkg result")
        if len(fields) < _FIXED_FIELDS or fields[0] != _PUBLIC_TAG:
            raise DecodeError("dkg result: not a result of a key generation")
        if fields[1] != session.id:
            raise DecodeError("dkg result: of another session")
        if len(fields) != _FIXED_FIELDS + session.servers:
            raise DecodeError(f"dkg result: the keys of {session.servers} servers expected")
        if len(fields[2]) != DIGEST_BYTES:
            raise DecodeError(
                f"dkg result: transcript of {DIGEST_BYTES} bytes expected, got {len(fields[2])}"
            )
        disqualified = _read_faults(fields[3], session)
        for j, point in enumerate(fields[4:]):
            group.g2_from_bytes(point, f"dkg result: Y_{j}" if j else "dkg result: Y")
        return cls(session, fields[2], fields[4], tuple(fields[5:]), disqualified)

    def to_bytes(self) -> bytes:
        """``enc(tag, session id, transcript, (index, fault) each, Y, Y_1, ..., Y_n)``.

        ``203 + 2 |disqualified| + 100 n`` bytes.
        """
        faults = bytes(byte for pair in self.disqualified for byte in pair)
        return enc(_PUBLIC_TAG, self.session.id, self.transcript, faults, self.Y, *self.Y_servers)


def _read_faults(data: bytes, session: DkgSession) -> tuple[tuple[int, DkgFault], ...]:
    indices = list(data[::2])
    in_range = all(1 <= j <= session.servers for j in indices)
    if len(data) % 2 or not in_range or indices != sorted(set(indices)):
        raise DecodeError("dkg result: ascending indices of disqualified servers expected")
    if session.servers - len(indices) < session.threshold:
        raise DecodeError(f"dkg result: at least t = {session.threshold} qualified servers expected")
    try:
        return tuple((j, DkgFault(code)) for j, code in zip(indices, data[1::2], strict=True))
    except ValueError:
        raise DecodeError("dkg result: unknown reason of a disqualification") from None


class DkgResult:
    """What one server has in the end: the public result and its own share.  SECRET.

    Attributes:
        public: Equal for all honest servers.
        index: The server, 1 to ``public.session.servers``.
        dissenting: Ascending; servers that confirmed another transcript: they lie, or the broadcast channel
            showed them something else.

    Threads: safe.  Cannot be pickled.

    Timing: the share is a Python integer, and meets a comb table of ``P2`` in :meth:`share`.
    Source: Pedersen, EUROCRYPT 1991; docs/clsc-threshold.md, "Without a dealer".
    """

    __slots__ = ("_s", "dissenting", "index", "public")

    public: DkgPublic
    index: int
    dissenting: tuple[int, ...]
    _s: int

    def __init__(self, public: DkgPublic, index: int, s: int, dissenting: tuple[int, ...]) -> None:
        """Made by :meth:`.dkg.DkgParticipant.finish`."""
        set_ = object.__setattr__
        set_(self, "public", public)
        set_(self, "index", index)
        set_(self, "dissenting", dissenting)
        set_(self, "_s", s)

    def share(self, params: EpochParams) -> MasterShare:
        """The server's share, bound to the parameters that the root signed for this result.

        Args:
            params: What :meth:`DkgPublic.sign` gave.

        Raises:
            TypeError: ``params`` is of another type.
            ParameterError: ``params`` are not of this session and result.

        Timing: one comb multiplication by the share in G2.
        """
        if not isinstance(params, EpochParams):
            raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
        session = self.public.session
        signed = (
            params.root_public_key, params.mode, params.epoch,
            params.threshold, params.servers, params.answers, params.corrupted,
            params.Y.to_compressed_bytes(),
            tuple(point.to_compressed_bytes() for point in params.Y_servers),
        )  # fmt: skip
        ours = (
            session.root_public_key, session.mode, session.epoch,
            session.threshold, session.servers, session.answers, session.corrupted,
            self.public.Y, self.public.Y_servers,
        )  # fmt: skip
        if signed != ours:
            raise ParameterError("params: not those of this key generation")
        return MasterShare(self._s, params, self.index)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("DkgResult is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("DkgResult is immutable")

    def __repr__(self) -> str:
        return f"DkgResult(server {getattr(self, 'index', None)}, {getattr(self, 'public', None)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a DkgResult is secret and cannot be pickled")
