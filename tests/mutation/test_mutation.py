"""docs/mutation.md tells what tests/mutation/results.json holds, and explains every survivor."""

import collections
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOUND = json.loads(Path(__file__).with_name("results.json").read_text())
PAGE = (ROOT / "docs" / "mutation.md").read_text()


def test_the_page_has_the_counts_of_the_run():
    count = collections.Counter(row["outcome"] for row in FOUND["run"])
    sample = FOUND["sample"]
    for number, name in (
        (sample["mutants"], "mutants"),
        (sample["places"], "places"),
        (len(FOUND["run"]), "run"),
        (count["killed"] + count["timeout"], "killed"),
        (count["killed since"], "killed since"),
        (count["survived"], "survived"),
    ):
        assert f"| {name} | {number} |" in PAGE, f"docs/mutation.md: {name} is {number}"
    assert count["broken"] == 0


def test_every_survivor_is_explained():
    for row in FOUND["run"]:
        if row["outcome"] in {"survived", "killed since"}:
            assert f"`{row['module']}:{row['line']}`" in PAGE, f"docs/mutation.md: {row}"
