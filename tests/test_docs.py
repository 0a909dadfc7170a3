"""The README and docs/: every block of code is run, every link leads somewhere, every source is listed.

A block says its language.  ``python`` is run as doctest, one namespace a page; ``sh`` and ``console`` in a
shell, the blocks of a page in one empty folder; ``toml``, ``json`` and ``diff`` are read.  A comment in the
line before says who runs a block instead, or why nobody can; the commands in it are held to the options that
exist all the same.
"""

import doctest
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"^(?:<!-- (?P<remark>[^\n]*?) -->\n)?```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHELL = ("sh", "console")
READ = ("toml", "json", "diff", "text")
CHANGES_THE_MACHINE = re.compile(
    r"^(?:\$ )?(?:sudo |apt|pip |python -m pip |make |git |docker )", re.MULTILINE
)
SLOW = ("cli.md", "he-files.md")  # many processes


class Block(NamedTuple):
    page: Path
    language: str
    text: str
    remark: str

    @property
    def runs(self):
        return not self.remark.startswith(("run by ", "not run: "))


def blocks(page, *languages):
    found = (
        Block(page, m["language"], m["text"], m["remark"] or "") for m in FENCE.finditer(page.read_text())
    )
    return [block for block in found if not languages or block.language in languages]


ALL = [block for page in PAGES for block in blocks(page)]


# -- blocks ---------------------------------------------------------------------------------------


def test_every_block_is_of_a_language_that_somebody_runs():
    strange = {
        (block.page.name, block.language)
        for block in ALL
        if block.language not in ("python", *SHELL, *READ) and not block.language.startswith("{")
    }
    assert strange == set()
    for page in PAGES:
        fences = len(re.findall(r"^ *```", page.read_text(), re.MULTILINE))
        assert fences == 2 * len(blocks(page)), f"{page.name}: a block that is not read as one"


def test_who_runs_a_block_instead_is_there_and_a_reason_is_given():
    said = [block.remark for block in ALL if not block.runs]
    for remark in said:
        if remark.startswith("run by "):
            assert (ROOT / remark.removeprefix("run by ")).exists(), remark
        else:
            assert len(remark.removeprefix("not run: ").split()) > 2, remark
    assert not [block for block in ALL if block.language == "python" and not block.runs]
    for block in ALL:
        if block.language in SHELL and block.runs:
            assert not CHANGES_THE_MACHINE.search(block.text), f"{block.page.name}: {block.text}"


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_examples_print_what_the_page_says(page):
    # One namespace a page: later blocks go on where earlier ones stopped.
    source = "\n".join(block.text for block in blocks(page, "python"))
    test = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)
    result = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(test)
    assert result.attempted > 0
    assert result.failed == 0


def test_python_blocks_are_examples_that_run():
    for block in ALL:
        if block.language == "python":
            assert block.text.startswith(">>>"), f"{block.page.name}: a python block that is not run"


def test_the_example_of_the_readme_is_short_and_ends_in_refusals():
    texts = [block.text for block in blocks(ROOT / "README.md", "python")]
    lines = [line for text in texts for line in text.splitlines() if line.startswith((">>>", "..."))]
    assert len(lines) <= 25
    refusals = [text.strip().splitlines()[-1].split(":")[0].rpartition(".")[2] for text in texts]
    assert refusals == ["ProtocolError", "UnsigncryptError"]


def shell(folder, text):
    (folder / "bin").mkdir(exist_ok=True)
    for name, arguments in {"sottovoce": "-m sottovoce", "python": ""}.items():
        command = folder / "bin" / name  # the package under test, wherever it is installed
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        command.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SOTTOVOCE_")}
    environment |= {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "COLUMNS": "100"}
    return subprocess.run(
        ["bash", "-e", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page.name in SLOW), id=page.name)
        for page in PAGES
        if any(block.runs for block in blocks(page, *SHELL))
    ],
)
def test_commands_of_a_page_run_in_an_empty_folder(page, tmp_path):
    for block in blocks(page, *SHELL):
        if not block.runs or CHANGES_THE_MACHINE.search(block.text):
            continue  # the second: refused above
        expected = None
        text = block.text
        if block.language == "console":
            lines = text.splitlines()
            text = "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
            expected = "\n".join(line for line in lines if not line.startswith("$ "))
        done = shell(tmp_path, text)
        assert done.returncode == 0, done.stderr
        if expected is not None:
            assert done.stdout.strip() == expected.strip()


def test_no_page_installs_from_an_index_what_is_not_there():
    """Nothing is released; docs/dependencies.md says what such a line does where the package is installed."""
    for page in PAGES:
        for line in re.findall(r"pip install [\"']?sottovoce.*", page.read_text(encoding="utf-8")):
            assert page.name == "dependencies.md", f"{page.name}: {line}"


def test_settings_on_the_pages_are_read(tmp_path):
    from sottovoce.cli.serve.policy import read_policy

    for block in ALL:
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
            if "min_contributors" in block.text:
                (tmp_path / "policy.toml").write_text(block.text)
                assert read_policy(tmp_path / "policy.toml").min_contributors == 8


def test_lines_that_a_page_adds_to_an_app_run(tmp_path, monkeypatch):
    pytest.importorskip("flwr", reason="the pages show changes of a Flower app")
    from sottovoce._ext import sealed
    from sottovoce.fl.flower import provision

    monkeypatch.setattr(sealed, "COST", sealed.Cost(memory_kib=64, passes=1, lanes=1))
    provision(tmp_path / "keys", n_nodes=4)
    monkeypatch.setenv("SOTTOVOCE_FLOWER_SERVER", str(tmp_path / "keys" / "server"))
    from flwr.clientapp import ClientApp
    from flwr.serverapp.strategy import FedAvg

    for block in ALL:
        if block.language == "diff":
            for sign in "-+":  # before, and after
                lines = [line[1:] for line in block.text.splitlines() if line.startswith(sign)]
                exec("\n".join(lines), {"ClientApp": ClientApp, "FedAvg": FedAvg})


