from typing import Any

import numpy as np
from numpy.typing import NDArray

F16: int
F32: int
F64: int

def quantize(
    out: NDArray[np.int64],
    x: NDArray[Any],
    kind: int,
    clip: float,
    weight: int,
    random: NDArray[np.uint32] | None,
    backend: int,
) -> int: ...
def dequantize(
    out: NDArray[Any], kind: int, total: NDArray[np.int64], clip: float, weights: int, backend: int
) -> int: ...
def narrow(out: NDArray[np.int32], values: NDArray[np.int64], bound: int, backend: int) -> int: ...
def extremes(values: NDArray[np.int64], backend: int) -> tuple[int, int]: ...
