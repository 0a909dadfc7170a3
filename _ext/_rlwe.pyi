import numpy as np
from numpy.typing import NDArray

CBD_BYTES: int
MAX_DROP_BITS: int
MAX_WEIGHT: int

class Rounding:
    def __init__(
        self,
        code: int,
        primes: tuple[int, ...],
        scale_bits: int,
        slots: int,
        slot_bits: int,
        drop_bits: int,
    ) -> None: ...
    def encrypt(
        self,
        packed: NDArray[np.uint8],
        y: NDArray[np.uint64],
        values: NDArray[np.int32] | None,
        random: NDArray[np.uint8],
    ) -> None: ...
    def pack(self, packed: NDArray[np.uint8], y: NDArray[np.uint64]) -> None: ...
    def unpack(self, y: NDArray[np.uint64], packed: NDArray[np.uint8]) -> None: ...
    def check(self, packed: NDArray[np.uint8]) -> int: ...
    def accumulate(self, total: NDArray[np.uint64], packed: NDArray[np.uint8], weight: int) -> None: ...
    def accumulate_blocks(
        self, total: NDArray[np.uint64], packed: NDArray[np.uint8], weight: int
    ) -> None: ...
    def add(self, total: NDArray[np.uint64], y: NDArray[np.uint64], weight: int) -> None: ...
    def open(self, values: NDArray[np.int64], max_r: NDArray[np.uint64], y: NDArray[np.uint64]) -> None: ...
