"""``.npy`` and ``.npz`` files: a model as a list of arrays, with their names if they have some."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..._ext.errors import ParameterError
from ...he import ModelLayout
from .. import files
from ..console import Refused
from . import container

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

    def layout(self, source: str) -> ModelLayout:
        """Its shapes and dtypes.

        Raises:
            Refused: Not all are arrays of floats; the message begins with ``source``.
        """
        try:
            return ModelLayout.of(self.arrays)
        except ParameterError as error:
            hint = "arrays of float16, float32 or float64 in the byte order of this machine, not all empty"
            raise Refused(f"{source}: {self.named(str(error))}", hint) from None

    def named(self, message: str) -> str:
        """A message of the library about one of the arrays, with its name for its place in the list."""
        if self.names is None:
            return re.sub(r"^array 0[:,] ", "", message)
        names = self.names
        return re.sub(r"^array (\d+)", lambda match: f"array {names[int(match[1])]!r}", message)


def check_suffix(name: str, option: str) -> None:
    """Refuse a file name of which numpy would not know what to make."""
    if Path(name).suffix not in _SUFFIXES:
        raise files.usage(f"one of {', '.join(_SUFFIXES)} expected, got {name!r}", option)


def read(name: str) -> Model:
    """The arrays of an ``.npy`` or ``.npz`` file or of standard input; pickled objects are not loaded.

    Raises:
        Refused: Not such a file, a damaged one, or one without arrays.
        OSError: It cannot be read.
    """
    hint = "a file that numpy.save or numpy.savez has written, of numbers only"
    try:
        # Read from the disk as it is used: the model need not fit into memory twice.
        if Path(name).suffix != _NPZ and name != files.STDIN and not files.is_special(name):
            loaded = np.load(name, mmap_mode="r", allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return Model(None, [loaded])
            loaded.close()
        with container.opened(name) as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return Model(None, [loaded])
            names = tuple(loaded.files)
            arrays = [loaded[key] for key in names]
    except (ValueError, TypeError, AttributeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        raise Refused(f"{name} is not a file of arrays", hint) from None
    if not arrays or not all(isinstance(a, np.ndarray) for a in arrays):
        raise Refused(f"{name} holds no arrays", hint)
    return Model(names, arrays)


def write(model: Model, name: str, *, force: bool) -> None:
    """Write a model to a file of its owner's only, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    with container.sink(name, force=force) as stream:
        if model.names is None:
            np.save(stream, model.arrays[0], allow_pickle=False)
        else:
            # Names may be those of parameters of savez ("file"), so the members are written one by one.
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                for key, array in zip(model.names, model.arrays, strict=True):
                    with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
