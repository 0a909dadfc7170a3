"""The user's side of issuing: ask for a key, and check what comes back.

A request object holds the fresh secret ``x`` and outlives failures: ``finish`` and ``combine`` may be
called again with other answers.  Save it (:mod:`.keyfile`) before the request leaves where the process
may end: an issuer answers the same request again, but another one costs another unit of quota.

With a threshold issuer every server gets its own request (:meth:`IdentityRequest.to_bytes` takes the
number of the server) and has its own token: a server that knew the token of another could ask in the
user's name there, and ``t`` of those make a key.

The bytes of requests and answers are in :mod:`.issue_wire`; mode ``traceable`` is in :mod:`.traceable`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .._ext.errors import DecodeError, IssueError, ParameterError
from . import comb, group, hashes, threshold
from .group import RandomBytes
from .issue_wire import (
    CHALLENGE_BYTES,
    MODE_BYTE,
    TOKEN_BYTES,
    answer_body,
    open_partial_key,
    token_mac,
)
from .keys import USAGE_BYTE, PublicKey, SecretKey
from .params import EpochParams, Mode, Usage
from .possession import prove
from .threshold import Combined

if TYPE_CHECKING:
    from .group import G1

WRONG_ANSWER: Final = "answer: not the answer to this request, or a wrong partial key"
NO_ANSWER: Final = "answer: not the answer to such a request"


# -- arguments ----------------------------------------------------------------------------------


def check_epoch(params: EpochParams, usage: Usage, mode: Mode) -> None:
    """Raises TypeError or ParameterError unless keys of ``usage`` are asked for in an epoch of ``mode``."""
    if not isinstance(params, EpochParams):
        raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
    if not isinstance(usage, Usage):
        raise TypeError(f"usage: Usage expected, got {type(usage).__name__}")
    if params.mode is not mode:
        raise ParameterError(f"params: mode {mode} expected, got {params.mode}")


def _read_tokens(params: EpochParams, token: bytes | Mapping[int, bytes]) -> dict[int, bytes]:
    """The token of each server; the only one's is number 1."""
    if isinstance(token, bytes):
        if params.servers > 1:
            raise ParameterError("token: one for each server expected, as a mapping of its number")
        tokens = {1: token}
    elif isinstance(token, Mapping):
        tokens = {threshold.server_index(params, j): value for j, value in token.items()}
    else:
        raise TypeError(f"token: bytes, or a mapping to bytes, expected, got {type(token).__name__}")
    if not tokens:
        raise ParameterError("token: at least one expected")
    for value in tokens.values():
        if not isinstance(value, bytes):
            raise TypeError(f"token: bytes expected, got {type(value).__name__}")
        if len(value) != TOKEN_BYTES:
            raise ParameterError(f"token: {TOKEN_BYTES} bytes expected, got {len(value)}")
    if len(set(tokens.values())) != len(tokens):
        raise ParameterError("token: two servers with one token could each ask the other in your name")
    return tokens


def _token_of(token: bytes | dict[int, bytes], server: int) -> bytes:
    if isinstance(token, bytes):
        return token
    known = token.get(server)
    del token  # a traceback keeps the variables of the frame that raises
    if known is None:
        raise ParameterError(f"server: no token of server {server} was given")
    return known


# -- the user's objects -------------------------------------------------------------------------


