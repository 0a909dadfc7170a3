"""Reader of tests/vectors/rs: unknown fields fail, and the count must match."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "rs"


def load(name, head, fields):
    """The whole file and its tests; each test has some of ``fields`` and no other."""
    data = json.loads((FOLDER / name).read_text())
    assert data.keys() == {"algorithm", "numberOfTests", "testGroups", *head}
    tests = [t for group in data["testGroups"] for t in group["tests"]]
    assert len(tests) == data["numberOfTests"]
    assert [t["tcId"] for t in tests] == list(range(1, len(tests) + 1))
    for test in tests:
        assert test.keys() <= {"tcId", "comment", "result", "error", *fields}, test["tcId"]
        assert (test["result"] == "invalid") == ("error" in test)
    return data, tests


def unhex(texts):
    """A list of hexadecimal strings as bytes."""
    return [bytes.fromhex(t) for t in texts]
