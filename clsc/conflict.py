"""Evidence against an issuer: two keys for one name, or two sets of parameters where there may be one.

An issuer can always make a second key for a name that it knows, with an ``X`` of its own.  It can sign
with it, and cannot deny it: at most ONE key is issued for each (parameters, usage, name), ever, and
nobody else can make a partial key.  So two signatures that hold under one name and two ``X`` convict it.
The first is the victim's own, who shows whatever it once signed; the second the forged one.

That is level 3 of Girault, EUROCRYPT 1991, section 2: the authority can cheat, and can be proved to.
Not in mode ``blind``, where all keys share the empty name.

``KeyConflict``::

    enc("SOTTOVOCE-V1-KEY-CONFLICT", suite, EpochParams, id,
        X (48), context, transcript (32), signature (176),
        X' (48), context', transcript' (32), signature' (176))        X < X' as bytes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from .._ext.enc import enc
from .._ext.errors import DecodeError, EvidenceError, ParameterError, SignatureError
from . import hashes, signature
from .evidence import Evidence, read_key
from .keys import PublicKey
from .params import EpochParams, Mode, Usage, read_integer, split
from .signature import SIGNATURE_BYTES

CONFLICT_TAG: Final = b"SOTTOVOCE-V1-KEY-CONFLICT"
_N_FIELDS: Final = 12
_TRANSCRIPT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """Something that a key has signed, without what it was; not checked until :func:`judge_issuer`.

    Attributes:
        key: For usage ``sign``.
        context: ``message``, ``packet`` or ``issue``.
        transcript: 32 bytes, the hash that was signed.
        signature: 176 bytes.

    Timing: holds public values only.
    Source: docs/clsc-evidence.md, "Against the issuer"; the hash: docs/clsc.md, "Signatures".
    """

    key: PublicKey
    context: str
    transcript: bytes
    signature: bytes

    @classmethod
    def of_message(cls, key: PublicKey, message: bytes, signature: bytes) -> Self:
        """From a signature of :func:`.sign`; the message itself is not kept.

        Args:
            key: Who is said to have signed.
            message: As signed, below 4 GiB.
            signature: 176 bytes; neither its length nor what it says is asked here.

        Raises:
            TypeError: Wrong types.
            ParameterError: ``message`` of 4 GiB or more.
        """
        if not isinstance(key, PublicKey):
            raise TypeError(f"key: PublicKey expected, got {type(key).__name__}")
        if not isinstance(message, bytes) or not isinstance(signature, bytes):
            raise TypeError("message, signature: bytes expected")
        return cls(key, "message", hashes.message_transcript(message), signature)

    @classmethod
    def of_evidence(cls, evidence: Evidence) -> Self:
        """From evidence of any strength; nothing that opens the packet is kept.

        Args:
            evidence: Of a packet; its ``sender`` is who is said to have signed.

        Raises:
            TypeError: Not an Evidence.
        """
        if not isinstance(evidence, Evidence):
            raise TypeError(f"evidence: Evidence expected, got {type(evidence).__name__}")
        return cls(evidence.sender, "packet", evidence._transcript(), evidence.signature)


@dataclass(frozen=True, slots=True, init=False)
class KeyConflict:
    """Two statements under one name and two ``X``; well-formed, believed only by :func:`judge_issuer`.

    Attributes:
        first: The one whose ``X`` is smaller as bytes.
        second: The other.

    Timing: variable, of public data only.
    Source: Girault, EUROCRYPT 1991, section 2, level 3; docs/clsc-evidence.md, "Against the issuer".
    """

    first: SignedStatement
    second: SignedStatement

    def __init__(self, one: SignedStatement, other: SignedStatement) -> None:
        """Put two statements side by side, in any order.

        Args:
            one: A statement under a key of mode ``identity`` or ``traceable``.
            other: Another, under the same parameters and name and with another ``X``.

        Raises:
            TypeError: Wrong types.
            ParameterError: They are no conflict: another epoch, name or usage, the same ``X``, or mode
                ``blind``; or a signature or transcript has a wrong length.
        """
        for name, statement in (("one", one), ("other", other)):
            if not isinstance(statement, SignedStatement):
                raise TypeError(f"{name}: SignedStatement expected, got {type(statement).__name__}")
            if statement.key.usage is not Usage.SIGN or statement.context not in signature.CONTEXTS:
                raise ParameterError(f"{name}: a key for usage sign, and a context of signatures, expected")
            lengths = (len(statement.transcript), len(statement.signature))
            if lengths != (_TRANSCRIPT_BYTES, SIGNATURE_BYTES):
                raise ParameterError(f"{name}: a transcript of 32 and a signature of 176 bytes expected")
        a, b = one.key, other.key
        if a.mode is Mode.BLIND or (a.params, a.identity) != (b.params, b.identity) or a.X == b.X:
            raise ParameterError("one, other: one name of one epoch, not blind, and two X expected")
        first, second = sorted((one, other), key=lambda statement: statement.key.X)
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "second", second)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a conflict; no root key is needed to read, only to judge.

        Args:
            data: What :meth:`to_bytes` gave.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Not the canonical encoding of a well-formed conflict.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"conflict: bytes expected, got {type(data).__name__}")
        fields = split(data, "conflict", at_most=_N_FIELDS)
        if len(fields) != _N_FIELDS or fields[0] != CONFLICT_TAG:
            raise DecodeError("conflict: not a conflict of keys")
        if read_integer(fields[1], "conflict: suite") != hashes.SUITE:
            raise DecodeError(f"conflict: suite {hashes.SUITE} expected")
        statements = []
        for X, context, transcript, signed in (fields[4:8], fields[8:12]):
            key = read_key(Usage.SIGN, fields[2], fields[3], X)
            if not context.isascii():
                raise DecodeError("conflict: unknown context")
            statements.append(SignedStatement(key, context.decode("ascii"), transcript, signed))
        try:
            conflict = cls(*statements)
        except ParameterError as error:
            raise DecodeError(f"conflict: {error}") from None
        if conflict.first is not statements[0]:
            raise DecodeError("conflict: the smaller X comes first")
        return conflict

    def to_bytes(self) -> bytes:
        """``enc(...)`` of the fields in docs/clsc-evidence.md, "Against the issuer".

        593 bytes, and parameters, name and two contexts.
        """
        key = self.first.key
        fields: list[bytes | str | int] = [CONFLICT_TAG, hashes.SUITE, key.params.to_bytes(), key.identity]
        for part in (self.first, self.second):
            fields += [part.key.X, part.context, part.transcript, part.signature]
        return enc(*fields)


def judge_issuer(conflict: KeyConflict, root_public_key: bytes) -> None:
    """Return if the conflict convicts the issuer: one name, two keys, both of which have signed.

    Convinces anybody who pinned the root key; needs no secret.  It convicts whoever issues in this epoch as a
    whole: with a threshold issuer more than ``corrupted`` of its servers.  It does not say which of the two
    keys was there first.

    Args:
        conflict: Two statements.
        root_public_key: 32 bytes, the issuer's pinned root key.

    Raises:
        TypeError: Wrong types.
        SignatureError: A signature does not hold, or the parameters are another root's.

    Timing: variable, of public data only.
    Source: Girault, EUROCRYPT 1991, section 2, level 3; Al-Riyami and Paterson, ASIACRYPT 2003, section 5.1;
        docs/clsc-security.md, "9. Evidence and conviction".
    """
    if not isinstance(conflict, KeyConflict):
        raise TypeError(f"conflict: KeyConflict expected, got {type(conflict).__name__}")
    if not isinstance(root_public_key, bytes):
        raise TypeError(f"root_public_key: bytes expected, got {type(root_public_key).__name__}")
    if conflict.first.key.params.root_public_key != root_public_key:
        raise SignatureError("conflict: the parameters are signed by another root key")
    for part in (conflict.first, conflict.second):
        if not signature._parse(part.key, part.context, part.transcript, part.signature).holds():
            raise SignatureError(f"conflict: the signature under X = {part.key.X.hex()} does not verify")


def judge_params(first: bytes, second: bytes, root_public_key: bytes) -> tuple[EpochParams, EpochParams]:
    """Return if two sets of parameters convict the root key that signed both.

    There may be one set for each (mode, epoch), and one (mode, epoch) for each ``Y``; an issuer that
    shows different ones marks its clients.  :class:`.ParamsConflict` carries such a pair.

    Args:
        first: Signed bytes of an :class:`EpochParams`, as :meth:`EpochParams.to_bytes` gives them.
        second: Of another.
        root_public_key: 32 bytes, the issuer's pinned root key.

    Returns:
        Both parameters, read.

    Raises:
        TypeError: An argument is not bytes.
        ParameterError: ``root_public_key`` is not 32 bytes.
        DecodeError: One is not well-formed, or not signed by this root key.
        EvidenceError: Both are, and there is nothing wrong with that.

    Timing: variable, of public data only.
    Source: docs/clsc-evidence.md, "Against the issuer"; docs/clsc.md, "Epochs, modes, trust".
    """
    a, b = (EpochParams.from_bytes(data, root_public_key) for data in (first, second))
    same_epoch = (a.mode, a.epoch) == (b.mode, b.epoch)
    if a.params_id == b.params_id or not (same_epoch or a.Y == b.Y):
        raise EvidenceError("params: no conflict: another mode or epoch with another Y, or the same")
    return a, b
