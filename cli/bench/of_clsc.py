"""Measurements of :mod:`sottovoce.clsc`."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Final

from ... import clsc
from .areas import Area
from .measurement import Operation, Work, measurement

_KIB: Final = 1 << 10
_BATCH: Final = 32
_RECEIVERS: Final = 5


@dataclass(frozen=True, slots=True)
class _World:
    """An issuer's epochs with a blind sender and named receivers."""

    trust: clsc.TrustStore
    sender: clsc.SecretKey
    receivers: tuple[clsc.SecretKey, ...]
    issuer: clsc.Issuer


@functools.cache
def _world() -> _World:
    root = clsc.RootKey.generate()
    now = int(time.time())
    named = clsc.MasterKey.generate(
        root, clsc.Mode.IDENTITY, b"bench", not_before=now - 60, not_after=now + 86_400
    )
    blind = clsc.MasterKey.generate(
        root, clsc.Mode.BLIND, b"bench", not_before=now - 60, not_after=now + 86_400
    )
    trust = clsc.TrustStore(root.public_key)
    trust.add(named.params)
    trust.add(blind.params)
    issuer, blind_issuer = clsc.Issuer(named), clsc.Issuer(blind)

    token = blind_issuer.enrol("sender")
    asked = clsc.BlindRequest(blind.params, clsc.Usage.SIGN, token)
    sender = asked.finish(blind_issuer.issue("sender", asked.to_bytes()))
    receivers = []
    for j in range(_RECEIVERS):
        name = f"receiver-{j}"
        token = issuer.enrol(name)
        request = clsc.IdentityRequest(named.params, clsc.Usage.DECRYPT, name.encode(), token)
        receivers.append(request.finish(issuer.issue(name, request.to_bytes(issuer.challenge()))))
    return _World(trust, sender, tuple(receivers), blind_issuer)


_MESSAGE: Final = bytes(_KIB)


@measurement(Area.CLSC, "issue a blind key", work=Work(1, "key"), size={"keys": 1})
def issue_blind() -> Operation:
    """Request, answer and check of one pseudonym key: device and issuer together."""
    issuer = _world().issuer
    count = iter(range(1 << 30))

    def fresh() -> tuple[str, bytes]:
        party = f"party-{next(count)}"
        return party, issuer.enrol(party)

    def call(party: str, token: bytes) -> object:
        request = clsc.BlindRequest(issuer.params, clsc.Usage.SIGN, token)
        return request.finish(issuer.issue(party, request.to_bytes()))

    return Operation(call, fresh)


@measurement(Area.CLSC, "sign", work=Work(1, "signature"), size={"message_bytes": _KIB})
def sign() -> Operation:
    """One signature under a blind key."""
    key = _world().sender
    return Operation(lambda: clsc.sign(key, _MESSAGE))


@measurement(Area.CLSC, "verify", work=Work(1, "signature"), size={"message_bytes": _KIB})
def verify() -> Operation:
    """One signature of a sender who is known already (its hash to the curve is cached)."""
    key = _world().sender
    signature = clsc.sign(key, _MESSAGE)
    return Operation(lambda: clsc.verify(key.public_key, _MESSAGE, signature))


@measurement(
    Area.CLSC,
    "verify a batch",
    work=Work(_BATCH, "signature"),
    size={"message_bytes": _KIB, "signatures": _BATCH},
)
def batch_verify() -> Operation:
    """Signatures on different messages, one pairing equation for all."""
    key = _world().sender
    messages = [i.to_bytes(4, "big") + _MESSAGE[4:] for i in range(_BATCH)]
    items = [(key.public_key, message, clsc.sign(key, message)) for message in messages]
    return Operation(lambda: clsc.batch_verify(items))


@measurement(
    Area.CLSC, "signcrypt to 1", work=Work(1, "packet"), size={"plaintext_bytes": _KIB, "receivers": 1}
)
def signcrypt_one() -> Operation:
    """A packet for one receiver."""
    world = _world()
    to = [world.receivers[0].public_key]
    return Operation(lambda: clsc.signcrypt(_MESSAGE, sender=world.sender, receivers=to))


@measurement(
    Area.CLSC,
    f"signcrypt to {_RECEIVERS}",
    work=Work(1, "packet"),
    size={"plaintext_bytes": _KIB, "receivers": _RECEIVERS},
)
def signcrypt_many() -> Operation:
    """One packet that each of several receivers can open."""
    world = _world()
    to = [receiver.public_key for receiver in world.receivers]
    return Operation(lambda: clsc.signcrypt(_MESSAGE, sender=world.sender, receivers=to))


@measurement(Area.CLSC, "unsigncrypt", work=Work(1, "packet"), size={"plaintext_bytes": _KIB, "receivers": 1})
def unsigncrypt() -> Operation:
    """Open one packet and verify its sender."""
    world = _world()
    receiver = world.receivers[0]
    packet = clsc.signcrypt(_MESSAGE, sender=world.sender, receivers=[receiver.public_key])
    return Operation(lambda: clsc.unsigncrypt(packet, receiver=receiver, trust=world.trust))


@measurement(
    Area.CLSC,
    "unsigncrypt a batch",
    work=Work(_BATCH, "packet"),
    size={"plaintext_bytes": _KIB, "packets": _BATCH},
)
def unsigncrypt_batch() -> Operation:
    """Open many packets, verify their senders together."""
    world = _world()
    receiver = world.receivers[0]
    packets = [
        clsc.signcrypt(_MESSAGE, sender=world.sender, receivers=[receiver.public_key]) for _ in range(_BATCH)
    ]
    return Operation(lambda: clsc.unsigncrypt_batch(packets, receiver=receiver, trust=world.trust))
