"""A framework's weights as the list of arrays that a round works on, and back.

Takes a list of numpy arrays, a mapping of names to numpy arrays, or a PyTorch state dict (torch is never
imported here: who hands in a tensor has it).  One order for everybody: that of the list, and of a mapping
that of its names, sorted, because two devices may have filled theirs in another order.

What is no floating-point number has no mean worth taking (a batch norm's ``num_batches_tracked``, masks,
indices): it is left out, and on the way back every device keeps its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .._ext.errors import ParameterError, RangeError

Weights: TypeAlias = Sequence[Any] | Mapping[str, Any]

_FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))


def names(weights: Weights) -> tuple[str, ...]:
    """Names of the entries that take part, in the order of :func:`to_arrays`; of a list their places.

    Arrays travel without names: compare them with the global model's before training.

    Args:
        weights: List, dict or PyTorch state, as for :func:`to_arrays`.

    Returns:
        One name an entry.

    Raises:
        TypeError, ParameterError: As :func:`to_arrays`.

    Source: docs/fl-scale.md, "Weights of frameworks".
    """
    return tuple(name for name, value in _entries(weights) if _takes_part(name, value))


def to_arrays(weights: Weights) -> list[NDArray[np.floating]]:
    """Copies of all floating-point entries, contiguous and in native byte order.

    A numpy scalar, which arithmetic makes of an array without dimensions, is taken for that array.

    Args:
        weights: numpy arrays or torch tensors, on any device, in a list or under names.

    Returns:
        float16, float32 and float64 as they are; bfloat16 as float32, which holds it exactly.  They share
        no memory with ``weights``, so training afterwards does not change them.

    Raises:
        TypeError: Not such a list or mapping, or an entry is neither an array nor a tensor; named.
        ParameterError: An entry is complex, of another float dtype, sparse, quantised or without data;
            named.  Or no entry is left.

    Source: docs/fl-scale.md, "Weights of frameworks".
    """
    arrays = [_to_array(name, value) for name, value in _entries(weights) if _takes_part(name, value)]
    if not arrays:
        raise ParameterError("weights: no floating-point entry")
    return arrays


def from_arrays(template: Weights, arrays: Sequence[NDArray[Any]]) -> Any:
    """Weights like ``template``, with the values of ``arrays``.

    Args:
        template: Gives form, names, dtypes and devices, and the entries that do not take part.
        arrays: As :func:`to_arrays` orders them, of the same shapes; of any float dtype.

    Returns:
        A list, or a dict in the order of ``template``; arrays and tensors are fresh, nothing of
        ``template`` has changed.  ``load_state_dict`` takes it.

    Raises:
        TypeError: As :func:`to_arrays`, or an element of ``arrays`` is not a numpy array.
        ParameterError: As :func:`to_arrays`, another number of arrays, another shape, or no floats; named.
        RangeError: A number is not finite as one of its entry's dtype; named.

    Source: docs/fl-scale.md, "Weights of frameworks".
    """
    entries = _entries(template)
    taking_part = [name for name, value in entries if _takes_part(name, value)]
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"arrays: a list of arrays expected, got {type(arrays).__name__}")
    if len(arrays) != len(taking_part):
        raise ParameterError(f"arrays: {len(taking_part)} expected, got {len(arrays)}")
    new = dict(zip(taking_part, arrays, strict=True))
    made = {name: _like(name, value, new[name]) if name in new else _copy(value) for name, value in entries}
    if isinstance(template, Mapping):
        return {name: made[name] for name in template}
    return list(made.values())


def _entries(weights: Weights) -> list[tuple[str, Any]]:
    """``(name, value)`` in the order that everybody has."""
    if isinstance(weights, Mapping):
        for name in weights:
            if not isinstance(name, str):
                raise TypeError(f"weights: names of type str expected, got {type(name).__name__}")
        return sorted(weights.items(), key=lambda entry: entry[0])
    if hasattr(weights, "state_dict"):
        raise TypeError(f"weights: its state_dict() expected, got a {type(weights).__name__}")
    if not isinstance(weights, (list, tuple)):
        raise TypeError(f"weights: a list or a mapping of arrays expected, got {type(weights).__name__}")
    return [(str(i), value) for i, value in enumerate(weights)]


def _is_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")  # whoever has a tensor has imported it
    return torch is not None and isinstance(value, torch.Tensor)


def _takes_part(name: str, value: Any) -> bool:
    if _is_tensor(value):
        torch = sys.modules["torch"]
        if value.is_quantized or value.layout is not torch.strided or value.device.type == "meta":
            raise ParameterError(f"{name}: a dense tensor with data expected")
        if value.is_complex():
            raise ParameterError(f"{name}: real numbers expected, got {value.dtype}")
        if not value.is_floating_point():
            return False
        if value.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            raise ParameterError(f"{name}: float16, bfloat16, float32 or float64 expected, got {value.dtype}")
        return True
    if not isinstance(value, (np.ndarray, np.generic)) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: numpy array or torch tensor expected, got {type(value).__name__}")
    if value.dtype.kind in "iub":
        return False
    if value.dtype.newbyteorder("=") not in _FLOATS:
        raise ParameterError(f"{name}: float16, float32 or float64 expected, got {value.dtype}")
    return True


def _to_array(name: str, value: Any) -> NDArray[np.floating]:
    if _is_tensor(value):
        torch = sys.modules["torch"]
        tensor = value.detach().cpu()
        value = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True)


def _copy(value: Any) -> Any:
    return value.detach().clone() if _is_tensor(value) else value.copy()


def _like(name: str, value: Any, array: NDArray[Any]) -> Any:
    if not isinstance(array, (np.ndarray, np.generic)) or isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name}: numpy array expected, got {type(array).__name__}")
    shape = tuple(value.shape)
    if array.shape != shape or array.dtype.kind != "f":
        raise ParameterError(f"{name}: floats of shape {shape} expected, got {array.dtype} {array.shape}")
    if not _is_tensor(value):
        with np.errstate(over="ignore"):  # refused below, by name
            cast = array.astype(value.dtype, order="C", copy=True)
        finite = bool(np.isfinite(cast).all())
    else:
        torch = sys.modules["torch"]
        # float64 on the way: torch rounds once, from what the round gave.
        wide = np.array(array, dtype=np.float64, order="C", copy=True)
        cast = torch.from_numpy(wide).to(dtype=value.dtype, device=value.device)
        finite = bool(cast.isfinite().all())
    if not finite:
        raise RangeError(f"{name}: not finite as {value.dtype}")
    return cast
