"""Mutation testing of ``clsc``: does some test notice when one operator, number or condition is changed?

    python tests/mutation/run.py --folder build/mutation --seed 7 --count 300

In a throw-away folder: a clone of the commit that is checked out, the package laid out from its sources (the
compiled modules are taken from the installed package), an environment with cosmic-ray of its own, and then:

1. ``map``: tests/clsc once, under coverage: which test runs which line, and how long it takes;
2. ``sample``: all mutants by place, a seeded sample of places, one mutant each;
3. ``run``: for each mutant the quickest tests that run its line, then, when it lives, the others;
4. ``report``: counts and survivors.

Each step is skipped when its result is there, and ``run`` goes on where it was stopped.
"""

import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(__file__).with_name("results.json")
COSMIC_RAY = "cosmic-ray==8.7.0"
COVERAGE = "coverage>=7.6,<8"


def call(*command, **more):
    subprocess.run([str(part) for part in command], check=True, **more)


def copy_sources(clone, target):
    folders = tomllib.loads((clone / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for name, folder in folders.items():
        shutil.copytree(clone / folder, target / name.replace(".", "/"), dirs_exist_ok=True)


def lay_out(clone, target, python):
    """The package as ``setup.py`` would install it, compiled modules from the installed one."""
    copy_sources(clone, target)
    asked = subprocess.run(
        [python, "-I", "-c", "import sottovoce; print(sottovoce.__file__)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    for compiled in (Path(asked.stdout.strip()).parent / "_ext").glob("*.so"):
        shutil.copy(compiled, target / "sottovoce" / "_ext")


def prepare(folder, python):
    clone, tree = folder / "clone", folder / "src"
    if not clone.exists():
        call("git", "clone", "-q", "--no-hardlinks", ROOT, clone)
        lay_out(clone, tree, python)
    else:
        copy_sources(clone, tree)  # a run that was killed has left its mutant there
    if not (folder / "tools").exists():
        call(sys.executable, "-m", "venv", folder / "tools")
        call(folder / "tools/bin/python", "-m", "pip", "install", "-q", COSMIC_RAY)
    if not (folder / "coverage").exists():
        call(python, "-m", "pip", "install", "-q", "--no-deps", "--target", folder / "coverage", COVERAGE)
    return clone, tree


def keep(rows, sampled):
    """What docs/mutation.md explains, in the repository: module, place, operator, outcome."""
    found = [
        {
            "module": row["mutant"][0],
            "line": row["mutant"][3][0],
            "operator": row["mutant"][1].split("/")[-1],
            "outcome": row["outcome"],
            **({"diff": changed(row["diff"])} if row["outcome"] != "killed" else {}),
        }
        for row in rows
    ]
    summary = {"places": sampled["places"], "mutants": sampled["mutants"], "sampled": len(sampled["sample"])}
    lines = ",\n  ".join(json.dumps(row) for row in found)
    KEPT.write_text(f'{{"sample": {json.dumps(summary)}, "run": [\n  {lines}\n]}}\n')


def changed(diff):
    """The lines of a diff that differ, without its head."""
    return [part.strip() for part in diff.split("\n")[3:] if part[:1] in "+-" and part[1:].strip()]


def report(results, sampled):
    rows = [json.loads(row) for row in results.read_text().splitlines()]
    keep(rows, sampled)
    count = collections.Counter(row["outcome"] for row in rows)
    print(f"{sampled['places']} places, {sampled['mutants']} mutants; {len(rows)} of the sample were run")
    print(", ".join(f"{name} {number}" for name, number in sorted(count.items())))
    for row in rows:
        if row["outcome"] in {"survived", "broken"}:
            module, operator, _, (line, column), _ = row["mutant"]
            print(f"\n{row['outcome']}: clsc/{module}:{line}:{column} {operator.split('/')[-1]}", end="")
            print("" if row["covered"] else " (no test of tests/clsc runs this line)", end="")
            print(f", {row['tests']} tests" + (f", {row['left']} left out for time" if row["left"] else ""))
            print("\n".join(part for part in row["diff"].split("\n")[3:]))


def main():
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    reader.add_argument("--folder", type=Path, default=ROOT / "build" / "mutation")
    reader.add_argument(
        "--python", default=sys.executable, help="an interpreter that has the package and its test extra"
    )
    reader.add_argument("--seed", type=int, default=7)
    reader.add_argument("--count", type=int, default=300)
    reader.add_argument("--first", type=float, default=5, help="seconds of tests in the first go")
    reader.add_argument("--then", type=float, default=60, help="seconds of further tests for who survives it")
    reader.add_argument(
        "--limit", type=float, default=15, help="seconds of processor time after which a mutant hangs"
    )
    reader.add_argument("--report", action="store_true", help="only print what was found")
    reader.add_argument(
        "--again",
        nargs="+",
        metavar="FILE",
        help="run who survived on these test files of the checkout, whole",
    )
    said = reader.parse_args()
    folder = said.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results, chosen = folder / "results.jsonl", folder / "sample.json"
    if said.report:
        report(results, json.loads(chosen.read_text()))
        return
    clone, tree = prepare(folder, said.python)
    here = clone / "tests" / "mutation"
    # Most of a run is its start: plug-ins that these tests do not need take two seconds of three.
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HYPOTHESIS_PROFILE": "dev",
    }
    pytest = [said.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin"]
    pytest += ["-o", "addopts=--import-mode=importlib --strict-markers"]
    if not (folder / "map.json").exists():
        mapping = {
            **environment,
            "PYTHONPATH": os.pathsep.join(map(str, (tree, here, folder / "coverage"))),
            "MUTATION_SOURCE": str(tree / "sottovoce" / "clsc"),
            "MUTATION_MAP": str(folder / "map.json"),
        }
        call(*pytest, "-p", "coverage_map", "tests/clsc", cwd=clone, env=mapping)
    plan = {
        "source": str(tree / "sottovoce" / "clsc"),
        # One search for each property: a mutant must not live or die by chance.
        "command": [*pytest, "-x", "--tb=no", "--hypothesis-seed=0"],
        "map": str(folder / "map.json"),
        "sample": str(chosen),
        "results": str(results),
        "seed": said.seed,
        "count": said.count,
        "again": said.again or [],
        "first_s": said.first,
        "then_s": said.then,
        "limit_s": said.limit,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    tool = folder / "tools/bin/python"
    if not chosen.exists():
        call(tool, here / "mutants.py", "sample", folder / "plan.json")
    step = "again" if said.again else "run"
    call(
        tool,
        Path(__file__).with_name("mutants.py"),
        step,
        folder / "plan.json",
        cwd=ROOT if said.again else clone,
        env=environment,
    )
    report(results, json.loads(chosen.read_text()))


if __name__ == "__main__":
    main()
