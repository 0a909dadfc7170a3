"""What a measurement is, and the register of all measurements.

A measurement is declared by decorating the function that prepares its inputs::

    @measurement(Area.RS, "encode", size={"k": 10, "n": 14}, work=Work(10 << 20, "byte of data"))
    def encode() -> Operation:
        ...
        return Operation(lambda: code.encode(data, out=parity))

Preparation is not timed and uses fixed seeds where it may; one call of the operation is the unit.

Three kinds of things may be measured beside it, by turns in the same run: a :class:`Peer` is somebody
else's way to do the same work, an :class:`Alternative` is another way of ours, and :class:`Parts` are the
primitives that the work is made of, each timed alone.  Their sum is what the work would cost if nothing
came on top; the ratio to it holds on any machine, where a time does not.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from .areas import Area


@dataclass(frozen=True, slots=True)
class Operation:
    """Something ready to be timed.

    Attributes:
        call: What is timed, with what ``fresh`` gives as its arguments.
        fresh: Makes the arguments of one call, not timed; for objects that can be used only once.
            None: ``call`` takes no arguments and can be repeated at once.
        n_bytes: Bytes that a call makes, where their number is worth telling.
    """

    call: Callable[..., object]
    fresh: Callable[[], tuple[Any, ...]] | None = None
    n_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """How much one call does, so that a rate can be told.

    Attributes:
        amount: Number of units.
        unit: In the singular, saying what is counted: "byte of data", "parameter", "signature".
    """

    amount: int
    unit: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Another library that does the same work.

    Attributes:
        distribution: Its name on the package index.
        prepare: Like that of the measurement, for the same inputs; raises ImportError where the
            peer is not installed.
        extra: The extra of this package that brings it.
        note: What differs, if something does; a few words.
        lacks: What the work done by the peer does not give, in a sentence; stands below the table.
        amount: Units of the measurement's work that one call of the peer does, where it does fewer because
            it is so slow; what is compared is then the time for one unit.  None: the same amount.
        aims: Level of the kernels -> how many times faster than the peer the work should at least be;
            empty: no aim.
        install: What to run to have it, where no extra brings it.
    """

    distribution: str
    prepare: Callable[[], Operation]
    extra: str = "bench"
    note: str = ""
    lacks: str = ""
    amount: int | None = None
    aims: Mapping[str, float] = field(default_factory=dict)
    install: str = ""

    @property
    def title(self) -> str:
        """Name and note."""
        return f"{self.distribution} ({self.note})" if self.note else self.distribution


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way of ours to do the same work: without a table, one by one.

    Attributes:
        name: In a few words.
        prepare: Like that of the measurement, for the same inputs.
        aim: The measurement should take at most so many times the time of this one; None: no aim.
    """

    name: str
    prepare: Callable[[], Operation]
    aim: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A primitive that one call needs ``count`` times.

    Attributes:
        name: Unique among the parts, with the size of its input if that matters.
        prepare: Makes it ready to be timed alone.
        count: How often.
    """

    name: str
    prepare: Callable[[], Operation]
    count: int = 1


@dataclass(frozen=True, slots=True)
class Parts:
    """What the work is made of.

    Attributes:
        of: The primitives; names are distinct.
        aim: The work should take at most so many times the sum of its parts; None: no aim.
    """

    of: tuple[Part, ...]
    aim: float | None = None

    def __post_init__(self) -> None:
        if not self.of or len({part.name for part in self.of}) != len(self.of):
            raise ValueError("parts: at least one, and distinct names expected")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing to measure.

    Attributes:
        area: Package it belongs to.
        name: Unique within the area.
        prepare: Makes the inputs and returns what to time.
        work: What one call does.
        size: Size of the input, name -> number or name; names of byte counts end in ``_bytes``.
        peers: Others to measure in the same run, if asked for.
        alternatives: Other ways of ours, always measured.
        parts: What the work is made of, always measured; None where nobody has said it yet.
        one_core: Measure on one core, in processor time: what other programs do on the machine stays out.
        threaded: Its operation, when it is prepared, asks :func:`threads` or :func:`pool` how many may work
            on one call.  With more than one the cores are free and the clock is that of the wall.
        quick: Belongs to a quick run; False for what takes long, or tells what another one does.
    """

    area: Area
    name: str
    prepare: Callable[[], Operation]
    work: Work
    size: Mapping[str, int | str]
    peers: tuple[Peer, ...] = field(default=())
    alternatives: tuple[Alternative, ...] = field(default=())
    parts: Parts | None = None
    one_core: bool = False
    threaded: bool = False
    quick: bool = True

    @property
    def id(self) -> str:
        """``area: name``, unique."""
        return f"{self.area}: {self.name}"


_register: Final[dict[str, Measurement]] = {}


def measurement(
    area: Area,
    name: str,
    *,
    work: Work,
    size: Mapping[str, int | str],
    peers: tuple[Peer, ...] = (),
    alternatives: tuple[Alternative, ...] = (),
    parts: Parts | None = None,
    one_core: bool = False,
    threaded: bool = False,
    quick: bool = True,
) -> Callable[[Callable[[], Operation]], Measurement]:
    """Register a measurement; its preparing function is what is decorated.

    Raises:
        ValueError: The name is taken, or the area is not a single one.
    """

    def register(prepare: Callable[[], Operation]) -> Measurement:
        made = Measurement(
            area, name, prepare, work, dict(size), peers, alternatives, parts, one_core, threaded, quick
        )
        if area is Area.ALL or made.id in _register:
            raise ValueError(f"measurement {made.id!r}: not a single area, or declared twice")
        _register[made.id] = made
        return made

    return register


_threads: ContextVar[int] = ContextVar("threads", default=1)


def threads() -> int:
    """How many threads may work on one call of what is prepared now."""
    return _threads.get()


def pool() -> Executor | None:
    """An executor of so many threads, for what takes one; None for a single thread."""
    return None if threads() == 1 else _pool(threads())


@functools.cache
def _pool(n: int) -> Executor:
    return ThreadPoolExecutor(n, "sottovoce-bench")


@contextlib.contextmanager
def with_threads(n: int) -> Iterator[None]:
    """Let what is prepared in the block use so many threads."""
    token = _threads.set(n)
    try:
        yield
    finally:
        _threads.reset(token)


def load(area: Area) -> list[Measurement]:
    """All measurements of an area, in the order of their declaration.

    Args:
        area: A single one, or :attr:`Area.ALL`.

    Returns:
        At least one measurement.
    """
    for single in area.members:
        importlib.import_module(f".of_{single}", __package__)
    return [m for single in area.members for m in _register.values() if m.area is single]
