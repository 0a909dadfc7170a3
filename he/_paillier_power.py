"""Powers ``hs^alpha mod n^2`` of one base for many secret exponents: tables of windows, no squarings.

An exponent is cut into windows of w bits; row i of a table holds ``hs^((d + 1) 2^(w i))`` for
every digit d, and the power is the product of one entry a row.

**Half-width entries.**  Every unit e modulo n^2 is ``t (1 + beta n)`` with ``t = e mod n`` and one beta
below n, and ``(1 + beta n)(1 + beta' n) = 1 + (beta + beta') n``.  So an entry is kept as (t, beta), the
product takes ``P = P t mod n^2`` with t half as long as P, and ``S = S + beta``: two thirds of the time of
whole products.  At the end ``hs^alpha (1 + m n) = P + n (P (S + m) mod n)`` modulo n^2.

The product of two entries, ``t t' = u n + r``, is ``r (1 + (beta + beta' + u / r) n)``; ``1 / r`` is the
product of the entries' inverses, so a table takes two inversions.

Timing: the digits of a secret exponent choose the entries that are read, and gmpy2's arithmetic is not
constant time: who shares the machine's caches may learn exponents.  docs/he-paillier.md, "Timing".

Source: Brickell, Gordon, McCurley, Wilson, "Fast Exponentiation with Precomputation", EUROCRYPT 1992.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from .params import Progress

CACHED_WINDOW = 6
STREAMED_WINDOW = 8
MANY = 1400
"""For more powers than this at a time wider rows pay.  They are made, used for all of them and dropped: an
entry takes about 1.8 products, and ``(c + 1.8 * 2^8) / 8 < c / 6`` from here on, whatever the exponent."""

BLOCK = 1 << 14
"""Powers at a time, so that the memory beside the result does not grow with it."""

MIN_FOR_TABLE = 16
"""Powers of a key until its table is made; fewer cost less without."""

CACHE_BYTES = 1 << 26
"""All keys together: nine tables of 2048 bits, four of 3072, two of 4096."""

_Entry = tuple[int, int, int]
"""t, beta and 1/t modulo n."""

_Row = tuple[list[int], list[int]]
"""All t and all beta of one window, by digit."""

_Key = tuple[int, int, int]


def _product(n: int, x: _Entry, y: _Entry) -> _Entry:
    u, r = gmpy2.f_divmod(x[0] * y[0], n)
    inverse = x[2] * y[2] % n
    return r, (x[1] + y[1] + u * inverse) % n, inverse


def _split(n: int, e: int) -> _Entry:
    """A unit modulo n^2 as an entry."""
    b, t = gmpy2.f_divmod(e, n)
    inverse = gmpy2.invert(t, n)
    return t, b * inverse % n, inverse


def _rows(n: int, hs: int, exponent_bits: int, window: int) -> Iterator[_Row]:
    """A row with one entry, from which products start, then row i: ``hs^((d + 1) 2^(w i))`` for all d.

    No digit stands for the number 1, which is multiplied by in no time; the first entry takes the ones off
    that all digits have too much.
    """
    places = range(0, exponent_bits, window)
    start = _split(n, gmpy2.powmod(hs, -sum(1 << place for place in places), n * n))
    yield [start[0]], [start[1]]
    base = _split(n, hs)
    for _ in places:
        entry, ts, betas = base, [base[0]], [base[1]]
        for _ in range((1 << window) - 1):
            entry = _product(n, entry, base)
            ts.append(entry[0])
            betas.append(entry[1])
        base = entry  # of the highest digit: hs^(2^w 2^(w i))
        yield ts, betas


class _Cache:
    """Tables with windows of 6 bits, least recently used first out.  Public data only."""

    def __init__(self) -> None:
        self.renew_lock()
        self._tables: OrderedDict[_Key, list[_Row]] = OrderedDict()
        self._demand: OrderedDict[_Key, int] = OrderedDict()

    def renew_lock(self) -> None:
        """Of a forked child: another thread of the parent may have held it."""
        self._lock = threading.Lock()

    def get(self, key: _Key, count: int) -> list[_Row] | None:
        """The table; None while so few powers were asked for that it would not pay."""
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
                return self._tables[key]
            demand = self._demand.pop(key, 0) + count
            if demand < MIN_FOR_TABLE:
                self._demand[key] = demand
                if len(self._demand) > 1024:
                    self._demand.popitem(last=False)
                return None
        # Outside the lock: two threads may both make it, and get the same.
        table = list(_rows(*key, CACHED_WINDOW))
        with self._lock:
            self._tables[key] = table
            self._tables.move_to_end(key)
            while len(self._tables) > 1 and sum(map(_table_bytes, self._tables)) > CACHE_BYTES:
                self._tables.popitem(last=False)
        return table


def _table_bytes(key: _Key) -> int:
    """Memory of a table: two integers modulo n an entry, with what gmpy2 needs around them."""
    n, _, exponent_bits = key
    n_entries = -(-exponent_bits // CACHED_WINDOW) << CACHED_WINDOW
    size = int(n.bit_length()) // 8 + 48
    return 2 * n_entries * size


_cache = _Cache()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_cache.renew_lock)


def _digits(alphas: NDArray[np.uint8], window: int) -> NDArray[np.uint16]:
    """Exponents, one a row, to digits: row i holds window i of all of them."""
    count, exponent_bits = len(alphas), 8 * alphas.shape[1]
    n_rows = -(-exponent_bits // window)
    weights = (1 << np.arange(window)).astype(np.uint16)
    out = np.empty((n_rows, count), np.uint16)
    for start in range(0, count, 512):
        bits = np.unpackbits(alphas[start : start + 512], axis=1, bitorder="little")
        bits = np.pad(bits, ((0, 0), (0, n_rows * window - exponent_bits)))
        out[:, start : start + 512] = (bits.reshape(-1, n_rows, window) @ weights).T
    return out


def powers(
    n: int,
    hs: int,
    alphas: NDArray[np.uint8],
    plain: list[int] | None = None,
    progress: Progress | None = None,
) -> list[int]:
    """``(1 + m n) hs^alpha mod n^2`` for every exponent, m = 0 where ``plain`` is left out.

    Args:
        n: The modulus.
        hs: A unit modulo n^2.
        alphas: Exponents, one a row, least significant byte first.
        plain: As many signed integers.
        progress: Called with exponents done and exponents in all.
    """
    exponent_bits = 8 * alphas.shape[1]
    key = (n, hs, exponent_bits)
    out: list[int] = []
    for start in range(0, len(alphas), BLOCK):
        block = alphas[start : start + BLOCK]
        m = plain[start : start + BLOCK] if plain is not None else None
        rows: Iterable[_Row] | None
        if len(block) > MANY:
            window, rows = STREAMED_WINDOW, _rows(*key, STREAMED_WINDOW)
        else:
            window, rows = CACHED_WINDOW, _cache.get(key, len(block))

        def report(part: float, start: int = start, count: int = len(block)) -> None:
            if progress is not None:
                progress(start + int(part * count), len(alphas))

        if rows is None:
            out += _few(n, hs, block, m)
        else:
            out += _many(n, rows, _digits(block, window), m, report)
        report(1.0)
    return out


def _many(
    n: int,
    table: Iterable[_Row],
    digits: NDArray[np.uint16],
    m: list[int] | None,
    report: Callable[[float], object] = lambda part: None,
) -> list[int]:
    n2 = n * n
    rows = iter(table)
    (start,), (start_beta,) = next(rows)
    products = [start] * digits.shape[1]
    sums = [start_beta + k for k in m] if m is not None else [start_beta] * digits.shape[1]
    # Row by row for all exponents, not exponent by exponent: one row fits into the cache, a table does not.
    for done, ((ts, betas), row) in enumerate(zip(rows, digits, strict=True)):
        report(done / len(digits))
        chosen = row.tolist()
        products = [p * ts[d] % n2 for p, d in zip(products, chosen, strict=True)]
        sums = [s + betas[d] for s, d in zip(sums, chosen, strict=True)]
    digits.fill(0)
    return [(p + n * (p * s % n)) % n2 for p, s in zip(products, sums, strict=True)]


def _few(n: int, hs: int, alphas: NDArray[np.uint8], m: list[int] | None) -> list[int]:
    n2 = n * n
    out = gmpy2.powmod_exp_list(hs, [mpz.from_bytes(row.tobytes(), "little") for row in alphas], n2)
    # 1 + (k + n) n is 1 + k n modulo n^2, and as long for every k.
    return out if m is None else [c * (1 + (k + n) * n) % n2 for c, k in zip(out, m, strict=True)]
