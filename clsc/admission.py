"""Admission: the servers of a ``blind`` epoch count together what the parties are given.

One server sees only its own answers.  Were each to answer for itself, the rule
``q(n-f) < (q+1)(t-f)`` would bound what ONE party gets, and parties that work together would get more:
in mode ``blind`` the shares of one key may be asked for under several names, blinded anew at each server,
so 3 parties with one unit each would take 4 keys from 3 of 4 honest servers.  (In the other modes each
server computes ``Q`` from the name itself, and answers to different names do not combine.)

So such an epoch, ``params.servers > 1``, issues in two rounds:

1. :meth:`Issuer.admit`: the server authenticates the request, records it durably as one of the at most
   ``min(quota, q)`` of that party, and gives out its acknowledgement, nothing else;
2. :meth:`Issuer.issue`: the answer leaves a server that is shown acknowledgements of ``t`` different
   servers for exactly this epoch, party and ``B``.

Acknowledgement (66 bytes)::

    suite (1) | server (1) | Ed25519 signature (64)
        of enc("SOTTOVOCE-V1-ADMISSION", params_id, server (8), party in UTF-8, B (48))

The servers' public keys, signed by the root, ``167 + 36*n`` bytes::

    enc("SOTTOVOCE-V1-ADMISSION-KEYS", root public key (32), params_id, key of server 1 (32), ..., n)
    || Ed25519 signature of all that (64)

Why no coalition gets more keys than its parties have units together, with ``f`` corrupted servers that
acknowledge and answer anything: an honest server answers for ``(party, B)`` only if ``t-f`` honest ones
have recorded it, and each of the ``n-f`` records at most ``q' = min(quota, q)`` different ``B`` of a
party.  So ``floor(q'(n-f)/(t-f)) <= q'`` of a party are ever answered, and of all parties at most ``U``,
the sum.  All answers of honest servers to one ``B`` follow from ``s*B`` and the ``t-1`` shares that a
reduction has drawn, those of the corrupted servers among them.  Whoever makes ``U + 1`` keys therefore
solves the chosen-target (one-more) Diffie-Hellman problem with ``U`` queries, as with a single issuer.

Source of that assumption: Boldyreva, PKC 2003 (chosen-target CDH, for blind GDH signatures).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .._ext.enc import enc
from .._ext.errors import DecodeError, IssueError, ParameterError, TooFewAdmissions
from .hashes import SUITE
from .issue_wire import parse_request
from .master import MasterKey, MasterShare, RootKey
from .params import EpochParams, Mode, split
from .threshold import server_index

ADMISSION_BYTES: Final = 66
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_MAX_PARTY_BYTES: Final = 64
_KEYS_TAG: Final = b"SOTTOVOCE-V1-ADMISSION-KEYS"


def needs_admission(params: EpochParams) -> bool:
    """Whether keys of this epoch are issued in two rounds."""
    return params.mode is Mode.BLIND and params.servers > 1


# -- the key ------------------------------------------------------------------------------------


class AdmissionKey:
    """Signs the acknowledgements of one server of a threshold issuer.  SECRET.

    Every server has its own, independent of its share; one may serve several epochs.  Whoever has it can
    make this server's acknowledgements, as if the server were corrupted, and no keys.

    Threads: safe.  Cannot be pickled; ``repr`` shows the public half only.

    Timing: signing is left to OpenSSL (``cryptography``) and not measured here; the seed is used for nothing
        else.
    Source: Ed25519, RFC 8032, section 5.1; docs/clsc-threshold.md, "Admission in mode ``blind``".
    """

    __slots__ = ("_key", "public_key")

    _key: Ed25519PrivateKey
    public_key: bytes
    """32 bytes, the encoded point of RFC 8032, section 5.1.5."""

    def __init__(self, seed: bytes) -> None:
        """Use :meth:`generate`; this is for whoever stored the key.

        Args:
            seed: 32 bytes, the private key of RFC 8032, section 5.1.5.  SECRET; a copy is kept in OpenSSL.

        Raises:
            TypeError: Not bytes.
            ParameterError: Another length.
        """
        kind, length = type(seed).__name__, len(seed) if isinstance(seed, bytes) else None
        if length == _KEY_BYTES:
            key = Ed25519PrivateKey.from_private_bytes(seed)
            object.__setattr__(self, "_key", key)
            object.__setattr__(self, "public_key", key.public_key().public_bytes_raw())
        del seed  # a traceback keeps the variables of the frame that raises
        if length is None:
            raise TypeError(f"seed: bytes expected, got {kind}")
        if length != _KEY_BYTES:
            raise ParameterError(f"seed: {_KEY_BYTES} bytes expected, got {length}")

    @classmethod
    def generate(cls) -> Self:
        """A fresh key from the operating system's randomness."""
        return cls(os.urandom(_KEY_BYTES))

    def _acknowledge(self, params: EpochParams, server: int, party: str, B: bytes) -> bytes:
        """The acknowledgement, 66 bytes; the same arguments give the same, as Ed25519 draws nothing."""
        return bytes([SUITE, server]) + self._key.sign(_signed(params, server, party, B))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("AdmissionKey is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("AdmissionKey is immutable")

    def __repr__(self) -> str:
        # A debugger may ask in the middle of a constructor that raises.
        return f"AdmissionKey(public_key={getattr(self, 'public_key', b'').hex()})"

    def __reduce__(self) -> Any:
        raise TypeError("an AdmissionKey is secret and cannot be pickled")


def _signed(params: EpochParams, server: int, party: str, B: bytes) -> bytes:
    return enc("SOTTOVOCE-V1-ADMISSION", params.params_id, server, party.encode("utf-8"), B)


def _holds(
    params: EpochParams, public_key: bytes, server: int, party: str, B: bytes, admission: bytes
) -> bool:
    if len(admission) != ADMISSION_BYTES or admission[:2] != bytes([SUITE, server]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            admission[2:], _signed(params, server, party, B)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


# -- for the issuer -----------------------------------------------------------------------------


class Admissions:
    """What one server needs for the two rounds: its key, and everybody's public keys.

    Args:
        params: Parameters of a ``blind`` epoch of several servers.
        server: Number of this one.
        key: Its key.
        public_keys: Of servers 1 to ``n``, 32 bytes each.

    Raises:
        TypeError: Wrong types.
        ParameterError: Not ``n`` different keys of 32 bytes, or number ``server`` is not that of ``key``.
    """

    __slots__ = ("_key", "_params", "_public_keys", "_server")

    def __init__(
        self, params: EpochParams, server: int, key: AdmissionKey, public_keys: Sequence[bytes]
    ) -> None:
        if not isinstance(key, AdmissionKey):
            raise TypeError(f"admission_key: AdmissionKey expected, got {type(key).__name__}")
        keys = _check_public_keys(params, public_keys)
        if keys[server - 1] != key.public_key:
            raise ParameterError(f"admission_public_keys: number {server} is not that of admission_key")
        self._params = params
        self._server = server
        self._key = key
        self._public_keys = keys

    def acknowledge(self, party: str, B: bytes) -> bytes:
        """The acknowledgement of a request that IS recorded: 66 bytes."""
        return self._key._acknowledge(self._params, self._server, party, B)

    def require(self, party: str, B: bytes, admissions: Mapping[int, bytes] | None) -> None:
        """Return if ``t`` different servers acknowledged exactly this.

        Raises:
            TypeError: Not a mapping of int to bytes.
            TooFewAdmissions: Fewer did; names the wrong ones.
        """
        shown = _check_types({} if admissions is None else admissions)
        good = [j for j, admission in shown.items() if self._is_valid(j, party, B, admission)]
        if len(good) < self._params.threshold:
            wrong = tuple(sorted(set(shown).difference(good)))
            raise TooFewAdmissions(self._params.threshold, len(good), wrong)

    def _is_valid(self, j: int, party: str, B: bytes, admission: bytes) -> bool:
        known = 1 <= j <= self._params.servers
        return known and _holds(self._params, self._public_keys[j - 1], j, party, B, admission)


def admissions_of(
    master: MasterKey | MasterShare, key: AdmissionKey | None, public_keys: Sequence[bytes] | None
) -> Admissions | None:
    """What the issuer with this master key needs for two rounds; None where there is but one.

    Raises:
        TypeError: Wrong types.
        ParameterError: Missing where needed or given where not; or as :class:`Admissions`.
    """
    params = master.params
    needed = needs_admission(params)
    if needed != (key is not None) or needed != (public_keys is not None):
        verb, servers = "are needed" if needed else "have no use", f"with {params.servers} servers"
        raise ParameterError(f"admission_key, admission_public_keys: {verb} in mode {params.mode} {servers}")
    if key is None or public_keys is None:
        return None
    server = master.index if isinstance(master, MasterShare) else 1
    return Admissions(params, server, key, public_keys)


def _check_public_keys(params: EpochParams, public_keys: Sequence[bytes]) -> tuple[bytes, ...]:
    if not isinstance(public_keys, Sequence):
        raise TypeError(f"admission_public_keys: a list expected, got {type(public_keys).__name__}")
    keys = tuple(public_keys)
    if not all(isinstance(key, bytes) for key in keys):
        raise TypeError("admission_public_keys: bytes expected")
    if len(keys) != params.servers or any(len(key) != _KEY_BYTES for key in keys):
        raise ParameterError(f"admission_public_keys: {params.servers} keys of {_KEY_BYTES} bytes expected")
    if len(set(keys)) != len(keys):
        raise ParameterError("admission_public_keys: two servers with one key")
    return keys


def _check_types(admissions: Mapping[int, bytes]) -> Mapping[int, bytes]:
    if not isinstance(admissions, Mapping):
        raise TypeError(f"admissions: mapping of server to bytes expected, got {type(admissions).__name__}")
    for server, admission in admissions.items():
        if type(server) is not int or not isinstance(admission, bytes):
            raise TypeError("admissions: mapping of int to bytes expected")
    return admissions


# -- for everybody ------------------------------------------------------------------------------


def _require_two_rounds(params: EpochParams) -> None:
    if not isinstance(params, EpochParams):
        raise TypeError(f"params: EpochParams expected, got {type(params).__name__}")
    if not needs_admission(params):
        raise ParameterError(f"params: mode {Mode.BLIND} and several servers expected")


def verify_admission(
    params: EpochParams, index: int, public_key: bytes, party: str, request: bytes, admission: bytes
) -> None:
    """Check what one server acknowledged; return None if it did acknowledge exactly this.

    No secret is needed.  Clients need not ask: a wrong acknowledgement costs them another try, and the
    servers check for themselves.

    Args:
        params: Parameters of a ``blind`` epoch of several servers.
        index: The server, 1 to ``params.servers``.
        public_key: 32 bytes, of :func:`read_admission_keys`.
        party: Who asked, as the servers call it: 1 to 64 bytes of UTF-8.
        request: 114 bytes, of :meth:`BlindRequest.to_bytes`; its MAC is not looked at.
        admission: 66 bytes, what :meth:`Issuer.admit` of that server gave.

    Raises:
        TypeError: Wrong types.
        ParameterError: Other parameters, no such server, or a wrong length of ``party`` or ``public_key``.
        DecodeError: ``request`` is not a request.
        IssueError: The request is for other parameters, or the acknowledgement is wrong.

    Timing: variable, of public data only.
    Source: Ed25519, RFC 8032, section 5.1.7; docs/clsc-threshold.md, "Admission in mode ``blind``".
    """
    _require_two_rounds(params)
    index = server_index(params, index)
    if not isinstance(public_key, bytes) or not isinstance(admission, bytes):
        raise TypeError("public_key, admission: bytes expected")
    if not isinstance(party, str):
        raise TypeError(f"party: str expected, got {type(party).__name__}")
    if len(public_key) != _KEY_BYTES:
        raise ParameterError(f"public_key: {_KEY_BYTES} bytes expected, got {len(public_key)}")
    if not _names_a_party(party):
        raise ParameterError(f"party: 1 to {_MAX_PARTY_BYTES} bytes of UTF-8 expected")
    parsed = parse_request(request)
    if parsed.params_id != params.params_id or parsed.mode is not Mode.BLIND:
        raise IssueError("admission: the request is for other parameters")
    if not _holds(params, public_key, index, party, parsed.issued, admission):
        raise IssueError(f"admission: wrong, from server {index}")


def _names_a_party(party: str) -> bool:
    try:
        return 1 <= len(party.encode("utf-8")) <= _MAX_PARTY_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False


def sign_admission_keys(root: RootKey, params: EpochParams, public_keys: Sequence[bytes]) -> bytes:
    """The servers' public keys, for every server and whoever else asks, signed by the root.

    A server that was given false ones would believe acknowledgements that nobody gave.

    Args:
        root: The key that signed ``params``.
        params: Parameters of a ``blind`` epoch of several servers.
        public_keys: :attr:`AdmissionKey.public_key` of servers 1 to ``n``, 32 bytes each, in this order.

    Returns:
        ``167 + 36*n`` bytes.

    Raises:
        TypeError: Wrong types.
        ParameterError: Other parameters, not ``n`` different keys of 32 bytes, or another root.

    Timing: secret is the signing key only; Ed25519 is left to OpenSSL (``cryptography``).
    Source: Ed25519, RFC 8032, section 5.1.6; docs/clsc-threshold.md, "Admission in mode ``blind``".
    """
    if not isinstance(root, RootKey):
        raise TypeError(f"root: RootKey expected, got {type(root).__name__}")
    _require_two_rounds(params)
    if root.public_key != params.root_public_key:
        raise ParameterError("root: not the key that signed these parameters")
    body = enc(_KEYS_TAG, root.public_key, params.params_id, *_check_public_keys(params, public_keys))
    return body + root._sign_admission_keys(body)


def read_admission_keys(data: bytes, params: EpochParams) -> tuple[bytes, ...]:
    """Read and check what :func:`sign_admission_keys` gave.

    Args:
        data: ``167 + 36*n`` bytes, what :func:`sign_admission_keys` gave.
        params: Of the epoch: mode ``blind``, several servers.  Its root key is the one that must have signed.

    Returns:
        The keys of servers 1 to ``n``, 32 bytes each.

    Raises:
        TypeError: Wrong types.
        ParameterError: Parameters without admission.
        DecodeError: Not canonical, for other parameters, not ``n`` different keys, or signed by another.

    Timing: variable, of public data only.
    Source: Ed25519, RFC 8032, section 5.1.7; docs/clsc-threshold.md, "Admission in mode ``blind``".
    """
    if not isinstance(data, bytes):
        raise TypeError(f"admission keys: bytes expected, got {type(data).__name__}")
    _require_two_rounds(params)
    n_bytes = 167 + 36 * params.servers
    if len(data) != n_bytes:
        raise DecodeError(f"admission keys: {n_bytes} bytes expected, got {len(data)}")
    body = data[:-_SIGNATURE_BYTES]
    fields = split(body, "admission keys")
    if fields[:3] != [_KEYS_TAG, params.root_public_key, params.params_id]:
        raise DecodeError("admission keys: not those of these parameters")
    try:
        Ed25519PublicKey.from_public_bytes(params.root_public_key).verify(data[-_SIGNATURE_BYTES:], body)
    except (InvalidSignature, ValueError):
        raise DecodeError("admission keys: root signature does not verify") from None
    try:
        return _check_public_keys(params, fields[3:])
    except ParameterError as error:
        raise DecodeError(str(error)) from None
