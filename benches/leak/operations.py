"""What is tested: every operation of ``sottovoce.clsc`` on a secret, and the controls.

A secret that is drawn anew for each use (nonces, blinding) is compared class against class: sparse, with few
bits set, against uniform.  A secret that lives long (``x``, ``D``, ``s``) is compared fixed against uniform:
its owner uses one again and again, and an attacker would average.
"""

from __future__ import annotations

import functools
import hmac
import os
import secrets
import time

from sottovoce import clsc
from sottovoce.clsc import comb, group, hashes, issue_wire, kem, packet, signature

from .sampling import DOCUMENTED, MUST_LEAK, Operation

R = group.ORDER
N = 64
"""Inputs of a class."""


def uniform():
    return group.random_scalar()


def sparse(weight=4):
    """Few bits set, anywhere."""
    return sum({1 << secrets.randbelow(254) for _ in range(weight)})


def short(bits=64):
    return 1 + secrets.randbelow((1 << bits) - 1)


def both(first, second, n=N):
    """``n`` inputs of either class, made by turns at random: memory is laid out alike for both."""
    inputs = [], []
    order = [0, 1] * n
    secrets.SystemRandom().shuffle(order)
    for which in order:
        inputs[which].append((first, second)[which]())
    return inputs


def fixed(value):
    """An object of its own with one value, each time."""
    data = value.to_bytes(32, "big")
    return lambda: int.from_bytes(data, "big")


@functools.cache
def world():
    root = clsc.RootKey.generate()
    now = int(time.time())
    masters = {
        mode: clsc.MasterKey.generate(root, mode, b"leak", not_before=now - 60, not_after=now + 86_400)
        for mode in (clsc.Mode.IDENTITY, clsc.Mode.BLIND)
    }
    trust = clsc.TrustStore(root.public_key)
    for master in masters.values():
        trust.add(master.params)
    return masters, trust


def make_key(usage, x, name=b"somebody"):
    master = world()[0][clsc.Mode.IDENTITY]
    public = clsc.PublicKey(master.params, usage, name, comb.p1_mul(x).to_compressed_bytes())
    return clsc.SecretKey(public, x, group.g1_mul_secret(public._Q_base.point, master._s))


# -- multiplications --------------------------------------------------------------------------------


def table():
    base = comb.Comb(comb.p1_mul(uniform()), 4)
    return base.mul, *both(sparse, uniform)


def table_fixed():
    """One value against one value: the entries of either were read lately."""
    base = comb.Comb(comb.p1_mul(uniform()), 4)
    return base.mul, *both(fixed(sparse()), fixed(uniform()))


def table_digits():
    """First digits 16 and 1: ``16*B`` and ``1 * 16*B`` would be equal points, were they added.

    Against 15 and 1, so that either class reads the same two entries in all its calls.
    """
    base = comb.Comb(comb.p1_mul(uniform()), 4)

    def draw(low):
        # Less one in each digit; below r with the top byte cleared.
        return lambda: (base._offset + (secrets.randbits(240) << 8) + low) % R

    return base.mul, *both(draw(0x0F), draw(0x0E))


def window():
    point = comb.p1_mul(uniform())
    return (lambda k: group.g1_mul_secret(point, k)), *both(sparse, uniform)


def window_encoded():
    """As ``x * U1`` in opening and ``s * B`` in issuing: one point from outside again and again."""
    point = comb.p1_mul(uniform())
    return (
        (lambda x: group.g1_mul_secret(point, x).to_compressed_bytes()),
        *both(fixed(uniform()), uniform),
    )


def blind_answer():
    """One ``B`` after another, as an issuer with its one secret sees them."""
    points = iter([comb.p1_mul(uniform()) for _ in range(N)] * 100_000)
    return (
        (lambda s: issue_wire.blind_answer(group.g1_mul_secret(next(points), s))),
        *both(fixed(sparse()), uniform),
    )


def inverse():
    return group.inverse_secret, *both(sparse, uniform)


# -- signing ----------------------------------------------------------------------------------------


def sign():
    """Nonces go in where HKDF would give them: 48 bytes each."""
    key, transcript = make_key(clsc.Usage.SIGN, uniform()), os.urandom(32)
    nonces = []

    def hkdf(ikm, salt, info, n_bytes):
        return nonces[0]

    def call(material):
        nonces[:] = [material]
        real, hashes.hkdf = hashes.hkdf, hkdf
        try:
            return signature._sign_derand(key, signature.CONTEXT_MESSAGE, transcript, os.urandom)
        finally:
            hashes.hkdf = real

    def draw(scalar):
        data = scalar().to_bytes(48, "big") + scalar().to_bytes(48, "big")
        return lambda: bytes(bytearray(data))

    return call, *both(draw(sparse), draw(uniform))


# -- opening ----------------------------------------------------------------------------------------


@functools.cache
def packet_to_somebody():
    """For nobody whose key is tested: all of them do the same work and find no slot."""
    sender, to = make_key(clsc.Usage.SIGN, uniform()), make_key(clsc.Usage.DECRYPT, uniform(), b"other")
    return packet.parse(clsc.signcrypt(b"text", sender=sender, receivers=[to.public_key]))


