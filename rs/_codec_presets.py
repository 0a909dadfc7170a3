"""Parameters of the Reed-Solomon codes of some standards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._ext.errors import ParameterError

Arguments = dict[str, Any]

CCSDS_PRIM = 0x187
"""x^8 + x^7 + x^2 + x + 1 (CCSDS 131.0-B, section 4.3.3)."""

CCSDS_GENERATOR = 0xAD
"""The eleventh power of x in that field; the zeros of the code are powers of it."""


def _chosen(name: str, nsym: int | None) -> int:
    if nsym is None:
        raise ParameterError(f"nsym: needed for {name}, which has many")
    return nsym


def _fixed(name: str, nsym: int | None, allowed: tuple[int, ...]) -> int:
    if nsym is None:
        return allowed[0]
    if nsym not in allowed:
        raise ParameterError(f"nsym: {' or '.join(map(str, allowed))} expected for {name}, got {nsym}")
    return nsym


def _qr(nsym: int | None) -> Arguments:
    """ISO/IEC 18004: parity of a block of codewords."""
    return {"nsym": _chosen("qr", nsym)}


def _datamatrix(nsym: int | None) -> Arguments:
    """ISO/IEC 16022, ECC 200."""
    return {"nsym": _chosen("datamatrix", nsym), "fcr": 1, "prim": 0x12D}


def _dvb(nsym: int | None) -> Arguments:
    """ETSI EN 300 421 and EN 300 744: (204, 188), shortened from (255, 239)."""
    return {"nsym": _fixed("dvb", nsym, (16,)), "nsize": 204}


def _ccsds(nsym: int | None) -> Arguments:
    """CCSDS 131.0-B, section 4: E = nsym / 2, zeros at the powers 128 - E ... 127 + E."""
    parity = _fixed("ccsds", nsym, (32, 16))
    return {
        "nsym": parity,
        "fcr": 128 - parity // 2,
        "prim": CCSDS_PRIM,
        "generator": CCSDS_GENERATOR,
    }


PRESETS: dict[str, Callable[[int | None], Arguments]] = {
    "qr": _qr,
    "datamatrix": _datamatrix,
    "dvb": _dvb,
    "ccsds": _ccsds,
}
