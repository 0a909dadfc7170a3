"""``.npy`` and ``.npz`` files: a model as a list of arrays, with their names if they have some."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import console
from ..console import Refused

_NPZ: Final = ".npz"
_SUFFIXES: Final = (".npy", _NPZ)


@dataclass(frozen=True, slots=True)
class Model:
    """Arrays of a file.

    Attributes:
        names: Of the arrays of an ``.npz``, in their order; None for the one array of an ``.npy``.
        arrays: As many.
    """

    names: tuple[str, ...] | None
    arrays: list[NDArray[Any]]


def check_suffix(name: str, option: str) -> None:
    """Refuse a file name of which numpy would not know what to make."""
    from ..files import usage

    if Path(name).suffix not in _SUFFIXES:
        raise usage(f"one of {', '.join(_SUFFIXES)} expected, got {name!r}", option)


def read(name: str) -> Model:
    """The arrays of an ``.npy`` or ``.npz`` file; pickled objects inside are not loaded.

    Raises:
        Refused: Not such a file, a damaged one, or one without arrays.
        OSError: It cannot be read.
    """
    hint = "a file that numpy.save or numpy.savez has written, of numbers only"
    try:
        # Read from the disk as it is used: the model need not fit into memory twice.
        if Path(name).suffix != _NPZ:
            loaded = np.load(name, mmap_mode="r", allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return Model(None, [loaded])
            loaded.close()
        with Path(name).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            names = tuple(archive.files)
            arrays = [archive[key] for key in names]
    except (ValueError, TypeError, AttributeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        raise Refused(f"{name} is not a file of arrays", hint) from None
    if not arrays or not all(isinstance(a, np.ndarray) for a in arrays):
        raise Refused(f"{name} holds no arrays", hint)
    return Model(names, arrays)


def write(model: Model, name: str) -> None:
    """Write a model to a file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with console.atomic_file(name) as path, path.open("wb") as stream:
        if model.names is None:
            np.save(stream, model.arrays[0], allow_pickle=False)
        else:
            # Names may be those of parameters of savez ("file"), so the members are written one by one.
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for key, array in zip(model.names, model.arrays, strict=True):
                    with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
