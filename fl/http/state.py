"""What an aggregator's process must find again to go on with a round: header, shard key, model, results.

::

    round      enc(CBOR of SavedRound but its model; layout; values of the model)
    members    the last known public keys of the committee's members
    shards-<header hash>  what was acknowledged while the round collects (:mod:`.journal`)
    results/   <header hash>: what was published; .audit and .<pid>.conviction beside it (:mod:`.records`)
    audits/    <header hash>: unix seconds until which the round's packets are kept, however it ends

``round`` holds the round that is open, with the secret shard key, or the number and the model of the next
one.  Files for their owner only, each written whole and on the disk before anything depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ... import clsc, he, rs
from ..._ext import cbor
from ..._ext.enc import enc
from ..._ext.errors import DecodeError, SenderError
from ..._ext.spool import NewFile
from ..header import RoundHeader
from ..server import ServerIdentity
from ..wire import split_exactly
from . import model_bytes
from .base import is_digest, read_cbor

_SCHEMA: cbor.Schema = {
    "header": bytes, "signed": bool, "shard_key": bytes, "round": int, "until": int, "deadline": int,
 "done": int, "failed": bool, "given": bytes, "check_first": bool,
}  # fmt: skip


@dataclass(frozen=True)
class SavedRound:
    """A round that was open, or the model for the next.

    Attributes:
        signed_header: With the members' signatures, or the proposal that they are asked to sign; empty
            between two rounds.
        shard_key: The round's; None between two rounds.
        model: The global model; of a failed round, the one that was used up.
        until: Unix seconds when collecting ends.
        next_round: Number of this round, or of the next where none is open.
        signed: The header has its signatures: clients may have heard of it.
        deadline: Unix seconds, of the header.
        done: Rounds that gave a result so far.
        failed: The last round failed: ``model`` is used up.
        given: Digest of the model with which the series began.
        check_first: A round found no quorum: from then on members check before any of them answers.
    """

    signed_header: bytes
    shard_key: rs.ShardKey | None = field(repr=False)
    model: model_bytes.Arrays = field(repr=False)
    until: int
    next_round: int
    signed: bool = False
    deadline: int = 0
    done: int = 0
    failed: bool = False
    given: bytes = b""
    check_first: bool = False


class RoundFolder:
    """The folder of one aggregator.

    Args:
        path: Made, for its owner only, if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.results = path / "results"
        for folder in (path, self.results, path / "audits"):
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
        rest = {name: fields[name] for name in _SCHEMA if name not in ("header", "shard_key", "round")}
        return SavedRound(fields["header"], key, model, next_round=fields["round"], **rest)

    def save(self, saved: SavedRound) -> None:
        """Keep where the series is: a round before anybody hears of it, or the next number and model.

        The shard key of the round before is gone with that.
        """
        meta = {
            "v": 1,
            "header": saved.signed_header,
            "shard_key": b"" if saved.shard_key is None else saved.shard_key.to_bytes(),
            "round": saved.next_round,
            **{
                name: getattr(saved, name) for name in _SCHEMA if name not in ("header", "shard_key", "round")
            },
        }
        layout = he.ModelLayout.of(saved.model).to_bytes()
        write_file(self._path / "round", enc(cbor.dumps(meta), layout, model_bytes.dump(saved.model)))

    # -- members ----------------------------------------------------------------------------------

    def members(self, trust: clsc.TrustStore, params: clsc.EpochParams) -> dict[bytes, ServerIdentity]:
        """Name -> keys of members as they were last known: of this epoch, and acceptable now.

        Raises:
            DecodeError: The file is damaged.
        """
        try:
            data = (self._path / "members").read_bytes()
        except FileNotFoundError:
            return {}
        found: dict[bytes, ServerIdentity] = {}
        for keys in read_cbor(data, {"members": list})["members"]:
            try:
                identity = ServerIdentity.from_list(keys, trust)
                trust.acceptable(identity.sign)
                trust.acceptable(identity.decrypt)
            except SenderError:
                continue  # of an epoch that is over, or revoked since
            if identity.sign.params == params:
                found[identity.name] = identity
        return found

    def keep_members(self, members: Iterable[ServerIdentity]) -> None:
        """Keep the keys of a committee."""
        fields = {"v": 1, "members": [identity.to_list() for identity in members]}
        write_file(self._path / "members", cbor.dumps(fields))

    # -- rounds on the disk -----------------------------------------------------------------------

    def shards(self, header: RoundHeader) -> Path:
        """Where the shards of a round are kept while it collects."""
        return self._shards(header.hash)

    def _shards(self, header_hash: bytes) -> Path:
        return self._path / f"shards-{header_hash.hex()}"

    def keep_until(self, header_hash: bytes, audit_deadline: int) -> None:
        """Note until when the packets of a round are kept, before there are any."""
        write_file(self._path / "audits" / header_hash.hex(), str(audit_deadline).encode())

    def audits(self) -> dict[bytes, int]:
        """Header hash -> audit deadline of rounds whose packets are kept.

        Raises:
            DecodeError: A file is damaged.
        """
        found = {}
        for file in (self._path / "audits").iterdir():
            if is_digest(file.name):
                text = file.read_bytes()
                if not text.isdigit() or len(text) > 20:
                    raise DecodeError("audits: a number of seconds expected")
                found[bytes.fromhex(file.name)] = int(text)
        return found

    def forget(self, header_hash: bytes) -> None:
        """The packets of a round are gone; so are its shards."""
        self._shards(header_hash).unlink(missing_ok=True)
        (self._path / "audits" / header_hash.hex()).unlink(missing_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """A private file, whole and on the disk."""
    with NewFile(path, overwrite=True) as new:
        new.file.write(data)
        new.publish()
