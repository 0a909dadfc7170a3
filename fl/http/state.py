"""What an aggregator's process must find again to go on with a round: header, shard key, model, results.

::

    round      enc(CBOR of header, shard key, number and end of collecting; layout; values of the model)
    shards-<header hash>  what was acknowledged while the round collects (:mod:`.journal`)
    results/   <header hash>: what was published
    audits/    <header hash>: unix seconds until which the round's packets are kept

``round`` holds the round that is open, with the secret shard key, or the number and the model of the next
one.  Files for their owner only, each written whole and on the disk before anything depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import he, rs
from ..._ext import cbor
from ..._ext.enc import enc
from ..._ext.errors import DecodeError
from ..._ext.spool import NewFile
from ..header import RoundHeader
from ..wire import split_exactly
from . import model_bytes
from .base import is_digest, read_cbor

_SCHEMA: cbor.Schema = {"header": bytes, "shard_key": bytes, "round": int, "until": int}


@dataclass(frozen=True)
class SavedRound:
    """A round that was open, or the model for the next.

    Attributes:
        signed_header: With the members' signatures; empty between two rounds.
        shard_key: The round's; None between two rounds.
        model: The global model.
        until: Unix seconds when collecting ends.
        next_round: Number of this round, or of the next where none is open.
    """

    signed_header: bytes
    shard_key: rs.ShardKey | None = field(repr=False)
    model: list[NDArray[np.floating]] = field(repr=False)
    until: int
    next_round: int


class RoundFolder:
    """The folder of one aggregator.

    Args:
        path: Made, for its owner only, if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        for folder in (path, path / "results", path / "audits"):
            folder.mkdir(mode=0o700, exist_ok=True)

    def load(self) -> SavedRound | None:
        """What was kept, or None in a new folder.

        Raises:
            DecodeError: The file is damaged.
        """
        try:
            data = (self._path / "round").read_bytes()
        except FileNotFoundError:
            return None
        meta, layout, values = split_exactly(data, 3)
        fields = read_cbor(meta, _SCHEMA)
        if bool(fields["header"]) != bool(fields["shard_key"]):
            raise DecodeError("round: header and shard key expected, or neither")
        key = rs.ShardKey.from_bytes(fields["shard_key"]) if fields["shard_key"] else None
        model = model_bytes.load(values, he.ModelLayout.from_bytes(layout))
        return SavedRound(fields["header"], key, model, fields["until"], fields["round"])

    def begin(self, saved: SavedRound) -> None:
        """Keep a round before anybody hears of it."""
        meta = {
            "v": 1,
            "header": saved.signed_header,
            "shard_key": b"" if saved.shard_key is None else saved.shard_key.to_bytes(),
            "round": saved.next_round,
            "until": saved.until,
        }
        layout = he.ModelLayout.of(saved.model).to_bytes()
        self._write(self._path / "round", enc(cbor.dumps(meta), layout, model_bytes.dump(saved.model)))

    def finish(self, header: RoundHeader, published: bytes, model: list[NDArray[np.floating]]) -> None:
        """Keep the result, then the next number and model; the round's shard key is gone with that."""
        self._write(self._path / "audits" / header.hash.hex(), str(header.audit_deadline).encode())
        self._write(self._path / "results" / header.hash.hex(), published)
        self.begin(SavedRound(b"", None, model, 0, header.round_number + 1))

    def result(self, name: str) -> bytes | None:
        """A result that was published once, by the hexadecimal hash of its header."""
        if not is_digest(name):
            return None
        try:
            return (self._path / "results" / name).read_bytes()
        except FileNotFoundError:
            return None

    def shards(self, header: RoundHeader) -> Path:
        """Where the shards of a round are kept while it collects."""
        return self._path / f"shards-{header.hash.hex()}"

    def audits(self) -> dict[bytes, int]:
        """Header hash -> audit deadline of rounds whose packets are kept."""
        files = [file for file in (self._path / "audits").iterdir() if is_digest(file.name)]
        return {bytes.fromhex(file.name): int(file.read_bytes()) for file in files}

    def forget(self, header_hash: bytes) -> None:
        """The packets of a round are gone."""
        (self._path / "audits" / header_hash.hex()).unlink(missing_ok=True)

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        with NewFile(path, overwrite=True) as new:
            new.file.write(data)
            new.publish()
