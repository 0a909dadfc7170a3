"""Load the vectors of clsc: unknown or missing fields fail, and the count must match."""

import json
import pathlib

ROOT = pathlib.Path(__file__).parents[1] / "vectors"


def load(path, fields, *, optional=()):
    data = json.loads((ROOT / path).read_text())
    tests = data["tests"]
    assert len(tests) == data["numberOfTests"] > 0
    assert [t["tcId"] for t in tests] == list(range(1, len(tests) + 1))
    for t in tests:
        missing = {"tcId", *fields} - t.keys()
        unknown = t.keys() - {"tcId", *fields, *optional}
        assert not missing, f"{path} {t['tcId']}: {missing} missing"
        assert not unknown, f"{path} {t['tcId']}: {unknown} unknown"
    return data


def raw(value):
    return bytes.fromhex(value)
