"""What travels when a key is issued: requests, answers, and what authenticates them.

Request, mode ``identity`` (228 bytes + name)::

    suite (1) | 1 | usage (1) | params_id (32) | length of id (1) | id
    | X (48) | R (48) | z (32) | challenge (32) | token MAC (32)

Request, mode ``traceable`` (342 bytes + name)::

    suite (1) | 2 | usage (1) | params_id (32) | X (48)
    | identity key of the signer (83 + name) | signature (176)

Request, mode ``blind`` (114 bytes)::

    suite (1) | 3 | params_id (32) | B (48) | token MAC (32)

No usage in the last: ``B = b*Q`` is uniform whatever the usage hashed into ``Q``, so a usage here would
only be the client's word, and a quota counted for each usage would be twice the quota.

Answer, mode ``identity`` (114 bytes): ``suite (1) | 1 | E (48) | AES-256-GCM of D (64)``.
Answer, mode ``traceable`` (178 bytes): ``suite (1) | 2 | id (64) | E (48) | AES-256-GCM of D (64)``.
Answer, mode ``blind`` (50 bytes): ``suite (1) | 3 | C (48)``.

A server of a threshold issuer answers in the same bytes, with its share of ``D`` or ``C``.

The token never travels: it keys an HMAC over ``enc("SOTTOVOCE-V1-ISSUE", params_id, usage, X)`` or
``enc("SOTTOVOCE-V1-ISSUE", params_id, B)``; in mode ``traceable`` a signature in context ``issue`` over
the SHA-256 of the first stands in its place.  ``(R, z)`` is a Schnorr proof of ``x`` under the server's
challenge.  Where the issuer knows ``X`` the partial key comes encrypted to it (DHIES, Abdalla, Bellare,
Rogaway 2001: ``E = e*P1``, one-time key ``HKDF(e*X)`` over the transcript), so an eavesdropper of the
answer learns nothing of ``D``.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext.enc import enc
from .._ext.errors import DecodeError
from . import comb, group, hashes
from .group import RandomBytes
from .keys import BYTE_USAGE, PublicKey
from .params import Mode, Usage

if TYPE_CHECKING:
    from .group import G1

TOKEN_BYTES: Final = 32
CHALLENGE_BYTES: Final = 32
PSEUDONYM_BYTES: Final = 64
MODE_BYTE: Final = {Mode.IDENTITY: 1, Mode.TRACEABLE: 2, Mode.BLIND: 3}

_ENVELOPE_BYTES: Final = 112
BODY_BYTES: Final = {
    Mode.IDENTITY: _ENVELOPE_BYTES,
    Mode.TRACEABLE: PSEUDONYM_BYTES + _ENVELOPE_BYTES,
    Mode.BLIND: group.G1_BYTES,
}
"""Of an answer, after suite and mode."""

_SIGNATURE_BYTES: Final = 176
_NONCE: Final = bytes(12)  # every AEAD key here is used once


def token_mac(token: bytes, params_id: bytes, usage: str | None, issued: bytes) -> bytes:
    """What proves that the enrolled party asks for exactly this; ``usage`` is None in mode ``blind``."""
    return hmac.digest(token, hashes.issue_transcript(params_id, usage, issued), "sha256")


# -- requests -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """A parsed request; fields that its mode does not have are empty.

    ``usage`` is None in mode ``blind``; ``issued`` is ``X``, or ``B`` in mode ``blind``.
    """

    mode: Mode
    usage: Usage | None
    params_id: bytes
    issued: bytes
    identity: bytes = b""
    R: bytes = b""
    z: int = 0
    challenge: bytes = b""
    mac: bytes = b""
    signer: bytes = b""
    signature: bytes = b""


def parse_request(data: bytes) -> IssueRequest:
    """Read a request; points and the signer's key are not decoded yet.

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
        _expect_length(data, 114)
        return IssueRequest(Mode.BLIND, None, data[2:34], data[34:82], mac=data[82:])
    if data[1] not in MODE_BYTE.values():
        raise DecodeError(f"request: unknown mode {data[1]}")
    if data[2] not in BYTE_USAGE:
        raise DecodeError(f"request: unknown usage {data[2]}")
    usage, params_id = BYTE_USAGE[data[2]], data[3:35]
    if data[1] == MODE_BYTE[Mode.TRACEABLE]:
        if len(data) < 342:
            raise DecodeError(f"request: truncated ({len(data)} bytes)")
        _expect_length(data, 342 + data[83 + 34])  # the length byte of the signer's name
        signer, signature = data[83:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
        return IssueRequest(Mode.TRACEABLE, usage, params_id, data[35:83], signer=signer, signature=signature)
    end = 36 + data[35]
    _expect_length(data, end + 192)
    return IssueRequest(
        Mode.IDENTITY,
        usage,
        params_id,
        data[end : end + 48],
        identity=data[36:end],
        R=data[end + 48 : end + 96],
        z=group.scalar_from_bytes(data[end + 96 : end + 128], "request: z"),
        challenge=data[end + 128 : end + 160],
        mac=data[end + 160 :],
    )


def _expect_length(data: bytes, n_bytes: int) -> None:
    if len(data) != n_bytes:
        raise DecodeError(f"request: {n_bytes} bytes expected, got {len(data)}")


# -- answers ------------------------------------------------------------------------------------


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
    """The answer in modes ``identity`` and ``traceable``: ``D``, or a share of it, encrypted to ``X``."""
    e = group.random_scalar(random_bytes)
    E = comb.p1_mul(e).to_compressed_bytes()
    sealed = _envelope_key(group.g1_mul_secret(key._X, e), E, key).encrypt(
        _NONCE, D.to_compressed_bytes(), None
    )
    head = bytes([hashes.SUITE, MODE_BYTE[key.mode]])
    # In mode identity the client has chosen the name; a pseudonym it learns here.
    return head + (key.identity if key.mode is Mode.TRACEABLE else b"") + E + sealed


def open_partial_key(key: PublicKey, x: int, envelope: bytes) -> G1 | None:
    """What :func:`seal_partial_key` encrypted (112 bytes); None if it was altered or is for another key."""
    with contextlib.suppress(DecodeError, InvalidTag):
        E = group.g1_from_bytes(envelope[:48], "answer: E")
        # x meets a point that the other side chose: by a sequence of operations that is always the same.
        opened = _envelope_key(group.g1_mul_secret(E, x), envelope[:48], key)
        return group.g1_from_bytes(opened.decrypt(_NONCE, envelope[48:], None), "answer: D")
    return None


def blind_answer(C: G1) -> bytes:
    """The answer in mode ``blind``."""
    return bytes([hashes.SUITE, MODE_BYTE[Mode.BLIND]]) + C.to_compressed_bytes()


def answer_body(answer: bytes, mode: Mode) -> bytes | None:
    """What follows suite and mode; None if these bytes are no answer in this mode.

    Raises:
        TypeError: Not bytes.
    """
    if not isinstance(answer, bytes):
        raise TypeError(f"answer: bytes expected, got {type(answer).__name__}")
    if len(answer) != 2 + BODY_BYTES[mode] or answer[:2] != bytes([hashes.SUITE, MODE_BYTE[mode]]):
        return None
    return answer[2:]
