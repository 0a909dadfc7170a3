"""A threshold issuer, seen by the client: check what the servers answer, and combine it.

Server ``j`` holds the share ``s_j`` and answers ``C_j = s_j*B``; in modes ``identity`` and ``traceable``
``B`` is ``Q``, and the answer comes encrypted.  Everybody knows ``Y_j = s_j*P2``, so a false answer shows:

    ``e(C_j, P2) = e(B, Y_j)``,

many at once with random weights, and one at a time if that fails.  Any ``t`` valid answers give
``s*B = sum l_j*C_j`` with the public Lagrange coefficients ``l_j`` at 0.

In mode ``blind`` the servers admit a request before they answer it: :mod:`.admission`.

Source: Boldyreva, PKC 2003, section 3 (threshold BLS, which needs no interaction and no proof in an
answer).  Weights: Bellare, Garay, Rabin, EUROCRYPT 1998, section 3.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .._ext.errors import DecodeError, IssueError, ParameterError, TooFewAnswers
from . import group, polynomial
from .issue_wire import answer_body, parse_request
from .keys import SecretKey
from .params import EpochParams, Mode

if TYPE_CHECKING:
    from .group import G1

_WEIGHT_BITS: Final = 128


@dataclass(frozen=True, slots=True)
class Combined:
    """What the answers of several servers gave.

    Attributes:
        key: The key; checked, as every :class:`SecretKey` is.  SECRET.
        wrong: Servers whose answers were wrong, ascending; empty if none was.  Says nothing of who altered
            them: ask again over an authenticated channel before a server is blamed.

    Timing: holds values only.
    Source: Boldyreva, PKC 2003, section 3; docs/clsc-threshold.md, "Asking, answering, combining".
    """

    key: SecretKey
    wrong: tuple[int, ...]


# -- for the requests ---------------------------------------------------------------------------


def require_single(params: EpochParams) -> None:
    """Refuse to finish with one answer what takes several."""
    if params.servers > 1:
        raise ParameterError(
            f"answer: {params.threshold} of {params.servers} servers issue this key together; use combine"
        )


def server_index(params: EpochParams, server: int | None) -> int:
    """``server``, or 1 for None where there is but one.

    Raises:
        TypeError: Not an int.
        ParameterError: Out of range, or missing where there are several servers.
    """
    if server is None and params.servers == 1:
        return 1
    if server is None:
        raise ParameterError(f"server: 1 to {params.servers} expected, this key is issued by several")
    if type(server) is not int:
        raise TypeError(f"server: int expected, got {type(server).__name__}")
    if not 1 <= server <= params.servers:
        raise ParameterError(f"server: 1 to {params.servers} expected, got {server}")
    return server


def bodies(params: EpochParams, answers: Mapping[int, bytes]) -> dict[int, bytes | None]:
    """The answers without their heads, ascending; None for bytes that are no answer in this mode.

    Raises:
        TypeError: Not a mapping of int to bytes.
        ParameterError: An index is not that of a server.
    """
    if not isinstance(answers, Mapping):
        raise TypeError(f"answers: mapping of server to bytes expected, got {type(answers).__name__}")
    for index in answers:
        if type(index) is not int:
            raise TypeError(f"answers: int expected as index, got {type(index).__name__}")
        if not 1 <= index <= params.servers:
            raise ParameterError(f"answers: servers 1 to {params.servers} expected, got {index}")
    return {index: answer_body(answers[index], params.mode) for index in sorted(answers)}


def combine(params: EpochParams, base: G1, points: Mapping[int, G1]) -> tuple[list[int], G1 | None]:
    """The indices of the valid points, ascending, and ``s*base`` if there are ``t`` of them.

    The points may be secret shares of ``D``: only weights and Lagrange coefficients, random and public,
    are scalars here.
    """
    good = _good(params, base, points)
    chosen = good[: params.threshold]
    if len(chosen) < params.threshold:
        return good, None
    coefficients = polynomial.lagrange_at_zero(chosen)
    return good, group.g1_msm_vartime([points[j] for j in chosen], coefficients)


def outcome(
    params: EpochParams, asked: Iterable[int], good: list[int], key: SecretKey | None
) -> Combined | IssueError:
    """What ``combine`` of a request gives or raises; returned, because the caller holds secrets."""
    wrong = tuple(sorted(set(asked).difference(good)))
    if key is not None:
        return Combined(key, wrong)
    if len(good) < params.threshold:
        return TooFewAnswers(params.threshold, len(good), wrong)
    # Not with points that passed: Y and the Y_j lie on one polynomial, or there are no such parameters.
    return IssueError("answers: they combine to a wrong partial key")


def _good(params: EpochParams, base: G1, points: Mapping[int, G1]) -> list[int]:
    indices = sorted(points)
    if not indices:
        return []
    # From the operating system, never 0: with known weights two errors could cancel.
    weights = [1 + secrets.randbelow((1 << _WEIGHT_BITS) - 1) for _ in indices]
    total = group.g1_msm_vartime([points[j] for j in indices], weights)
    Y = group.g2_msm_vartime([params.Y_servers[j - 1] for j in indices], weights)
    if group.pairing_is_one([total, -base], [group.P2, Y]):
        return indices
    return [j for j in indices if _is_valid(params, j, base, points[j])]


def _is_valid(params: EpochParams, index: int, base: G1, point: G1) -> bool:
    return group.pairing_is_one([point, -base], [group.P2, params.Y_servers[index - 1]])


# -- for everybody ------------------------------------------------------------------------------


def verify_answer(params: EpochParams, index: int, request: bytes, answer: bytes) -> None:
    """Check what one server answered to a blind request; return None if ``e(C, P2) = e(B, Y_index)``.

    Needs no secret, so anybody can settle who is at fault.  Says nothing of who sent the answer: to
    blame a server keep its signature, or the record of an authenticated channel, besides.

    Args:
        params: Parameters of a ``blind`` epoch.
        index: The server, 1 to ``params.servers``.
        request: 114 bytes, of :meth:`BlindRequest.to_bytes`; its MAC is not looked at.
        answer: 50 bytes, what :meth:`Issuer.issue` of that server gave.

    Raises:
        TypeError: Wrong types.
        ParameterError: Parameters of another mode, or no such server.
        DecodeError: ``request`` is not a request, or its ``B`` not a valid point.
        IssueError: The request is for other parameters, or the answer is wrong.

    Timing: variable, of public data only.
    Source: Boldyreva, PKC 2003, section 3; docs/clsc-threshold.md, "Asking, answering, combining".
    """
    if not isinstance(params, EpochParams):
        raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
    if params.mode is not Mode.BLIND:
        raise ParameterError(f"params: mode {Mode.BLIND} expected, got {params.mode}; others are encrypted")
    index = server_index(params, index)
    parsed = parse_request(request)
    if parsed.params_id != params.params_id or parsed.mode is not Mode.BLIND:
        raise IssueError("answer: the request is for other parameters")
    B = group.g1_from_bytes(parsed.issued, "request: B")
    body = answer_body(answer, Mode.BLIND)
    C = None
    if body is not None:
        with contextlib.suppress(DecodeError):
            C = group.g1_from_bytes(body, "answer: C")
    if C is None or not _is_valid(params, index, B, C):
        raise IssueError(f"answer: wrong, from server {index}")
