"""Unsigncrypt many packets, and verify their signatures together."""

from __future__ import annotations

import io
from collections.abc import Sequence

from .._ext.errors import SenderError, UnsigncryptError
from . import signature
from .keys import SecretKey
from .trust import TrustStore
from .unsigncryption import Opened, _open, _opened, _parse, _Refusal, check_opening


def unsigncrypt_batch(
    packets: Sequence[bytes], *, receiver: SecretKey, trust: TrustStore, ad: bytes = b""
) -> list[Opened | UnsigncryptError | SenderError]:
    """Open many packets and verify all their signatures as one batch.

    Args:
        packets: Any bytes from outside.
        receiver: A key for usage ``decrypt``.
        trust: Decides whose packets are acceptable.
        ad: The associated data that every sender named.

    Returns:
        For each packet what :func:`unsigncrypt` returns or raises; errors are not raised.

    Raises:
        TypeError: Wrong types.
        ParameterError: ``receiver`` is not a key for decryption.
    """
    packets = list(packets)
    check_opening(packets, receiver, trust, ad)
    results: list[Opened | UnsigncryptError | SenderError] = []
    waiting: list[tuple[int, signature._Claim]] = []
    for i, data in enumerate(packets):
        out = io.BytesIO()
        parts = _open(_parse(data), receiver, trust, ad, out.write)
        if isinstance(parts, _Refusal):
            results.append(parts.error())
        else:
            results.append(_opened(parts, out))
            waiting.append((i, parts.claim))
    for j in signature.bad_claims([claim for _, claim in waiting]):
        results[waiting[j][0]] = _Refusal.SENDER.error()
    return results
