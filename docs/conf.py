"""How Sphinx builds the documentation: `make docs`.  The site asks no other host for anything.

Sphinx imports the installed package, so what is described is what is installed; the extras `http` and
`flower` must be there, because their modules are described too.
"""

from __future__ import annotations

import importlib.util
import posixpath
import re
import shutil
from pathlib import Path

from docutils import nodes
from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.nodes import make_refnode

import sottovoce
from sottovoce._ext import errors

ROOT = Path(__file__).resolve().parent.parent
HERE = re.compile(r"^\[[^]]+\]\(\.\./(\S+)\) <!-- its text is put here -->$", re.MULTILINE)
LINK = re.compile(r"\]\((?!#|[a-z]+:)([^)#]+)")
PAGE = re.compile(r"(?<!`)docs/([a-z-]+)\.md")
FIELD = re.compile(r":\w[\w ,*]*:( |$)|\.\. ")
COLON = "\ue000"
SHORT, LONG, PROSE = 12, 25, 100  # letters of a cell that is not broken, and of those that need room
REMARK = re.compile(r"^(Timing|Source|Threads|Memory): ")

project = "sottovoce"
author = "The sottovoce authors"
copyright = "The sottovoce authors. Apache-2.0"
version = release = sottovoce.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns: list[str] = []
# In the navigation where they are there: pages that a run of a script writes, or that another part brings.
OPTIONAL = ("performance", "selftest")
nitpicky = True
# Every name in a docstring or signature must lead somewhere, but for other libraries' (to look them up would
# ask another host), bases and arguments that are no public names, and names of types.
OTHERS = (
    "NDArray array collections concurrent cryptography distributed enum flwr fractions httpx io np numpy os "
    "pathlib ssl typing"
)
PRIVATE = (
    r"_ext\.sqlite_store\..*",
    r"clsc\.(evidence\.Addressee|keyfile\.K|server_share\..*|sqlite_epochs\..*)",
    r"fl\.(flower\.folders\._Folder|http\.(guard\.Limits|relay\.Mixing|asking\.Patience|series\..*))",
    r"he\.keyfile\.K",
)
nitpick_ignore_regex = [
    (r"py:.*", rf"({'|'.join(OTHERS.split())})(\..*)?"),
    (r"py:class", rf"sottovoce\.({'|'.join(PRIVATE)})"),
    (r"py:class", r"Buffer|Erasures|G1|G2|Progress|Row|Shards|Symbols"),
]

# -- Markdown

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4  # a link to a heading that is not there is a warning, and so an error

# -- API from docstrings

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

# -- HTML

html_theme = "furo"
html_title = f"sottovoce {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
mathjax_path = "mathjax/tex-chtml.js"
# Its menu has preferences that load more than is shipped.
mathjax3_config = {"options": {"enableMenu": False}}


def only_pages_that_are_there(app: Sphinx, page: str, text: list[str]) -> None:
    """A toctree that names a page that is not there would be a warning, and so an error."""
    missing = [name for name in OPTIONAL if not (Path(app.srcdir) / f"{name}.md").exists()]
    if page == "index":
        text[0] = "\n".join(line for line in text[0].split("\n") if line not in missing)


def texts_of_the_repository(app: Sphinx, page: str, text: list[str]) -> None:
    """A text that lives beside docs/ is put where a page links to it so; its heading is left out.

    Where the page is read alone, the link leads there.
    """

    def put(mark: re.Match[str]) -> str:
        path = ROOT / mark[1]
        app.env.note_dependency(str(path))
        body = path.read_text(encoding="utf-8").partition("\n")[2]
        folder = path.parent.relative_to(ROOT)
        return LINK.sub(lambda link: f"]({from_docs(folder, link[1])}", body)

    text[0] = HERE.sub(put, text[0])


def from_docs(folder: Path, target: str) -> str:
    """A link of a file in ``folder`` as a page in docs/ says it; to an example, the place of its source."""
    place = posixpath.normpath((folder / target).as_posix())
    if place.startswith("examples/"):
        return "#" + place.removeprefix("examples/")
    return posixpath.relpath(place, "docs")


