"""An issuer in one process, for simulations and trials: it enrols whoever asks."""

from __future__ import annotations

from .. import clsc
from .roster import Roster
from .server import ServerKeys


class Authority:
    """An issuer with its two epochs: names for servers, blind pseudonyms for clients.

    Args:
        epoch: 1 to 64 bytes.
        now: Unix second in which its keys begin to be valid.
        valid_s: For so many seconds.

    Source: docs/fl.md, "In memory".
    """

    def __init__(self, epoch: bytes, now: int, valid_s: int) -> None:
        self._root = root = clsc.RootKey.generate()
        self.root_public_key = root.public_key
        span = {"not_before": now, "not_after": now + valid_s}
        identity = clsc.MasterKey.generate(root, clsc.Mode.IDENTITY, epoch, **span)
        blind = clsc.MasterKey.generate(root, clsc.Mode.BLIND, epoch, **span)
        self.identity, self.blind = identity.params, blind.params
        self._identity_issuer, self._blind_issuer = clsc.Issuer(identity), clsc.Issuer(blind)

    def trust(self) -> clsc.TrustStore:
        """What a party that pins this authority's root believes."""
        store = clsc.TrustStore(self.root_public_key)
        store.add(self.identity)
        store.add(self.blind)
        return store

    def server(self, name: bytes) -> ServerKeys:
        """Enrol a server under a name and issue its two keys.

        Args:
            name: 1 to 64 bytes.

        Returns:
            One key to sign, one to be written to.
        """
        token = self._identity_issuer.enrol(name.decode())
        keys = []
        for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
            request = clsc.IdentityRequest(self.identity, usage, name, token)
            sent = request.to_bytes(self._identity_issuer.challenge())
            keys.append(request.finish(self._identity_issuer.issue(name.decode(), sent)))
        return ServerKeys(*keys)

    def roster(self, roster: Roster) -> bytes:
        """Publish who the peers are, under the root key.

        Args:
            roster: Of this epoch.

        Returns:
            The signed bytes.
        """
        return roster.sign(self._root)

    def pseudonym(self, party: str) -> clsc.SecretKey:
        """Enrol a device and issue its blind ``sign`` key for the epoch.

        Args:
            party: Its name, once an epoch.

        Returns:
            The device's key.
        """
        token = self._blind_issuer.enrol(party)
        request = clsc.BlindRequest(self.blind, clsc.Usage.SIGN, token)
        return request.finish(self._blind_issuer.issue(party, request.to_bytes()))
