import numpy as np
from numpy.typing import NDArray

CBD_BYTES: int
WORD_BITS: int

class Scale:
    def __init__(
        self,
        code: int,
        primes: tuple[int, ...],
        wire_bits: int,
        slots: int,
        slot_bits: int,
        scale_bits: int = 0,
    ) -> None: ...
    def encrypt(
        self,
        packed: NDArray[np.uint8],
        ak: NDArray[np.uint64],
        values: NDArray[np.int32],
        random: NDArray[np.uint8],
    ) -> None: ...
    def accumulate(self, total: NDArray[np.uint64], packed: NDArray[np.uint8], negative: bool) -> None: ...
    def pack(self, packed: NDArray[np.uint8], total: NDArray[np.uint64]) -> None: ...
    def open(
        self,
        values: NDArray[np.int64],
        max_r: NDArray[np.uint64],
        sum_r2: NDArray[np.uint64],
        total: NDArray[np.uint64],
        ak: NDArray[np.uint64],
    ) -> None: ...
