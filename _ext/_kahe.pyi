import numpy as np
from numpy.typing import NDArray

CBD_BYTES: int

def cbd(out: NDArray[np.int64], random: NDArray[np.uint8]) -> None: ...

class Scale:
    def __init__(self, code: int, q: int, wire_bits: int, scale_bits: int) -> None: ...
    def encrypt(
        self,
        packed: NDArray[np.uint8],
        ak: NDArray[np.uint64],
        m: NDArray[np.int64],
        random: NDArray[np.uint8],
    ) -> None: ...
    def accumulate(self, total: NDArray[np.uint64], packed: NDArray[np.uint8], negative: bool) -> None: ...
    def pack(self, packed: NDArray[np.uint8], total: NDArray[np.uint64]) -> None: ...
    def open(
        self,
        m: NDArray[np.int64],
        max_r: NDArray[np.uint64],
        sum_r2: NDArray[np.uint64],
        total: NDArray[np.uint64],
        ak: NDArray[np.uint64],
    ) -> None: ...
