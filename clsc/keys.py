"""Keys: a public key bound to its name, and the secret key that only fits that name.

A user key is ``x`` with ``X = x*P1``; it is hashed into the name, ``Q = H(params_id, id, X)``, and
the issuer adds the partial key ``D = s*Q``.  Both are needed to sign or to decrypt (Al-Riyami and
Paterson 2003, section 5.1).  Usage, parameters, name and ``X`` always travel together in one object:
passing them separately is how they get mixed up.

Wire format of :class:`PublicKey` (83 bytes + name)::

    suite (1) | usage (1: 1 sign, 2 decrypt) | params_id (32) | length of id (1) | id | X (48)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from .._ext.errors import DecodeError, IssueError, ParameterError
from . import comb, group, hashes
from .params import EpochParams, Mode, Usage, identity_fits

if TYPE_CHECKING:
    from .group import G1
    from .trust import TrustStore

USAGE_BYTE: Final = {Usage.SIGN: 1, Usage.DECRYPT: 2}
BYTE_USAGE: Final = {byte: usage for usage, byte in USAGE_BYTE.items()}

_FIXED_BYTES: Final = 35
PID_BYTES: Final = 16


def encode_key(usage: Usage, params_id: bytes, identity: bytes, X: bytes) -> bytes:
    """The wire format above."""
    head = bytes([hashes.SUITE, USAGE_BYTE[usage]]) + params_id
    return head + bytes([len(identity)]) + identity + X


class PublicKey:
    """``(params, usage, identity, X)``: whom a packet is for, or who signed.  Immutable.

    The mode rule holds for every object: a name of 1 to 64 bytes in mode ``identity``, exactly 64 in
    ``traceable``, empty in ``blind``.  That such an object exists says nothing about who holds the
    secret; in mode ``blind`` ``D`` only proves that a unit of quota was spent.

    Attributes:
        params: Parameters of the epoch.
        usage: ``sign`` or ``decrypt``.
        identity: The name, as long as its mode says.
        pid: 16 bytes, short name for logs, replay tables and revocation; equal for equal keys.

    Threads: safe.  May be pickled.

    Timing: variable, of public data only.  A key keeps the hash of its name from the first use on, and
        tables, while there is room, from the third: what is done with it tells by its time whether it was
        used before.
    Source: Al-Riyami and Paterson, ASIACRYPT 2003, section 5.1 (``X`` is hashed into the name); RFC 9380,
        section 8.8.1 (the hash); docs/clsc.md, "Symbols and the code" and "Epochs, modes, trust".
    """

    __slots__ = ("_Q", "_X_base", "_x_bytes", "identity", "params", "pid", "usage")

    params: EpochParams
    usage: Usage
    identity: bytes
    pid: bytes
    _x_bytes: bytes
    _X_base: comb.FixedBase
    _Q: comb.FixedBase | None

    def __init__(self, params: EpochParams, usage: Usage, identity: bytes, X: bytes) -> None:
        """Bind ``X`` to a name.

        Args:
            params: Parameters of the epoch.
            usage: ``sign`` or ``decrypt``.
            identity: The name; its length must fit ``params.mode``.
            X: 48 bytes, a canonical compressed point of G1, of the subgroup and not the identity.

        Raises:
            TypeError: Wrong types.
            DecodeError: ``X`` is not a valid point, or ``identity`` breaks the mode rule.
        """
        if not isinstance(params, EpochParams):
            raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
        if not isinstance(usage, Usage):
            raise TypeError(f"usage: Usage expected, got {type(usage).__name__}")
        if not isinstance(identity, bytes) or not isinstance(X, bytes):
            raise TypeError("identity, X: bytes expected")
        if not identity_fits(params.mode, identity):
            raise DecodeError(f"identity: {len(identity)} bytes do not fit mode {params.mode}")
        point = group.g1_from_bytes(X, "X")
        set_ = object.__setattr__
        set_(self, "params", params)
        set_(self, "usage", usage)
        set_(self, "identity", identity)
        set_(self, "_x_bytes", X)
        set_(self, "_X_base", comb.FixedBase(point))
        set_(self, "_Q", None)
        set_(self, "pid", hashes.pid(params.params_id, usage, identity, X))

    @classmethod
    def from_bytes(cls, data: bytes, trust: TrustStore) -> Self:
        """Read a key whose parameters ``trust`` knows.

        Says nothing about validity in time or revocation; :meth:`TrustStore.acceptable` does.

        Args:
            data: 83 bytes plus the length of the name.
            trust: Knows the parameters that the key names.

        Raises:
            TypeError: ``data`` is not bytes, ``trust`` not a TrustStore.
            DecodeError: Not the canonical encoding of a valid key.
            SenderError: ``trust`` does not know the parameters.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"public key: bytes expected, got {type(data).__name__}")
        if not hasattr(trust, "get"):  # a root key, as EpochParams.from_bytes takes
            raise TypeError(f"trust: TrustStore expected, got {type(trust).__name__}")
        if len(data) < _FIXED_BYTES or len(data) != _FIXED_BYTES + data[34] + group.G1_BYTES:
            raise DecodeError(f"public key: wrong length ({len(data)} bytes)")
        if data[0] != hashes.SUITE:
            raise DecodeError(f"public key: suite {hashes.SUITE} expected, got {data[0]}")
        if data[1] not in BYTE_USAGE:
            raise DecodeError(f"public key: unknown usage {data[1]}")
        params = trust.get(data[2:34])
        return cls(params, BYTE_USAGE[data[1]], data[35:-48], data[-48:])

    def to_bytes(self) -> bytes:
        """``suite | usage | params_id | length of id | id | X``: 83 bytes plus the length of the name."""
        return encode_key(self.usage, self.params.params_id, self.identity, self._x_bytes)

    @property
    def mode(self) -> Mode:
        """Kind of the name, that of the parameters."""
        return self.params.mode

    @property
    def X(self) -> bytes:
        """48 bytes: the user's own point ``x*P1``, compressed."""
        return self._x_bytes

    @property
    def _X(self) -> G1:
        return self._X_base.point

    @property
    def _Q_base(self) -> comb.FixedBase:
        base = self._Q
        if base is None:
            point = hashes.hash_identity(self.params.params_id, self.usage, self.identity, self._x_bytes)
            base = comb.FixedBase(point)
            object.__setattr__(self, "_Q", base)
        return base

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("PublicKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("PublicKey is immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.to_bytes() == self.to_bytes()

    def __hash__(self) -> int:
        return hash(self.pid)

    def __repr__(self) -> str:
        if not hasattr(self, "pid"):
            return "PublicKey(not made)"
        return (
            f"PublicKey({self.usage}, {self.params.mode}, identity={self.identity!r}, pid={self.pid.hex()})"
        )

    def __reduce__(self) -> Any:
        return PublicKey, (self.params, self.usage, self.identity, self._x_bytes)


def _fits(public_key: PublicKey, x: int, D: G1) -> bool:
    """Whether ``X = x*P1`` and ``e(D, P2) = e(Q, Y)``; raises nothing, so no frame with secrets escapes."""
    if comb.p1_mul(x).to_compressed_bytes() != public_key.X:
        return False
    return group.pairing_is_one([D, -public_key._Q_base.point], [group.P2, public_key.params.Y])


class SecretKey:
    """``x`` and ``D`` of one public key; made by ``finish`` of a request.  SECRET.

    Checked once when made: ``X = x*P1`` and ``e(D, P2) = e(Q, Y)``.

    Attributes:
        public_key: The public half.

    Threads: safe.  Cannot be pickled; ``repr`` shows the public half only.

    Timing: when made, ``x`` meets the comb table of ``P1``, and ``D``, as it is, one pairing with ``P2``.  In
        use both meet fixed sequences of additions, or are split at random: docs/timing.md, "Local timing".
    Source: Al-Riyami and Paterson, ASIACRYPT 2003, section 5.1; Boneh, Lynn, Shacham, ASIACRYPT 2001 (``D``
        is such a signature, and checked as one); docs/clsc.md, "Building blocks".
    """

    __slots__ = ("_D", "_d_bytes", "_x", "public_key")

    public_key: PublicKey
    _x: int
    _D: comb.FixedBase
    _d_bytes: bytes

    def __init__(self, public_key: PublicKey, x: int, D: G1) -> None:
        """Internal; raises IssueError when ``x`` and ``D`` are not the secrets of ``public_key``."""
        fits = _fits(public_key, x, D)
        if fits:
            self._assign(public_key, x, D)
        del x, D  # a traceback keeps the variables of the frame that raises
        if not fits:
            raise IssueError("secret key: x, partial key, name and parameters do not fit")

    @classmethod
    def _if_fits(cls, public_key: PublicKey, x: int, D: G1) -> Self | None:
        """The key, or None where the constructor would raise: for callers that hold secrets too."""
        if not _fits(public_key, x, D):
            return None
        self = cls.__new__(cls)
        self._assign(public_key, x, D)
        return self

    def _assign(self, public_key: PublicKey, x: int, D: G1) -> None:
        set_ = object.__setattr__
        set_(self, "public_key", public_key)
        set_(self, "_x", x)
        set_(self, "_D", comb.FixedBase(D))
        set_(self, "_d_bytes", D.to_compressed_bytes())

    @property
    def params(self) -> EpochParams:
        """Parameters of the epoch."""
        return self.public_key.params

    @property
    def usage(self) -> Usage:
        """``sign`` or ``decrypt``."""
        return self.public_key.usage

    @property
    def identity(self) -> bytes:
        """The name, as long as its mode says."""
        return self.public_key.identity

    def _require(self, usage: Usage, name: str) -> None:
        if self.usage is not usage:
            raise ParameterError(f"{name}: a key for usage {usage} expected, got {self.usage}")

    def _ikm(self) -> bytes:
        """``x || bytes(D)``: 80 bytes, input of the hedged derivations."""
        return group.scalar_to_bytes(self._x) + self._d_bytes

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("SecretKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("SecretKey is immutable")

    def __repr__(self) -> str:
        # A debugger may ask in the middle of a constructor that raises.
        return f"SecretKey(of {getattr(self, 'public_key', None)!r})"

    def __reduce__(self) -> Any:
        raise TypeError("a SecretKey is secret and cannot be pickled")
