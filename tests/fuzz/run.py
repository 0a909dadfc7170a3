"""Fuzzing for as long as you like: ``python tests/fuzz/run.py --target all --seconds 600``.

    --target NAME     a target, an area (clsc), or all; may be given again
    --seconds N       for each target
    --together        all of them by turns, N seconds in all
    --replay N        without atheris: N seeded mutations of each
    --folder FOLDER   where the growing corpus and what crashes are kept; build/fuzz if not given
    --merge           afterwards, add what is short and reaches new code to the corpus in the repository
    --again FILE      what one target does with an input that was found, with the traceback
    --list            names

Coverage-guided, with atheris (extra ``fuzz``).  Ends with 1 when something was found; the input is then in
FOLDER/crashes.
"""

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TypedDict

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from fuzz.core import CHOICE_BYTES, MAX_STORED_BYTES, Finding, Target, inputs  # noqa: E402
from fuzz.targets import TARGETS  # noqa: E402


class Entry(TypedDict):
    """What ``one.py`` does in one process."""

    targets: list[str]
    options: list[str]
    log: str


MAX_FOUND = 4
"""Merging keeps so many of a target: the corpus is read in every run of the suite."""


def select(names: list[str]) -> list[Target]:
    """The targets of these names and areas."""
    chosen = [t for name, t in TARGETS.items() if {"all", name, name.split("/")[0]}.intersection(names)]
    unknown = set(names) - {"all", *TARGETS, *(name.split("/")[0] for name in TARGETS)}
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))} (--list shows the names)")
    return chosen


def replay(targets: list[Target], tries: int) -> bool:
    """Whether anything was found, by seeded mutation alone."""
    found = False
    for target in targets:
        start, read = time.perf_counter(), 0
        data = inputs(target, tries, "replay")
        try:
            read = sum(target.check(one) for one in data)
        except Finding as error:
            found = True
            print(f"FOUND {error}", flush=True)
        took = time.perf_counter() - start
        print(f"{target.name:34} {len(data):7} inputs, {read} read, {took:.1f} s", flush=True)
    return found


def label_of(names: list[str]) -> str:
    return names[0] if len(names) == 1 else "together"


def file_of(targets: list[Target]) -> str:
    """The label as a part of a file's name."""
    return label_of([target.name for target in targets]).replace("/", "-")


def entry(folder: Path, targets: list[Target], seconds: int) -> Entry:
    """What ``one.py`` is to do: the seeds lie in a folder, to which the fuzzer adds."""
    label = file_of(targets)
    corpus = folder / "corpus" / label
    corpus.mkdir(parents=True, exist_ok=True)
    longest = 0
    for number, target in enumerate(targets):
        head = number.to_bytes(CHOICE_BYTES, "big") if len(targets) > 1 else b""
        for i, seed in enumerate(target.seeds()):
            longest = max(longest, len(seed))
            (corpus / f"seed-{number}-{i}").write_bytes(head + seed)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={2 * longest + 200}",
        "-timeout=60",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        f"-artifact_prefix={folder}/crashes/{label}-",
        str(corpus),
    ]
    return {"targets": [t.name for t in targets], "options": options, "log": str(folder / f"{label}.log")}


def summary(label: str, log: Path) -> tuple[str, bool]:
    """One line about one entry, and whether something was found."""
    said, status = log.read_text(errors="replace"), log.with_suffix(".status").read_text()
    executed = re.findall(r"number_of_executed_units: (\d+)", said)
    covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)
    cov, features, kept = covered[-1] if covered else ("?", "?", "?")
    count = executed[-1] if executed else "?"
    found = status != "0"
    verdict = f"FOUND (status {status}), see {log}" if found else "nothing found"
    return f"{label:34} {count:>9} inputs, {cov} edges, {features} features, {kept} kept: {verdict}", found


def start(folder: Path, entries: list[Entry]) -> bool:
    """Run a plan, and print what came of it as it goes on."""
    (folder / "crashes").mkdir(parents=True, exist_ok=True)
    plan = folder / "plan.json"
    plan.write_text(json.dumps(entries))
    labels = {one["log"]: label_of(one["targets"]) for one in entries}
    found = False
    with subprocess.Popen(
        [sys.executable, str(HERE / "one.py"), str(plan)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        for line in running.stdout:
            log = line.rsplit(maxsplit=1)[0]
            said, bad = summary(labels[log], Path(log))
            print(said, flush=True)
            found |= bad
    return found or running.returncode != 0


def merge(folder: Path, targets: list[Target]) -> None:
    """Short inputs of the grown corpora that reach what the stored seeds do not."""
    entries: list[Entry] = []
    for target in targets:
        for old in target.corpus.glob("found-*"):
            old.unlink()
        merged = folder / "merged" / file_of([target])
        merged.mkdir(parents=True, exist_ok=True)
        for i, seed in enumerate(target.seeds()):
            (merged / f"seed-{i}").write_bytes(seed)
        grown = folder / "corpus" / file_of([target])
        log = folder / f"merge-{file_of([target])}.log"
        options = ["-merge=1", "-timeout=60", str(merged), str(grown)]
        entries.append({"targets": [target.name], "options": options, "log": str(log)})
    start(folder, entries)
    for target in targets:
        seeds = set(target.seeds())
        found = {path.read_bytes() for path in (folder / "merged" / file_of([target])).iterdir()}
        room = min(MAX_STORED_BYTES, 100 + max(map(len, seeds)))
        # The shortest reach the readers' first refusals, which the suite sees anyway: the longest that fit.
        fresh = sorted((d for d in found - seeds if len(d) <= room), key=lambda d: (-len(d), d))[:MAX_FOUND]
        for i, data in enumerate(fresh):
            target.corpus.mkdir(parents=True, exist_ok=True)
            (target.corpus / f"found-{i}").write_bytes(data)
        print(f"{target.name:34} {len(fresh)} added to the corpus", flush=True)


def main() -> int:
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--target", action="append", default=[], metavar="NAME")
    reader.add_argument("--seconds", type=int, default=60, metavar="N")
    reader.add_argument("--together", action="store_true")
    reader.add_argument("--replay", type=int, metavar="N")
    reader.add_argument("--folder", type=Path, default=HERE.parents[1] / "build" / "fuzz")
    reader.add_argument("--merge", action="store_true")
    reader.add_argument("--again", type=Path, metavar="FILE")
    reader.add_argument("--list", action="store_true")
    said = reader.parse_args()
    if said.list:
        print("\n".join(TARGETS))
        return 0
    targets = select(said.target or ["all"])
    if said.again is not None:
        print("read" if targets[0].check(said.again.read_bytes()) else "refused")
        return 0
    if said.replay is not None:
        return int(replay(targets, said.replay))
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: pip install 'sottovoce[fuzz]', or --replay N without it")
        return 2
    folder = said.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    groups = [targets] if said.together else [[target] for target in targets]
    found = start(folder, [entry(folder, group, said.seconds) for group in groups])
    if said.merge and not said.together:
        merge(folder, targets)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
