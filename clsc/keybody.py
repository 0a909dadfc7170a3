"""What a key file holds: each kind of secret as canonical bytes, checked again when read.

::

    enc("SOTTOVOCE-V1-KEY", kind, field, ...)

========================  =========================================================================
kind                      fields
========================  =========================================================================
``root``                  Ed25519 seed (32)
``master``                root public key (32), params, s (32)
``master-share``          root public key, params, index (8), s_j (32)
``secret``                root public key, params, public key, x (32), D (48)
``tracing``               tracing key (64)
``admission``             Ed25519 seed (32)
``bls-share``             BLS public key, index (8), s_j (32)
``identity-request``      root public key, params, usage, identity, tokens, x
``blind-request``         root public key, params, usage, tokens, x, b (32)
``traceable-request``     root public key, params, usage, x, params of the signer, its public key,
                          signature (176)
========================  =========================================================================

``params`` are the signed bytes of :class:`EpochParams`, so a key needs nothing else to be used.  What
is read goes through the constructors again: root signature, ``Y = s*P2``, ``e(D, P2) = e(Q, Y)``.
``tokens`` are the one token (32), or with several servers ``number (8) | token (32)`` of each, ascending.

Nothing here raises with a secret in a frame: :func:`decode` gives None instead, whatever is wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, TypeAlias

from cryptography.hazmat.primitives import serialization

from .._ext.enc import enc
from .._ext.errors import SottovoceError
from . import group
from .admission import AdmissionKey
from .bls import BlsPublicKey, BlsShare
from .group import RandomBytes
from .issue_wire import TOKEN_BYTES
from .keys import PublicKey, SecretKey
from .master import MasterKey, MasterShare, RootKey
from .params import EpochParams, Usage, split
from .request import BlindRequest, IdentityRequest
from .traceable import TraceableRequest
from .tracing import TracingKey
from .trust import TrustStore

Key: TypeAlias = (
    RootKey
    | MasterKey
    | MasterShare
    | TracingKey
    | AdmissionKey
    | BlsShare
    | SecretKey
    | IdentityRequest
    | BlindRequest
    | TraceableRequest
)
"""What a key file can hold."""

_TAG: Final = b"SOTTOVOCE-V1-KEY"
_NUMBER_BYTES: Final = 8
_TOKEN_ENTRY_BYTES: Final = _NUMBER_BYTES + TOKEN_BYTES


def encode(key: Key) -> bytes | None:
    """The bytes of a secret, all of it in clear; None if ``key`` is none of the kinds."""
    kind = _KINDS.get(type(key))
    return None if kind is None else enc(_TAG, kind, *_WRITERS[kind](key))


def decode(data: bytes) -> Key | None:
    """The secret that has exactly these bytes, checked as when it was made; else None."""
    key: Key | None = None
    # Of the builtin errors: an unknown kind, a wrong number of fields, a token for a server too many.
    with contextlib.suppress(SottovoceError, KeyError, TypeError, ValueError):
        _, kind, *fields = split(data)
        key = _READERS[kind](fields)
    # Another tag, and everything that a reader may have taken in another spelling, differs here.
    return key if key is not None and encode(key) == data else None


def _signed(params: EpochParams) -> list[bytes]:
    return [params.root_public_key, params.to_bytes()]


def _replay(*scalars: bytes) -> RandomBytes:
    """The randomness from which a request draws just these scalars: 48 bytes each, reduced mod r."""
    source = iter([bytes(48 - group.SCALAR_BYTES) + scalar for scalar in scalars])
    return lambda n_bytes: next(source)


def _scalars(*fields: bytes) -> bool:
    """Whether each is a scalar in ``[1, r)``, as ``_replay`` needs: it would wait for another draw."""
    return all(len(f) == group.SCALAR_BYTES and 0 < int.from_bytes(f, "big") < group.ORDER for f in fields)


# -- one writer and one reader for each kind ------------------------------------------------------


def _write_seed(key: RootKey | AdmissionKey) -> list[bytes]:
    return [
        key._key.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
    ]


def _read_root(fields: list[bytes]) -> RootKey | None:
    (seed,) = fields
    return RootKey._from_seed_derand(seed)


def _write_master(key: MasterKey) -> list[bytes]:
    return [*_signed(key.params), group.scalar_to_bytes(key._s)]


def _read_master(fields: list[bytes]) -> MasterKey | None:
    root, signed, s = fields
    return MasterKey(int.from_bytes(s, "big"), EpochParams.from_bytes(signed, root))


def _write_master_share(key: MasterShare) -> list[bytes]:
    return [*_signed(key.params), key.index.to_bytes(8, "big"), group.scalar_to_bytes(key._s)]


def _read_master_share(fields: list[bytes]) -> MasterShare | None:
    root, signed, index, s = fields
    params = EpochParams.from_bytes(signed, root)
    return MasterShare(int.from_bytes(s, "big"), params, int.from_bytes(index, "big"))


def _write_secret(key: SecretKey) -> list[bytes]:
    return [*_signed(key.params), key.public_key.to_bytes(), group.scalar_to_bytes(key._x), key._d_bytes]


def _read_secret(fields: list[bytes]) -> SecretKey | None:
    root, signed, public, x, d = fields
    trust = TrustStore(root)
    trust.add_bytes(signed)
    if not _scalars(x):
        return None
    key = PublicKey.from_bytes(public, trust)
    return SecretKey._if_fits(key, int.from_bytes(x, "big"), group.g1_from_bytes(d, "D"))


def _write_tracing(key: TracingKey) -> list[bytes]:
    return [key._key]


def _read_tracing(fields: list[bytes]) -> TracingKey | None:
    (key,) = fields
    return TracingKey(key)


def _read_admission(fields: list[bytes]) -> AdmissionKey | None:
    (seed,) = fields
    return AdmissionKey(seed)


def _write_bls_share(key: BlsShare) -> list[bytes]:
    return [key.public_key.to_bytes(), key.index.to_bytes(8, "big"), group.scalar_to_bytes(key._s)]


def _read_bls_share(fields: list[bytes]) -> BlsShare | None:
    public, index, s = fields
    key = BlsPublicKey.from_bytes(public)
    return BlsShare(int.from_bytes(s, "big"), key, int.from_bytes(index, "big"))


def _write_tokens(token: bytes | dict[int, bytes]) -> bytes:
    if isinstance(token, bytes):
        return token
    return b"".join(j.to_bytes(_NUMBER_BYTES, "big") + token[j] for j in sorted(token))


def _read_tokens(params: EpochParams, data: bytes) -> bytes | dict[int, bytes]:
    if params.servers == 1:
        return data
    entries = [data[at : at + _TOKEN_ENTRY_BYTES] for at in range(0, len(data), _TOKEN_ENTRY_BYTES)]
    return {int.from_bytes(e[:_NUMBER_BYTES], "big"): e[_NUMBER_BYTES:] for e in entries}


def _write_identity_request(key: IdentityRequest) -> list[bytes]:
    public = key.public_key
    usage, x = str(public.usage).encode(), group.scalar_to_bytes(key._x)
    return [*_signed(public.params), usage, public.identity, _write_tokens(key._token), x]


def _read_identity_request(fields: list[bytes]) -> IdentityRequest | None:
    root, signed, usage, identity, tokens, x = fields
    params = EpochParams.from_bytes(signed, root)
    if not _scalars(x):
        return None
    return IdentityRequest._derand(
        params, Usage(usage.decode("ascii")), identity, _read_tokens(params, tokens), _replay(x)
    )


def _write_blind_request(key: BlindRequest) -> list[bytes]:
    public = key._public_key
    x, b = group.scalar_to_bytes(key._x), group.scalar_to_bytes(key._b)
    return [*_signed(public.params), str(public.usage).encode(), _write_tokens(key._token), x, b]


def _read_blind_request(fields: list[bytes]) -> BlindRequest | None:
    root, signed, usage, tokens, x, b = fields
    params = EpochParams.from_bytes(signed, root)
    if not _scalars(x, b):
        return None
    return BlindRequest._derand(
        params, Usage(usage.decode("ascii")), _read_tokens(params, tokens), _replay(x, b)
    )


def _write_traceable_request(key: TraceableRequest) -> list[bytes]:
    usage, x = str(key._usage).encode(), group.scalar_to_bytes(key._x)
    signer = key._signer
    return [*_signed(key._params), usage, x, signer.params.to_bytes(), signer.to_bytes(), key._signature]


def _read_traceable_request(fields: list[bytes]) -> TraceableRequest | None:
    root, signed, usage, x, signer_params, signer, signature = fields
    params = EpochParams.from_bytes(signed, root)
    trust = TrustStore(root)
    trust.add_bytes(signer_params)
    if not _scalars(x):
        return None
    key = PublicKey.from_bytes(signer, trust)
    return TraceableRequest._restore(
        params, Usage(usage.decode("ascii")), int.from_bytes(x, "big"), key, signature
    )


_KINDS: Final[dict[type, bytes]] = {
    RootKey: b"root",
    MasterKey: b"master",
    MasterShare: b"master-share",
    TracingKey: b"tracing",
    AdmissionKey: b"admission",
    BlsShare: b"bls-share",
    SecretKey: b"secret",
    IdentityRequest: b"identity-request",
    BlindRequest: b"blind-request",
    TraceableRequest: b"traceable-request",
}

_WRITERS: Final[dict[bytes, Callable[..., list[bytes]]]] = {
    b"root": _write_seed,
    b"master": _write_master,
    b"master-share": _write_master_share,
    b"tracing": _write_tracing,
    b"admission": _write_seed,
    b"bls-share": _write_bls_share,
    b"secret": _write_secret,
    b"identity-request": _write_identity_request,
    b"blind-request": _write_blind_request,
    b"traceable-request": _write_traceable_request,
}

_READERS: Final[dict[bytes, Callable[[list[bytes]], Key | None]]] = {
    b"root": _read_root,
    b"master": _read_master,
    b"master-share": _read_master_share,
    b"tracing": _read_tracing,
    b"admission": _read_admission,
    b"bls-share": _read_bls_share,
    b"secret": _read_secret,
    b"identity-request": _read_identity_request,
    b"blind-request": _read_blind_request,
    b"traceable-request": _read_traceable_request,
}
