"""A scalar that one of several servers holds: what a master share and a share of a BLS key have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .._ext.errors import ParameterError
from . import comb
from .group import ORDER

if TYPE_CHECKING:
    from .group import G2


def no_server(
    name: str, holder: object, kind: type, index_name: str, index: int, servers: Callable[[Any], int]
) -> Exception | None:
    """What is wrong with who has the public points, or an index; returned: the caller holds a secret."""
    if not isinstance(holder, kind):
        return TypeError(f"{name}: {kind.__name__} expected, got {type(holder).__name__}")
    if type(index) is not int:
        return TypeError(f"{index_name}: int expected, got {type(index).__name__}")
    if not 1 <= index <= servers(holder):
        return ParameterError(f"{index_name}: 1 to {servers(holder)} expected, got {index}")
    return None


def is_share(s: object, index: int, points: Sequence[G2]) -> bool:
    """Whether ``s`` is the secret behind the point of server ``index``; nothing is raised, as above.

    Timing: one comb multiplication by ``s`` in G2.
    """
    return type(s) is int and 0 < s < ORDER and bool(comb.p2_mul(s) == points[index - 1])


class ServerShare:
    """Immutable, and never pickled.

    Attributes:
        index: Which server this is, from 1.
    """

    __slots__ = ("_s", "index")

    index: int
    _s: int

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __reduce__(self) -> Any:
        raise TypeError(f"a {type(self).__name__} is secret and cannot be pickled")
