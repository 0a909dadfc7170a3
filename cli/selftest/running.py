"""Runs checks, one after the other, within a number of examples and seconds.

Known answers are run whole.  Of a property, hypothesis draws inputs; it knows no limit in seconds, so it is
left by an exception that it lets through.  Once an input has failed, the search for the smallest one that
fails goes on for some seconds more; then only inputs that failed are run again, and all others count as held,
so that it comes to its end: the last that failed is what is reported.
"""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from types import ModuleType, TracebackType
from typing import Any, Final, Self

from .check import Check, KnownAnswers, Property
from .expect import show

_LEAST_EXAMPLES: Final = 2  # the first that hypothesis draws is the simplest: zeros and nothing
_LEAST_S: Final = 0.1  # hundreds of bytes through a kernel take a few milliseconds
_SHRINK_S: Final = 5.0
_SHOWN_CASES: Final = 5


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "FAIL"
    SKIPPED = "skip"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is tried.

    Attributes:
        examples: Of each property at most.
        seconds: For everything together, about; every property gets two examples and a tenth of a
            second at least.
        seed: Of what hypothesis draws.  Keys and nonces come from the system's generator all the same.
    """

    examples: int
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a check.

    Attributes:
        check: Which.
        status: How it ended.
        count: Cases of known answers, or examples of a property, that were run.
        seconds: Time.
        problems: What is wrong, in words; why it was skipped.
        example: The smallest input that failed, by keyword, as text; of properties.
    """

    check: Check
    status: Status
    count: int
    seconds: float
    problems: tuple[str, ...] = ()
    example: dict[str, str] = field(default_factory=dict)


class Runner:
    """Runs the checks of one self-test; a context manager, because hypothesis wants a folder meanwhile.

    Args:
        limits: How much.
        n_properties: Properties that will be run: they share the seconds.
        clock: Seconds; another one in tests.
    """

    def __init__(
        self, limits: Limits, n_properties: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits, self._left, self._clock = limits, n_properties, clock
        self._end = clock() + limits.seconds
        self._stack = ExitStack()
        self._hypothesis: ModuleType | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, check: Check) -> Outcome:
        """Run one check.  What it raises is its outcome; only Ctrl-C and the like come through."""
        began = self._clock()
        if isinstance(check, KnownAnswers):
            count, problems = _cases(check)
            return self._outcome(check, count, began, problems)
        self._left -= 1
        why_not = check.why_not()
        if why_not is not None:
            return Outcome(check, Status.SKIPPED, 0, 0.0, (why_not,))
        # What one does not use is for those that follow.
        until = began + max(_LEAST_S, (self._end - began) / (self._left + 1))
        return self._property(check, began, until)

    def _outcome(
        self,
        check: Check,
        count: int,
        began: float,
        problems: list[str],
        example: dict[str, str] | None = None,
    ) -> Outcome:
        status = Status.FAILED if problems else Status.OK
        return Outcome(check, status, count, self._clock() - began, tuple(problems), example or {})

    # -- properties -----------------------------------------------------------------------------
    def _property(self, check: Property, began: float, until: float) -> Outcome:
        hypothesis = self._loaded()
        trial = _Trial(check, self._clock, until)
        most = self._limits.examples if check.most is None else min(check.most, self._limits.examples)
        settings = hypothesis.settings(
            max_examples=most,
            deadline=None,
            database=None,
            derandomize=False,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )

        def body(**inputs: Any) -> None:
            trial.run(inputs)

        test = hypothesis.given(**check.inputs(hypothesis.strategies))(body)
        test = hypothesis.seed(_seed(self._limits.seed, check))(settings(test))
        try:
            test()
        except _TimeOver:
            pass
        except _Ended as ended:
            raise ended.exit from None
        except Exception as error:
            return self._outcome(check, trial.count, began, *trial.report(error))
        return self._outcome(check, trial.count, began, [])

    def _loaded(self) -> ModuleType:
        if self._hypothesis is None:
            folder = tempfile.mkdtemp(prefix="sottovoce-selftest-")
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            # It would keep notes in a folder `.hypothesis` of the working directory.
            os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", folder)
            import hypothesis

            self._hypothesis = hypothesis
        return self._hypothesis


class _TimeOver(BaseException):
    """No :class:`Exception`: those are failures, which hypothesis would try to make smaller."""


class _Ended(BaseException):
    """In the place of a ``SystemExit``, which hypothesis takes for a failure: a signal ends the command."""

    def __init__(self, exit_: SystemExit) -> None:
        super().__init__()
        self.exit = exit_


class _Trial:
    """The runs of one property: how many, until when, and what failed."""

    def __init__(self, check: Property, clock: Callable[[], float], until: float) -> None:
        self._check, self._clock, self._until = check, clock, until
        self._failing: dict[str, tuple[Exception, dict[str, str]]] = {}
        self._last = ""
        self.count = 0

    def run(self, inputs: dict[str, Any]) -> None:
        """Run the property, unless the time is over and these inputs are not known to fail.

        Raises:
            Exception: The property does not hold.
            _TimeOver: The time is over, and all inputs held.
            _Ended: A signal arrived.
        """
        _let_signals_through()
        key = repr(inputs)
        over = self.count >= _LEAST_EXAMPLES and self._clock() >= self._until
        if over and not self._failing:
            raise _TimeOver
        if over and key not in self._failing:
            return
        self.count += 1
        try:
            self._check.holds(**inputs)
        except SystemExit as leaving:
            raise _Ended(leaving) from None
        except Exception as error:
            if not self._failing:
                self._until = self._clock() + _SHRINK_S
            # The last that fails is the smallest: hypothesis runs that once more before it reports.
            self._last = key
            self._failing[key] = error, {name: show(value) for name, value in inputs.items()}
            raise

    def report(self, error: Exception) -> tuple[list[str], dict[str, str]]:
        """What is wrong, and the smallest input that shows it."""
        if self._last not in self._failing:  # hypothesis itself, or how inputs are drawn
            return [_words(error)], {}
        failure, example = self._failing[self._last]
        problems = [_words(failure)]
        if type(error) is not type(failure):  # for example: it does not fail every time
            problems.append(_words(error))
        return problems, example


def _let_signals_through() -> None:
    """Take away hypothesis's listener of the garbage collector, which only measures.

    Python throws away whatever a listener raises, so a Ctrl-C that arrives in it would be lost.
    """
    for listener in tuple(gc.callbacks):
        if str(getattr(listener, "__module__", "")).startswith("hypothesis"):
            gc.callbacks.remove(listener)


def _cases(check: KnownAnswers) -> tuple[int, list[str]]:
    count, problems = 0, list[str]()
    try:
        for label, call in check.cases():
            count += 1
            try:
                call()
            except Exception as error:
                problems.append(f"{label}: {_words(error)}")
    except Exception as error:  # the vectors cannot be read, or what they all need cannot be made
        problems.append(_words(error))
    if count == 0 and not problems:
        problems.append("no cases")
    if len(problems) > _SHOWN_CASES:
        more = len(problems) - _SHOWN_CASES
        problems[_SHOWN_CASES:] = [f"... and {more} more of {count} cases"]
    return count, problems


def _words(error: BaseException) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _seed(seed: int, check: Check) -> int:
    """A seed for each property, so that it draws the same whichever others are run."""
    digest = hashlib.sha256(f"{seed}:{check.area}.{check.id}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
