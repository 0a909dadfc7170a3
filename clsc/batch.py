"""Unsigncrypt many packets: opened one by one, their signatures verified together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final, TypeAlias

from .._ext.errors import ParameterError, SenderError, UnsigncryptError
from .._ext.frames import forget
from . import signature
from .keys import PublicKey, SecretKey
from .pool import map_runs
from .trust import TrustStore
from .unsigncryption import Opened, _open, _opened, _parse, _Refusal, _room, check_opening, check_public

Result: TypeAlias = Opened | UnsigncryptError | SenderError

_PACKETS_PER_TASK: Final = 16
"""Opening one takes about twice as long as the two pairings that a task adds for its signatures."""


def unsigncrypt_batch(
    packets: Sequence[bytes],
    *,
    receiver: SecretKey | Callable[[], SecretKey],
    trust: TrustStore,
    ad: bytes | Sequence[bytes] = b"",
    executor: Executor | None = None,
) -> list[Result]:
    """Open many packets and verify all their signatures together.

    Costs about three fifths of opening them one by one (``sottovoce bench``): what remains is each
    packet's own pairing.

    Args:
        packets: Any bytes from outside, any number of them, none included; different senders and epochs may
            be mixed.  Read, not kept.
        receiver: A key for usage ``decrypt``; or a function that loads it.  Secret keys are never
            pickled, so processes and clusters must be given a function, at the top of a module or a
            ``functools.partial`` of one.  It is called in the worker, once for every 16 packets: let it
            keep what it has loaded if that takes long.
        trust: Decides whose packets are acceptable.  Goes to the workers as it is now.
        ad: The associated data that every sender named; or one for each packet, in a list or tuple.
        executor: Where to work; None for here.  The results do not depend on it.

    Memory: every plaintext that was opened is kept, the packets too.

    Returns:
        For each packet, in order, what :func:`unsigncrypt` returns or raises; errors are not raised.

    Raises:
        TypeError: Wrong types; also from an executor that has to pickle a secret key.
        ParameterError: ``receiver`` is not a key for decryption, or ``ad`` is 4 GiB long or a list of
            another length than ``packets``.
        KernelUnavailable: The back end computes something else than the wire format says.
        Exception: Whatever the function that loads the key raises, or the executor.

    Timing: as :func:`unsigncrypt`; the time of a batch tells how many of its packets were for this key, and
        whether some of those have a bad signature.
    Source: small exponents, Bellare, Garay, Rabin, EUROCRYPT 1998, section 3; docs/clsc-files.md, "Batches".
    """
    packets = list(packets)
    ads = [ad] * len(packets) if isinstance(ad, bytes) else list(ad)
    if len(ads) != len(packets):
        raise ParameterError(f"ad: one for each of {len(packets)} packets expected, got {len(ads)}")
    check_public(packets, trust, *ads)
    if isinstance(receiver, SecretKey):
        check_opening(receiver, trust)
    elif not callable(receiver):
        raise TypeError(f"receiver: SecretKey, or a function that loads one, got {type(receiver).__name__}")
    items = list(zip(packets, ads, strict=True))
    if executor is None:
        return _open_run(items, receiver, trust)
    tasks = map_runs(executor, _open_run, items, _PACKETS_PER_TASK, receiver, trust)
    return [result for results in tasks for result in results]


def _open_run(
    items: Sequence[tuple[bytes, bytes]],
    receiver: SecretKey | Callable[[], SecretKey],
    trust: TrustStore,
) -> list[Result]:
    """One task: packets and their associated data.  Raises what loading the key does, or about the key."""
    try:
        return _load_and_open(items, receiver, trust)
    except BaseException as error:
        forget(error)
        raise


def _load_and_open(
    items: Sequence[tuple[bytes, bytes]],
    receiver: SecretKey | Callable[[], SecretKey],
    trust: TrustStore,
) -> list[Result]:
    key = receiver if isinstance(receiver, SecretKey) else receiver()
    check_opening(key, trust)
    results: list[Result] = []
    waiting: list[tuple[int, signature._Claim]] = []
    senders: dict[bytes, PublicKey] = {}  # one that comes again is not decoded and hashed again
    for i, (data, ad) in enumerate(items):
        parsed = _parse(data)
        out = _room(parsed)
        parts = _open(parsed, key, trust, ad, out, senders)
        if isinstance(parts, _Refusal):
            results.append(parts.error())
        else:
            results.append(_opened(parts, out))
            waiting.append((i, parts.claim))
    for j in signature.bad_claims([claim for _, claim in waiting]):
        results[waiting[j][0]] = _Refusal.SENDER.error()
    return results
