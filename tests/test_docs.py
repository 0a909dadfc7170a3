"""Every Python block in the README and in docs/ is run, and what it prints is compared."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if ">>>" in p.read_text()], ids=lambda p: p.name)
def test_examples_print_what_the_page_says(page):
    # One namespace a page: later blocks go on where earlier ones stopped.
    source = "\n".join(BLOCK.findall(page.read_text()))
    test = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)
    result = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(test)
    assert result.attempted > 0
    assert result.failed == 0


def test_python_blocks_are_examples_that_run():
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            assert block.startswith(">>>"), f"{page.name}: a python block that is not run"


def test_the_example_of_the_readme_is_short_and_ends_in_refusals():
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    lines = [line for block in blocks for line in block.splitlines() if line.startswith((">>>", "..."))]
    assert len(lines) <= 25
    refusals = [block.strip().splitlines()[-1].split(":")[0].rpartition(".")[2] for block in blocks]
    assert refusals == ["ProtocolError", "UnsigncryptError"]


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
