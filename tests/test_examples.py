"""Every example runs, and says what it should; those with many processes have tests of their own."""

import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples"
# What each prints, in this order: regular expressions, each of the beginning of a line.
SAYS = {
    "fedavg/plain.py": [r"round 1: accuracy 0\.8", r"round 3: accuracy 0\.[89]"],
    "fedavg/private.py": [r"round 1: accuracy 0\.8", r"round 3: accuracy 0\.[89]"],
    "file_to_three.py": [
        r"sealed 1,750,000 bytes to three people, in a packet of",
        r"bob opened it; it is from alice$",
        r"carol opened it; it is from alice$",
        r"dave opened it; it is from alice$",
        r"neither names nor keys",
        r"refused: packet is not for this key and context, or was altered$",
    ],
    "private_round.py": [
        r"10 contributors, in the list: True$",
        r"largest difference to the plain weighted mean: \d\.\de-0[5-9]$",
        r"refused: header: against own policy",
    ],
    "pseudonyms.py": [
        r"traceable: signed by [0-9a-f]{16}\.\.\., and everybody can check it$",
        r"traceable: the issuer shows that it was alice$",
        r"blind: two keys",
        r"refused: issue: quota is spent$",
    ],
    "recover_file.py": [
        r"3,000,000 bytes in 6 shards of",
        r"found: 3 of 6 shards damaged; the file can be recovered$",
        r"the file is back, byte for byte$",
        r"repaired: 3 shards; all 6 are as they were$",
        r"refused: 4 shards needed, 3 present$",
    ],
    "vector_sum.py": [
        r"refused: round: too few contributors: 5 needed, 4 present$",
        r"refused: committee: too few members: 4 answers needed, 3 usable$",
        r"sum of the vectors: ",
        r"what was opened: ",
        r"nobody but its owner has seen any of the five vectors$",
    ],
}
ELSEWHERE = {"flower": "fl/flower/test_engines.py", "http_round": "fl/http/test_http_example.py"}


def scripts():
    """Of the examples that are run here."""
    for path in sorted(FOLDER.rglob("*.py")):
        name = path.relative_to(FOLDER).as_posix()
        if name.split("/")[0] not in ELSEWHERE:
            yield name


def run(name, folder):
    done = subprocess.run(
        [sys.executable, FOLDER / name], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list(folder.iterdir()), "an example leaves nothing behind"
    return done.stdout


@pytest.mark.parametrize("name", [name for name in scripts() if not name.startswith("fedavg/")])
def test_example_says_what_it_shows(name, tmp_path):
    check_lines(run(name, tmp_path), SAYS[name])


def check_lines(printed, wanted):
    lines = printed.splitlines()
    for pattern in wanted:
        at = next((i for i, line in enumerate(lines) if re.match(pattern, line)), None)
        assert at is not None, (pattern, printed)
        del lines[: at + 1]


def test_privacy_takes_at_most_twenty_lines_and_learns_the_same(tmp_path):
    texts = [(FOLDER / "fedavg" / name).read_text().splitlines() for name in ("plain.py", "private.py")]
    lines = list(difflib.unified_diff(*texts, n=0, lineterm=""))[2:]
    changed = [line for line in lines if line[0] in "+-"]
    assert 5 < len(changed) <= 20, "\n".join(changed)
    printed = {name: run(name, tmp_path) for name in ("fedavg/plain.py", "fedavg/private.py")}
    for name, text in printed.items():
        check_lines(text, SAYS[name])
    plain, private = ([float(a) for a in re.findall(r"accuracy (\S+)", text)] for text in printed.values())
    assert private == pytest.approx(plain, abs=0.005)


def test_every_example_is_in_the_list_with_its_command():
    page = (FOLDER / "README.md").read_text()
    assert set(scripts()) == set(SAYS)
    for name in SAYS:
        assert f"`python examples/{name}`" in page, name
    for folder, test in ELSEWHERE.items():
        assert f"[{folder}/]({folder}/)" in page
        assert (Path(__file__).parent / test).exists()
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (FOLDER / target).exists(), target
    files = {path.name.rstrip("/") for path in FOLDER.iterdir() if path.name != "README.md"}
    assert files == {name.split("/")[0] for name in SAYS} | set(ELSEWHERE)
