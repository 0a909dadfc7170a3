"""The beacon: one public number a round that nobody can choose and nobody knows before the round begins.

``beacon_r`` is the BLS signature of the issuer's beacon servers, ``t`` of ``n`` of them, on
``enc("SOTTOVOCE-V1-BEACON", epoch, r)``.  A hash of epoch and round alone would be as public, and known for
all rounds to come: whoever enrols a peer can try names until it comes first.  A signature is secret until
``t`` servers make it, and as BLS signatures are unique, not even they have anything to choose
(:mod:`sottovoce.clsc.bls`).

A server releases its part of ``beacon_r`` when round ``r - 1`` has ended, and never earlier.  The key is a
secret of its own, never the master secret of an epoch.

Source: Boldyreva, PKC 2003 (threshold BLS); the League of Entropy's drand, which signs round numbers so.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .. import clsc
from .._ext import cbor
from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError
from .errors import ProtocolError, Reason
from .wire import VERSION, check_length, expect

_TAG = "SOTTOVOCE-V1-BEACON"
_SCHEMA: cbor.Schema = {"v": int, "epoch": bytes, "round": int, "signature": bytes}
_PART_SCHEMA: cbor.Schema = {"v": int, "epoch": bytes, "round": int, "server": int, "part": bytes}
_MAX_BYTES = 256
MAX_ROUND = (1 << 63) - 1


@dataclass(frozen=True)
class Beacon:
    """The beacon of one round, verified by :meth:`from_bytes`.

    Attributes:
        epoch: The epoch of the roster, 1 to 64 bytes.
        round_number: ``r``, from 1.
        signature: 48 bytes; the only ones there are for this key, epoch and round.

    Source: Boneh, Lynn, Shacham, ASIACRYPT 2001; Boldyreva, PKC 2003, section 3 (threshold);
        docs/fl-peers.md, "Messages".
    """

    epoch: bytes
    round_number: int
    signature: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """Canonical CBOR."""
        return cbor.dumps(
            {"v": VERSION, "epoch": self.epoch, "round": self.round_number, "signature": self.signature}
        )

    @classmethod
    def from_bytes(cls, data: bytes, key: clsc.BlsPublicKey) -> Self:
        """Parse a beacon and verify it under the key of a roster.

        Args:
            data: What :meth:`to_bytes` gave.
            key: The beacon key of the roster.

        Raises:
            TypeError: Wrong types.
            DecodeError: Not canonical, or fields out of range.
            SignatureError: Not signed by ``key``.
        """
        expect("key", key, clsc.BlsPublicKey)
        beacon = cls._parse(data)
        key.verify(beacon_text(beacon.epoch, beacon.round_number), beacon.signature)
        return beacon

    @classmethod
    def _parse(cls, data: bytes) -> Self:
        fields = cbor.loads_map(data, _SCHEMA, max_bytes=_MAX_BYTES)
        if fields["v"] != VERSION:
            raise DecodeError(f"beacon: version {VERSION} expected")
        _check_range(fields["epoch"], fields["round"], DecodeError)
        signature = check_length("beacon", fields["signature"], clsc.BLS_SIGNATURE_BYTES)
        return cls(fields["epoch"], fields["round"], signature)


def beacon_epoch(data: bytes) -> bytes:
    """The epoch that a beacon says it is of, before anything is verified: whose key to look for.

    Raises:
        DecodeError: As :meth:`Beacon.from_bytes`.
    """
    return Beacon._parse(data).epoch


def beacon_text(epoch: bytes, round_number: int) -> bytes:
    """What is signed: ``enc("SOTTOVOCE-V1-BEACON", epoch, r)``."""
    return enc(_TAG, epoch, round_number)


def combine_beacon(
    key: clsc.BlsPublicKey, epoch: bytes, round_number: int, parts: Mapping[int, bytes]
) -> tuple[Beacon, tuple[int, ...]]:
    """The beacon of a round from the parts of ``t`` servers or more.

    Args:
        key: Of the servers together.
        epoch: As in the roster.
        round_number: ``r``.
        parts: Server index -> what its :meth:`BeaconServer.end_round` gave.

    Returns:
        The beacon, and the servers whose parts were wrong, ascending.

    Raises:
        TypeError, ParameterError: Wrong types, epoch or round out of range, no such server.
        TooFewAnswers: Fewer than ``t`` valid parts; ``wrong`` names the others.

    Source: Boneh, Lynn, Shacham, ASIACRYPT 2001; Boldyreva, PKC 2003, section 3 (threshold);
        docs/fl-peers.md, "Why so".
    """
    expect("key", key, clsc.BlsPublicKey)
    expect("parts", parts, Mapping)
    _check_range(epoch, round_number, ParameterError)
    points = {server: _read_part(part, epoch, round_number, server) for server, part in parts.items()}
    combined = key.combine(beacon_text(epoch, round_number), points)
    return Beacon(epoch, round_number, combined.signature), combined.wrong


class BeaconServer:
    """One of the issuer's servers that make the beacon.

    It releases the part of a round when it is told that the round before has ended, in order: who could
    have a later one would know all choices up to it.  Whether a round has ended (its result is out, or the
    last view's time is up) is for the caller to see for itself, at each server; fewer than ``t`` servers
    that are deceived release nothing.

    Threads: safe.

    Args:
        share: What it signs with.
        epoch: As in the roster, 1 to 64 bytes.
        first_round: The first round of the epoch's first roster; :meth:`end_round` of the one before
            (``first_round - 1``) begins.
        released: After a restart, the last round whose part was released; None: none.

    Raises:
        TypeError, ParameterError: Wrong types, or numbers out of range.

    Timing: signing is as :meth:`sottovoce.clsc.BlsShare.sign`, the rest does not touch the share.
    Source: Boldyreva, PKC 2003, section 3, on round numbers as drand signs them; docs/fl-peers.md, "Why so".
    """

    def __init__(
        self, share: clsc.BlsShare, epoch: bytes, *, first_round: int = 1, released: int | None = None
    ) -> None:
        expect("share", share, clsc.BlsShare)
        _check_range(epoch, first_round, ParameterError)
        if released is not None:
            expect("released", released, int)
            if not first_round <= released <= MAX_ROUND:
                raise ParameterError(f"released: at least {first_round} expected, got {released}")
        self._share = share
        self._first = first_round
        self._released = first_round - 1 if released is None else released
        self._lock = threading.Lock()
        self.epoch = epoch

    @property
    def released(self) -> int:
        """The last round whose part was released; ``first_round - 1`` before any.  Keep it durably."""
        return self._released

    def end_round(self, round_number: int) -> bytes:
        """Say that a round has ended, and get this server's part of the next one's beacon.

        For a round that ended before, its part again: the same bytes.

        Args:
            round_number: The one that is over.

        Returns:
            A part for :func:`combine_beacon`: canonical CBOR around 48 bytes, at most 256 in all.

        Raises:
            TypeError: Not an int.
            ProtocolError: A round that has not begun, or before the first (:attr:`Reason.STATE`).
        """
        expect("round_number", round_number, int)
        with self._lock:
            if not self._first - 1 <= round_number <= self._released:
                raise ProtocolError(Reason.STATE, f"round {round_number} has not begun")
            self._released = max(self._released, round_number + 1)
        part = self._share.sign(beacon_text(self.epoch, round_number + 1))
        return cbor.dumps(
            {
                "v": VERSION,
                "epoch": self.epoch,
                "round": round_number + 1,
                "server": self._share.index,
                "part": part,
            }
        )


def _read_part(data: bytes, epoch: bytes, round_number: int, server: int) -> bytes:
    """The point of a part; of anything else something that no server's key verifies."""
    expect("part", data, bytes)
    try:
        fields = cbor.loads_map(data, _PART_SCHEMA, max_bytes=_MAX_BYTES)
    except DecodeError:
        return b""
    said = [fields[name] for name in ("v", "epoch", "round", "server")]
    part: bytes = fields["part"]
    return part if said == [VERSION, epoch, round_number, server] else b""


def _check_range(epoch: bytes, round_number: int, error: type[DecodeError] | type[ParameterError]) -> None:
    expect("epoch", epoch, bytes)
    expect("round_number", round_number, int)
    if not 1 <= len(epoch) <= 64:
        raise error(f"epoch: 1 to 64 bytes expected, got {len(epoch)}")
    if not 1 <= round_number <= MAX_ROUND:
        raise error(f"round: 1 to {MAX_ROUND} expected, got {round_number}")
