"""Every public name says what goes in, what comes out and what is raised.

Walked over: all names that a package exports, and the public methods of its classes, inherited ones that are
written here too.  A function names each of its parameters under ``Args``, says what it gives under
``Returns`` or by a first line that is a noun, and names under ``Raises`` every exception that its own code
raises.  A class names the parameters of its constructor, or its attributes; of an enumeration each member has
a string below it, or a sentence for its value.

What needs nothing said: a constructor (a class method that gives its own class) gives an object of it; the
message of an exception is its message; a method that another library asks for, or one of our protocols, is
described there; and a constructor that is internal says so.
"""

import ast
import dataclasses
import enum
import functools
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = [
    "clsc",
    "he",
    "he.kahe",
    "he.paillier",
    "he.rlwe",
    "rs",
    "fl",
    "fl.flower",
    "fl.http",
    "fl.simulate",
    "fl.weights",
    "fl.cluster",
]
# A first line that is a noun says what comes out: "The header that ...", "Whether ...", "As :meth:`verify`".
NOUN = re.compile(
    r"(The|A|An|All|Every|This|Whether|Who|Whom|Whose|What|When|Which|Largest|Length|Index|Bound|Pieces|Pid|As|One"
    r"|Arguments|Aggregator|Manifest|SHA-256|\d+|``|:meth:)"
    r"(?!\w)"
)
# How the docstring of a constructor says that it is none.
INTERNAL = ("Internal", "Use :meth:", "Made by")


def public_of(package):
    """Names and things that a module exports; of one without ``__all__``, what it defines."""
    module = importlib.import_module(f"sottovoce.{package}")
    names = getattr(module, "__all__", None) or [
        name
        for name, thing in vars(module).items()
        if name[0] != "_" and getattr(thing, "__module__", None) == module.__name__
    ]
    for name in names:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            yield f"{package}.{name}", thing


def section(docstring, title):
    """The lines of a section, dedented; None where there is none."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    if f"{title}:" not in lines:
        return None
    taken = []
    for line in lines[lines.index(f"{title}:") + 1 :]:
        if line and not line.startswith(" "):
            break
        taken.append(line)
    return textwrap.dedent("\n".join(taken))


def entries(docstring, title):
    """What a section names: ``a, b: text`` names both."""
    text = section(docstring, title)
    if text is None:
        return set()
    heads = re.findall(r"^([*\w][\w*, .]*?)(?: \([^)]*\))?:(?:\s|$)", text, re.MULTILINE)
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def raised_by(function):
    """Names of the exceptions that the code of a function raises itself."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            called = node.exc.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name[:1].isupper():
                names.add(name)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "expect":
            names.add("TypeError")  # fl.wire.expect
    return names - {"AssertionError", "NotImplementedError", "AttributeError"}


def parameters_of(function):
    return [
        name
        for name in inspect.signature(function).parameters
        if name not in {"self", "cls"} and not name.startswith("_")
    ]


def lacks_of_function(function, docstring=None, makes=()):
    """What is missing; a constructor ``makes`` a class."""
    docstring = inspect.getdoc(function) if docstring is None else docstring
    if not docstring:
        return ["a docstring"]
    lacks = [f"Args: {name}" for name in parameters_of(function) if name not in entries(docstring, "Args")]
    returned = inspect.signature(function).return_annotation
    gives = returned not in (None, "None", inspect.Signature.empty, "NoReturn", "Never", *makes)
    said = any(section(docstring, title) is not None for title in ("Returns", "Yields"))
    if gives and not said and not NOUN.match(docstring) and parameters_of(function):
        lacks.append("Returns")
    errors = section(docstring, "Raises") or ""
    lacks += [f"Raises: {name}" for name in sorted(raised_by(function)) if name not in errors]
    return lacks


def own(thing):
    return getattr(thing, "__module__", "").startswith("sottovoce")


def refuses(function):
    """Whether all that a constructor does is to say who makes such objects."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return isinstance(tree.body[0], ast.FunctionDef) and isinstance(tree.body[0].body[0], ast.Raise)


def is_protocol(cls):
    return getattr(cls, "_is_protocol", False)


@functools.cache
def protocols():
    return {
        thing: {name for name in vars(thing) if name[0] != "_"}
        for package in PACKAGES
        for _, thing in public_of(package)
        if inspect.isclass(thing) and is_protocol(thing)
    }


@functools.cache
def promised_of(cls):
    """Names of the methods that one of our protocols describes, if the class has all of that protocol's."""
    if is_protocol(cls):
        return set()
    return set().union(
        *(methods for methods in protocols().values() if all(hasattr(cls, name) for name in methods))
    )