def set_for_every_width(app: Sphinx, doctree: nodes.document) -> None:
    """What `site.css` goes on: a picture is a link to itself, a cell says how much is in it."""
    for picture in doctree.findall(nodes.image):
        picture["classes"].append("picture")
        picture["width"] = "100%"  # one that has a width is made a link
    for cell in doctree.findall(nodes.entry):
        n_letters = len(cell.astext())
        cell["classes"] += ["short"] * (n_letters <= SHORT) + ["long"] * (n_letters >= LONG)
        cell["classes"] += ["prose"] * (n_letters >= PROSE)
    for block in doctree.findall(nodes.literal_block):  # a doctest ends with an empty line
        text = block.astext().rstrip()
        block.rawsource, block[:] = text, [nodes.Text(text)]


def ship_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """One script and its fonts of the 24 MB that the package `sphinx-mathjax-offline` brings."""
    if exception is not None or app.builder.format != "html":
        return
    found = importlib.util.find_spec("sphinx-mathjax-offline")
    assert found is not None, "the extra docs is not installed"
    assert found.origin is not None
    source, target = (
        Path(found.origin).parent / "static" / "mathjax",
        Path(app.outdir) / "_static" / "mathjax",
    )
    target.mkdir(parents=True, exist_ok=True)
    # Speech, which nothing here starts, would be loaded from another host.
    script = (source / "tex-chtml.js").read_text(encoding="utf-8")
    (target / "tex-chtml.js").write_text(
        script.replace("https://cdn.jsdelivr.net/npm", "."), encoding="utf-8"
    )
    fonts = Path("output", "chtml", "fonts", "woff-v2")
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)


def property_sections(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Sections in the docstring of a property, which napoleon would read as `type: description`."""
    if what in {"property", "attribute"}:
        sections = GoogleDocstring(lines, app.config, app, "method", name, obj, options).lines()
        lines[:] = [line.replace(":", COLON) for line in sections]


def remarks_as_fields(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """`Timing: ...` and `Source: ...` at the end of a docstring become fields, as Args and Raises are.

    And what a docstring calls docs/he.md is a link.
    """
    plain: list[str] = []
    inside = False
    for line in lines:
        line = PAGE.sub(r":doc:`\1 </\1>`", line.replace(COLON, ":"))
        if REMARK.match(line):
            inside = True
            plain += ["", REMARK.sub(r":\1: ", line)]
        else:
            inside = inside and bool(line.strip()) and not FIELD.match(line)
            plain.append("    " + line.strip() if inside else line)
    lines[:] = plain


def where_it_is_described(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element
) -> Element | None:
    """A name that has its page under another module than the one that a docstring says.

    Exceptions, which packages export, are all on one page; functions are described where they are exported.
    """
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py":
        return None
    known = env.domains["py"].objects
    module = str(node.get("py:module"))
    homes = (errors.__name__, module, module.rpartition(".")[0])
    names = [f"{home}.{name}" for home in homes for name in (target, target.rpartition(".")[2])]
    found = next((known[name] for name in names if name in known), None)
    if found is None:
        return None
    return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, text)


def made_by_default(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Defaults of a data class that no source says: `<factory>` is nothing that can be parsed."""
    return signature and re.sub(r"=\s?<[^<>]+>", "=...", signature), returned


def setup(app: Sphinx) -> None:
    app.connect("source-read", only_pages_that_are_there)
    app.connect("source-read", texts_of_the_repository)
    app.connect("doctree-read", set_for_every_width)
    app.connect("build-finished", ship_mathjax)
    app.connect("autodoc-process-signature", made_by_default)
    app.connect("missing-reference", where_it_is_described)
    app.connect("autodoc-process-docstring", property_sections, priority=100)  # before napoleon
    app.connect("autodoc-process-docstring", remarks_as_fields, priority=900)  # after napoleon
