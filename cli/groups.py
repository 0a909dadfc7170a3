"""Options that several commands have in common: declared once, as the fields of a dataclass.

A command that is :func:`grouped` takes the whole group as one argument; typer sees an option for each field.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its groups in place of the groups, in the same order.

    Args:
        command: A function for ``typer.Typer.command``; each parameter whose type is a dataclass is a group.

    Returns:
        A function that makes the groups of what typer gives it, and calls ``command``.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if not dataclasses.is_dataclass(kind):
            parameters.append(_keyword(name, kind, parameter.default))
            continue
        groups[name] = kind
        fields = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            missing = field.default is dataclasses.MISSING
            default = inspect.Parameter.empty if missing else field.default
            parameters.append(_keyword(field.name, fields[field.name], default))

    @functools.wraps(command)
    def whole(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    whole.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return whole


def _keyword(name: str, kind: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
