"""Mode ``traceable``: pseudonyms that the issuer makes, and that it can open again.

A pseudonym is ``id = N || C``, 64 bytes::

    N (16) = HKDF(tracing key, info = enc("SOTTOVOCE-V1-PSEUDONYM", params_id, usage, X, name))
    C (48) = AES-SIV(tracing key, associated data params_id, usage, N; length (1) | name | zeros: 32 bytes)

Without the tracing key both halves look random, and two pseudonyms of one person have nothing in
common.  With it anybody can open them, so it is a secret of its own, independent of the master secret:
whoever traces need not be able to issue.

``N`` is pseudorandom instead of random because the servers of a threshold issuer must all give the same
pseudonym, each by itself; with random bytes one of them would have to choose for the others.  Nobody
without the key can tell the difference, and nothing depends on it: what opens a pseudonym is ``C``.

That a pseudonym opens to a name is only the issuer's word: it can make one for any name.  So the user
signs the request, ``(params_id, usage, X)`` in context ``issue``, by its key of mode ``identity``, and a
:class:`Trace` shows that signature: only who holds the key of the name could make it, for exactly the
``X`` that every signature under the pseudonym verifies with.

Wire format of :class:`Trace` (406 bytes + name)::

    pseudonym's public key (147) | identity key of the signer (83 + name) | signature (176)

Source: AES-SIV, RFC 5297 (Rogaway and Shrimpton, EUROCRYPT 2006).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from .._ext.enc import enc, sha256_enc
from .._ext.errors import DecodeError, ParameterError, SenderError, SignatureError
from . import hashes
from . import signature as signatures
from .issue_wire import MODE_BYTE, PSEUDONYM_BYTES
from .keys import USAGE_BYTE, PublicKey
from .params import Mode, Usage
from .signature import SIGNATURE_BYTES

if TYPE_CHECKING:
    from .trust import TrustStore

TRACING_KEY_BYTES: Final = 64
MAX_TRACEABLE_NAME_BYTES: Final = 31
"""A pseudonym has room for one length byte and 31 bytes of name."""

_N_BYTES: Final = 16
_ROOM_BYTES: Final = 32
_PSEUDONYM_KEY_BYTES: Final = 83 + PSEUDONYM_BYTES
CONTEXT_ISSUE: Final = "issue"


def request_transcript(params_id: bytes, usage: str, X: bytes) -> bytes:
    """What the signer of a traceable request signs: exactly what is issued.  32 bytes."""
    return sha256_enc("SOTTOVOCE-V1-ISSUE", params_id, usage, X)


def request_bytes(params_id: bytes, usage: Usage, X: bytes, signer: PublicKey, signed: bytes) -> bytes:
    """A traceable request: 342 bytes plus the length of the name."""
    head = bytes([hashes.SUITE, MODE_BYTE[Mode.TRACEABLE], USAGE_BYTE[usage]])
    return head + params_id + X + signer.to_bytes() + signed


def check_signer(signer: PublicKey) -> None:
    """Hold the rules for the key that signs traceable requests.

    Raises:
        DecodeError: Not a signing key of mode ``identity``, or the name is longer than 31 bytes.
    """
    if signer.mode is not Mode.IDENTITY or signer.usage is not Usage.SIGN:
        raise DecodeError("signer: a key of mode identity for usage sign expected")
    if len(signer.identity) > MAX_TRACEABLE_NAME_BYTES:
        raise DecodeError(f"signer: a name of at most {MAX_TRACEABLE_NAME_BYTES} bytes expected")


def check_request_signature(signer: PublicKey, params_id: bytes, usage: str, X: bytes, data: bytes) -> None:
    """Check that ``signer`` asked for exactly this.

    Raises:
        SignatureError: The signature does not hold, or is malformed.
    """
    transcript = request_transcript(params_id, usage, X)
    if not signatures._parse(signer, CONTEXT_ISSUE, transcript, data).holds():
        raise SignatureError


# -- the key ------------------------------------------------------------------------------------


class TracingKey:
    """Makes and opens the pseudonyms of one epoch.  SECRET.

    Draw a new one for every epoch: whoever gets it opens all pseudonyms made with it.  The servers of a
    threshold issuer share one, so each of them can trace.

    Threads: safe.  Cannot be pickled; ``repr`` shows nothing of it.

    Timing: AES-SIV and HMAC are OpenSSL's; how long a name is may show in Python.
    Source: AES-SIV, RFC 5297, section 2 (Rogaway and Shrimpton, EUROCRYPT 2006); HKDF, RFC 5869;
        docs/clsc-issuing.md, "Pseudonyms that the issuer can open".
    """

    __slots__ = ("_key",)

    _key: bytes

    def __init__(self, key: bytes) -> None:
        """Use :meth:`generate`; this is for whoever stored the key.

        Args:
            key: 64 random bytes.  SECRET.

        Raises:
            TypeError: Not bytes.
            ParameterError: Another length.
        """
        kind, length = type(key).__name__, len(key) if isinstance(key, bytes) else None
        if length == TRACING_KEY_BYTES:
            object.__setattr__(self, "_key", key)
        del key  # a traceback keeps the variables of the frame that raises
        if length is None:
            raise TypeError(f"key: bytes expected, got {kind}")
        if length != TRACING_KEY_BYTES:
            raise ParameterError(f"key: {TRACING_KEY_BYTES} bytes expected, got {length}")

    @classmethod
    def generate(cls) -> Self:
        """A fresh key from the operating system's randomness."""
        return cls(os.urandom(TRACING_KEY_BYTES))

    def _pseudonym(self, params_id: bytes, usage: str, X: bytes, name: bytes) -> bytes:
        """The 64 bytes for a name of 1 to 31; the same arguments give the same."""
        assert 1 <= len(name) <= MAX_TRACEABLE_NAME_BYTES
        info = enc("SOTTOVOCE-V1-PSEUDONYM", params_id, usage, X, name)
        # HMAC-SHA-256 and AES-256 under one key: unrelated functions, and AES-SIV is given this very
        # key by the specification.
        N = hashes.hkdf(self._key, b"", info, _N_BYTES)
        room = (bytes([len(name)]) + name).ljust(_ROOM_BYTES, b"\0")
        return N + AESSIV(self._key).encrypt(room, [params_id, usage.encode("ascii"), N])

    def _name(self, params_id: bytes, usage: str, identity: bytes) -> bytes | None:
        """The name in a pseudonym, or None if this key did not make it for these parameters."""
        N, C = identity[:_N_BYTES], identity[_N_BYTES:]
        try:
            room = AESSIV(self._key).decrypt(C, [params_id, usage.encode("ascii"), N])
        except InvalidTag:
            return None
        name, rest = room[1 : 1 + room[0]], room[1 + room[0] :]
        # Another server that holds the key may have filled the room otherwise.
        if not 1 <= room[0] <= MAX_TRACEABLE_NAME_BYTES or any(rest):
            return None
        return name

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("TracingKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("TracingKey is immutable")

    def __repr__(self) -> str:
        return "TracingKey()"

    def __reduce__(self) -> Any:
        raise TypeError("a TracingKey is secret and cannot be pickled")


# -- the trace ----------------------------------------------------------------------------------


class Trace:
    """Who is behind a pseudonym, with that person's own signature for it.  Public; immutable.

    Well-formed as soon as it exists; whether it holds is what :meth:`verify` says.

    Attributes:
        pseudonym: The key that was traced.
        signer: The identity key that asked for it; its ``identity`` is the name.
        signature: 176 bytes, in context ``issue`` over ``(params_id, usage, X)`` of the pseudonym.

    Threads: safe.  May be pickled.

    Timing: variable, of what it shows; no key is used.
    Source: docs/clsc-issuing.md, "Pseudonyms that the issuer can open"; docs/clsc-security.md, "9. Evidence
        and conviction".
    """

    __slots__ = ("pseudonym", "signature", "signer")

    pseudonym: PublicKey
    signer: PublicKey
    signature: bytes

    def __init__(self, pseudonym: PublicKey, signer: PublicKey, signature: bytes) -> None:
        """Put the parts together.

        Args:
            pseudonym: A key of mode ``traceable``.
            signer: A key of mode ``identity`` for usage ``sign``, with a name of 1 to 31 bytes.
            signature: 176 bytes; what it says is asked by :meth:`verify`.

        Raises:
            TypeError: Wrong types.
            DecodeError: ``pseudonym`` is not of mode ``traceable``, ``signer`` not a signing key of mode
                ``identity`` with a name of at most 31 bytes, or ``signature`` not of 176 bytes.
        """
        if not isinstance(pseudonym, PublicKey) or not isinstance(signer, PublicKey):
            raise TypeError("pseudonym, signer: PublicKey expected")
        if not isinstance(signature, bytes):
            raise TypeError(f"signature: bytes expected, got {type(signature).__name__}")
        if pseudonym.mode is not Mode.TRACEABLE:
            raise DecodeError(f"pseudonym: mode {Mode.TRACEABLE} expected, got {pseudonym.mode}")
        check_signer(signer)
        if len(signature) != SIGNATURE_BYTES:
            raise DecodeError(f"signature: {SIGNATURE_BYTES} bytes expected, got {len(signature)}")
        set_ = object.__setattr__
        set_(self, "pseudonym", pseudonym)
        set_(self, "signer", signer)
        set_(self, "signature", signature)

    @property
    def name(self) -> bytes:
        """1 to 31 bytes: who asked."""
        return self.signer.identity

    @property
    def request(self) -> bytes:
        """The request as it was signed and sent: 342 bytes plus the length of the name."""
        key = self.pseudonym
        return request_bytes(key.params.params_id, key.usage, key.X, self.signer, self.signature)

    def to_bytes(self) -> bytes:
        """406 bytes plus the length of the name."""
        return self.pseudonym.to_bytes() + self.signer.to_bytes() + self.signature

    @classmethod
    def from_bytes(cls, data: bytes, trust: TrustStore) -> Self:
        """Read a trace whose two parameters ``trust`` knows.  :meth:`verify` it before you believe it.

        Args:
            data: What :meth:`to_bytes` gave.
            trust: Knows the parameters of the pseudonym and those of the signer.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Not the canonical encoding of a well-formed trace.
            SenderError: ``trust`` does not know the parameters.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"trace: bytes expected, got {type(data).__name__}")
        if len(data) < _PSEUDONYM_KEY_BYTES + 83 + SIGNATURE_BYTES:
            raise DecodeError(f"trace: truncated ({len(data)} bytes)")
        return cls(
            PublicKey.from_bytes(data[:_PSEUDONYM_KEY_BYTES], trust),
            PublicKey.from_bytes(data[_PSEUDONYM_KEY_BYTES:-SIGNATURE_BYTES], trust),
            data[-SIGNATURE_BYTES:],
        )

    def verify(self, trust: TrustStore) -> None:
        """Return if the holder of the signer's key asked for exactly this pseudonym key.

        Needs no secret.  What convicts is the chain: a signature under the pseudonym verifies with its
        ``X``, and the name has signed that ``X``.  Validity in time and revocation are not asked, as
        traces are looked at long after; a pinned key is: an issuer can make a NEW key for any name and
        sign with that, so compare ``signer.X`` with the key that the name is known by.

        Args:
            trust: Of the same root, with the signer's pin if there is one.

        Raises:
            SenderError: Parameters unknown, or the name is pinned to another key.
            SignatureError: The signature does not hold.
        """
        _check_trust(self.pseudonym, trust)
        _check_trust(self.signer, trust)
        key = self.pseudonym
        check_request_signature(self.signer, key.params.params_id, key.usage, key.X, self.signature)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Trace is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Trace is immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and other.to_bytes() == self.to_bytes()

    def __hash__(self) -> int:
        return hash((self.pseudonym, self.signer))

    def __repr__(self) -> str:
        if not hasattr(self, "signature"):
            return "Trace(not made)"
        return f"Trace({self.pseudonym!r} was asked for by {self.signer!r})"

    def __reduce__(self) -> Any:
        return Trace, (self.pseudonym, self.signer, self.signature)


def _check_trust(key: PublicKey, trust: TrustStore) -> None:
    """Raises SenderError unless ``trust`` knows the parameters and pins no other ``X`` to the name."""
    params = trust.get(key.params.params_id)
    for known in trust.known_keys:
        same_name = (known.params, known.usage, known.identity) == (params, key.usage, key.identity)
        if same_name and known.X != key.X:
            raise SenderError("public key: the name is pinned to another key")