# -- commands, run or not -------------------------------------------------------------------------


def commands_of(block):
    """Words of each `sottovoce ...` in a block of the shell, or in one that shows a command."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        words = []
        for word in [*shlex.split(line, comments=True), ";"] if "sottovoce " in line else ():
            if word in ("|", "&&", ";"):
                while words and words[0] != "sottovoce":  # a prompt, a variable
                    words.pop(0)
                if words:
                    yield words[1:]
                words = []
            else:
                words.append(word)


def test_commands_on_the_pages_have_the_options_that_exist():
    root = typer.main.get_command(__import__("sottovoce.cli.app", fromlist=["app"]).app)
    n_checked = 0
    for block in ALL:
        if block.language not in (*SHELL, "text"):
            continue
        for words in commands_of(block):
            command = root
            said = f"{block.page.name}: sottovoce {' '.join(words)}"
            while words and hasattr(command, "commands") and not words[0].startswith("-"):
                assert words[0] in command.commands, said
                command = command.commands[words.pop(0)]
            known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
            for word in words:
                if word.startswith("-") and len(word) > 1:
                    assert word.partition("=")[0] in known, f"{said}: {word}"
                    n_checked += 1
    assert n_checked > 30


def leaves(command, *path):
    """Every command that does something, as the words that call it."""
    for name, below in command.commands.items():
        if hasattr(below, "commands"):
            yield from leaves(below, *path, name)
        else:
            yield " ".join((*path, name))


def test_the_page_of_the_commands_names_every_one():
    root = typer.main.get_command(__import__("sottovoce.cli.app", fromlist=["app"]).app)
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    commands = list(leaves(root))
    assert len(commands) > 35
    assert [name for name in commands if not re.search(rf"`{name}[` ]", page)] == []


# -- links and sources ----------------------------------------------------------------------------


def test_links_between_pages_lead_somewhere():
    others = [ROOT / name for name in ("SECURITY.md", "CHANGELOG.md", "examples/README.md")]
    for page in PAGES + others:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_source_of_every_example_is_on_its_page():
    page = (ROOT / "docs" / "examples.md").read_text()
    shown = re.findall(r"^```\{literalinclude\} \.\./(\S+)", page, re.MULTILINE)
    there = [p for p in (ROOT / "examples").rglob("*.py") if p.stat().st_size > 100]  # not an empty package
    assert sorted(name for name in shown if name.endswith(".py")) == sorted(
        p.relative_to(ROOT).as_posix() for p in there
    )
    for target in re.findall(r"\]\(([a-z_.]+)/?\)", (ROOT / "examples" / "README.md").read_text()):
        assert f"\n({target})=\n" in page, "conf.py leads links of the list there"


def test_every_page_is_in_the_navigation():
    listed = [
        line
        for block in blocks(ROOT / "docs" / "index.md", "{toctree}")
        for line in block.text.splitlines()
        if line and not line.startswith(":")
    ]
    assert len(listed) == len(set(listed))
    pages = {p.stem for p in PAGES[1:]} | {f"api/{p.stem}" for p in (ROOT / "docs" / "api").glob("*.rst")}
    there_or_not = {"performance", "selftest"}  # OPTIONAL of docs/conf.py
    assert set(listed) | there_or_not == pages - {"index"} | there_or_not


VENUES = """CRYPTO EUROCRYPT ASIACRYPT ASIACCS PKC CCS TCC CHES ACNS CT-RSA FOCS STOC PoPETs PETS NDSS CANS
DATE SAC FSE INDOCRYPT IJIS ISC CACM AISTATS"""
CITED = re.compile(
    r"RFC \d{4}|(?:eprint|ePrint) \d{4}/\d+|FIPS \d+-?\d*|SP 800-\d+|CCSDS \d+\.\d+-B|EN 300 \d+"
    r"|ISO/IEC \d+|WHP \d+|draft-[a-z]+-[a-z-]+|\bUSENIX(?: Security)? (?:19|20)\d\d"
    rf"|\b(?:{'|'.join(VENUES.split())}) (?:19|20)\d\d"
)


def test_every_paper_and_rfc_that_is_cited_is_in_the_bibliography():
    listed = (ROOT / "docs" / "bibliography.md").read_text()
    sources = [
        *PAGES,
        *(p for top in ("_ext", "clsc", "he", "rs", "fl", "cli") for p in (ROOT / top).rglob("*.*")),
    ]
    cited = set()
    for path in sources:
        if path.suffix in {".md", ".py", ".pyx", ".c", ".h"} and path.name != "bibliography.md":
            text = re.sub(r"\s+(?:[#*] ?)?", " ", path.read_text(encoding="utf-8"))
            cited |= {(m.replace("ePrint", "eprint"), path.name) for m in CITED.findall(text)}
    assert len({what for what, _ in cited}) > 60
    assert sorted((what, name) for what, name in cited if what not in listed) == []


def test_every_public_name_is_described_on_a_page_of_the_api():
    described = {
        name
        for page in (ROOT / "docs" / "api").glob("*.rst")
        for name in re.findall(r"^\.\. auto\w+:: sottovoce\.(\S+)", page.read_text(), re.MULTILINE)
    }
    errors = (ROOT / "_ext" / "errors.py").read_text()
    for name in (ROOT / "tests" / "public_api.txt").read_text().split():
        on_its_own = name in described
        shared = f"class {name.rpartition('.')[2]}(" in errors
        assert on_its_own or shared, name
