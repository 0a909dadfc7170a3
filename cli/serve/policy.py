"""The owner's conditions in a TOML file: the fields of :class:`sottovoce.fl.Policy`.

::

    aggregators = ["aggregator"]
    members = ["member-1", "member-2", "member-3", "member-4", "member-5"]
    min_contributors = 8
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from ...fl import ParameterError, Policy
from ..console import Refused

_NAMES: Final = ("aggregators", "members")
_HINT: Final = "docs/fl-http.md has an example, docs/fl.md every field"


def read_policy(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        Refused: Not such a file; says which field.
        OSError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            given = tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}", _HINT) from None
    unknown = sorted(given.keys() - {field.name for field in fields(Policy)})
    missing = sorted(set(_NAMES) - given.keys())
    if unknown or missing:
        what = f"no such field: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"
        raise Refused(f"{path}: {what}", _HINT)
    try:
        return Policy(**{name: _value(name, value) for name, value in given.items()})
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