def lacks_of_class(cls):
    """Of a class and its methods: (member or empty, what is missing)."""
    docstring = cls.__doc__ or ""
    if not docstring:
        yield "", "a docstring"
    named = entries(docstring, "Args") | entries(docstring, "Attributes")
    if issubclass(cls, enum.Enum):
        source = inspect.getsource(cls)
        for member in cls:
            bare = rf"^    {member.name} = .*\n(?!    \"\"\")"
            sentence = isinstance(member.value, str) and " " in member.value
            if not sentence and member.name not in named and re.search(bare, source, re.MULTILINE):
                yield member.name, "what it means"
        return
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            if any(field.name in getattr(base, "__dataclass_fields__", ()) for base in cls.__mro__[1:]):
                continue  # described where it comes from
            if not field.name.startswith("_") and field.name not in named:
                yield "", f"Attributes: {field.name}"
        if "__post_init__" in vars(cls):
            errors = section(docstring, "Raises") or ""
            for name in sorted(raised_by(cls.__post_init__)):
                if name not in errors:
                    yield "", f"Raises: {name}"
    elif own(cls.__init__) and inspect.isfunction(cls.__init__):
        init = cls.__init__.__doc__ or ""
        if refuses(cls.__init__):
            init = "Internal"
        for name in parameters_of(cls.__init__):
            if issubclass(cls, Exception) and name == "message":
                continue
            if name not in named | entries(init, "Args") and not init.startswith(INTERNAL):
                yield "", f"Args: {name}"
        errors = (section(docstring, "Raises") or "") + (section(init, "Raises") or "") + init
        for name in sorted(raised_by(cls.__init__)):
            if name not in errors and not init.startswith(INTERNAL):
                yield "", f"Raises: {name}"
    for name, _ in inspect.getmembers_static(cls):
        if name.startswith("_"):
            continue
        homes = [base for base in cls.__mro__ if name in vars(base)]
        if not all(own(home) for home in homes) or name in promised_of(cls):
            continue
        member = inspect.getattr_static(cls, name)
        makes = ("Self", cls.__name__) if isinstance(member, classmethod) else ()
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        if isinstance(member, property):
            if not inspect.getdoc(member.fget):
                yield name, "a docstring"
            errors = section(inspect.getdoc(member.fget), "Raises") or ""
            for error in sorted(raised_by(member.fget)):
                if error not in errors:
                    yield name, f"Raises: {error}"
        elif inspect.isfunction(member):
            member = inspect.unwrap(member)
            docstring = inspect.getdoc(getattr(cls, name))
            for lack in lacks_of_function(member, docstring or "", makes):
                yield name, lack


def lacks(package):
    for name, thing in public_of(package):
        if inspect.isclass(thing):
            found = lacks_of_class(thing)
        else:
            found = (("", lack) for lack in lacks_of_function(inspect.unwrap(thing)))
        for member, lack in found:
            yield f"{name}.{member}: {lack}" if member else f"{name}: {lack}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_says_what_goes_in_and_comes_out(package):
    assert sorted(set(lacks(package))) == []


def exempt(thing):
    """What has no source and no time of its own: exceptions, what others implement, lists of values."""
    return inspect.isclass(thing) and (
        issubclass(thing, (Exception, Warning, enum.Enum)) or is_protocol(thing) or inspect.isabstract(thing)
    )


@functools.cache
def headings(page):
    """The headings of a page of docs/, without marks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return {line.lstrip("#").strip().replace("`", "") for line in text.splitlines() if line.startswith("#")}


PLACE = re.compile(r"docs/([\w-]+\.md)(?:,\s+\"([^\"]+)\")?")
# A paper, a standard or a specification, each in the bibliography (tests/test_docs.py holds it to that).
CITED = re.compile(
    r"RFC \d{4}|FIPS \d{3}|draft-[a-z]|SP 800-|CCSDS|ISO/IEC|\b(19|20)\d\d(/\d{2,4})?\b"
    r"|\b(reedsolo|Flower) \d"
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_says_where_it_comes_from(package):
    wrong = []
    for name, thing in public_of(package):
        if exempt(thing):
            continue
        source = section(thing.__doc__, "Source")
        inline = re.search(
            r"^Source: (.*(?:\n(?!\n).*)*)", inspect.cleandoc(thing.__doc__ or ""), re.MULTILINE
        )
        text = source or (inline and inline[1]) or ""
        places = PLACE.findall(text)
        if not places and not CITED.search(text):
            wrong.append(f"{name}: no source")
        for page, heading in places:
            if not (ROOT / "docs" / page).is_file():
                wrong.append(f"{name}: no docs/{page}")
            elif heading and " ".join(heading.replace("`", "").split()) not in headings(page):
                wrong.append(f"{name}: docs/{page} has no heading {heading!r}")
    assert wrong == []


SECRET = re.compile(
    r"SecretKey|MasterKey|MasterShare|RootKey|TracingKey|AdmissionKey|BlsShare|ShardKey|passphrase"
)


def says_timing(thing):
    return re.search(r"^Timing: ?", inspect.cleandoc(thing.__doc__ or ""), re.MULTILINE) is not None


@pytest.mark.parametrize("package", ["clsc", "he", "he.kahe", "he.paillier", "he.rlwe", "rs"])
def test_every_primitive_says_what_its_time_tells(package):
    assert [name for name, thing in public_of(package) if not exempt(thing) and not says_timing(thing)] == []


@pytest.mark.parametrize("package", ["fl", "fl.flower", "fl.http", "fl.simulate", "fl.cluster"])
def test_what_is_given_a_secret_says_what_its_time_tells(package):
    silent = [
        name
        for name, thing in public_of(package)
        if not exempt(thing)
        and SECRET.search(str(inspect.signature(thing)).partition("->")[0])
        and not says_timing(thing)
    ]
    assert silent == []
