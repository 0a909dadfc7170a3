"""The fuzz targets, for a few seconds: everything that is stored, seeded mutations of it, and atheris."""

import ast
import importlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sottovoce
from fuzz.core import CORPUS, FROZEN, MAX_STORED_BYTES, Finding, Target, inputs, taken
from fuzz.targets import TARGETS
from sottovoce._ext.errors import DecodeError

HERE = Path(__file__).resolve().parent
QUICK = [name for name, target in TARGETS.items() if not target.heavy]
HEAVY = [name for name, target in TARGETS.items() if target.heavy]
MAX_CORPUS_BYTES = 300_000

READERS = re.compile(r"^(read_|load_key|unsigncrypt|verify|batch_verify|judge|join_|gather|repair_|audit_)")
"""Public functions that are handed bytes, or files, which others made."""
NOT_READERS = {
    "clsc.verify_file": "reads any file; its signature is a target",
    "fl.judge_conviction": "judges what show_conviction joined: a notice and two targets",
}


def decoding_classes():
    """``module.Class`` of every class with such a method; from the sources, as importing takes seconds."""
    root = Path(sottovoce.__file__).parent
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        source = path.read_text()
        if not re.search(r"def (from_bytes|read_from|from_list)\b", source):
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
                if methods & {"from_bytes", "read_from", "from_list"}:
                    yield f"{module}.{node.name}"


def covered():
    return {name for target in TARGETS.values() for name in target.of}


def test_every_decoder_is_a_target():
    """A class that bytes become an object of is fuzzed, public or not."""
    found = set(decoding_classes())
    assert {"clsc.params.EpochParams", "fl.update.Update", "rs.shardkey.ShardKey"} <= found
    missing = found - covered()
    assert not missing, f"without a fuzz target (tests/fuzz/targets; docs/testing.md): {sorted(missing)}"


@pytest.mark.parametrize("package", ["clsc", "he", "rs", "fl"])
def test_every_public_reader_is_a_target(package):
    public = importlib.import_module(f"sottovoce.{package}")
    found = set()
    for name in public.__all__:
        thing = getattr(public, name)
        if inspect.isfunction(thing) and READERS.match(name) and f"{package}.{name}" not in NOT_READERS:
            found.add(f"{thing.__module__.removeprefix('sottovoce.')}.{name}")
    missing = found - covered()
    assert not missing, f"without a fuzz target (tests/fuzz/targets; docs/testing.md): {sorted(missing)}"


def test_names_of_covered_things_exist():
    for name in covered():
        parts = name.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            try:
                thing = importlib.import_module("sottovoce." + ".".join(parts[:cut]))
            except ModuleNotFoundError:
                continue
            for part in parts[cut:]:
                thing = getattr(thing, part)
            break
        else:
            pytest.fail(f"no such thing: {name}")


MADE = [name for name, target in TARGETS.items() if not target.random]
CHANGED = """
{name}: its bytes are not what they were.  Others no longer read what this writes, or the reverse.
Not on purpose: find what changed the encoding, and undo it.
On purpose: raise the version (byte, tag or field "v") of the format, write a line under Breaking in
CHANGELOG.md with its migration, change the byte table that docs/wire-format.md names, and run
    python tests/fuzz/make_corpus.py
"""


@pytest.mark.parametrize("name", MADE)
def test_wire_frozen(name):
    """Bytes of everything that fixed seeds determine and that is too long to be stored."""
    frozen = json.loads(FROZEN.read_text())
    assert TARGETS[name].digests() == frozen.get(name, []), CHANGED.format(name=name)


def test_every_target_is_frozen():
    """By a file of the corpus, by a digest, or by a vector elsewhere, whose place it names."""
    frozen = json.loads(FROZEN.read_text())
    assert frozen.keys() <= set(MADE)
    for name, target in TARGETS.items():
        assert target.stored() or name in frozen or target.random, f"{name}: no frozen vector"
        if target.random:
            assert (HERE / target.random.split(":")[0]).exists(), name


def test_corpus_is_small_and_belongs_to_targets():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_CORPUS_BYTES
    assert all(path.stat().st_size <= MAX_STORED_BYTES for path in files)
    assert {str(path.parent.relative_to(CORPUS)) for path in files} <= TARGETS.keys()


@pytest.mark.parametrize("name", QUICK)
def test_short_run(name):
    """Valid encodings are read; mutations are read back exactly, or refused as documented."""
    target = TARGETS[name]
    made = [path for path in target.corpus.glob("*") if not path.name.startswith("found-")]
    valid = [*(path.read_bytes() for path in made), *target.made()]
    assert valid, "no seed"
    for data in valid:
        assert target.check(data), f"{CHANGED.format(name=name)}\nrefused: {data.hex()[:200]}"
    for data in inputs(target, target.tries):
        target.check(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_short_run_of_what_is_slow(name):
    target = TARGETS[name]
    assert all(target.check(data) for data in target.seeds())
    for data in inputs(target, target.tries):
        target.check(data)


@pytest.mark.slow
def test_corpus_is_what_its_script_writes(tmp_path):
    """When a format changes, so do its seeds: ``python tests/fuzz/make_corpus.py``."""
    corpus = tmp_path / "corpus"
    subprocess.run([sys.executable, HERE / "make_corpus.py", corpus], check=True, timeout=300)
    assert (tmp_path / "frozen.json").read_text() == FROZEN.read_text()
    for path in sorted(corpus.rglob("*")):
        if path.is_file():
            assert (CORPUS / path.relative_to(corpus)).read_bytes() == path.read_bytes(), path.name


def test_what_is_wrong_is_found():
    """The checks can fail: another exception, another encoding, a cause that is shown."""

    def careless(data):
        return {b"known": data}[data]

    def malleable(data):
        if not data:
            raise DecodeError("empty")
        return data.rstrip(b"\0")

    def telling(data):
        try:
            raise ValueError("the secret")
        except ValueError as error:
            raise DecodeError("refused") from error

    def failing(data):
        assert data == b"known"

    def target(read):
        return Target("test/wrong", read, made=lambda: [b"known"])

    assert target(careless).check(b"known")
    for read in (careless, telling, taken(failing)):
        with pytest.raises(Finding):
            target(read).check(b"other")
    assert not target(malleable).check(b"")
    with pytest.raises(Finding, match="encodes to"):
        target(malleable).check(b"known\0")
    with pytest.raises(Finding):
        all(target(malleable).check(data) or True for data in inputs(target(malleable), 60))


@pytest.mark.slow
def test_coverage_guided_run(tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (extra fuzz): no wheel for this platform")
    done = subprocess.run(
        [sys.executable, HERE / "run.py", "--together", "--seconds", "8", "--folder", tmp_path],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert re.search(r"together +[1-9]\d+ inputs, [1-9]\d+ edges", done.stdout), done.stdout
