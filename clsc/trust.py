"""What a verifier believes: one pinned root key, what it signed, and the keys that the verifier pins."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from .._ext.errors import ParameterError, SenderError
from .._ext.limits import CLOCK_SKEW_S, MAX_READ_KEYS
from .keys import PID_BYTES, PublicKey, encode_key
from .params import EpochParams, Mode, Usage
from .revocation import RevocationList


class ParamsConflict(SenderError):  # noqa: N818  # says what happened, as OverflowDetected does
    """The issuer signed two parameter sets where there may be one.

    Attributes:
        first: Signed bytes of the parameters known before.
        second: Signed bytes of the ones refused.  Both carry the root signature: together they
            are evidence against the issuer.
    """

    def __init__(self, message: str, first: bytes, second: bytes) -> None:
        super().__init__(message)
        self.first = first
        self.second = second

    def __reduce__(self) -> Any:
        return ParamsConflict, (self.args[0], self.first, self.second)


class TrustStore:
    """Parameters, revocations and pinned keys under one root key.

    There is exactly ONE ``EpochParams`` for each (mode, epoch): an issuer that shows different ones
    to different people marks them.  So a second one is refused, and so is a ``Y`` seen elsewhere.

    Args:
        root_public_key: 32 bytes; the only thing that is believed without proof.
        clock: Gives unix seconds, ``time.time`` by default; another one for tests and simulations.
        known_keys: Keys to :meth:`pin`, their parameters to :meth:`add`.
        known_only: In mode ``identity``, accept as senders (usage ``sign``) nobody but pinned keys: a
            name that was never pinned is refused, not believed on first sight.  Pseudonyms are not
            concerned, nobody can know them before; nor are receivers.

    Attributes:
        root_public_key: As given.
        known_only: As given.

    Raises:
        TypeError: Wrong types.
        ParameterError: A length, or a ``blind`` key among ``known_keys``.
        SenderError: As :meth:`add` and :meth:`pin`.

    Threads: safe.  May be pickled, if ``clock`` may: it holds no secret.

    Timing: variable, of public data; but a key that :meth:`read_key` has kept is read sooner, so the time
        tells whether it was met before.
    Source: docs/clsc.md, "Epochs, modes, trust"; docs/clsc-stores.md, "Revocation lists" and "Pinned keys".
    """

    def __init__(
        self,
        root_public_key: bytes,
        *,
        clock: Callable[[], float] = time.time,
        known_keys: Iterable[PublicKey] = (),
        known_only: bool = False,
    ) -> None:
        if not isinstance(root_public_key, bytes):
            raise TypeError(f"root_public_key: bytes expected, got {type(root_public_key).__name__}")
        if len(root_public_key) != 32:
            raise ParameterError(f"root_public_key: 32 bytes expected, got {len(root_public_key)}")
        self.root_public_key = root_public_key
        self.known_only = bool(known_only)
        self._clock = clock
        self._lock = threading.Lock()
        self._by_id: dict[bytes, EpochParams] = {}
        self._by_epoch: dict[tuple[Mode, bytes], EpochParams] = {}
        self._by_y: dict[bytes, EpochParams] = {}
        self._revoked: set[bytes] = set()
        self._lists: dict[bytes, RevocationList] = {}
        self._pinned: dict[tuple[bytes, str, bytes], PublicKey] = {}
        self._read: OrderedDict[bytes, PublicKey] = OrderedDict()  # newest last
        for public_key in known_keys:
            if not isinstance(public_key, PublicKey):
                raise TypeError(f"known_keys: PublicKey expected, got {type(public_key).__name__}")
            self.add(public_key.params)
            self.pin(public_key)

    def add(self, params: EpochParams) -> None:
        """Believe ``params`` from now on; the same again changes nothing.

        Args:
            params: Read with the pinned root key.

        Raises:
            TypeError: Not an EpochParams.
            SenderError: Signed by another root key.
            ParamsConflict: Another one is known for its (mode, epoch), or its ``Y`` under another.
        """
        if not isinstance(params, EpochParams):
            raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
        if params.root_public_key != self.root_public_key:
            raise SenderError("params: signed by a root key that is not pinned")
        y = params.Y.to_compressed_bytes()
        key = (params.mode, params.epoch)
        with self._lock:
            known = self._by_epoch.get(key)
            if known is not None and known.params_id != params.params_id:
                raise ParamsConflict(
                    "params: other parameters are known for this mode and epoch",
                    known.to_bytes(),
                    params.to_bytes(),
                )
            known = self._by_y.get(y)
            if known is not None and known.params_id != params.params_id:
                raise ParamsConflict(
                    "params: Y is known under another mode or epoch", known.to_bytes(), params.to_bytes()
                )
            # setdefault: the object seen first stays, so that keys share its points.
            self._by_id.setdefault(params.params_id, params)
            self._by_epoch.setdefault(key, params)
            self._by_y.setdefault(y, params)

    def add_bytes(self, data: bytes) -> EpochParams:
        """Read, check and :meth:`add` parameters.

        Args:
            data: What :meth:`EpochParams.to_bytes` gave.

        Returns:
            The parameters, which are believed from now on.

        Raises:
            TypeError: Not bytes.
            DecodeError: As :meth:`EpochParams.from_bytes`.
            ParamsConflict: As :meth:`add`.
        """
        params = EpochParams.from_bytes(data, self.root_public_key)
        self.add(params)
        return params

    def get(self, params_id: bytes) -> EpochParams:
        """The parameters with this id.

        Args:
            params_id: 32 bytes.

        Raises:
            SenderError: Unknown.
        """
        params = self._by_id.get(params_id)
        if params is None:
            raise SenderError("params: unknown")
        return params

    def read_key(self, data: bytes) -> PublicKey:
        """A key as :meth:`PublicKey.from_bytes` reads it, and the same object for the same bytes.

        For keys that come again and again, such as those of servers in every header: they are decoded,
        hashed and given their tables once, which is most of what writing to them and verifying them
        costs besides pairings.  The last 256 are kept.  That a key is kept says nothing about it:
        :meth:`acceptable` is asked every time.

        Args:
            data: What :meth:`PublicKey.to_bytes` gave, 83 bytes plus the length of the name.

        Raises:
            TypeError, DecodeError, SenderError: As :meth:`PublicKey.from_bytes`.
        """
        with self._lock:
            known = self._read.get(data) if isinstance(data, bytes) else None
            if known is not None:
                self._read.move_to_end(data)
                return known
        public_key = PublicKey.from_bytes(data, self)
        with self._lock:
            known = self._read.setdefault(data, public_key)
            if len(self._read) > MAX_READ_KEYS:
                self._read.popitem(last=False)
        return known

    def _known_sender(self, params_id: bytes, identity: bytes, X: bytes) -> PublicKey | None:
        """A ``sign`` key that :meth:`read_key` has kept."""
        with self._lock:
            return self._read.get(encode_key(Usage.SIGN, params_id, identity, X))

    def revoke(self, pid: bytes) -> None:
        """Refuse the key with this ``pid`` (16 bytes) from now on.

        Args:
            pid: :attr:`PublicKey.pid`.

        Raises:
            TypeError: Not bytes.
            ParameterError: Not 16 bytes.
        """
        if not isinstance(pid, bytes):
            raise TypeError(f"pid: bytes expected, got {type(pid).__name__}")
        if len(pid) != PID_BYTES:
            raise ParameterError(f"pid: {PID_BYTES} bytes expected, got {len(pid)}")
        with self._lock:
            self._revoked.add(pid)

    def add_revocations(self, revocations: RevocationList | bytes) -> RevocationList:
        """Refuse every key on a signed list from now on.

        Nothing is ever accepted again: what an older list brings stays, in whatever order lists come.
        That is so for a contradiction too: both lists are the issuer's word, so all their keys are
        refused, and then the contradiction is raised.  This is the one method that changes the store
        and raises.

        Args:
            revocations: A list, or its bytes.

        Returns:
            The list.

        Raises:
            TypeError: Neither.
            DecodeError: As :meth:`RevocationList.from_bytes`.
            SenderError: Signed by another root key, or for unknown parameters.
            RevocationConflict: It contradicts the newest list known of these parameters: the same number
                and other content, or another number and the larger one does not hold all of the smaller.
        """
        if isinstance(revocations, bytes):
            revocations = RevocationList.from_bytes(revocations, self.root_public_key)
        if not isinstance(revocations, RevocationList):
            raise TypeError(f"revocations: RevocationList expected, got {type(revocations).__name__}")
        if revocations.root_public_key != self.root_public_key:
            raise SenderError("revocations: signed by a root key that is not pinned")
        self.get(revocations.params_id)
        with self._lock:
            self._revoked.update(revocations.pids)
            newest = self._lists.setdefault(revocations.params_id, revocations)
            if revocations.number > newest.number:
                self._lists[revocations.params_id] = revocations
        revocations.check_agrees(newest)
        return revocations

    def revocations(self, params_id: bytes) -> RevocationList | None:
        """The newest list known of these parameters, or None; its ``issued_at`` says how old the news are.

        Args:
            params_id: 32 bytes.
        """
        return self._lists.get(params_id)

    @property
    def revoked(self) -> frozenset[bytes]:
        """The ``pid``, 16 bytes each, of every key revoked so far."""
        with self._lock:
            return frozenset(self._revoked)

    @property
    def epochs(self) -> tuple[EpochParams, ...]:
        """All parameters believed, in the order in which they were added."""
        with self._lock:
            return tuple(self._by_id.values())

    @property
    def known_keys(self) -> tuple[PublicKey, ...]:
        """The pinned keys, in the order in which they were pinned."""
        with self._lock:
            return tuple(self._pinned.values())

    def pin(self, public_key: PublicKey) -> None:
        """Accept this name with no other ``X`` from now on.

        An issuer can always make a NEW key for a known name; only pinning stops that.

        The same again changes nothing.  A pin holds for one epoch and usage: keys of the next epoch are
        new, and their pins are new decisions.

        Args:
            public_key: Of a name that somebody has compared, ``identity`` or ``traceable``.

        Raises:
            TypeError: Not a PublicKey.
            ParameterError: A ``blind`` key: all of them share the empty name.
            SenderError: The name is pinned to another ``X``, or the parameters are unknown.
        """
        if not isinstance(public_key, PublicKey):
            raise TypeError(f"public_key: PublicKey expected, got {type(public_key).__name__}")
        if public_key.mode is Mode.BLIND:
            raise ParameterError("public_key: a blind key has no name to pin")
        self.get(public_key.params.params_id)
        with self._lock:
            if self._pinned.setdefault(_name(public_key), public_key).X != public_key.X:
                raise SenderError("public key: the name is pinned to another key")

    def acceptable(self, public_key: PublicKey) -> None:
        """Return if packets under this key may be accepted now.

        Clocks may differ by ``CLOCK_SKEW_S`` (120) seconds from the issuer's on either side.

        Args:
            public_key: A sender's, or a receiver's before something is sealed to it.

        Raises:
            SenderError: Parameters unknown, not in validity, key revoked, pinned otherwise, or not pinned
                where ``known_only`` asks for it.
        """
        params = self.get(public_key.params.params_id)
        now = self._clock()
        if not params.not_before - CLOCK_SKEW_S <= now <= params.not_after + CLOCK_SKEW_S:
            raise SenderError("params: not in validity now")
        if public_key.pid in self._revoked:
            raise SenderError("public key: revoked")
        pinned = self._pinned.get(_name(public_key))
        if pinned is not None and pinned.X != public_key.X:
            raise SenderError("public key: the name is pinned to another key")
        sender = params.mode is Mode.IDENTITY and public_key.usage is Usage.SIGN
        if self.known_only and sender and pinned is None:
            raise SenderError("public key: the name is not among the known keys")

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {
                name: value.copy() if isinstance(value, dict | set) else value
                for name, value in self.__dict__.items()
            }
        del state["_lock"]
        state["_read"] = OrderedDict()  # quickly read again, and of no use to who has another committee
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()


def _name(public_key: PublicKey) -> tuple[bytes, str, bytes]:
    """What is pinned to one ``X``."""
    return public_key.params.params_id, str(public_key.usage), public_key.identity
