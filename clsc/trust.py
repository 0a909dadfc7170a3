"""What a verifier believes: one pinned root key, and the parameters that it signed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from .._ext.errors import ParameterError, SenderError
from .._ext.limits import CLOCK_SKEW_S
from .keys import PID_BYTES, PublicKey
from .params import EpochParams, Mode


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
        clock: Gives unix seconds; for tests and simulations.

    Threads: safe.
    """

    def __init__(self, root_public_key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        if not isinstance(root_public_key, bytes):
            raise TypeError(f"root_public_key: bytes expected, got {type(root_public_key).__name__}")
        if len(root_public_key) != 32:
            raise ParameterError(f"root_public_key: 32 bytes expected, got {len(root_public_key)}")
        self.root_public_key = root_public_key
        self._clock = clock
        self._lock = threading.Lock()
        self._by_id: dict[bytes, EpochParams] = {}
        self._by_epoch: dict[tuple[Mode, bytes], EpochParams] = {}
        self._by_y: dict[bytes, EpochParams] = {}
        self._revoked: set[bytes] = set()
        self._pinned: dict[tuple[bytes, str, bytes], bytes] = {}

    def add(self, params: EpochParams) -> None:
        """Believe ``params`` from now on; the same again changes nothing.

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

        Raises:
            DecodeError: As :meth:`EpochParams.from_bytes`.
            ParamsConflict: As :meth:`add`.
        """
        params = EpochParams.from_bytes(data, self.root_public_key)
        self.add(params)
        return params

    def get(self, params_id: bytes) -> EpochParams:
        """The parameters with this id.

        Raises:
            SenderError: Unknown.
        """
        params = self._by_id.get(params_id)
        if params is None:
            raise SenderError("params: unknown")
        return params

    def revoke(self, pid: bytes) -> None:
        """Refuse the key with this ``pid`` (16 bytes) from now on."""
        if not isinstance(pid, bytes):
            raise TypeError(f"pid: bytes expected, got {type(pid).__name__}")
        if len(pid) != PID_BYTES:
            raise ParameterError(f"pid: {PID_BYTES} bytes expected, got {len(pid)}")
        with self._lock:
            self._revoked.add(pid)

    @property
    def revoked(self) -> frozenset[bytes]:
        """The ``pid`` of every key revoked so far."""
        with self._lock:
            return frozenset(self._revoked)

    def pin(self, public_key: PublicKey) -> None:
        """Accept this name with no other ``X`` from now on.

        An issuer can always make a NEW key for a known name; only pinning stops that.

        Raises:
            ParameterError: A ``blind`` key: all of them share the empty name.
            SenderError: The name is pinned to another ``X``, or the parameters are unknown.
        """
        if public_key.mode is Mode.BLIND:
            raise ParameterError("public_key: a blind key has no name to pin")
        params = self.get(public_key.params.params_id)
        key = (params.params_id, str(public_key.usage), public_key.identity)
        with self._lock:
            if self._pinned.setdefault(key, public_key.X) != public_key.X:
                raise SenderError("public key: the name is pinned to another key")

    def acceptable(self, public_key: PublicKey) -> None:
        """Return if packets under this key may be accepted now.

        Clocks may differ by ``CLOCK_SKEW_S`` seconds from the issuer's on either side.

        Raises:
            SenderError: Parameters unknown, not in validity, key revoked, or pinned otherwise.
        """
        params = self.get(public_key.params.params_id)
        now = self._clock()
        if not params.not_before - CLOCK_SKEW_S <= now <= params.not_after + CLOCK_SKEW_S:
            raise SenderError("params: not in validity now")
        if public_key.pid in self._revoked:
            raise SenderError("public key: revoked")
        key = (params.params_id, str(public_key.usage), public_key.identity)
        if self._pinned.get(key, public_key.X) != public_key.X:
            raise SenderError("public key: the name is pinned to another key")
