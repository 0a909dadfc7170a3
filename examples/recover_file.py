"""A file cut into six shards, any four of which give it back: two get lost, and others are damaged.

Run it with ``python examples/recover_file.py``; it needs the core package only.  The same from a shell:
``sottovoce rs split``, ``verify``, ``join``, ``repair`` (docs/rs-files.md).
"""

import random
import tempfile
from pathlib import Path

from sottovoce import rs

K, N = 4, 6
generator = random.Random(1)  # noqa: S311 - content and damage of this example

with tempfile.TemporaryDirectory() as folder:
    source = Path(folder, "photos.tar")
    source.write_bytes(generator.randbytes(3_000_000))

    # -- Split.  Every block of 64 KiB has a checksum, so that a flipped bit costs a block and not a shard.
    split = rs.split_file(source, K, N)
    shards = [Path(path) for path in split.paths]
    print(f"{split.n_bytes:,} bytes in {N} shards of {split.shard_bytes:,} bytes; {K} of them are enough")

    # -- One disk is gone, and each of two others has a scratch, at different places.
    original = [shard.read_bytes() for shard in shards]
    shards[1].unlink()
    for index, place in ((0, 100_000), (4, 500_000)):
        data = bytearray(original[index])
        data[place] ^= 0x40
        shards[index].write_bytes(data)

    # -- What is wrong?  ``verify`` raises if anything is, and its report says what can still be done.
    try:
        rs.verify_files(shards)
    except rs.DamageError as damage:
        print("found:", damage)

    # -- Three undamaged shards are left, fewer than four; the good blocks of the others suffice.
    joined = Path(folder, "photos-again.tar")
    rs.join_file(shards, joined)
    if joined.read_bytes() != source.read_bytes():
        raise SystemExit("another file came back")
    print("the file is back, byte for byte")

    # -- Repair makes lost and damaged shards again, as they were.
    repaired = rs.repair_files(shards)
    if [shard.read_bytes() for shard in shards] != original:
        raise SystemExit("the repaired shards are not those that were written")
    rs.verify_files(shards)
    print(f"repaired: {len(repaired.written)} shards; all {N} are as they were")

    # -- With three lost there is nothing to recover, and no wrong file is made.
    try:
        rs.join_file(shards[:3], Path(folder, "never.tar"))
    except rs.TooManyErasures as refusal:
        print("refused:", refusal)
    else:
        raise SystemExit("three shards gave a file")
