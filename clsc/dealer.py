"""Sharing a master secret among ``n`` servers by a dealer, who is trusted to forget it.

The dealer draws a polynomial ``f`` of degree exactly ``t - 1`` (Shamir, CACM 1979), gives server ``j``
the share ``s_j = f(j)`` over a confidential channel, and publishes ``Y = f(0)*P2`` and
``Y_j = s_j*P2`` in the signed parameters, so that every share, and later every answer of a server, can
be checked by anybody (Feldman, FOCS 1987).  Whoever controls the dealer while it runs knows ``s``; a
key generation that no single machine sees is :mod:`.dkg`.
"""

from __future__ import annotations

import os

from . import comb, polynomial
from .group import RandomBytes
from .master import MasterShare, RootKey, check_arguments
from .params import Mode


def deal(
    root: RootKey,
    mode: Mode,
    epoch: bytes,
    *,
    not_before: int,
    not_after: int,
    threshold: int,
    servers: int,
    answers: int = 1,
    corrupted: int = 0,
) -> list[MasterShare]:
    """Draw a master secret, have ``root`` sign the parameters, and share it among the servers.

    The secret itself is forgotten; Python cannot wipe it from memory.  Each share goes to its server
    confidentially, in a key file (:func:`.keyfile.save_key`) for instance, and is then forgotten too.

    Args:
        root: Signs at most once for each (mode, epoch).
        mode: Kind of names.
        epoch: 1 to 64 bytes, e.g. ``b"2026-W47"``; public.
        not_before: Unix second, from 0; keys are accepted from here
        not_after: to here, inclusive; later than ``not_before``, below 2**40.
        threshold: ``t``, 1 to ``n``; so many servers issue together, fewer cannot.
        servers: ``n``, 1 to 64.
        answers: ``q``, 1 to 2**64 - 1; different requests that each server answers per party.
        corrupted: ``f``, 0 to ``t - 1``; servers that may be corrupted without a party getting more than
            ``q`` keys; ``q(n-f) < (q+1)(t-f)`` must hold, for ``q = 1``: ``2t > n + f``.

    Returns:
        The shares of servers 1 to ``n``, all with the same ``params``.

    Raises:
        TypeError: Wrong types.
        ParameterError: A length, time or number out of range, or the epoch was signed already.

    Timing: ``2n + 1`` comb multiplications in G2; polynomial and shares are Python integers.
    Source: Shamir, CACM 1979; Feldman, FOCS 1987; docs/clsc-threshold.md, "By a dealer" and, for ``q`` and
        ``f``, "Choosing ``n, t, q, f``".
    """
    return _deal_derand(
        root, mode, epoch, not_before, not_after, threshold, servers, answers, corrupted, os.urandom
    )


def _deal_derand(
    root: RootKey,
    mode: Mode,
    epoch: bytes,
    not_before: int,
    not_after: int,
    threshold: int,
    servers: int,
    answers: int,
    corrupted: int,
    random_bytes: RandomBytes,
) -> list[MasterShare]:
    check_arguments(mode, epoch, not_before, not_after, threshold, servers, answers, corrupted)
    values = polynomial.distinct_values(threshold, servers, random_bytes)
    Y, *Y_servers = (comb.p2_mul(value).to_compressed_bytes() for value in values)
    try:
        params = root.sign_params(
            mode, epoch, Y, Y_servers, not_before=not_before, not_after=not_after,
            threshold=threshold, answers=answers, corrupted=corrupted,
        )  # fmt: skip
    except BaseException:
        del values  # a traceback keeps the variables of the frames that it passes
        raise
    return [MasterShare(values[j], params, j) for j in range(1, servers + 1)]
