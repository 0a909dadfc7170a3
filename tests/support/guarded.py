"""Arrays between two pages that nobody may touch: one byte outside is a segmentation fault, also for reads.

Instructions that a sanitizer does not look into (masked loads, gathers, assembler) fault as well.
"""

import ctypes
import mmap
from math import prod

import numpy as np

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_READ, _WRITE, _NONE = 1, 2, 0


class Fence:
    """Makes arrays that end right before a forbidden page, or begin right after one."""

    def __init__(self, at_end: bool) -> None:
        self.at_end = at_end
        self._mapped: list[tuple[int, int]] = []

    def give_back(self) -> None:
        """Unmap everything; whoever still holds an array of it must not touch it."""
        for address, size in self._mapped:
            _libc.munmap(address, size)
        self._mapped.clear()

    def empty(self, shape, dtype=np.uint8):
        """Filled with 0xA5, not zeros: a result that was not written is seen."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        n_bytes = prod(shape) * np.dtype(dtype).itemsize
        inside = -(-max(n_bytes, 1) // PAGE) * PAGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        base = _libc.mmap(None, inside + 2 * PAGE, _READ | _WRITE, flags, -1, 0)
        if base in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")
        self._mapped.append((base, inside + 2 * PAGE))
        ctypes.memset(base + PAGE, 0xA5, inside)
        for page in (base, base + PAGE + inside):
            if _libc.mprotect(page, PAGE, _NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        address = base + PAGE + (inside - n_bytes if self.at_end else 0)
        memory = (ctypes.c_uint8 * n_bytes).from_address(address)
        return (
            np.frombuffer(memory, np.uint8).view(dtype).reshape(shape) if n_bytes else np.empty(shape, dtype)
        )

    def copy(self, values):
        """The same values in such a place."""
        values = np.asarray(values)
        made = self.empty(values.shape, values.dtype)
        made[...] = values
        return made


class Plain:
    """The same interface over ordinary memory."""

    def empty(self, shape, dtype=np.uint8):
        made = np.empty(shape, dtype)
        made.view(np.uint8)[...] = 0xA5
        return made

    def copy(self, values):
        return np.array(values)
