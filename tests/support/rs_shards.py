"""Shard files of tests: made and joined, and where things are in them, by arithmetic of its own."""

import os
import random
from pathlib import Path

import pytest

from sottovoce import rs

HEAD = 55
DIGEST = 16
BLOCK = 64


def seeded(size, seed=1):
    """Bytes that look random and are always the same."""
    return random.Random(f"{seed} {size}").randbytes(size)


def names(folder):
    """Everything in a folder."""
    return sorted(os.listdir(folder))


def flip(path, place, bits=1):
    """Change a byte of a file."""
    data = bytearray(Path(path).read_bytes())
    data[place] ^= bits
    Path(path).write_bytes(data)


def _geometry(path):
    head = Path(path).read_bytes()[-HEAD:]  # tests damage the first header rather
    number = lambda begin, end: int.from_bytes(head[begin:end], "big")  # noqa: E731
    return number(5, 7), number(11, 15), number(15, 23)


def block_count(path):
    """Blocks of a shard."""
    k, block, length = _geometry(path)
    return -(-length // (k * block))


def row_range(path, stripe):
    """Begin and end of a block and its checksum."""
    k, block, length = _geometry(path)
    begin = HEAD + stripe * (DIGEST + block)
    rest = length - stripe * k * block
    return begin, begin + DIGEST + min(block, -(-rest // k))


def at(position, length, k, block):
    """Shard, and offset in it, of a byte of the file."""
    stripe, within = divmod(position, k * block)
    row = min(block, -(-(length - stripe * k * block) // k))
    return within // row, HEAD + stripe * (DIGEST + block) + DIGEST + within % row


def split(data, k=3, n=5, **options):
    """Write ``file`` in the working directory, and cut it."""
    Path("file").write_bytes(data)
    done = rs.split_file("file", k, n, **{"block_bytes": BLOCK, "overwrite": True, **options})
    return [Path(path) for path in done.paths]


def joined(shards, **options):
    """The file again."""
    rs.join_file(shards, "out", overwrite=True, **options)
    return Path("out").read_bytes()


def refused(error, shards, **options):
    """The message; nothing was written."""
    Path("out").unlink(missing_ok=True)
    before = names(".")
    with pytest.raises(error) as caught:
        rs.join_file(shards, "out", **options)
    assert names(".") == before
    return str(caught.value)
