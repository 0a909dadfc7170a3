from typing import Any

import numpy as np
from numpy.typing import NDArray

class Code:
    bits: int
    nsym: int
    def __init__(self, bits: int, prim: int, generator: int, fcr: int, nsym: int, backend: int) -> None: ...
    def generator_polynomial(self) -> list[int]: ...
    def encode(self, out: NDArray[Any], messages: NDArray[Any]) -> None: ...
    def check(self, status: NDArray[np.int32], words: NDArray[Any]) -> None: ...
    def decode(
        self,
        out: NDArray[Any],
        status: NDArray[np.int32],
        words: NDArray[Any],
        erased: NDArray[np.uint8] | None = None,
    ) -> None: ...
