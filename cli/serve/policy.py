"""The owner's conditions in a TOML file: the fields of :class:`sottovoce.fl.Policy`.

::

    aggregators = ["aggregator"]
    members = ["member-1", "member-2", "member-3", "member-4", "member-5"]
    min_contributors = 8
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

from ...fl import ParameterError, PeerPolicy, Policy, RosterBook
from ..console import Refused

P = TypeVar("P", bound=Policy)

_NAMES: Final = ("aggregators", "members")
_HINT: Final = "docs/fl-http.md has an example, docs/fl.md every field"


def read_policy(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        Refused: Not such a file; says which field.
        OSError: It cannot be read.
    """
    given = _read(path, {field.name for field in fields(Policy)}, needed=_NAMES)
    return _make(path, lambda: Policy(**given))


def read_peer_policy(path: Path, book: RosterBook) -> PeerPolicy:
    """A peer's: roster and beacon say who is who, so ``aggregators`` and ``members`` are not in it.

    Raises:
        Refused, OSError: As :func:`read_policy`.
    """
    given = _read(path, {field.name for field in fields(PeerPolicy) if field.init} - {"book"})
    return _make(path, lambda: PeerPolicy(book=book, **given))


def _read(path: Path, known: set[str], *, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            given = tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}", _HINT) from None
    unknown = sorted(given.keys() - known)
    missing = sorted(set(needed) - given.keys())
    if unknown or missing:
        what = f"no such field: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"
        raise Refused(f"{path}: {what}", _HINT)
    return {name: _value(name, value) for name, value in given.items()}


def _make(path: Path, make: Callable[[], P]) -> P:
    try:
        return make()
    except (TypeError, ParameterError) as error:
        raise Refused(f"{path}: {error}", _HINT) from None


def _value(name: str, value: Any) -> Any:
    if name in _NAMES and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return frozenset(each.encode() for each in value)
    if name == "sets" and isinstance(value, list):
        return frozenset(value)
    if name == "clip_range" and isinstance(value, list):
        return tuple(value)
    return value
