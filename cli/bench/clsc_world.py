"""The people of the measurements of :mod:`sottovoce.clsc`: an issuer's epochs, senders, receivers."""

from __future__ import annotations

import functools
import itertools
import time
from dataclasses import dataclass, field
from typing import Final

from ... import clsc

RECEIVERS: Final = 5

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class World:
    """An issuer's two epochs, one blind sender used again and again, named receivers.

    Attributes:
        trust: Knows both epochs.
        sender: A blind key, with its tables made.
        receivers: Named keys.
        issuer: Of blind keys.
    """

    trust: clsc.TrustStore
    sender: clsc.SecretKey
    receivers: tuple[clsc.SecretKey, ...]
    issuer: clsc.Issuer
    _count: itertools.count[int] = field(default_factory=itertools.count, repr=False)

    def new_sender(self) -> clsc.SecretKey:
        """A blind key that nobody has seen."""
        return _blind_key(self.issuer, f"sender {next(self._count)}")

    def packet(self, plaintext: bytes, sender: clsc.SecretKey) -> bytes:
        """A packet for the first receiver."""
        return clsc.signcrypt(plaintext, sender=sender, receivers=[self.receivers[0].public_key])


@functools.cache
def world() -> World:
    """The same one for a whole run."""
    root = clsc.RootKey.generate()
    now = int(time.time())
    named, blind = (
        clsc.MasterKey.generate(root, mode, b"bench", not_before=now - 60, not_after=now + _DAY_S)
        for mode in (clsc.Mode.IDENTITY, clsc.Mode.BLIND)
    )
    trust = clsc.TrustStore(root.public_key)
    trust.add(named.params)
    trust.add(blind.params)
    issuer, blind_issuer = clsc.Issuer(named), clsc.Issuer(blind)
    receivers = tuple(_named_key(issuer, f"receiver {j}") for j in range(RECEIVERS))
    return World(trust, _blind_key(blind_issuer, "sender"), receivers, blind_issuer)


@functools.cache
def strangers(n: int) -> tuple[clsc.SecretKey, ...]:
    """``n`` blind senders, the same ones for a whole run."""
    return tuple(world().new_sender() for _ in range(n))


def _blind_key(issuer: clsc.Issuer, party: str) -> clsc.SecretKey:
    asked = clsc.BlindRequest(issuer.params, clsc.Usage.SIGN, issuer.enrol(party))
    return asked.finish(issuer.issue(party, asked.to_bytes()))


def _named_key(issuer: clsc.Issuer, name: str) -> clsc.SecretKey:
    request = clsc.IdentityRequest(issuer.params, clsc.Usage.DECRYPT, name.encode(), issuer.enrol(name))
    return request.finish(issuer.issue(name, request.to_bytes(issuer.challenge())))
