"""A second implementation of the threshold set-up, written from docs/clsc.md over py_ecc alone.

It shares no line with the package: points, hashes and fields are those of ``py_ecc`` and of
:mod:`support.clsc_independent`, messages are cut by hand.  Slow, and without the checks of encodings.
"""

import hashlib
from fractions import Fraction

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from py_ecc.bls.g2_primitives import G2_to_signature
from py_ecc.optimized_bls12_381 import G2, add, eq, multiply, normalize

from support.clsc_independent import curve_order as r
from support.clsc_independent import enc, h2s, sha, signature_to_G2


def p2(k):
    """``k*P2``, compressed."""
    return G2_to_signature(multiply(G2, k % r))


def value(f, x):
    """``f(x)``, power by power."""
    return sum(a * x**i for i, a in enumerate(f)) % r


def lagrange(indices):
    """At zero, as fractions of small integers, and only then modulo r."""
    out = []
    for j in indices:
        weight = Fraction(1)
        for m in indices:
            if m != j:
                weight *= Fraction(m, m - j)
        out.append(weight.numerator * pow(weight.denominator, -1, r) % r)
    return out


def weighted(points, weights):
    """``sum(w * P)`` of decoded points."""
    total = None
    for point, weight in zip(points, weights, strict=True):
        part = multiply(point, weight)
        total = part if total is None else add(total, part)
    return total


def params(t, root):
    """The signed bytes of a dealing's vector; the root's signature is checked."""
    body = enc(
        "SOTTOVOCE-V1-PARAMS", root, 1, t["mode"], bytes.fromhex(t["epoch"]), bytes.fromhex(t["Y"]),
        t["not_before"], t["not_after"], t["threshold"], t["servers"], t["answers"], t["corrupted"],
        *(bytes.fromhex(point) for point in t["Y_servers"]),
    )  # fmt: skip
    data = bytes.fromhex(t["params"])
    assert data[:-64] == body
    Ed25519PublicKey.from_public_bytes(root).verify(data[-64:], body)
    return hashlib.sha256(body).digest()


def session_id(s):
    return sha(
        "SOTTOVOCE-V1-DKG-SESSION", bytes.fromhex(s["root_public_key"]), 1, s["mode"],
        bytes.fromhex(s["epoch"]), s["threshold"], s["servers"], s["answers"], s["corrupted"], s["attempt"],
    )  # fmt: skip


class Run:
    """The outcome of a key generation from its messages and, for the shares, its polynomials."""

    def __init__(self, data):
        self.t, self.n = data["session"]["threshold"], data["session"]["servers"]
        self.id = session_id(data["session"])
        self.polynomials = {int(i): [int(a, 16) for a in f] for i, f in data["polynomials"].items()}
        self.bodies = {kind: {} for kind in range(1, 7)}
        for t in data["tests"]:
            if t["result"] == "valid":
                message = bytes.fromhex(t["input"])
                assert message[:35] == bytes([1, t["kind"]]) + self.id + bytes([t["sender"]])
                if t["kind"] != 3:
                    self.bodies[t["kind"]][t["sender"]] = message[35:]
                else:
                    assert message[35:] == bytes([t["receiver"]]) + self.share(t["sender"], t["receiver"])

    def share(self, i, j):
        return value(self.polynomials[i], j).to_bytes(32, "big")

    def check_reveal(self, i):
        """Intermediate values; AssertionError if something does not hold."""
        body = self.bodies[2][i]
        points = [body[k : k + 96] for k in range(0, 96 * self.t, 96)]
        R, z = body[-128:-32], int.from_bytes(body[-32:], "big")
        assert points == [p2(a) for a in self.polynomials[i]]
        whole = bytes([1, 2]) + self.id + bytes([i]) + body
        digest = sha("SOTTOVOCE-V1-DKG-COMMIT", whole)
        assert digest == self.bodies[1][i]
        c = h2s(b"SOTTOVOCE-V1-DKG-POK", enc("SOTTOVOCE-V1-DKG-POK", self.id, i, *points, R))
        right = add(signature_to_G2(R), multiply(signature_to_G2(points[0]), c))
        assert eq(multiply(G2, z), right)
        return {"digest": digest, "challenge": c, "z": z, "R": R, "commitments": points}

    def outcome(self):
        """``(disqualified, transcript, Y, Y_servers, shares)``."""
        faults = {}
        for i in range(1, self.n + 1):
            accusers = [j for j, body in sorted(self.bodies[4].items()) if i in body[1 : 1 + body[0]]]
            if i not in self.bodies[1]:
                faults[i] = 1
            elif i not in self.bodies[2]:
                faults[i] = 2
            elif len(accusers) >= self.t:
                faults[i] = 3
            elif accusers:
                right = b"".join(bytes([j]) + self.share(i, j) for j in accusers)
                if self.bodies[5].get(i) != bytes([len(accusers)]) + right:
                    faults[i] = 4
        total = [0] * self.t
        for i, f in self.polynomials.items():
            if i not in faults:
                total = [a + b for a, b in zip(total, f, strict=True)]
        fields = []
        for i in range(1, self.n + 1):
            whole = bytes([1, 2]) + self.id + bytes([i])
            fields += [
                self.bodies[1].get(i, b""),
                whole + self.bodies[2][i] if i in self.bodies[2] else b"",
                self.bodies[4].get(i, b"\0"),
                self.bodies[5].get(i, b"\0"),
            ]
        transcript = sha("SOTTOVOCE-V1-DKG-TRANSCRIPT", self.id, *fields)
        shares = [value(total, j) for j in range(1, self.n + 1)]
        return sorted(faults.items()), transcript, p2(total[0]), [p2(s) for s in shares], shares

    def public(self):
        faults, transcript, Y, Y_servers, _ = self.outcome()
        pairs = b"".join(bytes(pair) for pair in faults)
        return enc("SOTTOVOCE-V1-DKG-PUBLIC", self.id, transcript, pairs, Y, *Y_servers)


def same_point(a, b):
    return normalize(a) == normalize(b)
