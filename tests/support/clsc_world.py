"""A small world for the tests of clsc: one root, epochs of each mode, people with keys.

``Drbg`` gives the seeded randomness that the underscore-private ``_derand`` hooks take; nothing of
it exists in the package.
"""

import hashlib

from sottovoce.clsc import (
    BlindRequest,
    IdentityRequest,
    Issuer,
    MasterKey,
    Mode,
    PublicKey,
    RootKey,
    SecretKey,
    TrustStore,
    Usage,
    comb,
    group,
)

NOT_BEFORE = 1_700_000_000
NOT_AFTER = 1_900_000_000
NOW = 1_800_000_000


class Drbg:
    """SHA-256 in counter mode over a seed: reproducible, for tests only."""

    def __init__(self, seed):
        self.seed = seed.encode() if isinstance(seed, str) else seed
        self.counter = 0
        self.buffer = b""

    def __call__(self, n):
        while len(self.buffer) < n:
            self.buffer += hashlib.sha256(self.seed + self.counter.to_bytes(8, "big")).digest()
            self.counter += 1
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out


class World:
    """Everything from one seed: the same seed gives the same keys on every back end."""

    def __init__(self, seed="world", epoch=b"2026-W47"):
        self.seed = seed
        self.root = RootKey._from_seed_derand(Drbg(f"{seed}/root")(32))
        self.master = {
            mode: MasterKey._generate_derand(
                self.root, mode, epoch, NOT_BEFORE, NOT_AFTER, Drbg(f"{seed}/{mode}")
            )
            for mode in Mode
        }
        self.params = {mode: master.params for mode, master in self.master.items()}
        self.trust = self.new_trust()
        self._made = {}

    def new_trust(self, now=NOW):
        trust = TrustStore(self.root.public_key, clock=lambda: now)
        for params in self.params.values():
            trust.add(params)
        return trust

    def key(self, name, usage, mode=Mode.IDENTITY):
        """A key as the issuer would make it, straight from the master secret; cached by name."""
        slot = (name, usage, mode)
        if slot not in self._made:
            self._made[slot] = self.make_key(name, usage, mode)
        return self._made[slot]

    def make_key(self, name, usage, mode=Mode.IDENTITY, identity=None):
        x = group.random_scalar(Drbg(f"{self.seed}/{name}/{usage}/{mode}"))
        if identity is None:
            identity = {
                Mode.IDENTITY: name.encode(),
                Mode.TRACEABLE: hashlib.sha512(name.encode()).digest(),
                Mode.BLIND: b"",
            }[mode]
        public = PublicKey(self.params[mode], usage, identity, comb.p1_mul(x).to_compressed_bytes())
        D = group.g1_mul_secret(public._Q_base.point, self.master[mode]._s)
        return SecretKey(public, x, D)

    def signer(self, name="alice", mode=Mode.IDENTITY):
        return self.key(name, Usage.SIGN, mode)

    def receiver(self, name="bob", mode=Mode.IDENTITY):
        return self.key(name, Usage.DECRYPT, mode)


def issue_identity(issuer, party, usage=Usage.SIGN, token=None, identity=None):
    """Enrol (unless a token is given), ask and finish: the whole of identity issuing."""
    name = party.encode() if identity is None else identity
    token = token or issuer.enrol(party, identity=name)
    request = IdentityRequest(issuer.params, usage, name, token)
    return request.finish(issuer.issue(party, request.to_bytes(issuer.challenge())))


def issue_blind(issuer, party, usage=Usage.SIGN, token=None):
    """Enrol (unless a token is given), ask and finish: the whole of blind issuing."""
    token = token or issuer.enrol(party)
    request = BlindRequest(issuer.params, usage, token)
    return request.finish(issuer.issue(party, request.to_bytes()))


def issuers(world):
    """An issuer for each mode that this version issues."""
    return Issuer(world.master[Mode.IDENTITY]), Issuer(world.master[Mode.BLIND])
