from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VECTOR_BITS: int
AVX2_LEAST: int
AVX512_LEAST: int

class Transform:
    def __init__(
        self,
        code: int,
        q: int,
        w: NDArray[np.uint64],
        w_shoup: NDArray[np.uint64],
        v: NDArray[np.uint64],
        v_shoup: NDArray[np.uint64],
        n_inv: int,
        n_inv_shoup: int,
        barrett: int,
        vector_w: NDArray[np.uint64] | None = None,
        vector_v: NDArray[np.uint64] | None = None,
    ) -> None: ...
    def forward(self, x: NDArray[np.uint64]) -> None: ...
    def inverse(self, x: NDArray[np.uint64]) -> None: ...
    def multiply(self, out: NDArray[np.uint64], a: NDArray[np.uint64], b: NDArray[np.uint64]) -> None: ...

def uint64_table(values: Sequence[int]) -> NDArray[np.uint64]: ...
