"""BLS signatures of ``t`` of ``n`` servers: one message has exactly one signature, and fewer cannot make it.

======================  =======================================================================
secret                  ``s`` in ``[1, r)``; server ``j`` holds ``s_j = f(j)``, ``f(0) = s``
public                  ``Y = s*P2`` and ``Y_j = s_j*P2``, 96 bytes each
signature               ``s*H2G1("SOTTOVOCE-V1-BLS", message)``, 48 bytes; a part is ``s_j*H2G1(...)``
verify                  ``e(signature, P2) = e(H2G1(...), Y)``; a part with ``Y_j``
======================  =======================================================================

**Unique.**  ``Y`` fixes ``s``, so one point of G1 passes for one message; its compressed encoding is the only
one that is read.  No signer, nor all of them together, can choose among several signatures, and whoever
combines other parts gets the same bytes.  That is what makes a signature on a round number a beacon (drand);
a signature with a nonce would be as many beacons as its signer cares to try.

**Unpredictable.**  As long as fewer than ``t`` servers have signed a message, its signature is that of a
forger (CDH in G1, Boldyreva 2003).  With ``t = n = 1`` the one server knows all of them beforehand.

A key of this kind is a secret of its own.  It signs whatever its owner gives it, so it must never be the
master secret of an epoch, which multiplies what a client chose.

Source: Boneh, Lynn, Shacham, ASIACRYPT 2001; Boldyreva, PKC 2003, section 3 (threshold).  Wire format of the
public key: ``enc("SOTTOVOCE-V1-BLS-KEY", t, Y, Y_1, ..., Y_n)``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Self

from .._ext.enc import enc
from .._ext.errors import DecodeError, ParameterError, SignatureError, TooFewAnswers
from .._ext.limits import MAX_KGC_SERVERS
from . import comb, group, polynomial
from .group import RandomBytes
from .params import read_integer, split
from .server_share import ServerShare, is_share, no_server

if TYPE_CHECKING:
    from .group import G1, G2

_DST: Final = b"SOTTOVOCE-V1-BLS"
_KEY_TAG: Final = b"SOTTOVOCE-V1-BLS-KEY"
BLS_SIGNATURE_BYTES: Final = group.G1_BYTES
"""48: length of a BLS signature and of a part of one, a compressed point of G1."""
_MAX_BYTES: Final = 64 + (1 + MAX_KGC_SERVERS) * (4 + group.G2_BYTES)


@dataclass(frozen=True, slots=True)
class CombinedSignature:
    """What the parts of several servers gave.

    Attributes:
        signature: 48 bytes, the only one there is for the message.
        wrong: Servers whose parts were wrong, ascending; empty if none was.  Says nothing of who altered
            them.

    Timing: holds public values only.
    Source: docs/clsc-threshold.md, "Signatures of several servers".
    """

    signature: bytes
    wrong: tuple[int, ...]


class BlsPublicKey:
    """The public key of ``n`` servers of which any ``t`` sign; immutable, equal by its bytes.

    Attributes:
        threshold: ``t``, 1 to ``n``.
        servers: ``n``, 1 to 64.

    Threads: safe.  May be pickled.

    Timing: variable, of public data only.
    Source: Boneh, Lynn, Shacham, ASIACRYPT 2001; Boldyreva, PKC 2003, section 3 (threshold); that the keys
        lie on one polynomial: SCRAPE, Cascudo and David, ACNS 2017; docs/clsc-threshold.md, "Signatures of
        several servers".
    """

    __slots__ = ("_Y", "_Y_servers", "_bytes", "servers", "threshold")

    threshold: int
    servers: int
    _Y: G2
    _Y_servers: tuple[G2, ...]
    _bytes: bytes

    def __init__(self, data: bytes) -> None:
        """Use :meth:`from_bytes`; same checks."""
        fields = split(data, "BLS key", at_most=3 + MAX_KGC_SERVERS)
        if len(fields) < 4 or fields[0] != _KEY_TAG:
            raise DecodeError("BLS key: not one")
        t, n = read_integer(fields[1], "BLS key"), len(fields) - 3
        if not 1 <= t <= n:
            raise DecodeError(f"BLS key: 1 <= t <= n servers expected, got t = {t}, n = {n}")
        # One server with the key of another counts for two; one whose share is s signs alone.
        if t > 1 and len(set(fields[2:])) != n + 1:
            raise DecodeError("BLS key: Y, Y_1, ..., Y_n are not pairwise distinct")
        Y, *Y_servers = (group.g2_from_bytes(field, "BLS key: Y") for field in fields[2:])
        if not polynomial.has_degree_below((Y, *Y_servers), t):
            raise DecodeError("BLS key: the keys of the servers do not interpolate to Y")
        if not polynomial.has_full_degree((Y, *Y_servers), t):
            raise DecodeError(f"BLS key: fewer than t = {t} servers could sign")
        set_ = object.__setattr__
        set_(self, "threshold", t)
        set_(self, "servers", n)
        set_(self, "_Y", Y)
        set_(self, "_Y_servers", tuple(Y_servers))
        set_(self, "_bytes", data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read and check a key.

        Args:
            data: What :meth:`to_bytes` gave, ``136 + 100*n`` bytes.

        Raises:
            TypeError: Not bytes.
            DecodeError: Not canonical, a point outside the subgroup, keys that are not pairwise distinct, or
                that do not lie on one polynomial of degree exactly ``t - 1``.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"BLS key: bytes expected, got {type(data).__name__}")
        if len(data) > _MAX_BYTES:
            raise DecodeError(f"BLS key: at most {MAX_KGC_SERVERS} servers expected")
        return cls(data)

    def to_bytes(self) -> bytes:
        """``enc("SOTTOVOCE-V1-BLS-KEY", t, Y, Y_1, ..., Y_n)``: ``136 + 100*n`` bytes."""
        return self._bytes

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return if ``signature`` is the one of ``message``.

        Args:
            message: Any bytes.
            signature: 48 bytes, a compressed point of G1.

        Raises:
            TypeError: Not bytes.
            SignatureError: It is not, or no canonical point of the subgroup.

        Timing: one hash to the curve and a product of two pairings; nothing is secret.
        """
        _check(self._Y, _hash(message), signature)

    def verify_part(self, server: int, message: bytes, part: bytes) -> None:
        """As :meth:`verify`, for what one server made.

        Args:
            server: 1 to :attr:`servers`.
            message: Any bytes.
            part: 48 bytes, of :meth:`BlsShare.sign`.

        Raises:
            TypeError: Wrong types.
            ParameterError: No such server.
            SignatureError: A wrong part, or no canonical point of the subgroup.
        """
        _check(self._Y_servers[_index(self, server) - 1], _hash(message), part)

    def combine(self, message: bytes, parts: Mapping[int, bytes]) -> CombinedSignature:
        """The signature from the parts of at least ``t`` servers; more than ``t`` mend wrong ones.

        Args:
            message: What was signed.
            parts: Server index -> its part, 48 bytes of :meth:`BlsShare.sign`.  Parts beyond the first ``t``
                good ones are checked and not used.

        Returns:
            The signature, verified, and which parts were wrong.

        Raises:
            TypeError: Wrong types.
            ParameterError: No such server.
            TooFewAnswers: Fewer than ``t`` valid parts; ``wrong`` names the others.

        Timing: a product of two pairings for each part, and one for the result; nothing is secret.
        """
        if not isinstance(parts, Mapping):
            raise TypeError(f"parts: mapping of server to bytes expected, got {type(parts).__name__}")
        hashed = _hash(message)
        good: dict[int, G1] = {}
        for server in sorted(_index(self, server) for server in parts):
            with contextlib.suppress(SignatureError):
                good[server] = _check(self._Y_servers[server - 1], hashed, parts[server])
        wrong = tuple(sorted(parts.keys() - good.keys()))
        chosen = sorted(good)[: self.threshold]
        if len(chosen) < self.threshold:
            raise TooFewAnswers(self.threshold, len(good), wrong)
        coefficients = polynomial.lagrange_at_zero(chosen)
        point = group.g1_msm_vartime([good[j] for j in chosen], coefficients)
        signature = point.to_compressed_bytes()
        _check(self._Y, hashed, signature)
        return CombinedSignature(signature, wrong)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("BlsPublicKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("BlsPublicKey is immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlsPublicKey) and other._bytes == self._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        if not hasattr(self, "_bytes"):
            return "BlsPublicKey(not made)"
        return f"BlsPublicKey({self.threshold} of {self.servers})"

    def __reduce__(self) -> Any:
        return BlsPublicKey.from_bytes, (self._bytes,)


