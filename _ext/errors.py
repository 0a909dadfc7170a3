"""The exceptions of sottovoce.

Wrong Python types raise the builtin :class:`TypeError`; everything else that a caller can meet is
below :class:`SottovoceError`.  Errors are *detailed on the public side of a secret and silent on the
other*: decoding public bytes says what is wrong and where, but once a secret key was used there is
one class, one message and no ``__cause__``, so that an error is never an oracle.  No message ever
contains a secret, a plaintext or a value of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class SottovoceError(Exception):
    """Base of all exceptions of this library; never raised itself."""


class ParameterError(SottovoceError, ValueError):
    """The caller's own argument is impossible.  Says its name, what was expected and what came."""


class RangeError(ParameterError):
    """A number exceeds an encoding or headroom bound.  Says the index and the bound, not the value."""


class DecodeError(SottovoceError, ValueError):
    """Bytes are not the canonical encoding of a valid object."""


class UnsigncryptError(SottovoceError):
    """A packet cannot be opened: not for this key, altered, malformed, or another context.

    Always the same message, because a secret key was used.
    """

    def __init__(self) -> None:
        super().__init__("packet is not for this key and context, or was altered")

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()  # else a worker process could not hand it back


class SenderError(SottovoceError):
    """A packet was opened, but its sender is not acceptable: mode rule, parameters, revocation,
    padding or signature."""


class SignatureError(SottovoceError):
    """A signature does not verify.

    Attributes:
        bad_indices: For a batch, the exact indices that failed, from 0, ascending; else empty.
    """

    def __init__(self, message: str = "signature does not verify", bad_indices: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.bad_indices = bad_indices


class EvidenceError(SottovoceError):
    """A judge finds the signature good, and something else that the evidence claims untrue: its content key,
    the packet shown beside it, or whom a slot was addressed to."""


class IssueError(SottovoceError):
    """A key request or the answer to one is refused: quota, authentication, proof or a wrong answer."""


class TooFewAnswers(IssueError):
    """Fewer valid answers of a threshold issuer than are needed.

    Attributes:
        needed: Valid answers needed.
        present: Valid answers that were given.
        wrong: Servers whose answers were wrong, ascending.
    """

    _what: ClassVar[str] = "answers"

    def __init__(self, needed: int, present: int, wrong: tuple[int, ...]) -> None:
        named = f"; wrong from servers {', '.join(map(str, wrong))}" if wrong else ""
        super().__init__(f"{needed} valid {self._what} needed, {present} present{named}")
        self.needed = needed
        self.present = present
        self.wrong = wrong

    def __reduce__(self) -> tuple[type, tuple[int, int, tuple[int, ...]]]:
        return type(self), (self.needed, self.present, self.wrong)


class TooFewAdmissions(TooFewAnswers):
    """Fewer servers of a threshold issuer have admitted a request than are needed for an answer.

    Attributes:
        needed: Valid acknowledgements of different servers needed.
        present: Valid ones that were shown.
        wrong: Servers whose acknowledgements were wrong, ascending.
    """

    _what = "admissions"


class KeyFileError(SottovoceError):
    """A key file does not open: wrong passphrase, altered, or not a valid key.

    Always the same message, because the passphrase was used.
    """

    def __init__(self) -> None:
        super().__init__("key file: wrong passphrase, or the file was altered")

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()


class StoreError(SottovoceError):
    """What a role must not forget cannot be kept or read: its file is another program's, of a newer version,
    readable by others, damaged, locked, or older than what is known to have left.  Nothing leaves."""


class RegistryError(StoreError):
    """An issuer's registry file cannot be used: another program's, of a newer version, readable by others,
    damaged, locked, or older than what it is known to have answered.  No answer leaves."""


class ProofError(SottovoceError):
    """A key share does not match the proof that its sender published.

    Attributes:
        committed: Whether it is the very share that the proof commits to.  Then it convicts its sender
            to anybody, together with the sender's signature of the proof; otherwise whoever shows it may
            have made it up, and only the sender's signed packet with the share in it convicts.
    """

    def __init__(self, message: str = "key share does not match the proof", committed: bool = False) -> None:
        super().__init__(message)
        self.committed = committed


class DkgError(SottovoceError):
    """A key generation among servers: a message is refused, a step comes out of turn, or the run failed.

    Attributes:
        culprits: Where the run failed: the reason for each server that is to blame, by index.  Empty
            where only one message or call was refused, which changes nothing.
    """

    def __init__(self, message: str, culprits: Mapping[int, str] | None = None) -> None:
        super().__init__(message)
        self.culprits = dict(culprits or {})

    def __reduce__(self) -> tuple[type, tuple[str, dict[int, str]]]:
        return type(self), (str(self), self.culprits)


class OverflowDetected(SottovoceError):
    """A decrypted sum is not a sum of well-formed contributions.

    One opaque message; stays on the opener's side and is never sent to a client.
    """

    def __init__(self) -> None:
        super().__init__("the sum does not open to well-formed contributions")

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()


class TooManyErasures(SottovoceError):
    """Fewer shards, or share sums of a committee, than are needed.

    Attributes:
        needed: How many are needed.
        present: How many usable ones were given.
        where: What is wrong with the others, or which part it is about; may be empty.
    """

    def __init__(self, needed: int, present: int, where: str = "") -> None:
        super().__init__(f"{needed} shards needed, {present} present" + (f" ({where})" if where else ""))
        self.needed = needed
        self.present = present
        self.where = where

    def __reduce__(self) -> tuple[type, tuple[int, int, str]]:
        return type(self), (self.needed, self.present, self.where)


class CorruptShards(SottovoceError):
    """Shards contradict each other: some of them have wrong bytes.

    Attributes:
        bad_indices: Indices of the wrong ones, ascending; empty if there are too many to tell.
    """

    def __init__(self, bad_indices: tuple[int, ...]) -> None:
        which = f"shards {', '.join(map(str, bad_indices))}" if bad_indices else "too many to tell which"
        super().__init__(f"shards do not belong together; wrong: {which}")
        self.bad_indices = bad_indices

    def __reduce__(self) -> tuple[type, tuple[tuple[int, ...]]]:
        return type(self), (self.bad_indices,)


class ReedSolomonError(SottovoceError):
    """A word of a Reed-Solomon code cannot be corrected: too many errors or erasures, or too short to be one.

    Attributes:
        word: Which one, counted from 0, of the data or batch; ``None`` where no data is concerned.
    """

    def __init__(self, message: str, word: int | None = None) -> None:
        super().__init__(message)
        self.word = word

    def __reduce__(self) -> tuple[type, tuple[str, int | None]]:
        return type(self), (str(self), self.word)


class KernelUnavailable(SottovoceError, RuntimeError):
    """``SOTTOVOCE_KERNEL`` or ``SOTTOVOCE_BACKEND`` names an unknown back end, one that this machine
    lacks, or one that gives other bytes than the wire format says."""
