"""What this machine and this installation are: for ``--version`` and beside every measurement."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Final, TypedDict

from .commit import installed_commit

# Fronts of the compiled kernels: importing one chooses its back end.
_KERNELS: Final = ("codec", "gf256", "kahe", "ntt", "rlwe", "rsword", "sampler")
_DEPENDENCIES: Final = ("numpy", "cryptography", "py_arkworks_bls12381", "gmpy2", "cbor2", "typer", "rich")


class Card(TypedDict):
    """The machine card: everything that a measurement depends on and a reader cannot guess."""

    sottovoce: str
    commit: str | None
    cpu: str
    cores: int
    flags: list[str]
    system: str
    python: str
    compiler: str
    ceiling: str
    levels: list[str]
    kernels: dict[str, str]
    group: str
    dependencies: dict[str, str]


def card() -> Card:
    """Describe this machine and this installation.

    Returns:
        The card.  ``commit`` is what the package was built from, None where that cannot be known;
        ``flags`` are the processor features that some kernel could use, ``ceiling`` the level in force
        (``SOTTOVOCE_KERNEL``), ``kernels`` the back end in use by kernel, ``group`` that of the pairing
        group (``SOTTOVOCE_BACKEND``).

    Raises:
        KernelUnavailable: ``SOTTOVOCE_KERNEL`` cannot be had.
    """
    from sottovoce import __version__

    from .._ext import kernel

    for name in _KERNELS:
        importlib.import_module(f"sottovoce._ext.{name}")
    return {
        "sottovoce": __version__,
        "commit": installed_commit(),
        "cpu": _cpu_model(),
        "cores": n_cores(),
        "flags": sorted(kernel.cpu_features()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": _compiler(),
        "ceiling": kernel.ceiling(),
        "levels": list(kernel.levels_available()),
        "kernels": kernel.chosen(),
        "group": _group_backend(),
        "dependencies": {name: _version(name) for name in _DEPENDENCIES},
    }


def version_text() -> str:
    """What ``sottovoce --version`` prints: one fact a line, the version alone in the first."""
    c = card()
    kernels = ", ".join(f"{name} {backend}" for name, backend in sorted(c["kernels"].items()))
    lines = {
        **({"commit": c["commit"]} if c["commit"] else {}),
        "python": c["python"],
        "system": c["system"],
        "kernels": f"{kernels} (ceiling {c['ceiling']} of {', '.join(c['levels'])})",
        "group": c["group"],
        "compiler": c["compiler"],
        "with": ", ".join(f"{name} {version}" for name, version in c["dependencies"].items()),
    }
    return "\n".join([f"sottovoce {c['sottovoce']}", *(f"  {key:<9}{text}" for key, text in lines.items())])


def kernel_level() -> str:
    """The step of the staircase on which the lattice kernels run; aims differ from step to step.

    Returns:
        ``portable``, ``avx2`` or ``avx512``: that of the number-theoretic transform, which costs most.
    """
    from .._ext import kernel, ntt

    name = kernel.chosen()["ntt"]
    return next(backend.level for backend in ntt.BACKENDS if backend.name == name)


def n_cores() -> int:
    """Cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    match = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


@functools.cache
def _compiler() -> str:
    """The compiler of the installed kernels, as it signed the object file (section ``.comment``)."""
    from .._ext import _cpu

    data = Path(_cpu.__file__).read_bytes()
    match = re.search(rb"GCC: \([^)\0]*\) [0-9.]+|clang version [0-9.]+", data)
    return match[0].decode("ascii", "replace") if match else "unknown"


def _group_backend() -> str:
    from ..clsc import group

    return str(group.BACKEND)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # vendored by a distributor without its metadata
        return str(getattr(sys.modules.get(distribution), "__version__", "unknown"))