class IdentityRequest:
    """Ask for a key under one's own long-lived name.  Holds the fresh ``x``: SECRET.

    Args:
        params: Parameters of an ``identity`` epoch.
        usage: ``sign`` or ``decrypt``.
        identity: 1 to 64 bytes; the name that the issuer enrolled.
        token: 32 bytes, from enrolment; never sent.  With a threshold issuer: server -> its own
            token, for the servers that will be asked.

    Raises:
        TypeError: Wrong types.
        ParameterError: Parameters of another mode, a wrong length, no such server, or one token of
            two servers.

    Timing: ``x`` meets the comb table of ``P1``, and for points from outside a fixed sequence of doublings
        and additions; in the proof it is a Python integer.
    Source: the proof: Schnorr, J. Cryptology 4 (1991); the answer comes by DHIES, Abdalla, Bellare, Rogaway,
        CT-RSA 2001; docs/clsc-issuing.md, "Requests and answers".
    """

    __slots__ = ("_token", "_x", "public_key")

    public_key: PublicKey
    """The key that is asked for; its secret half is made by :meth:`finish` or :meth:`combine`."""

    def __init__(
        self, params: EpochParams, usage: Usage, identity: bytes, token: bytes | Mapping[int, bytes]
    ) -> None:
        self._init(params, usage, identity, token, os.urandom)

    @classmethod
    def _derand(
        cls,
        params: EpochParams,
        usage: Usage,
        identity: bytes,
        token: bytes | Mapping[int, bytes],
        random_bytes: RandomBytes,
    ) -> IdentityRequest:
        self = cls.__new__(cls)
        self._init(params, usage, identity, token, random_bytes)
        return self

    def _init(
        self,
        params: EpochParams,
        usage: Usage,
        identity: bytes,
        token: bytes | Mapping[int, bytes],
        random_bytes: RandomBytes,
    ) -> None:
        check_epoch(params, usage, Mode.IDENTITY)
        tokens = _read_tokens(params, token)
        self._token = tokens if params.servers > 1 else tokens[1]
        if not isinstance(identity, bytes):
            raise TypeError(f"identity: bytes expected, got {type(identity).__name__}")
        if not 1 <= len(identity) <= 64:
            raise ParameterError(f"identity: 1 to 64 bytes expected, got {len(identity)}")
        self._x = group.random_scalar(random_bytes)
        self.public_key = PublicKey(params, usage, identity, comb.p1_mul(self._x).to_compressed_bytes())

    def to_bytes(self, challenge: bytes, server: int | None = None) -> bytes:
        """The request, proving possession of ``x`` under a challenge.

        May be called again with a fresh challenge, when the first answer was lost.

        Args:
            challenge: 32 bytes, of :meth:`Issuer.challenge` of the server that will be asked.
            server: Which one, 1 to ``params.servers``; not needed where there is but one.

        Returns:
            228 bytes plus the length of the name.

        Raises:
            TypeError: Wrong types.
            ParameterError: A wrong length, no such server, or no token of it.

        Timing: one comb multiplication in G1 by a hedged nonce.
        """
        return self._to_bytes_derand(challenge, os.urandom, server)

    def _to_bytes_derand(
        self, challenge: bytes, random_bytes: RandomBytes, server: int | None = None
    ) -> bytes:
        if not isinstance(challenge, bytes):
            raise TypeError(f"challenge: bytes expected, got {type(challenge).__name__}")
        if len(challenge) != CHALLENGE_BYTES:
            raise ParameterError(f"challenge: {CHALLENGE_BYTES} bytes expected, got {len(challenge)}")
        key = self.public_key
        server = threshold.server_index(key.params, server)
        token = _token_of(self._token, server)
        params_id, name = key.params.params_id, key.identity
        R, z = prove(self._x, key, challenge, random_bytes)
        head = bytes([hashes.SUITE, MODE_BYTE[Mode.IDENTITY], USAGE_BYTE[key.usage]]) + params_id
        proof = R + group.scalar_to_bytes(z) + challenge
        mac = token_mac(token, params_id, key.usage, key.X)
        return head + bytes([len(name)]) + name + key.X + proof + mac

    def finish(self, answer: bytes) -> SecretKey:
        """Open the answer of a single issuer and check the key; may be called again after a failure.

        Args:
            answer: 114 bytes, of :meth:`Issuer.issue`.

        Returns:
            The key, checked against the issuer's public key.

        Raises:
            TypeError: ``answer`` is not bytes.
            ParameterError: A threshold issuer: several answers make a key, see :meth:`combine`.
            IssueError: Not an answer to this request, or a wrong partial key.

        Timing: ``x`` meets a fixed sequence of doublings and additions; ``D`` is checked by one pairing with
            ``P2``.  A wrong answer ends sooner, as the error tells, too.
        """
        threshold.require_single(self.public_key.params)
        body = answer_body(answer, Mode.IDENTITY)
        if body is None:
            raise IssueError(NO_ANSWER)
        key = self._open(body)
        if key is None:
            raise IssueError(WRONG_ANSWER)  # here, where no frame holds x or D
        return key

    def combine(self, answers: Mapping[int, bytes]) -> Combined:
        """Check the answers of several servers and make the key from any ``t`` valid ones.

        May be called again with more answers.

        Args:
            answers: Server -> its answer, 114 bytes of :meth:`Issuer.issue`.

        Returns:
            The key, and which answers are wrong.

        Raises:
            TypeError: Not a mapping of int to bytes.
            ParameterError: No such server.
            TooFewAnswers: Fewer than ``params.threshold`` are valid; names the wrong ones.

        Timing: as :meth:`finish`, once for each answer; shares of ``D`` are multiplied by random weights and
            by public coefficients only.
        """
        made = self._combine(threshold.bodies(self.public_key.params, answers))
        if isinstance(made, IssueError):
            raise made  # here, where no frame holds x or D
        return made

    def _open(self, body: bytes) -> SecretKey | None:
        D = open_partial_key(self.public_key, self._x, body)
        return None if D is None else SecretKey._if_fits(self.public_key, self._x, D)

    def _combine(self, bodies: Mapping[int, bytes | None]) -> Combined | IssueError:
        public = self.public_key
        points = open_partial_keys(public, self._x, bodies)
        good, D = threshold.combine(public.params, public._Q_base.point, points)
        key = None if D is None else SecretKey._if_fits(public, self._x, D)
        return threshold.outcome(public.params, bodies, good, key)

    def __repr__(self) -> str:
        return f"IdentityRequest(for {getattr(self, 'public_key', None)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("an IdentityRequest is secret and cannot be pickled")


