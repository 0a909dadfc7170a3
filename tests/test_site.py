"""The documentation site is built without a warning, and its pages ask no other host for anything."""

import html.parser
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDED = ("sphinx", "furo", "myst_parser", "sphinx-mathjax-offline")
LACKING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

# Names of namespaces, and links in comments and menus; nothing that a browser loads.
NAMED_IN_SCRIPTS = {"www.w3.org", "www.mathjax.org", "snowballstem.org", "developer.mozilla.org"}
LOADED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "audio": ("src",),
    "video": ("src", "poster"),
    "embed": ("src",),
    "object": ("data",),
    "form": ("action",),
    "base": ("href",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", re.IGNORECASE)


class Loads(html.parser.HTMLParser):
    """What a page makes a browser load; links that a reader may follow are none of it."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.style = False

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.style = tag == "style"
        names = LOADED.get(tag, ())
        if tag == "link" and given.get("rel") not in ("next", "prev", "index", "search", "canonical"):
            names = ("href",)
        if tag == "meta" and "refresh" in (given.get("http-equiv") or "").lower():
            names = ("content",)
        self.found += [given[name] for name in names if given.get(name)]
        self.found += styles(given.get("style") or "")

    def handle_data(self, data):
        if self.style:
            self.found += styles(data)


def styles(text):
    return [a or b for a, b in IN_STYLE.findall(text)]


def asked_elsewhere(folder):
    """(file, address) of whatever the files of a site have loaded from another host."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".html":
            page = Loads()
            page.feed(path.read_text(encoding="utf-8"))
            loaded = page.found
        elif path.suffix == ".css":
            loaded = styles(path.read_text(encoding="utf-8"))
        elif path.suffix == ".js" and path.name != "searchindex.js":  # that one is the words of the pages
            hosts = re.findall(r"https?://([A-Za-z0-9.-]+)", path.read_text(encoding="utf-8"))
            loaded = [f"//{host}" for host in hosts if host not in NAMED_IN_SCRIPTS]
        else:
            continue
        for address in loaded:
            if ELSEWHERE.match(address):
                yield path.name, address


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img src="http://example/x.png">',
        '<style>@import "https://example/x.css";</style>',
        '<p style="background: url(https://example/x.png)">',
    ],
)
def test_what_a_page_loads_from_elsewhere_is_seen(page, tmp_path):
    (tmp_path / "x.html").write_text(page)
    assert len(list(asked_elsewhere(tmp_path))) == 1


def test_links_and_own_files_are_no_loads(tmp_path):
    (tmp_path / "x.html").write_text(
        '<a href="https://eprint.iacr.org/2012/144">paper</a><script src="_static/x.js"></script>'
        '<link rel="stylesheet" href="_static/x.css"><img src="data:image/png;base64,AA==">'
    )
    (tmp_path / "x.css").write_text("@font-face { src: url(fonts/x.woff) } a { mask: url('data:x') }")
    assert list(asked_elsewhere(tmp_path)) == []
    (tmp_path / "y.js").write_text("load('https://cdn.example/z')")
    assert list(asked_elsewhere(tmp_path)) == [("y.js", "//cdn.example")]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if LACKING:
        pytest.skip(f"the extra docs is not installed: {', '.join(LACKING)}")
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    places = [ROOT / "docs", out / "html", "-d", out / "doctrees"]
    done = subprocess.run([*build, *places], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "html"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_asks_no_other_host(site):
    assert list(asked_elsewhere(site)) == []
    assert len(list(site.rglob("*.html"))) > 50


@pytest.mark.slow
def test_mathematics_and_its_fonts_are_shipped(site):
    assert "_static/mathjax/tex-chtml.js" in (site / "he.html").read_text()
    assert (site / "_static" / "mathjax" / "tex-chtml.js").stat().st_size > 500_000
    fonts = site / "_static" / "mathjax" / "output" / "chtml" / "fonts" / "woff-v2"
    assert len(list(fonts.glob("*.woff"))) > 10


@pytest.mark.slow
def test_every_public_name_has_its_place(site):
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as stream:
        inventory = InventoryFile.load(stream, "", lambda base, uri: uri)
    names = {name for kind, found in inventory.items() if kind.startswith("py:") for name in found}
    for name in (ROOT / "tests" / "public_api.txt").read_text().split():
        package, _, last = name.rpartition(".")
        thing = getattr(importlib.import_module(f"sottovoce.{package}"), last)
        home = getattr(thing, "__module__", "")
        described = f"sottovoce.{name}" in names or f"{home}.{last}" in names
        assert described, name


@pytest.mark.slow
def test_texts_of_the_repository_are_pages_with_links_that_lead_somewhere(site):
    for page, said, link in (
        ("examples", "a file sealed to three people", "#file-to-three-py"),
        ("security", "Any break of a promise", "threat-model.html"),
        ("changelog", "Keep a Changelog", "versions.html"),
        ("citing", "cff-version", "bibliography.html"),
    ):
        text = (site / f"{page}.html").read_text()
        assert said in text
        assert f'href="{link}"' in text, page
        assert "its text is put here" not in text
