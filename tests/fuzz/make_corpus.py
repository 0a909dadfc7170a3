"""Writes the stored seeds, and digests of those that are made: ``python tests/fuzz/make_corpus.py [FOLDER]``.

The same bytes every time: what asks the operating system for randomness gets that of a fixed seed, here
and nowhere else, which is why this is a program and not a fixture.  Files that the fuzzer found
(``found-*``) are left alone.
"""

import hashlib
import json
import os
import random
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
_state = [0]


def _seeded(n_bytes: int) -> bytes:
    """SHAKE-256 of a counter."""
    _state[0] += 1
    return hashlib.shake_256(b"sottovoce fuzz corpus %d" % _state[0]).digest(n_bytes)


def main(target: Path) -> None:
    # Before anything of ours is imported: default arguments hold the function itself.
    os.urandom = _seeded
    random._urandom = _seeded
    sys.path.insert(0, str(TESTS))
    from fuzz.seeds import seeds

    for name, found in seeds().items():
        folder = target / name
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*"):
            if not old.name.startswith("found-"):
                old.unlink()
        for label, data in found.items():
            (folder / label).write_bytes(data)
    write_digests(target.parent / "frozen.json")


def write_digests(path: Path) -> None:
    from fuzz.targets import TARGETS

    found = {name: t.digests() for name, t in sorted(TARGETS.items()) if not t.random and t.digests()}
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TESTS / "fuzz" / "corpus")
