"""Write tests/vectors/clsc/bls.json: BLS signatures of t of n servers, and what is refused.

    python tests/vectors/gen/clsc_bls.py [FOLDER]

Everything comes from the coefficients below, so the file is byte for byte the same on every run.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sottovoce._ext.enc import enc
from sottovoce.clsc import comb, group, polynomial
from sottovoce.clsc.bls import BlsPublicKey, BlsShare

CASES = [
    ("one server", [2026], 1, b"", [1]),
    ("2 of 3", [3, 1 << 200], 3, b"round 1", [1, 3]),
    ("3 of 5", [(1 << 254) + 5, 77, 13], 5, bytes(range(256)), [2, 4, 5]),
]
IDENTITY_48 = b"\xc0" + bytes(47)
SMALL_ORDER_48 = b"\x80" + bytes(46) + b"\4"


def key_bytes(f, n, t=None):
    points = [comb.p2_mul(polynomial.evaluate(f, x)).to_compressed_bytes() for x in range(n + 1)]
    return enc("SOTTOVOCE-V1-BLS-KEY", t or len(f), *points)


def valid():
    for comment, f, n, message, chosen in CASES:
        key = BlsPublicKey.from_bytes(key_bytes(f, n))
        shares = [BlsShare(polynomial.evaluate(f, j), key, j) for j in range(1, n + 1)]
        parts = {j: shares[j - 1].sign(message) for j in chosen}
        yield {
            "comment": comment,
            "flags": [],
            "coefficients": [f"{a:064x}" for a in f],
            "key": key.to_bytes().hex(),
            "message": message.hex(),
            "parts": {str(j): part.hex() for j, part in parts.items()},
            "signature": key.combine(message, parts).signature.hex(),
            "result": "valid",
        }


def invalid():
    f = [3, 1 << 200]
    good = key_bytes(f, 3)
    key = BlsPublicKey.from_bytes(good)
    message = b"round 1"
    H = group.hash_to_g1(b"SOTTOVOCE-V1-BLS", message)
    signature = group.g1_mul_vartime(H, 3).to_compressed_bytes()
    other = group.g1_mul_vartime(H, 4).to_compressed_bytes()
    foreign = group.g1_mul_vartime(group.hash_to_g1(b"SOTTOVOCE-V1-QID-sign", message), 3)
    sizes = len(good) - 3 * 100
    keys = [
        ("no server", "Count", good[:sizes]),
        ("truncated by 1", "Length", good[:-1]),
        ("extended by 1", "Length", good + b"\0"),
        ("another tag", "Tag", good.replace(b"BLS-KEY", b"BLS-KEX")),
        ("t = 0", "Threshold", good[:24] + enc(0) + good[36:]),
        ("t above n", "Threshold", good[:24] + enc(4) + good[36:]),
        ("t below the degree + 1", "Interpolation", good[:24] + enc(1) + good[36:]),
        ("t above the degree + 1", "Degree", key_bytes(f, 3, 3)),
        ("Y_2 = Y_1", "Distinct", good[:-200] + good[-300:-200] + good[-100:]),
        ("Y_3 off the polynomial", "Interpolation", good[:-100] + enc(comb.p2_mul(99).to_compressed_bytes())),
        ("Y_3 is the identity", "Identity", good[:-96] + b"\xc0" + bytes(95)),
        ("Y_3 without compression flag", "Flag", good[:-96] + bytes([good[-96] & 0x7F]) + good[-95:]),
    ]  # fmt: skip
    for comment, flag, data in keys:
        yield {"comment": comment, "flags": [flag], "key": data.hex(), "result": "invalid",
               "error": "DecodeError"}  # fmt: skip
    signatures = [
        ("of another secret", "Signature", other),
        ("under another tag", "Signature", foreign.to_compressed_bytes()),
        ("negated", "Signature", bytes([signature[0] ^ 0x20]) + signature[1:]),
        ("empty", "Length", b""),
        ("truncated by 1", "Length", signature[:-1]),
        ("the identity", "Identity", IDENTITY_48),
        ("outside the subgroup", "Subgroup", SMALL_ORDER_48),
        ("without compression flag", "Flag", bytes([signature[0] & 0x7F]) + signature[1:]),
        ("x not below p", "Coordinate", b"\x9f" + b"\xff" * 47),
    ]
    for comment, flag, data in signatures:
        yield {"comment": f"signature: {comment}", "flags": [flag], "key": key.to_bytes().hex(),
               "message": message.hex(), "signature": data.hex(), "result": "invalid",
               "error": "SignatureError"}  # fmt: skip


def main(folder):
    tests = [*valid(), *invalid()]
    tests = [{"tcId": i, **t} for i, t in enumerate(tests, 1)]
    data = {"numberOfTests": len(tests), "tests": tests}
    folder.joinpath("bls.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[1] / "clsc"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
