"""Targets under atheris, one forked process each: ``run.py`` starts it with a plan.

``python tests/fuzz/one.py PLAN.json``: a list of ``{"targets": [...], "options": [...], "log": FILE}``.
The package is instrumented once, which takes seconds, and then there is a child for each entry, as libFuzzer
ends the process that it runs in.  With several targets in an entry the first two bytes of an input choose
one, so that a few seconds reach all of them.  An exception that no documentation names is what libFuzzer
calls a crash: it writes the input and ends.  Status 1 if any child did.
"""

import json
import os
import random
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["sottovoce"], enable_loader_override=False):
    from fuzz.core import CHOICE_BYTES, mutate
    from fuzz.targets import TARGETS


def fuzz(names: list[str], options: list[str]) -> None:
    targets = [TARGETS[name] for name in names]
    seeds = {target.name: target.seeds() for target in targets}
    several = len(targets) > 1

    def chosen(data: bytes):
        if not several:
            return targets[0], data
        choice = int.from_bytes(data[:CHOICE_BYTES].ljust(CHOICE_BYTES, b"\0"), "big")
        return targets[choice % len(targets)], data[CHOICE_BYTES:]

    def one_input(data: bytes) -> None:
        target, rest = chosen(data)
        target.check(rest)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        choose = random.Random(seed)
        if choose.random() < 0.4:
            return atheris.Mutate(data, max_size)
        target, rest = chosen(data)
        if not rest or choose.random() < 0.05:
            rest = choose.choice(seeds[target.name])
        head = data[:CHOICE_BYTES] if several else b""
        return (head + mutate(choose, rest, seeds[target.name]))[:max_size]

    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=mutator)
    atheris.Fuzz()


def child(entry: dict) -> int:
    """Run one entry with its output in a file; its exit status."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        log = os.open(entry["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        fuzz(entry["targets"], entry["options"])
    finally:
        os._exit(99)  # libFuzzer has ended the process before, with its own status


def main() -> int:
    found = 0
    for entry in json.loads(Path(sys.argv[1]).read_text()):
        status = child(entry)
        Path(entry["log"]).with_suffix(".status").write_text(str(status))
        print(entry["log"], status, flush=True)
        found |= status != 0
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
