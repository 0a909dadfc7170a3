"""The user's side of issuing, and the wire formats of both sides.

Request, mode ``identity`` (230 bytes + name)::

    suite (1) | 1 | usage (1) | params_id (32) | length of id (1) | id
    | X (48) | R (48) | z (32) | challenge (32) | token MAC (32)

Request, mode ``blind`` (114 bytes)::

    suite (1) | 3 | params_id (32) | B (48) | token MAC (32)

No usage in it: ``B = b*Q`` is uniform whatever the usage hashed into ``Q``, so a usage here would only
be the client's word, and a quota counted for each usage would be twice the quota.

Answer, mode ``identity`` (114 bytes): ``suite (1) | 1 | E (48) | AES-256-GCM of D (64)``.
Answer, mode ``blind`` (50 bytes): ``suite (1) | 3 | C (48)``.

The token never travels: it keys an HMAC over ``enc("SOTTOVOCE-V1-ISSUE", params_id, usage, X)`` or
``enc("SOTTOVOCE-V1-ISSUE", params_id, B)``.
``(R, z)`` is a Schnorr proof of ``x`` under the server's challenge.  In mode ``identity`` the partial
key comes encrypted to ``X`` (DHIES, Abdalla, Bellare, Rogaway 2001: ``E = e*P1``, one-time key
``HKDF(e*X)`` over the transcript), so an eavesdropper of the answer learns nothing.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import enc
from .._ext.errors import DecodeError, IssueError, ParameterError
from . import comb, group, hashes
from .group import ORDER, RandomBytes
from .keys import BYTE_USAGE, USAGE_BYTE, PublicKey, SecretKey
from .params import EpochParams, Mode, Usage

if TYPE_CHECKING:
    from .group import G1

TOKEN_BYTES: Final = 32
CHALLENGE_BYTES: Final = 32
MODE_BYTE: Final = {Mode.IDENTITY: 1, Mode.TRACEABLE: 2, Mode.BLIND: 3}
_NONCE: Final = bytes(12)  # every AEAD key here is used once
_WRONG_ANSWER: Final = "answer: not the answer to this request, or a wrong partial key"


def token_mac(token: bytes, params_id: bytes, usage: str | None, issued: bytes) -> bytes:
    """What proves that the enrolled party asks for exactly this; ``usage`` is None in mode ``blind``."""
    return hmac.digest(token, hashes.issue_transcript(params_id, usage, issued), "sha256")


# -- proof of possession ------------------------------------------------------------------------


def _pop_challenge(params_id: bytes, usage: str, identity: bytes, X: bytes, R: bytes, nonce: bytes) -> int:
    message = enc("SOTTOVOCE-V1-POP", params_id, usage, identity, X, R, nonce)
    return hashes.hash_to_scalar("SOTTOVOCE-V1-POP", message)


def _prove(
    x: int, key: PublicKey, challenge: bytes, random_bytes: RandomBytes = os.urandom
) -> tuple[bytes, int]:
    info = enc("SOTTOVOCE-V1-POP-NONCE", key.params.params_id, key.usage, key.identity, key.X, challenge)
    while True:
        material = hashes.hkdf(group.scalar_to_bytes(x), random_bytes(32), info, 48)
        rho = int.from_bytes(material, "big") % ORDER
        if not rho:
            continue
        R = comb.p1_mul(rho).to_compressed_bytes()
        c = _pop_challenge(key.params.params_id, key.usage, key.identity, key.X, R, challenge)
        z = (rho + c * x) % ORDER
        if z:
            return R, z


def check_possession(request: IssueRequest, key: PublicKey) -> None:
    """Verify the Schnorr proof of an identity request for ``key``.

    Raises:
        IssueError: It does not hold.
    """
    c = _pop_challenge(key.params.params_id, key.usage, key.identity, key.X, request.R, request.challenge)
    R = group.g1_from_bytes(request.R, "request: R")
    if group.g1_msm_vartime([group.P1, key._X], [request.z, -c % ORDER]) != R:
        raise IssueError("issue: the proof of possession does not hold")


# -- requests on the wire -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """A parsed request; in mode ``blind`` without usage, and ``R, z, challenge`` are empty."""

    mode: Mode
    usage: Usage | None
    params_id: bytes
    identity: bytes
    issued: bytes
    R: bytes
    z: int
    challenge: bytes
    mac: bytes


def parse_request(data: bytes) -> IssueRequest:
    """Read a request; points are not decoded yet.

    Raises:
        TypeError: Not bytes.
        DecodeError: Not a request.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"request: bytes expected, got {type(data).__name__}")
    if len(data) < 36:
        raise DecodeError(f"request: truncated ({len(data)} bytes)")
    if data[0] != hashes.SUITE:
        raise DecodeError(f"request: suite {hashes.SUITE} expected, got {data[0]}")
    if data[1] == MODE_BYTE[Mode.BLIND]:
        if len(data) != 114:
            raise DecodeError(f"request: 114 bytes expected, got {len(data)}")
        return IssueRequest(Mode.BLIND, None, data[2:34], b"", data[34:82], b"", 0, b"", data[82:])
    if data[1] == MODE_BYTE[Mode.IDENTITY]:
        if data[2] not in BYTE_USAGE:
            raise DecodeError(f"request: unknown usage {data[2]}")
        end = 36 + data[35]
        if len(data) != end + 192:
            raise DecodeError(f"request: {end + 192} bytes expected, got {len(data)}")
        return IssueRequest(
            Mode.IDENTITY,
            BYTE_USAGE[data[2]],
            data[3:35],
            data[36:end],
            data[end : end + 48],
            data[end + 48 : end + 96],
            group.scalar_from_bytes(data[end + 96 : end + 128], "request: z"),
            data[end + 128 : end + 160],
            data[end + 160 :],
        )
    raise DecodeError(f"request: unknown mode {data[1]}")