class BlsShare(ServerShare):
    """What one server signs with.  SECRET.

    Attributes:
        public_key: Of all servers together.
        index: Which server this is, 1 to ``public_key.servers``.

    Threads: safe.  Cannot be pickled; :func:`.keyfile.save_key` keeps it.

    Timing: the share meets a fixed sequence of doublings and additions; it is a Python integer.
    Source: Boldyreva, PKC 2003, section 3; Shamir, CACM 1979; docs/clsc-threshold.md, "Signatures of several
        servers".
    """

    __slots__ = ("public_key",)

    public_key: BlsPublicKey

    def __init__(self, s: int, public_key: BlsPublicKey, index: int) -> None:
        """Bind a share to its public key.

        Args:
            s: SECRET, in ``[1, r)``.
            public_key: Of all servers together.
            index: Which server's share it is, 1 to ``public_key.servers``.

        Raises:
            TypeError: ``public_key`` or ``index`` is of another type.
            ParameterError: No such server, or ``s*P2`` is not its key.

        Timing: one comb multiplication by ``s`` in G2, always the same number of additions.
        """
        reason = _no_server(public_key, index)
        fits = reason is None and is_share(s, index, public_key._Y_servers)
        if fits:
            set_ = object.__setattr__
            set_(self, "_s", s)
            set_(self, "public_key", public_key)
            set_(self, "index", index)
        del s  # a traceback keeps the variables of the frame that raises
        if reason is not None:
            raise reason
        if not fits:
            raise ParameterError(f"s: not the share of server {index} of this key")

    def sign(self, message: bytes) -> bytes:
        """This server's part, 48 bytes; with ``t = 1`` the signature itself.

        The same message gets the same part: nothing is drawn.

        Args:
            message: Any bytes.

        Raises:
            TypeError: Not bytes.

        Timing: one hash to the curve; then the same doublings and additions for every secret.
        """
        return group.g1_mul_secret(_hash(message), self._s).to_compressed_bytes()

    def __repr__(self) -> str:
        return f"BlsShare({getattr(self, 'index', None)}, {getattr(self, 'public_key', None)!r})"