def opening():
    """``x*U1``, ``e(D, U2)``, keys and search: the whole of what a receiver's secrets do."""
    parsed, x = packet_to_somebody(), uniform()
    keys = both(lambda: make_key(clsc.Usage.DECRYPT, x), lambda: make_key(clsc.Usage.DECRYPT, uniform()), 4)
    return (lambda key: kem.open_slot(parsed, key)), *keys


def split_pairing():
    """``e(D, U2)`` as opening does it."""
    U2 = comb.p2_mul(uniform())
    D = comb.p1_mul(uniform()).to_compressed_bytes()

    def call(point):
        M = comb.p1_mul(group.random_scalar())
        return group.multi_pairing([point - M, M], [U2, U2])

    def decoded(data):
        return group.g1_from_bytes(data(), "D")

    return call, *both(
        lambda: decoded(lambda: D), lambda: decoded(lambda: comb.p1_mul(uniform()).to_compressed_bytes())
    )


class _Known:
    """The group layer with every answer known in advance: what is left is the search."""

    def __init__(self, opened):
        self.to_compressed_bytes = lambda: opened.S
        self.multi_pairing = lambda g1s, g2s: opened.T
        self.g1_from_bytes = self.g2_from_bytes = lambda data, name: None
        self.g1_mul_secret = lambda point, k: self
        self.random_scalar = group.random_scalar


def _slots(order):
    key = make_key(clsc.Usage.DECRYPT, uniform())
    sender = make_key(clsc.Usage.SIGN, uniform())
    parsed = packet.parse(clsc.signcrypt(b"text", sender=sender, receivers=[key.public_key], dummy_slots=254))
    opened = kem.open_slot(parsed, key)
    others = [slot for i, slot in enumerate(parsed.slots) if i != opened.index]
    own, stranger = parsed.slots[opened.index], os.urandom(packet.SLOT_BYTES)

    def made(place):
        slots = [*others, stranger] if place is None else [*others[:place], own, *others[place:]]
        fresh = tuple(bytes(bytearray(slot)) for slot in slots)
        return packet.Packet(parsed.header, fresh, parsed.body, parsed.head)

    known = _Known(opened)

    def call(one):
        kem.group = known
        try:
            return kem.open_slot(one, key)
        finally:
            kem.group = group

    first, second = order
    return call, *both(lambda: made(first), lambda: made(second), 8)


def slot_place():
    return _slots((0, 254))


def slot_own():
    return _slots((None, 127))


# -- issuing ----------------------------------------------------------------------------------------


def token():
    """MACs that are wrong in the first or in the last byte."""
    master = world()[0][clsc.Mode.BLIND]
    issuer = clsc.Issuer(master)
    value = issuer.enrol("party")
    asked = clsc.BlindRequest(master.params, clsc.Usage.SIGN, value).to_bytes()
    good = issue_wire.parse_request(asked)
    expected = issue_wire.token_mac(value, good.params_id, good.usage, good.issued)
    assert hmac.compare_digest(expected, good.mac)

    def wrong(index):
        data = bytearray(asked)
        data[len(asked) - 32 + index] ^= 1 + secrets.randbelow(255)
        return issue_wire.parse_request(bytes(data))

    return (
        (lambda request: issuer._authenticate("party", request)),
        *both(lambda: wrong(0), lambda: wrong(31)),
    )


# -- controls ---------------------------------------------------------------------------------------


def unblinded():
    """What the side-channel rules forbid: a secret in the back end's own multiplication."""
    point = comb.p1_mul(uniform())
    return (lambda k: group.g1_mul_vartime(point, k)), *both(short, uniform)


def one_addition():
    """One addition more than 63, in one of the classes: less than a microsecond in fifty."""
    base = comb.Comb(comb.p1_mul(uniform()), 4)

    def call(pair):
        k, more = pair
        total = base.mul(k)
        return total + total if more else total

    return call, *both(lambda: (uniform(), False), lambda: (uniform(), True))


OPERATIONS = (
    Operation("control: the back end's *", "64-bit or uniform scalar", unblinded, MUST_LEAK),
    Operation("control: one addition more", "63 or 64 additions", one_addition, MUST_LEAK),
    Operation("sign", "fixed sparse or fixed uniform nonces", sign),
    Operation("k*B by a table", "fixed sparse or fixed uniform k", table_fixed),
    Operation("k*B by a table, caches", "sparse or uniform k", table, DOCUMENTED),
    Operation("k*B by a table, digits", "first digits 16, 1 or 15, 1", table_digits),
    Operation("k*U by a window", "sparse or uniform k", window),
    Operation("x*U1, encoded", "fixed or uniform x", window_encoded),
    Operation("s*B of an issuer, encoded", "fixed sparse or uniform s", blind_answer),
    Operation("inverse", "sparse or uniform", inverse),
    Operation("e(D, U2), D split", "fixed or uniform D", split_pairing),
    Operation("open a slot", "fixed or uniform key of a stranger", opening),
    # The slot that was looked at last is still in the nearest cache: some 40 ns, whoever is addressed.
    Operation("search 255 slots", "own slot first or last", slot_place, DOCUMENTED),
    Operation("search 255 slots, own or none", "none or own slot", slot_own, DOCUMENTED),
    Operation("token's MAC", "wrong in the first or last byte", token),
)
