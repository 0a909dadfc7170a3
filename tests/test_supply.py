"""What stands beside the code: builds of wheels, licences, the security page, the citation."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import sottovoce

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
# An extra may be made of others.
REQUIREMENTS = [r for group in GROUPS for r in group if not r.startswith(PROJECT["name"])]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


@pytest.mark.parametrize(
    ("platform", "tags"),
    [
        ("linux", ["manylinux_x86_64", "manylinux_aarch64"]),
        ("macos", ["macosx_x86_64", "macosx_arm64"]),
        ("windows", ["win_amd64"]),
    ],
)
def test_wheels_are_built_for_every_python_and_system(platform, tags):
    command = [sys.executable, "-m", "cibuildwheel", "--print-build-identifiers", "--platform", platform]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    classifiers = " ".join(PROJECT["classifiers"])
    pythons = re.findall(r"Python :: 3\.(\d+)", classifiers)
    assert len(pythons) == 4
    assert sorted(done.stdout.split()) == sorted(f"cp3{minor}-{tag}" for minor in pythons for tag in tags)


def test_every_dependency_has_its_licence_in_the_list():
    page = (ROOT / "docs" / "licences.md").read_text()
    rows = [line.split("|") for line in page.splitlines()]
    licences = {normal(row[1].strip()): row[3].strip() for row in rows if len(row) == 5}
    for requirement in REQUIREMENTS:
        name = normal(name_of(requirement))
        assert licences.get(name), f"{name} has no row: make licences"
        # What a package does not say of itself, the page says.
        assert licences[name] != "UNKNOWN" or re.search(rf"`{name}` .*names no licence", page)
    # What everybody installs brings no GPL; gmpy2 is a library under the LGPL.
    for requirement in PROJECT["dependencies"]:
        assert not re.search(r"(?<!L)(?<!Lesser )GPL", licences[normal(name_of(requirement))])


def test_every_dependency_has_a_reason():
    page = (ROOT / "docs" / "dependencies.md").read_text()
    named = {normal(name) for name in re.findall(r"`([\w.-]+)(?:\[\w+\])?`", page)}
    assert not {normal(name_of(r)) for r in REQUIREMENTS} - named


def test_every_lower_bound_has_a_reason():
    page = (ROOT / "docs" / "dependencies.md").read_text()
    bounds = page.partition("## Lower bounds")[2].partition("\n## ")[0]
    for requirement in REQUIREMENTS:
        name, bound = name_of(requirement), re.search(r">=([\d.]+)", requirement)
        if bound:
            assert f"`{name}>={bound[1]}`" in bounds, requirement


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text()
    fields = dict(re.findall(r"^([\w-]+): +(.+)$", text, re.MULTILINE))
    assert fields["version"] == sottovoce.__version__
    assert fields["license"] == PROJECT["license"]
    assert fields["title"].strip('"').startswith(PROJECT["name"])


@pytest.mark.slow
def test_the_citation_has_the_format(tmp_path):
    yaml, jsonschema = pytest.importorskip("yaml"), pytest.importorskip("jsonschema")
    # Only its schema: the package itself wants versions that other tests do not.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "-d",
        tmp_path,
        "cffconvert==2.0.0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip("needs a package index, for the schema in cffconvert")
    (wheel,) = tmp_path.glob("*.whl")
    schema = json.loads(zipfile.ZipFile(wheel).read("cffconvert/schemas/1.2.0/schema.json"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    jsonschema.validate(citation, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**citation, "authors": []}, schema)


def test_the_security_page_says_what_a_reporter_needs():
    page = (ROOT / "SECURITY.md").read_text()
    for heading in ("Reporting", "Supported versions", "What counts", "What is not protected", "Past issues"):
        assert f"\n## {heading}\n" in page
    assert "@" not in page  # no address that nobody reads


def test_every_environment_variable_has_a_row():
    page = (ROOT / "docs" / "environment.md").read_text()
    folders = ("_root", "_ext", "clsc", "he", "rs", "fl", "cli")
    sources = [p.read_text() for folder in folders for p in (ROOT / folder).rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"\bSOTTOVOCE_[A-Z_]+\b", text)}
    assert {"SOTTOVOCE_KERNEL", "SOTTOVOCE_HOME"} <= read
    assert not [name for name in read if f"`{name}`" not in page]