# -- the envelope of D --------------------------------------------------------------------------


def _envelope_key(shared: G1, E: bytes, key: PublicKey) -> AESGCM:
    info = enc(
        "SOTTOVOCE-V1-ISSUE-ENVELOPE",
        hashes.SUITE,
        key.params.params_id,
        key.usage,
        key.identity,
        key.X,
        E,
    )
    return AESGCM(hashes.hkdf(shared.to_compressed_bytes(), b"", info, 32))


def seal_partial_key(key: PublicKey, D: G1, random_bytes: RandomBytes = os.urandom) -> bytes:
    """The answer in mode ``identity``: ``D`` encrypted to ``X``."""
    e = group.random_scalar(random_bytes)
    E = comb.p1_mul(e).to_compressed_bytes()
    sealed = _envelope_key(group.g1_mul_secret(key._X, e), E, key).encrypt(
        _NONCE, D.to_compressed_bytes(), None
    )
    return bytes([hashes.SUITE, MODE_BYTE[Mode.IDENTITY]]) + E + sealed


def blind_answer(C: G1) -> bytes:
    """The answer in mode ``blind``."""
    return bytes([hashes.SUITE, MODE_BYTE[Mode.BLIND]]) + C.to_compressed_bytes()


def _answer_body(answer: bytes, mode: Mode, n_bytes: int) -> bytes:
    if not isinstance(answer, bytes):
        raise TypeError(f"answer: bytes expected, got {type(answer).__name__}")
    if len(answer) != n_bytes or answer[:2] != bytes([hashes.SUITE, MODE_BYTE[mode]]):
        raise IssueError("answer: not the answer to such a request")
    return answer[2:]


def _check_arguments(params: EpochParams, usage: Usage, token: bytes, mode: Mode) -> None:
    if not isinstance(params, EpochParams):
        raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
    if not isinstance(usage, Usage):
        raise TypeError(f"usage: Usage expected, got {type(usage).__name__}")
    if not isinstance(token, bytes):
        raise TypeError(f"token: bytes expected, got {type(token).__name__}")
    if params.mode is not mode:
        raise ParameterError(f"params: mode {mode} expected, got {params.mode}")
    if len(token) != TOKEN_BYTES:
        raise ParameterError(f"token: {TOKEN_BYTES} bytes expected, got {len(token)}")


# -- the user's objects -------------------------------------------------------------------------


