"""Padme: lengths that tell little, for at most 12 % more bytes."""

from __future__ import annotations


def padme(length: int) -> int:
    """Round up so that only O(log log length) bits of the length show.

    The mantissa of the length, as a floating-point number, keeps as many bits as its exponent has:
    overhead at most 12 %, falling with the length.  Lengths under 8 stay as they are.

    Args:
        length: At least 0.

    Returns:
        The padded length, at least ``length``.

    Timing: lengths are not secret here.
    Source: Nikitin et al., "Reducing metadata leakage from encrypted files and communication with
        PURBs", PETS 2019, section 4, algorithm 1.
    """
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()
    mask = (1 << (exponent - kept)) - 1 if exponent > kept else 0
    return (length + mask) & ~mask
