"""Shards of packets and of files, shard keys, and words with errors in them."""

import io
from functools import cache
from pathlib import Path

from fuzz.core import Target, taken
from fuzz.targets.ext import folder as _folder
from sottovoce import rs
from sottovoce._ext.errors import DecodeError, ReedSolomonError, TooManyErasures
from sottovoce.rs import _files_header, _files_zfec, shard
from sottovoce.rs.suites import recipient_key
from support.clsc_world import Drbg

PACKET = b"a packet of some forty bytes, in 3 of 5 shards"
FILE = bytes(range(251)) * 4
CODEC = rs.RSCodec(10)


@cache
def key() -> rs.ShardKey:
    return rs.ShardKey.from_bytes(Drbg("fuzz shard key")(32))


@cache
def bodies() -> list[bytes]:
    """The opened shards of one packet."""
    sealed = rs.disperse(PACKET, 3, 5, key().public_key)
    return [key()._suite.hpke.decrypt(one, key()._secret, info=shard.check_context(b"")) for one in sealed]


def read_body(data: bytes) -> bytes:
    body = shard.parse_body(data)
    head = shard.header(body.group_id, body.index, body.k, body.n, body.packet_length, body.key_share)
    return head + bytes(body.piece)


def reseal(body: bytes) -> bytes:
    return shard.seal(recipient_key(key().public_key), shard.check_context(b""), body)


def gather(data: bytes) -> None:
    """One shard of any content among honest ones, to :func:`rs.gather` and to a collector."""
    honest = [reseal(body) for body in bodies()[:3]]
    hostile = reseal(data)
    for shards in ([hostile, *honest[:2]], [hostile, *honest], [hostile]):
        try:
            packets = rs.gather(shards, key())
        except TooManyErasures:
            continue
        assert len(packets) == 1 or hostile in shards
        assert shards == [hostile] or PACKET in packets, "another packet was made of honest shards"
    collector = rs.Collector(key())
    for one in [hostile, *honest]:
        collector.add(one)


def read_shard_header(data: bytes) -> bytes:
    return rs_header(data).to_bytes()


def rs_header(data: bytes) -> _files_header.ShardHeader:
    header = _files_header.ShardHeader.from_bytes(data)
    header.layout()
    return header


def checksum_anew(data: bytes) -> bytes:
    """A header with any fields and the checksum that belongs to them."""
    header = rs_header(data + _files_header._header_checksum(data))
    return header.to_bytes()[: _files_header._CHECKED]


def read_zfec_header(data: bytes) -> bytes:
    header = _files_zfec.ZfecHeader.from_bytes(data)
    rest = data[_files_zfec.header_bytes(header.k, header.n) :]
    try:
        header.layout(len(data))
    except DecodeError:
        assert header.padding > header.k * len(rest)
    return header.to_bytes() + rest


@cache
def shard_files(format: str) -> list[Path]:
    folder = _folder() / format
    folder.mkdir()
    source = folder / "file"
    source.write_bytes(FILE)
    rs.split_file(source, 2, 3, folder=folder, format=format)
    return sorted(path for path in folder.iterdir() if path != source)


def of_files(format: str) -> Target:
    """One shard file of any content beside two good ones: the file comes out, or a documented error."""

    def read(data: bytes) -> None:
        good = shard_files(format)
        hostile = good[0].parent / f"hostile{good[0].suffix}"
        hostile.write_bytes(data)
        for shards in ([hostile, good[1]], [hostile, *good[1:]], [hostile]):
            out = io.BytesIO()
            try:
                rs.join_file(shards, out, format=format)
            except ERRORS:
                continue
            assert out.getvalue() == FILE or good[1] not in shards or format == "zfec", (
                "another file came out"
            )
        rs.verify_files([hostile, *good[1:]], format=format)

    ERRORS = (DecodeError, TooManyErasures, rs.DamageError, rs.MixedShardsError)
    return Target(
        f"rs/file-{format}",
        taken(read),
        ERRORS,
        made=lambda: [shard_files(format)[0].read_bytes()],
        tries=20,
        of=("rs.files.join_file", "rs.files.verify_files", "rs.files.repair_files"),
    )


def correct(data: bytes) -> None:
    message, word, _ = CODEC.decode(data)
    assert CODEC.encode(message) == word, "what was corrected is no code word"
    assert len(word) == len(data)
    assert sum(a != b for a, b in zip(word, data, strict=True)) <= 5 * -(-len(data) // 255)


TARGETS = [
    Target(
        "rs/shard-key",
        lambda data: rs.ShardKey.from_bytes(data).to_bytes(),
        of=("rs.shardkey.ShardKey",),
        made=lambda: [key().to_bytes(), b"\2" + Drbg("fuzz hybrid")(32)],
        tries=20,
    ),
    Target(
        "rs/shard-body",
        read_body,
        (shard.MalformedError,),
        of=("rs.shard.parse_body",),
        made=lambda: bodies(),
        random="../vectors/rs/dispersal.json",
    ),
    Target(
        "rs/gather",
        taken(gather),
        (),
        made=lambda: bodies(),
        tries=20,
        random="../vectors/rs/dispersal.json",
        of=("rs.dispersal.gather", "rs.collector.Collector.add"),
    ),
    Target(
        "rs/shard-header",
        read_shard_header,
        of=("rs._files_header.ShardHeader",),
        made=lambda: [shard_files("sottovoce")[0].read_bytes()[: _files_header.HEADER_BYTES]],
    ),
    Target(
        "rs/shard-header-checksum-anew",
        checksum_anew,
        tries=200,
        made=lambda: [shard_files("sottovoce")[0].read_bytes()[: _files_header._CHECKED]],
    ),
    Target(
        "rs/zfec-header",
        read_zfec_header,
        of=("rs._files_zfec.ZfecHeader",),
        tries=200,
        made=lambda: [path.read_bytes()[:4] for path in shard_files("zfec")],
    ),
    of_files("sottovoce"),
    of_files("zfec"),
    Target(
        "rs/codec",
        taken(correct),
        (ReedSolomonError, rs.ParameterError),
        tries=100,
        made=lambda: [bytes(CODEC.encode(FILE[:300]))],
        of=("rs.codec.RSCodec.decode",),
    ),
]
