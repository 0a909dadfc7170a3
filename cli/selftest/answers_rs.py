"""Known answers of ``sottovoce.rs``: parity, corrected words, dispersed packets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from ... import rs
from ..bench.areas import Area
from .answers import Stream, Vector, each, load, raw, tests
from .check import Case, known_answers
from .expect import refused, same


@known_answers(Area.RS, "parity of erasure codes (second implementation in pure Python)")
def erasure() -> Iterator[Case]:
    data = load("rs/erasure.json")

    def parity(t: Vector) -> None:
        made = rs.Erasure(t["k"], t["n"]).encode([raw(row) for row in t["data"]])
        same([row.tobytes().hex() for row in made], t["parity"], "parity")

    yield from each(tests(data), parity)
    want = data["accumulated"]

    def accumulated() -> None:
        stream, digest = Stream(raw(want["seed"])), hashlib.sha256()
        for _ in range(want["encodes"]):
            k = stream.number(1, 8)
            n = k + stream.number(0, 5)
            length = stream.number(1, 24)
            rows = np.frombuffer(stream.take(k * length), np.uint8).reshape(k, length)
            digest.update(rs.Erasure(k, n).encode(rows).tobytes())
        same(digest.hexdigest(), want["sha256"], "digest of many encodings")

    yield "digest of 10,000 encodings", accumulated


_CODEC: Final = ("fcr", "prim", "generator", "c_exp")


def _symbols(text: str, c_exp: int) -> list[int]:
    width = 2 if c_exp <= 8 else 4
    return [int(text[i : i + width], 16) for i in range(0, len(text), width)]


@known_answers(Area.RS, "words with errors and erasures (published ones, and a second implementation)")
def codec() -> Iterator[Case]:
    def word_of(t: Vector) -> None:
        code = rs.RSCodec(t["nsym"], **{name: t[name] for name in _CODEC})
        word = _symbols(t["word"], t["c_exp"])
        message = word[: len(word) - t["nsym"]]
        same(list(code.encode(message)), word, "word")
        received = _symbols(t["received"] if "received" in t else t["word"], t["c_exp"])
        erased = t.get("erased", [])
        if t["result"] == "invalid":
            refused(rs.ReedSolomonError, lambda: code.decode(received, erase_pos=erased), "decode")
            return
        got = code.decode(received, erase_pos=erased)
        same([list(part) for part in got[:2]], [message, word], "corrected word")

    yield from each(tests(load("rs/codec.json")), word_of)


@known_answers(Area.RS, "dispersed packets under HPKE (second implementation), and one fault each")
def dispersal() -> Iterator[Case]:
    data = load("rs/dispersal.json")
    key, context = rs.ShardKey.from_bytes(raw(data["secretKey"])), raw(data["context"])

    def gather(t: Vector) -> None:
        shards = [raw(shard) for shard in t["shards"]]
        if t["result"] == "invalid":
            refused(getattr(rs, t["error"]), lambda: rs.gather(shards, key, context=context), "gather")
            return
        packet, k, n = raw(t["packet"]), t["k"], t["n"]
        same({len(shard) for shard in shards}, {rs.shard_bytes(t["packetBytes"], k, n)}, "length of a shard")
        same(rs.gather(shards, key, context=context), [packet], "packet of all shards")
        same(rs.gather(shards[n - k :], key, context=context), [packet], "packet of the last k shards")

    yield "public key", lambda: same(key.public_key.hex(), data["publicKey"], "public key")
    yield from each(tests(data), gather)
