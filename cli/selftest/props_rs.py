"""Properties of ``sottovoce.rs``: what is lost comes back, what cannot come back is said."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import rs
from ..bench.areas import Area
from .check import holds_for
from .expect import flipped, refused, same, true


def _code(st: Any) -> Any:
    """k, and how many shards more."""
    return st.tuples(st.integers(1, 12), st.integers(0, 8))


def _rows(seed: int, k: int, length: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (k, length), np.uint8)


def _chosen(seed: int, n: int, k: int) -> list[int]:
    return random.Random(seed).sample(range(n), k)  # noqa: S311 - which shards are lost


@holds_for(
    Area.RS,
    "any k of n shards give all the others back; k - 1 are refused",
    lambda st: {"code": _code(st), "length": st.integers(1, 300), "seed": st.integers(0, 2**32)},
)
def any_k_shards(code: tuple[int, int], length: int, seed: int) -> None:
    k, n = code[0], sum(code)
    erasure, data = rs.Erasure(k, n), _rows(seed, k, length)
    shards = dict(enumerate([*data, *erasure.encode(data)]))
    kept = {i: shards[i] for i in _chosen(seed, n, k)}
    whole = erasure.reconstruct(kept, wanted=range(n))
    for i, row in shards.items():
        same(whole[i], row, f"shard {i} from {sorted(kept)}")
    del kept[next(iter(kept))]
    if kept:
        refused(rs.TooManyErasures, lambda: erasure.reconstruct(kept), "reconstruct of k - 1 shards")


@holds_for(
    Area.RS,
    "a damaged shard among enough others is named",
    lambda st: {
        "k": st.integers(1, 12),
        "more": st.integers(2, 8),
        "length": st.integers(1, 300),
        "seed": st.integers(0, 2**32),
        "bit": st.integers(0, 2**20),
    },
)
def damage_is_named(k: int, more: int, length: int, seed: int, bit: int) -> None:
    erasure, data = rs.Erasure(k, k + more), _rows(seed, k, length)
    shards = {i: row.tobytes() for i, row in enumerate([*data, *erasure.encode(data)])}
    erasure.verify(shards)
    (bad,) = _chosen(seed, k + more, 1)
    shards[bad] = flipped(shards[bad], bit)
    same(erasure.locate_bad(shards), (bad,), "damaged shards")
    refused(rs.CorruptShards, lambda: erasure.verify(shards), "verify")


@holds_for(
    Area.RS,
    "words come back with as many errors and erasures as nsym bears",
    lambda st: {
        "nsym": st.integers(1, 40),
        "length": st.integers(1, 200),
        "erasures": st.integers(0, 40),
        "seed": st.integers(0, 2**32),
    },
)
def words_up_to_the_bound(nsym: int, length: int, erasures: int, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - what is damaged
    codec, message = rs.RSCodec(nsym), generator.randbytes(length)
    word = codec.encode(message)
    erasures = min(erasures, nsym)
    places = generator.sample(range(len(word)), erasures + min((nsym - erasures) // 2, length))
    received = bytearray(word)
    for place in places:
        received[place] ^= generator.randrange(1, 256)
    decoded, whole, found = codec.decode(bytes(received), erase_pos=places[:erasures])
    same((bytes(decoded), bytes(whole)), (message, bytes(word)), "decoded")
    same(sorted(found), sorted(places), "corrected places")


@holds_for(
    Area.RS,
    "words with more than nsym bears are refused, or are another word within its reach",
    lambda st: {
        "nsym": st.integers(2, 40),
        "length": st.integers(2, 200),
        "beyond": st.integers(1, 10),
        "seed": st.integers(0, 2**32),
    },
)
def words_beyond_the_bound(nsym: int, length: int, beyond: int, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - what is damaged
    codec, message = rs.RSCodec(nsym), generator.randbytes(length)
    word = bytes(codec.encode(message))
    reach = nsym // 2
    received = bytearray(word)
    for place in generator.sample(range(len(word)), min(reach + beyond, len(word))):
        received[place] ^= generator.randrange(1, 256)
    try:
        _, whole, _ = codec.decode(bytes(received))
    except rs.ReedSolomonError:
        pass
    else:
        # What is nearer to another codeword cannot be told from that one with fewer errors.
        true(codec.check(whole) == [True], "what came out is no codeword")
        distance = sum(a != b for a, b in zip(whole, received, strict=True))
        true(distance <= reach, f"{distance} places were changed, more than {reach}")
    erased = list(range(min(nsym + 1, len(word))))
    if len(erased) > nsym:
        refused(rs.ReedSolomonError, lambda: codec.decode(word, erase_pos=erased), "too many erasures")


@holds_for(
    Area.RS,
    "any k sealed shards give the packet; one that was altered is not taken",
    lambda st: {
        "code": st.tuples(st.integers(1, 6), st.integers(0, 4)),
        "packet": st.binary(max_size=2000),
        "context": st.binary(max_size=20),
        "seed": st.integers(0, 2**32),
        "bit": st.integers(0, 2**20),
    },
)
def sealed_shards(code: tuple[int, int], packet: bytes, context: bytes, seed: int, bit: int) -> None:
    k, n = code[0], sum(code)
    key = rs.ShardKey.generate()
    shards = rs.disperse(packet, k, n, key.public_key, context=context, packet_bytes=len(packet))
    same({len(s) for s in shards}, {rs.shard_bytes(len(packet), k, n)}, "lengths of shards")
    kept = [shards[i] for i in _chosen(seed, n, k)]
    same(rs.gather(kept, key, context=context), [packet], "packet")
    other = rs.ShardKey.generate()
    same(rs.Collector(other, context=context).add(kept[0]), None, "shard for another key")
    same(rs.Collector(key, context=context + b"!").add(kept[0]), None, "shard of another context")
    collector = rs.Collector(key, context=context)
    altered = [flipped(kept[0], bit), *kept[1:]]
    same([p for s in altered if (p := collector.add(s)) is not None], [], "packet with an altered shard")
    same(collector.stats["accepted"], k - 1, "accepted shards")
    same(collector.add(kept[0]), packet, "packet after the right shard")


@holds_for(
    Area.RS,
    "a file comes back from any k shard files, with damaged blocks in others",
    lambda st: {
        "code": st.tuples(st.integers(1, 5), st.integers(1, 4)),
        "length": st.integers(0, 20_000),
        "seed": st.integers(0, 2**32),
    },
    most=10,
)
def files(code: tuple[int, int], length: int, seed: int) -> None:
    k, n = code[0], sum(code)
    content = random.Random(seed).randbytes(length)  # noqa: S311 - content of a file
    with tempfile.TemporaryDirectory(prefix="sottovoce-selftest-") as folder:
        source, target = Path(folder, "file"), Path(folder, "again")
        source.write_bytes(content)
        paths = [Path(path) for path in rs.split_file(source, k, n, block_bytes=1024).paths]
        lost, *_ = _chosen(seed, n, n)
        paths[lost].unlink()
        rest = [path for i, path in enumerate(paths) if i != lost]
        if len(rest) > k:
            data = rest[0].read_bytes()
            rest[0].write_bytes(flipped(data, 8 * (len(data) // 2)))
        rs.join_file(rest, target)
        same(target.read_bytes(), content, "file")
        if k > 1:
            too_few = Path(folder, "too few")
            refused(rs.TooManyErasures, lambda: rs.join_file(rest[: k - 1], too_few), "k - 1 shards")
            true(not too_few.exists(), "a file is there after too few shards")