def deal_bls(threshold: int = 1, servers: int = 1) -> list[BlsShare]:
    """Draw a secret and share it among servers; whoever calls this is trusted to forget it.

    Args:
        threshold: ``t``, 1 to ``servers``; so many servers sign together, fewer cannot.
        servers: ``n``, ``t`` to 64.

    Returns:
        The shares of servers 1 to ``n``, all with the same ``public_key``.

    Raises:
        TypeError: Not integers.
        ParameterError: Not ``1 <= threshold <= servers <= 64``.

    Timing: ``2n + 1`` comb multiplications in G2; polynomial and shares are Python integers.
    Source: Shamir, CACM 1979; Feldman, FOCS 1987; docs/clsc-threshold.md, "Signatures of several servers".
    """
    return _deal_bls_derand(threshold, servers, os.urandom)


def _deal_bls_derand(threshold: int, servers: int, random_bytes: RandomBytes) -> list[BlsShare]:
    if type(threshold) is not int or type(servers) is not int:
        raise TypeError("threshold, servers: int expected")
    if not 1 <= threshold <= servers <= MAX_KGC_SERVERS:
        raise ParameterError(
            f"1 <= threshold <= servers <= {MAX_KGC_SERVERS} expected, got {threshold} and {servers}"
        )
    values = polynomial.distinct_values(threshold, servers, random_bytes)
    points = [comb.p2_mul(value).to_compressed_bytes() for value in values]
    public_key = BlsPublicKey.from_bytes(enc(_KEY_TAG, threshold, *points))
    return [BlsShare(values[j], public_key, j) for j in range(1, servers + 1)]


def _hash(message: bytes) -> G1:
    if not isinstance(message, bytes):
        raise TypeError(f"message: bytes expected, got {type(message).__name__}")
    return group.hash_to_g1(_DST, message)


def _check(Y: G2, hashed: G1, signature: bytes) -> G1:
    """The point of a signature that verifies under ``Y``."""
    if not isinstance(signature, bytes):
        raise TypeError(f"signature: bytes expected, got {type(signature).__name__}")
    point: G1 | None = None
    with contextlib.suppress(DecodeError):
        point = group.g1_from_bytes(signature, "signature")
    if point is None or not group.pairing_is_one([point, -hashed], [group.P2, Y]):
        raise SignatureError
    return point


def _no_server(public_key: object, index: int) -> Exception | None:
    return no_server("public_key", public_key, BlsPublicKey, "server", index, attrgetter("servers"))


def _index(public_key: BlsPublicKey, server: int) -> int:
    reason = _no_server(public_key, server)
    if reason is not None:
        raise reason
    return server