class IdentityRequest:
    """Ask for a key under one's own long-lived name.  Holds the fresh ``x``: SECRET.

    Args:
        params: Parameters of an ``identity`` epoch.
        usage: ``sign`` or ``decrypt``.
        identity: 1 to 64 bytes; the name that the issuer enrolled.
        token: 32 bytes, from enrolment; never sent.

    Raises:
        ParameterError: Parameters of another mode, or a wrong length.
    """

    __slots__ = ("_token", "_x", "public_key")

    public_key: PublicKey

    def __init__(self, params: EpochParams, usage: Usage, identity: bytes, token: bytes) -> None:
        self._init(params, usage, identity, token, os.urandom)

    @classmethod
    def _derand(
        cls, params: EpochParams, usage: Usage, identity: bytes, token: bytes, random_bytes: RandomBytes
    ) -> IdentityRequest:
        self = cls.__new__(cls)
        self._init(params, usage, identity, token, random_bytes)
        return self

    def _init(
        self, params: EpochParams, usage: Usage, identity: bytes, token: bytes, random_bytes: RandomBytes
    ) -> None:
        _check_arguments(params, usage, token, Mode.IDENTITY)
        if not isinstance(identity, bytes):
            raise TypeError(f"identity: bytes expected, got {type(identity).__name__}")
        if not 1 <= len(identity) <= 64:
            raise ParameterError(f"identity: 1 to 64 bytes expected, got {len(identity)}")
        self._token = token
        self._x = group.random_scalar(random_bytes)
        self.public_key = PublicKey(params, usage, identity, comb.p1_mul(self._x).to_compressed_bytes())

    def to_bytes(self, challenge: bytes) -> bytes:
        """The request, proving possession of ``x`` under the issuer's challenge (32 bytes).

        May be called again with a fresh challenge, when the first answer was lost.
        """
        return self._to_bytes_derand(challenge, os.urandom)

    def _to_bytes_derand(self, challenge: bytes, random_bytes: RandomBytes) -> bytes:
        if not isinstance(challenge, bytes):
            raise TypeError(f"challenge: bytes expected, got {type(challenge).__name__}")
        if len(challenge) != CHALLENGE_BYTES:
            raise ParameterError(f"challenge: {CHALLENGE_BYTES} bytes expected, got {len(challenge)}")
        key = self.public_key
        params_id, name = key.params.params_id, key.identity
        R, z = _prove(self._x, key, challenge, random_bytes)
        head = bytes([hashes.SUITE, MODE_BYTE[Mode.IDENTITY], USAGE_BYTE[key.usage]]) + params_id
        proof = R + group.scalar_to_bytes(z) + challenge
        mac = token_mac(self._token, params_id, key.usage, key.X)
        return head + bytes([len(name)]) + name + key.X + proof + mac

    def finish(self, answer: bytes) -> SecretKey:
        """Open the answer and check the key; may be called again after a failure.

        Raises:
            TypeError: ``answer`` is not bytes.
            IssueError: Not an answer to this request, or a wrong partial key.
        """
        key = self._open(_answer_body(answer, Mode.IDENTITY, 114))
        if key is None:
            raise IssueError(_WRONG_ANSWER)  # here, where no frame holds x or D
        return key

    def _open(self, body: bytes) -> SecretKey | None:
        with contextlib.suppress(DecodeError, InvalidTag):
            E = group.g1_from_bytes(body[:48], "answer: E")
            # x meets a point that the other side chose: blinded.
            key = _envelope_key(group.g1_mul_secret(E, self._x), body[:48], self.public_key)
            D = group.g1_from_bytes(key.decrypt(_NONCE, body[48:], None), "answer: D")
            return SecretKey._if_fits(self.public_key, self._x, D)
        return None

    def __repr__(self) -> str:
        return f"IdentityRequest(for {getattr(self, 'public_key', None)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("an IdentityRequest is secret and cannot be pickled")


class BlindRequest:
    """Ask for a key under a pseudonym that the issuer never sees.  Holds ``x`` and ``b``: SECRET.

    The issuer sees ``B = b*Q`` and answers ``s*B``; both are uniform and independent of the
    pseudonym (Boldyreva 2003).  It learns who asked and when, not which key came of it, and not even
    its usage: one unit of quota is one key of either usage.

    Args:
        params: Parameters of a ``blind`` epoch.
        usage: ``sign`` or ``decrypt``; hashed into the key, never sent.
        token: 32 bytes, from enrolment; never sent.

    Raises:
        ParameterError: Parameters of another mode, or a wrong length.
    """

    __slots__ = ("_B", "_b", "_public_key", "_token", "_x")

    def __init__(self, params: EpochParams, usage: Usage, token: bytes) -> None:
        self._init(params, usage, token, os.urandom)

    @classmethod
    def _derand(
        cls, params: EpochParams, usage: Usage, token: bytes, random_bytes: RandomBytes
    ) -> BlindRequest:
        self = cls.__new__(cls)
        self._init(params, usage, token, random_bytes)
        return self

    def _init(self, params: EpochParams, usage: Usage, token: bytes, random_bytes: RandomBytes) -> None:
        _check_arguments(params, usage, token, Mode.BLIND)
        self._token = token
        self._x = group.random_scalar(random_bytes)
        self._public_key = PublicKey(params, usage, b"", comb.p1_mul(self._x).to_compressed_bytes())
        self._b = group.random_scalar(random_bytes)
        self._B = self._public_key._Q_base.mul(self._b).to_compressed_bytes()

    def to_bytes(self) -> bytes:
        """The request: 114 bytes, always the same for one object."""
        params_id = self._public_key.params.params_id
        head = bytes([hashes.SUITE, MODE_BYTE[Mode.BLIND]]) + params_id
        return head + self._B + token_mac(self._token, params_id, None, self._B)

    def finish(self, answer: bytes) -> SecretKey:
        """Unblind the answer and check the key; may be called again after a failure.

        Raises:
            TypeError: ``answer`` is not bytes.
            IssueError: Not an answer to this request, or a wrong partial key.
        """
        key = self._open(_answer_body(answer, Mode.BLIND, 50))
        if key is None:
            raise IssueError(_WRONG_ANSWER)  # here, where no frame holds x or D
        return key

    def _open(self, body: bytes) -> SecretKey | None:
        with contextlib.suppress(DecodeError):
            C = group.g1_from_bytes(body, "answer: C")
            D = group.g1_mul_secret(C, group.inverse_secret(self._b))
            return SecretKey._if_fits(self._public_key, self._x, D)
        return None

    def __repr__(self) -> str:
        if not hasattr(self, "_public_key"):
            return "BlindRequest(not made)"
        return f"BlindRequest({self._public_key.usage}, {self._public_key.params!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a BlindRequest is secret and cannot be pickled")
