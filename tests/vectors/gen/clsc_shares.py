"""Write tests/vectors/clsc/shares.json: dealings, their parameters and answers, and broken ones.

    python tests/vectors/gen/clsc_shares.py [FOLDER]

Every polynomial is written out, so nothing is random; the file comes out the same on every run and on
both back ends.  tests/support/clsc_independent_shares.py checks it over py_ecc alone.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sottovoce._ext.enc import enc
from sottovoce.clsc import Mode, RootKey, comb, dealer, group, hashes, polynomial
from support.clsc_world import NOT_AFTER, NOT_BEFORE, Drbg

SMALL_ORDER = bytes([0x80]) + bytes(94) + b"\2"
"""x = 2: on the curve of G2, outside the subgroup."""

IDENTITY = b"\xc0" + bytes(95)
EPOCH = b"2026-W47"
ROOT_SEED = bytes(range(32))


class Coefficients:
    """Gives a written-out polynomial to the dealer."""

    def __init__(self, values):
        self.values = list(values)

    def __call__(self, n):
        return self.values.pop(0).to_bytes(n, "big")


def coefficients(seed, t):
    return polynomial.draw(t, Drbg(f"vectors/shares/{seed}"))


def dealing(comment, f, n, answers, corrupted, mode, indices):
    """Everything of one dealing, and an issuing of the servers ``indices`` with it."""
    root = RootKey._from_seed_derand(ROOT_SEED)
    shares = dealer._deal_derand(
        root, mode, EPOCH, NOT_BEFORE, NOT_AFTER, len(f), n, answers, corrupted, Coefficients(f)
    )
    params = shares[0].params
    Q = group.hash_to_g1(b"SOTTOVOCE-V1-TEST", b"shares")
    weights = polynomial.lagrange_at_zero(indices)
    parts = [group.g1_mul_secret(Q, shares[j - 1]._s) for j in indices]
    return {
        "comment": comment, "flags": [], "kind": "dealing", "mode": str(mode), "epoch": EPOCH.hex(),
        "not_before": NOT_BEFORE, "not_after": NOT_AFTER, "threshold": len(f), "servers": n,
        "answers": answers, "corrupted": corrupted,
        "coefficients": [f"{a:064x}" for a in f],
        "shares": [f"{share._s:064x}" for share in shares],
        "Y": params.Y.to_compressed_bytes().hex(),
        "Y_servers": [point.to_compressed_bytes().hex() for point in params.Y_servers],
        "params": params.to_bytes().hex(), "params_id": params.params_id.hex(),
        "Q": Q.to_compressed_bytes().hex(),
        "indices": indices,
        "lagrange": [f"{w:064x}" for w in weights],
        "partial_answers": [point.to_compressed_bytes().hex() for point in parts],
        "D": group.g1_msm_vartime(parts, weights).to_compressed_bytes().hex(),
        "result": "valid",
    }  # fmt: skip


def signed(f, n, /, **changes):
    """Parameters signed by a root that does not look."""
    root = RootKey._from_seed_derand(ROOT_SEED)
    points = [
        comb.p2_mul(polynomial.evaluate(f, x)) if polynomial.evaluate(f, x) else None for x in range(n + 1)
    ]
    encoded = [IDENTITY if p is None else p.to_compressed_bytes() for p in points]
    fields = {
        "mode": "blind", "Y": encoded[0], "t": len(f), "n": n, "q": 1, "f": 0, "servers": encoded[1:],
        **changes,
    }  # fmt: skip
    body = enc(
        "SOTTOVOCE-V1-PARAMS", root.public_key, hashes.SUITE, fields["mode"], EPOCH, fields["Y"], NOT_BEFORE,
        NOT_AFTER, fields["t"], fields["n"], fields["q"], fields["f"], *fields["servers"],
    )  # fmt: skip
    return body + root._key.sign(body)


def broken_params():
    f, R = [1001, 77, 13], group.ORDER
    good = [comb.p2_mul(polynomial.evaluate(f, x)).to_compressed_bytes() for x in range(8)]
    Y, servers = good[0], good[1:6]
    return [
        ("degree t - 2: any two servers know the secret", "Degree", [1001, 77, 0], {}),
        ("degree t - 3: every server knows the secret", "Distinct", [1001, 0, 0], {}),
        ("degree t", "Interpolation", [*f, 5], {"t": 3}),
        ("t above the degree + 1", "Degree", f, {"t": 4}),
        ("Y_2 = Y on the polynomial", "Distinct", [1001, R - 26, 13], {}),
        ("Y_1 = Y_2 on the polynomial", "Distinct", [1001, R - 39, 13], {}),
        ("Y_5 = Y_1", "Distinct", f, {"servers": [*servers[:4], servers[0]]}),
        ("Y_1 and Y_2 swapped", "Interpolation", f, {"servers": [servers[1], servers[0], *servers[2:]]}),
        ("Y_5 off the polynomial", "Interpolation", f, {"servers": [*servers[:4], good[6]]}),
        ("Y off the polynomial", "Interpolation", f, {"Y": good[7]}),
        (
            "Y_3 is the identity, on the polynomial",
            "Identity",
            [1001, R - 3, (9 - 1001) * pow(9, -1, R) % R],
            {},
        ),
        ("Y_1 outside the subgroup", "Subgroup", f, {"servers": [SMALL_ORDER, *servers[1:]]}),
        ("Y without compression flag", "Flag", f, {"Y": bytes([Y[0] & 0x7F]) + Y[1:]}),
        ("one key too few", "Count", f, {"servers": servers[:4]}),
        ("one key too many", "Count", f, {"servers": [*servers, good[6]]}),
        ("3 of 5 with f = 1: 2t = n + f", "Quota", f, {"f": 1}),
        ("3 of 5 with q = 2", "Quota", f, {"q": 2}),
        ("3 of 6: 2t = n", "Quota", f, {"n": 6, "servers": good[1:7]}),
        ("f = t", "Quota", f, {"f": 3}),
        ("q = 0", "Quota", f, {"q": 0}),
    ]


def main(folder):
    R = group.ORDER
    tests = [
        dealing("one server", coefficients("1", 1), 1, 1, 0, Mode.IDENTITY, [1]),
        dealing("2 of 3", coefficients("2", 2), 3, 1, 0, Mode.BLIND, [3, 1]),
        dealing("2 of 3 by hand: s_j = 5 + 7 j", [5, 7], 3, 1, 0, Mode.BLIND, [1, 2]),
        dealing("3 of 5", coefficients("3", 3), 5, 1, 0, Mode.TRACEABLE, [2, 4, 5]),
        dealing("4 of 5, q = 2", coefficients("4", 4), 5, 2, 0, Mode.BLIND, [1, 2, 3, 5]),
        dealing("4 of 5, f = 1", coefficients("5", 4), 5, 1, 1, Mode.IDENTITY, [2, 3, 4, 5]),
        dealing("a middle coefficient of zero", [3, 0, 1], 3, 1, 0, Mode.BLIND, [1, 2, 3]),
    ]
    for comment, flag, f, changes in broken_params():
        tests.append({
            "comment": comment, "flags": [flag], "kind": "params", "params": signed(f, 5, **changes).hex(),
            "result": "invalid", "error": "DecodeError",
        })  # fmt: skip
    good = tests[3]
    s = [int(value, 16) for value in good["shares"]]
    for comment, index, value, result in (
        ("share 2", 2, s[1], "valid"),
        ("share 1 as share 2", 2, s[0], "invalid"),
        ("share 2 and one", 2, s[1] + 1, "invalid"),
        ("share 2 negated", 2, R - s[1], "invalid"),
        ("share of zero", 2, 0, "invalid"),
        ("server 0", 0, int(good["coefficients"][0], 16), "invalid"),
        ("server 6", 6, s[1], "invalid"),
    ):
        fields = {"params": good["params"], "index": index, "s": f"{value:064x}", "result": result}
        if result == "invalid":
            fields["error"] = "ParameterError"
        tests.append({"comment": comment, "flags": ["Share"], "kind": "share", **fields})
    data = {
        "algorithm": "shares", "suite": hashes.SUITE_NAME, "numberOfTests": len(tests),
        "root": RootKey._from_seed_derand(ROOT_SEED).public_key.hex(),
        "tests": [{"tcId": i, **t} for i, t in enumerate(tests, 1)],
    }  # fmt: skip
    (folder / "shares.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    here = pathlib.Path(__file__).parents[1] / "clsc"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here)
