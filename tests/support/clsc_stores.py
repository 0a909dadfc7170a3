"""What the tests of the registries share: entries by number, parameters without an issuer."""

import hashlib

from sottovoce.clsc import Account, Issuance, Mode, RootKey, comb, group
from support.clsc_world import NOT_AFTER, NOT_BEFORE, Drbg

TOKEN = bytes(range(32))


def account(party="a", quota=1, identity=None):
    return Account(party, party.encode() if identity is None else identity, quota, TOKEN)


def params_id(i=0):
    return hashlib.sha256(b"params %d" % i).digest()


def point(i=0):
    """48 bytes; a registry takes them as they are."""
    return bytes([i]) * 48


def entry(party="a", i=0, mode=Mode.BLIND, *, epoch=0, usage="sign", identity=b"n", answer=b"answer"):
    """A record of ``point(i)``; an equal call gives an equal record."""
    if mode is Mode.BLIND:
        usage, identity = "", b""
    if mode is Mode.TRACEABLE:
        identity = identity.ljust(64, b"\0")
    return Issuance(party, params_id(epoch), mode, usage, identity, point(i), b"request %d" % i, answer)


def some_params(seed="stores", mode=Mode.BLIND, epoch=b"e", root=None, secret=None):
    """Signed parameters; ``secret`` is the seed of their master secret."""
    root = root or RootKey._from_seed_derand(Drbg(seed)(32))
    y = comb.p2_mul(group.random_scalar(Drbg(secret or f"{seed}/{mode}/{epoch!r}"))).to_compressed_bytes()
    return root.sign_params(mode, epoch, y, [y], not_before=NOT_BEFORE, not_after=NOT_AFTER, threshold=1)


def forked_root(seed="stores"):
    """The same root key in a process that remembers nothing: it signs an epoch again."""
    return RootKey._from_seed_derand(Drbg(seed)(32))
