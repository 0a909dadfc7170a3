"""Asking for a key in mode ``traceable``; the pseudonym itself is in :mod:`.tracing`.

The request is signed by the user's identity key instead of authenticated by a token: the issuer keeps
it, and shows it when it traces.  The signature covers exactly what is issued, ``(params_id, usage, X)``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._ext.errors import DecodeError, IssueError, ParameterError, SottovoceError, TooFewAnswers
from . import comb, group, signature, threshold
from .group import RandomBytes
from .issue_wire import PSEUDONYM_BYTES, answer_body, open_partial_key
from .keys import PublicKey, SecretKey
from .params import EpochParams, Mode, Usage
from .request import NO_ANSWER, WRONG_ANSWER, check_epoch
from .threshold import Combined
from .tracing import (
    CONTEXT_ISSUE,
    check_request_signature,
    check_signer,
    request_bytes,
    request_transcript,
)

if TYPE_CHECKING:
    from .group import G1


class TraceableRequest:
    """Ask for a key under a pseudonym that the issuer can open.  Holds the fresh ``x``: SECRET.

    The request shows name and ``X`` side by side: who reads it on its way links the pseudonym to the
    name.  Send it, and receive the answer, over a confidential channel (TLS, or sealed to the issuer).

    Args:
        params: Parameters of a ``traceable`` epoch.
        usage: ``sign`` or ``decrypt``.
        signer: The user's own signing key of mode ``identity``, under the same root, with a name of at most
            31 bytes; signs ``(params_id, usage, X)`` here and is not kept.

    Raises:
        TypeError: Wrong types.
        ParameterError: Parameters of another mode, or a ``signer`` of another root, mode or usage, or with
            too long a name.

    Timing: as :class:`IdentityRequest`; the signature as :func:`sign`.
    Source: docs/clsc-issuing.md, "Requests and answers" and "Pseudonyms that the issuer can open"; the answer
        comes by DHIES, Abdalla, Bellare, Rogaway, CT-RSA 2001.
    """

    __slots__ = ("_X", "_params", "_signature", "_signer", "_usage", "_x")

    def __init__(self, params: EpochParams, usage: Usage, signer: SecretKey) -> None:
        self._init(params, usage, signer, os.urandom)

    @classmethod
    def _derand(
        cls, params: EpochParams, usage: Usage, signer: SecretKey, random_bytes: RandomBytes
    ) -> TraceableRequest:
        self = cls.__new__(cls)
        self._init(params, usage, signer, random_bytes)
        return self

    def _init(self, params: EpochParams, usage: Usage, signer: SecretKey, random_bytes: RandomBytes) -> None:
        check_epoch(params, usage, Mode.TRACEABLE)
        if not isinstance(signer, SecretKey):
            raise TypeError(f"signer: SecretKey expected, got {type(signer).__name__}")
        try:
            check_signer(signer.public_key)
        except DecodeError as error:
            raise ParameterError(str(error)) from None
        # A trace shows both keys to somebody who has pinned one root, and a key file holds one.
        if signer.params.root_public_key != params.root_public_key:
            raise ParameterError("signer: a key under the root of params expected")
        self._params = params
        self._usage = usage
        self._signer = signer.public_key
        self._x = group.random_scalar(random_bytes)
        self._X = comb.p1_mul(self._x).to_compressed_bytes()
        transcript = request_transcript(params.params_id, usage, self._X)
        self._signature = signature._sign_derand(signer, CONTEXT_ISSUE, transcript, random_bytes)

    @classmethod
    def _restore(
        cls, params: EpochParams, usage: Usage, x: int, signer: PublicKey, signed: bytes
    ) -> TraceableRequest | None:
        """A request out of a key file; None if the parts do not fit, so that no frame with ``x`` raises."""
        self = cls.__new__(cls)
        self._params, self._usage, self._signer, self._signature = params, usage, signer, signed
        self._x, self._X = x, comb.p1_mul(x).to_compressed_bytes()
        try:
            check_epoch(params, usage, Mode.TRACEABLE)
            check_signer(signer)
            check_request_signature(signer, params.params_id, usage, self._X, signed)
        except (SottovoceError, TypeError):
            return None
        return self

    def to_bytes(self) -> bytes:
        """The request: 342 bytes plus the length of the name; the same for one object and every server."""
        return request_bytes(self._params.params_id, self._usage, self._X, self._signer, self._signature)

    def finish(self, answer: bytes) -> SecretKey:
        """Open the answer of a single issuer and check the key; may be called again after a failure.

        That the pseudonym opens to the user's own name cannot be seen without the tracing key; if it
        opens to another, no :class:`Trace` with that name verifies.

        Args:
            answer: 178 bytes, of :meth:`Issuer.issue`.

        Returns:
            The key of the pseudonym, checked against the issuer's public key.

        Raises:
            TypeError: ``answer`` is not bytes.
            ParameterError: A threshold issuer: several answers make a key, see :meth:`combine`.
            IssueError: Not an answer to this request, or a wrong partial key.

        Timing: as :meth:`IdentityRequest.finish`.
        """
        threshold.require_single(self._params)
        body = answer_body(answer, Mode.TRACEABLE)
        if body is None:
            raise IssueError(NO_ANSWER)
        key = self._open(body)
        if key is None:
            raise IssueError(WRONG_ANSWER)  # here, where no frame holds x or D
        return key

    def combine(self, answers: Mapping[int, bytes]) -> Combined:
        """Check the answers of several servers and make the key from any ``t`` valid ones.

        A valid share under another pseudonym than that of the ``t`` is wrong too.  May be called again
        with more answers.

        Args:
            answers: Server -> its answer, 178 bytes of :meth:`Issuer.issue`.

        Returns:
            The key, and which answers are wrong.

        Raises:
            TypeError: Not a mapping of int to bytes.
            ParameterError: No such server.
            TooFewAnswers: Fewer than ``params.threshold`` are valid; names the wrong ones.

        Timing: as :meth:`IdentityRequest.combine`.
        """
        made = self._combine(threshold.bodies(self._params, answers))
        if isinstance(made, IssueError):
            raise made  # here, where no frame holds x or D
        return made

    def _public(self, identity: bytes) -> PublicKey:
        return PublicKey(self._params, self._usage, identity, self._X)

    def _open(self, body: bytes) -> SecretKey | None:
        public = self._public(body[:PSEUDONYM_BYTES])
        D = open_partial_key(public, self._x, body[PSEUDONYM_BYTES:])
        return None if D is None else SecretKey._if_fits(public, self._x, D)

    def _combine(self, bodies: Mapping[int, bytes | None]) -> Combined | IssueError:
        shares: dict[bytes, dict[int, G1]] = {}
        keys: dict[bytes, PublicKey] = {}
        for index, body in bodies.items():
            if body is None:
                continue
            identity = body[:PSEUDONYM_BYTES]
            public = keys.setdefault(identity, self._public(identity))
            D = open_partial_key(public, self._x, body[PSEUDONYM_BYTES:])
            if D is not None:
                shares.setdefault(identity, {})[index] = D
        good: list[int] = []
        valid: set[int] = set()
        for identity, points in shares.items():
            public = keys[identity]
            found, D = threshold.combine(self._params, public._Q_base.point, points)
            if D is not None:
                # At most one group has t members: 2t > n follows from q(n-f) < (q+1)(t-f).
                key = SecretKey._if_fits(public, self._x, D)
                return threshold.outcome(self._params, bodies, found, key)
            valid.update(found)
            good = max(good, found, key=len)
        # Which of several pseudonyms is the right one nobody can say yet: only bad shares are wrong.
        wrong = tuple(sorted(bodies.keys() - valid))
        return TooFewAnswers(self._params.threshold, len(good), wrong)

    def __repr__(self) -> str:
        if not hasattr(self, "_signature"):
            return "TraceableRequest(not made)"
        return f"TraceableRequest({self._usage}, {self._params!r}, for {self._signer!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a TraceableRequest is secret and cannot be pickled")
