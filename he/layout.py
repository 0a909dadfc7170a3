"""ModelLayout: shapes and types of a list of arrays, and the one vector they make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._ext import cbor
from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError, RangeError

_DTYPES = ("float16", "float32", "float64")
_MAX_ARRAYS = 1 << 16  # the largest public models have some thousands
_MAX_DIMENSIONS = 32  # numpy 1.x has no more
_MAX_SIZE = 1 << 40  # far above 2**20 ring elements of any set
_SCHEMA: cbor.Schema = {"version": int, "arrays": list}


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """How a list of float arrays (a model) becomes one vector and back: order, shapes, dtypes.

    Immutable and hashable.  Two parties agree on a layout by its :attr:`digest`.

    Attributes:
        shapes: Shape of every array, tuples of ints; 1 to 65536 arrays of at most 32 dimensions, and 1 to
            2**40 numbers in all.
        dtypes: ``float16``, ``float32`` or ``float64`` for every array.  Integer state (counters, step
            numbers) has no mean worth taking and is refused: leave it out or convert it.

    Raises:
        ParameterError: Out of these bounds, or another number of dtypes than of shapes.

    Timing: not constant time in the numbers, which numpy converts and looks at; shapes are public.
    Source: docs/he.md, "Codec".
    """

    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.shapes) <= _MAX_ARRAYS or len(self.shapes) != len(self.dtypes):
            raise ParameterError(f"layout: 1 to {_MAX_ARRAYS} arrays, a dtype for each, expected")
        for i, (shape, dtype) in enumerate(zip(self.shapes, self.dtypes, strict=True)):
            if dtype not in _DTYPES:
                raise ParameterError(f"array {i}: dtype {', '.join(_DTYPES)} expected, got {str(dtype)[:32]}")
            if len(shape) > _MAX_DIMENSIONS or any(
                type(n) is not int or not 0 <= n <= _MAX_SIZE for n in shape
            ):
                raise ParameterError(f"array {i}: shape out of bounds")
        if not 1 <= self.size <= _MAX_SIZE:
            raise ParameterError(f"layout: 1 to 2**40 numbers in total expected, got {self.size}")

    @classmethod
    def of(cls, arrays: Iterable[NDArray[Any]]) -> ModelLayout:
        """The layout of these arrays.

        Args:
            arrays: 1 to 65536, together of at least one number; float16, float32 or float64.  Only shapes and
                dtypes are looked at.

        Raises:
            TypeError: An element is not a numpy array; or one array, a mapping or text in place of a list.
            ParameterError: A dtype other than native float16, float32, float64; or out of bounds.
        """
        _refuse_one_array(arrays)
        arrays = list(arrays)
        for i, a in enumerate(arrays):
            if not isinstance(a, np.ndarray):
                raise TypeError(f"array {i}: numpy array expected, got {type(a).__name__}")
        return cls(
            tuple(tuple(int(n) for n in a.shape) for a in arrays),
            tuple(a.dtype.name if a.dtype.isnative else str(a.dtype) for a in arrays),
        )

    @property
    def size(self) -> int:
        """d, numbers in the vector."""
        return sum(prod(shape) for shape in self.shapes)

    @property
    def vector_dtype(self) -> np.dtype[Any]:
        """Of a vector that loses nothing the arrays can hold: float32, or float64 where one of them is."""
        return np.dtype(np.float64 if "float64" in self.dtypes else np.float32)

    def flatten(self, arrays: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """One new float64 vector of shape ``(size,)``, the arrays in order, each in C order.

        Args:
            arrays: Of exactly this layout, any strides; read, never kept.

        Raises:
            TypeError: No list, or an element that is not a numpy array, or a masked one.
            ParameterError: Another number of arrays, shape or dtype.
            RangeError: NaN or infinity; names the array and the index in it.
        """
        out = np.empty(self.size, np.float64)
        for i, at, array in self._parts(arrays):
            part = out[at : at + array.size]
            part[:] = array.reshape(-1)
            self._refuse_infinite(i, part)
        return out

    def _parts(self, arrays: Sequence[NDArray[Any]]) -> Iterator[tuple[int, int, NDArray[Any]]]:
        """Number, place in the vector and array of each array, checked when its turn comes.

        Raises:
            TypeError, ParameterError: As :meth:`flatten`.
        """
        _refuse_one_array(arrays)
        if len(arrays) != len(self.shapes):
            raise ParameterError(f"arrays: {len(self.shapes)} expected, got {len(arrays)}")
        at = 0
        for i, (a, shape, dtype) in enumerate(zip(arrays, self.shapes, self.dtypes, strict=True)):
            if not isinstance(a, np.ndarray) or isinstance(a, np.ma.MaskedArray):
                raise TypeError(f"array {i}: numpy array without a mask expected, got {type(a).__name__}")
            if a.shape != shape or a.dtype != np.dtype(dtype):
                raise ParameterError(f"array {i}: {dtype} {shape} expected, got {a.dtype} {a.shape}")
            yield i, at, a
            at += a.size

    def _not_finite(self, i: int, place: int) -> RangeError:
        """What to raise about the number at ``place`` (in C order) of array ``i``."""
        where = tuple(int(n) for n in np.unravel_index(place, self.shapes[i]))
        return RangeError(f"array {i}, index {where}: not a finite {self.dtypes[i]} number")

    def _empty(self) -> list[NDArray[Any]]:
        """Arrays of this layout, contiguous and not initialised."""
        return [np.empty(shape, dtype) for shape, dtype in zip(self.shapes, self.dtypes, strict=True)]

    def unflatten(self, vector: NDArray[np.float64] | NDArray[np.float32]) -> list[NDArray[Any]]:
        """The arrays of a vector: fresh, of the layout's shapes and dtypes.

        Args:
            vector: float64 or float32, shape ``(size,)``; read, never kept.

        Raises:
            TypeError: Not a float64 or float32 array.
            ParameterError: Not of shape ``(size,)``.
            RangeError: A number is not finite, or not as a number of its array's dtype (float16 ends at
                65504); names the array and the index in it.
        """
        if not isinstance(vector, np.ndarray) or vector.dtype not in (np.float64, np.float32):
            raise TypeError("vector: float64 or float32 array expected")
        if vector.shape != (self.size,):
            raise ParameterError(f"vector: shape ({self.size},) expected, got {vector.shape}")
        arrays = self._empty()
        at = 0
        for i, array in enumerate(arrays):
            flat = array.reshape(-1)
            with np.errstate(over="ignore"):  # refused below, with array and index
                flat[:] = vector[at : at + array.size]
            self._refuse_infinite(i, flat)
            at += array.size
        return arrays

    def to_bytes(self) -> bytes:
        """Canonical CBOR: ``{"version": 1, "arrays": [[dtype, [n, ...]], ...]}``.

        Raises:
            ParameterError: More than 2**24 bytes, which takes empty arrays of many long dimensions.
        """
        arrays = [[d, list(s)] for d, s in zip(self.dtypes, self.shapes, strict=True)]
        return cbor.dumps({"version": 1, "arrays": arrays})

    @classmethod
    def from_bytes(cls, data: bytes) -> ModelLayout:
        """Read :meth:`to_bytes`.

        Args:
            data: Canonical CBOR.

        Raises:
            TypeError: ``data`` is not bytes.
            DecodeError: Anything that :meth:`to_bytes` would not have written.
        """
        fields = cbor.loads_map(data, _SCHEMA)
        if fields["version"] != 1:
            raise DecodeError("layout: unknown version")
        shapes: list[tuple[int, ...]] = []
        dtypes: list[str] = []
        for item in fields["arrays"]:
            if (
                type(item) is not list
                or len(item) != 2
                or type(item[0]) is not str
                or type(item[1]) is not list
            ):
                raise DecodeError("layout: an array is a dtype and a shape")
            dtypes.append(item[0])
            shapes.append(tuple(item[1]))
        try:
            return cls(tuple(shapes), tuple(dtypes))
        except ParameterError as error:
            raise DecodeError(str(error)) from None

    def _refuse_infinite(self, i: int, flat: NDArray[Any]) -> None:
        finite = np.isfinite(flat)
        if not finite.all():
            raise self._not_finite(i, int(np.argmin(finite)))

    @property
    def digest(self) -> bytes:
        """``SHA-256(enc("SOTTOVOCE-V1-LAYOUT", to_bytes()))``, 32 bytes."""
        return hashlib.sha256(enc("SOTTOVOCE-V1-LAYOUT", self.to_bytes())).digest()


def _refuse_one_array(arrays: object) -> None:
    # It would be taken for a list of its rows.
    if isinstance(arrays, np.ndarray):
        raise TypeError("arrays: a list of arrays expected, got one array")
    if not isinstance(arrays, Iterable) or isinstance(arrays, Mapping | str | bytes):
        # Of a state dict the list would be that of its names.
        raise TypeError(f"arrays: a list of arrays expected, got {type(arrays).__name__}")
