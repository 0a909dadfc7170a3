"""Choice of the compiled back end, once, at import.

``SOTTOVOCE_KERNEL=portable|avx2|avx512|neon`` sets a *ceiling*.  Below it every kernel takes the best
back end that it has and that the processor really runs, so ``avx2`` may still mean a portable NTT
beside an AVX2 GF(2^8).  AVX2 with GFNI counts as ``avx2``; IFMA and VBMI count as ``avx512``.  An
unknown name, or a ceiling that the processor lacks, raises :class:`KernelUnavailable` at import: a
silent fallback would make every measurement a guess.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from . import _cpu
from .errors import KernelUnavailable

LEVELS = ("portable", "avx2", "avx512", "neon")
ENVIRONMENT_VARIABLE = "SOTTOVOCE_KERNEL"

# What a processor must have for a ceiling to be accepted.
_LEVEL_FEATURES: dict[str, frozenset[str]] = {
    "portable": frozenset(),
    "avx2": frozenset({"avx2", "fma"}),
    "avx512": frozenset({"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"}),
    "neon": frozenset({"neon"}),
}
# The staircase below each ceiling.
_BELOW: dict[str, tuple[str, ...]] = {
    "portable": ("portable",),
    "avx2": ("portable", "avx2"),
    "avx512": ("portable", "avx2", "avx512"),
    "neon": ("portable", "neon"),
}


class Backend(NamedTuple):
    """One back end of one kernel.

    Attributes:
        name: Shown to people, e.g. ``"avx2-gfni"``.
        level: The step of the staircase it belongs to.
        features: Processor features it needs beyond those of its level.
        code: The number by which the C side knows it.

    Source: docs/kernels.md, "Which back end runs".
    """

    name: str
    level: str
    features: frozenset[str]
    code: int


def cpu_features() -> frozenset[str]:
    """Features of this processor (and enabled by the system) that some kernel could use."""
    return frozenset(_cpu.features())


def levels_available() -> tuple[str, ...]:
    """Ceilings that this processor can run, from low to high."""
    features = cpu_features()
    return tuple(level for level in LEVELS if _LEVEL_FEATURES[level] <= features)


def _read_ceiling() -> str:
    available = levels_available()
    wish = os.environ.get(ENVIRONMENT_VARIABLE)
    if wish is None or wish == "":
        return available[-1]
    if wish not in LEVELS:
        raise KernelUnavailable(f"{ENVIRONMENT_VARIABLE}={wish[:32]!r}: expected one of {', '.join(LEVELS)}")
    if wish not in available:
        raise KernelUnavailable(
            f"{ENVIRONMENT_VARIABLE}={wish}: this processor lacks it; it has {', '.join(available)}"
        )
    return wish


_ceiling = _read_ceiling()
_chosen: dict[str, str] = {}


def ceiling() -> str:
    """The ceiling in force."""
    return _ceiling


def usable(backends: tuple[Backend, ...]) -> tuple[Backend, ...]:
    """Those of ``backends`` that this processor runs below the ceiling, in the order given.

    Args:
        backends: Of one kernel.
    """
    features = cpu_features()
    return tuple(
        b
        for b in backends
        if b.level in _BELOW[_ceiling] and _LEVEL_FEATURES[b.level] | b.features <= features
    )


def choose(kernel: str, backends: tuple[Backend, ...]) -> Backend:
    """Take the last usable one and note it for :func:`chosen`.

    Args:
        kernel: Its name.
        backends: Slowest first, a portable one among them.
    """
    best = usable(backends)[-1]
    _chosen[kernel] = best.name
    return best


def chosen() -> dict[str, str]:
    """Kernel name -> back end in use, for the kernels that were imported so far."""
    return dict(_chosen)
