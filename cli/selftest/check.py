"""What a check is, and the register of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from ..bench.areas import Area

Case = tuple[str, Callable[[], None]]
"""What is checked, in words, and a function that raises unless it holds."""


@dataclass(frozen=True, slots=True)
class KnownAnswers:
    """Vectors of one kind, with the results that a second implementation gave.

    Attributes:
        area: Package that is checked.
        id: Unique within the area.
        title: For people.
        cases: Gives all cases; each is run, also after one has failed.
    """

    area: Area
    id: str
    title: str
    cases: Callable[[], Iterator[Case]]


@dataclass(frozen=True, slots=True)
class Property:
    """Something that holds for every input.

    Attributes:
        area: Package that is checked.
        id: Unique within the area.
        title: The property, as a sentence.
        holds: Takes an input by keyword; raises unless the property holds for it.
        inputs: Takes ``hypothesis.strategies``, gives a strategy for every keyword.
        most: Examples at most, where one takes long.
        why_not: Why it says nothing on this machine, in words; None where it does.
    """

    area: Area
    id: str
    title: str
    holds: Callable[..., None]
    inputs: Callable[[ModuleType], dict[str, Any]]
    most: int | None = None
    why_not: Callable[[], str | None] = lambda: None


Check = KnownAnswers | Property

_MODULES: Final = tuple(
    f"{__package__}.{name}"
    for name in (
        *("answers_clsc", "answers_he", "answers_rs", "answers_fl"),
        *("props_clsc", "props_he", "props_rs", "props_fl", "props_kernels"),
    )
)
_register: Final[dict[tuple[Area, str], Check]] = {}


def known_answers(
    area: Area, title: str
) -> Callable[[Callable[[], Iterator[Case]]], Callable[[], Iterator[Case]]]:
    """Register a generator of cases; its name is the id."""

    def add(cases: Callable[[], Iterator[Case]]) -> Callable[[], Iterator[Case]]:
        _add(KnownAnswers(area, cases.__name__, title, cases))
        return cases

    return add


def holds_for(
    area: Area,
    title: str,
    inputs: Callable[[Any], dict[str, Any]],
    *,
    most: int | None = None,
    why_not: Callable[[], str | None] = lambda: None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a property; the name of its function is the id."""

    def add(holds: Callable[..., None]) -> Callable[..., None]:
        _add(Property(area, holds.__name__, title, holds, inputs, most, why_not))
        return holds

    return add


def _add(check: Check) -> None:
    if (check.area, check.id) in _register:
        raise ValueError(f"{check.area}.{check.id} is declared twice")
    _register[check.area, check.id] = check


def load(area: Area) -> list[Check]:
    """The checks of an area: known answers first, then properties, each in the order of the modules."""
    for module in _MODULES:
        import_module(module)
    chosen = [check for check in _register.values() if check.area in area.members]
    return sorted(chosen, key=lambda check: (isinstance(check, Property), _MODULES.index(_module_of(check))))


def _module_of(check: Check) -> str:
    return (check.holds if isinstance(check, Property) else check.cases).__module__
