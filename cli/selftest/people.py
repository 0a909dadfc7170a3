"""Who takes part in the properties of ``sottovoce.clsc``: one issuer's epochs, some keys, made once."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Final

from ... import clsc

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class People:
    """Keys of one issuer.

    Attributes:
        root: Its root key.
        trust: Knows both epochs.
        senders: One under a name, one under a blind pseudonym.
        receivers: Four, under names.
        stranger: A receiver to whom nobody writes.
        secrets: Everything that must not be seen in a packet: names, public keys, pseudonyms.
    """

    root: clsc.RootKey
    trust: clsc.TrustStore
    senders: tuple[clsc.SecretKey, clsc.SecretKey]
    receivers: tuple[clsc.SecretKey, ...]
    stranger: clsc.SecretKey

    @property
    def secrets(self) -> list[bytes]:
        keys = [key.public_key for key in (*self.senders, *self.receivers)]
        found = [part for key in keys for part in (key.X, key.identity, key.pid)]
        return [part for part in found if part]


def span() -> dict[str, int]:
    """Validity of an epoch that began before now, for clocks that run behind."""
    now = int(time.time())
    return {"not_before": now - 3600, "not_after": now + DAY_S}


@functools.cache
def people() -> People:
    """The same ones for a whole run."""
    root = clsc.RootKey.generate()
    named, blind = (
        clsc.MasterKey.generate(root, mode, b"selftest", **span())
        for mode in (clsc.Mode.IDENTITY, clsc.Mode.BLIND)
    )
    trust = clsc.TrustStore(root.public_key)
    trust.add(named.params)
    trust.add(blind.params)
    issuer = clsc.Issuer(named)
    receivers = [_named(issuer, f"receiver number {j}", clsc.Usage.DECRYPT) for j in range(5)]
    senders = _named(issuer, "a sender with a name", clsc.Usage.SIGN), _blind(clsc.Issuer(blind), "device")
    return People(root, trust, senders, tuple(receivers[:4]), receivers[4])


def _named(issuer: clsc.Issuer, name: str, usage: clsc.Usage) -> clsc.SecretKey:
    request = clsc.IdentityRequest(issuer.params, usage, name.encode(), issuer.enrol(name))
    return request.finish(issuer.issue(name, request.to_bytes(issuer.challenge())))


def _blind(issuer: clsc.Issuer, party: str) -> clsc.SecretKey:
    request = clsc.BlindRequest(issuer.params, clsc.Usage.SIGN, issuer.enrol(party))
    return request.finish(issuer.issue(party, request.to_bytes()))