def open_partial_keys(key: PublicKey, x: int, bodies: Mapping[int, bytes | None]) -> dict[int, G1]:
    """The shares of ``D`` that can be opened."""
    opened = {
        index: None if body is None else open_partial_key(key, x, body) for index, body in bodies.items()
    }
    return {index: D for index, D in opened.items() if D is not None}


class BlindRequest:
    """Ask for a key under a pseudonym that the issuer never sees.  Holds ``x`` and ``b``: SECRET.

    The issuer sees ``B = b*Q`` and answers ``s*B``; both are uniform and independent of the
    pseudonym (Boldyreva 2003).  It learns who asked and when, not which key came of it, and not even
    its usage: one unit of quota is one key of either usage.

    Args:
        params: Parameters of a ``blind`` epoch.
        usage: ``sign`` or ``decrypt``; hashed into the key, never sent.
        token: 32 bytes, from enrolment; never sent.  With a threshold issuer: server -> its own
            token, for the servers that will be asked.

    Raises:
        TypeError: Wrong types.
        ParameterError: Parameters of another mode, a wrong length, no such server, or one token of
            two servers.

    Timing: ``x`` meets the comb table of ``P1``; ``b`` and its inverse meet a fixed sequence of doublings and
        additions, and the inversion sees ``b`` times a random number only.
    Source: blind GDH signatures, Boldyreva, PKC 2003; docs/clsc-issuing.md, "Requests and answers";
        unlinkability: docs/clsc-security.md, "6. Unlinkability of blind issuing".
    """

    __slots__ = ("_B", "_b", "_public_key", "_token", "_x")

    def __init__(self, params: EpochParams, usage: Usage, token: bytes | Mapping[int, bytes]) -> None:
        self._init(params, usage, token, os.urandom)

    @classmethod
    def _derand(
        cls,
        params: EpochParams,
        usage: Usage,
        token: bytes | Mapping[int, bytes],
        random_bytes: RandomBytes,
    ) -> BlindRequest:
        self = cls.__new__(cls)
        self._init(params, usage, token, random_bytes)
        return self

    def _init(
        self,
        params: EpochParams,
        usage: Usage,
        token: bytes | Mapping[int, bytes],
        random_bytes: RandomBytes,
    ) -> None:
        check_epoch(params, usage, Mode.BLIND)
        tokens = _read_tokens(params, token)
        self._token = tokens if params.servers > 1 else tokens[1]
        self._x = group.random_scalar(random_bytes)
        self._public_key = PublicKey(params, usage, b"", comb.p1_mul(self._x).to_compressed_bytes())
        self._b = group.random_scalar(random_bytes)
        self._B = self._public_key._Q_base.mul(self._b).to_compressed_bytes()

    def to_bytes(self, server: int | None = None) -> bytes:
        """The request: 114 bytes, always the same for one object and server.

        Every server is asked for the same ``B``: shares of different ones do not combine.

        Args:
            server: Which one, 1 to ``params.servers``; not needed where there is but one.

        Raises:
            TypeError: Wrong type.
            ParameterError: No such server, or no token of it.

        Timing: an HMAC under the token; ``b`` is not used.
        """
        params = self._public_key.params
        server = threshold.server_index(params, server)
        token = _token_of(self._token, server)
        head = bytes([hashes.SUITE, MODE_BYTE[Mode.BLIND]]) + params.params_id
        return head + self._B + token_mac(token, params.params_id, None, self._B)

    def finish(self, answer: bytes) -> SecretKey:
        """Unblind the answer of a single issuer and check the key; may be called again after a failure.

        Args:
            answer: 50 bytes, of :meth:`Issuer.issue`.

        Returns:
            The key of an empty name, checked against the issuer's public key.

        Raises:
            TypeError: ``answer`` is not bytes.
            ParameterError: A threshold issuer: several answers make a key, see :meth:`combine`.
            IssueError: Not an answer to this request, or a wrong partial key.

        Timing: the inverse of ``b`` meets a fixed sequence of doublings and additions; ``D`` is checked by
            one pairing with ``P2``.
        """
        threshold.require_single(self._public_key.params)
        body = answer_body(answer, Mode.BLIND)
        if body is None:
            raise IssueError(NO_ANSWER)
        key = self._open(body)
        if key is None:
            raise IssueError(WRONG_ANSWER)  # here, where no frame holds x or D
        return key

    def combine(self, answers: Mapping[int, bytes]) -> Combined:
        """Check the answers of several servers and make the key from any ``t`` valid ones.

        May be called again with more answers.

        Args:
            answers: Server -> its answer, 50 bytes of :meth:`Issuer.issue`.

        Returns:
            The key, and which answers are wrong.

        Raises:
            TypeError: Not a mapping of int to bytes.
            ParameterError: No such server.
            TooFewAnswers: Fewer than ``params.threshold`` are valid; names the wrong ones.

        Timing: as :meth:`finish`; the answers are public, and weights and coefficients are no secrets.
        """
        made = self._combine(threshold.bodies(self._public_key.params, answers))
        if isinstance(made, IssueError):
            raise made  # here, where no frame holds x or D
        return made

    def _open(self, body: bytes) -> SecretKey | None:
        with contextlib.suppress(DecodeError):
            return self._unblind(group.g1_from_bytes(body, "answer: C"))
        return None

    def _unblind(self, C: G1) -> SecretKey | None:
        D = group.g1_mul_secret(C, group.inverse_secret(self._b))
        return SecretKey._if_fits(self._public_key, self._x, D)

    def _combine(self, bodies: Mapping[int, bytes | None]) -> Combined | IssueError:
        points = {}
        for index, body in bodies.items():
            with contextlib.suppress(DecodeError):
                points[index] = group.g1_from_bytes(body or b"", "answer: C")
        params = self._public_key.params
        good, C = threshold.combine(params, group.g1_from_bytes(self._B, "B"), points)
        key = None if C is None else self._unblind(C)
        return threshold.outcome(params, bodies, good, key)

    def __repr__(self) -> str:
        if not hasattr(self, "_public_key"):
            return "BlindRequest(not made)"
        return f"BlindRequest({self._public_key.usage}, {self._public_key.params!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a BlindRequest is secret and cannot be pickled")
