"""Make tests/vectors/he/*.json with the second implementation only.

Run: python tests/vectors/gen/he_kahe.py [FOLDER]   (from anywhere; the output is reproducible)

``kahe.json``: clients with fixed seeds, step by step, and the opening of their sums.  Vectors are given
by a rule: ``values[i] = (factor * i + offset) mod (2 G + 1) - G`` with ``G = 2**(value_bits-1) - 1``.
``decode.json``: encodings with one fault each; ``base`` is how many zero bytes, ``patches`` are
``[position, hex]`` written over them.
"""

import hashlib
import json
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(VECTORS.parent))
from support.he_reference import Round, join, sha, split  # noqa: E402

P = 2**31 - 1
ROUNDS = [
    # set, n_slots, value_bits, max_summands, n_members, W
    ("RLWE_128_N2048_Q50", 40, 16, 64, 4, 28),
    ("RLWE_128_N2048_Q50", 2100, 16, 1024, 5, 34),
    ("RLWE_128_N2048_Q50", 7, 8, 20, 7, 45),
    ("RLWE_PQ128_N2048_Q40", 2049, 16, 1024, 4, 34),
    ("RLWE_128_N4096_Q100", 101, 16, 64, 4, 95),
    ("RLWE_PQ128_N4096_Q80", 8193, 16, 1024, 4, 60),
    # One scale bit less than the slots leave.
    ("RLWE_192_N4096_Q72", 301, 24, 64, 4, 68),
]


def digest(values, size, signed=False):
    return hashlib.sha256(b"".join(v.to_bytes(size, "little", signed=signed) for v in values)).hexdigest()


def sequence(count, bits, factor, offset):
    G = (1 << (bits - 1)) - 1
    return [(factor * i + offset) % (2 * G + 1) - G for i in range(count)]


def group(number, fields):
    set_name, n_slots, bits, summands, members, W = fields
    context = hashlib.sha256(b"sottovoce he vectors %d" % number).digest()
    r = Round(set_name, n_slots, bits, summands, members, W, context)
    clients, made, expected = [], [], [0] * n_slots
    for i in range(3):
        seed = hashlib.sha256(b"client %d of %d" % (i, number)).digest()
        sender = b"pseudonym %d" % i
        factor, offset = (0, 0) if i == 2 else (7919 + 2 * i, 31 * i)
        values = sequence(n_slots, bits, factor, offset)
        expected = [a + b for a, b in zip(expected, values, strict=True)]
        c = r.client(seed, values, sender)
        made.append(c)
        ciphertext_digest = hashlib.sha256(c["ciphertext"]).digest()
        for j, share in enumerate(c["shares"], 1):
            assert r.proof_holds(c["proof"], sender, ciphertext_digest, j, share)
        clients.append(
            {
                "tcId": 10 * number + i,
                "comment": "all values at the minimum" if i == 2 else "values of both signs",
                "flags": [],
                "seed": seed.hex(),
                "sender": sender.hex(),
                "factor": factor,
                "offset": offset,
                "keyHead": c["key"][:8],
                "keySha256": digest(c["key"], 1, True),
                "errorsSha256": digest(c["errors"], 1, True),
                "ciphertextHead": c["ciphertext"][:32].hex(),
                "ciphertextSha256": ciphertext_digest.hex(),
                "sharesSha256": [hashlib.sha256(s).hexdigest() for s in c["shares"]],
                "proof": c["proof"].hex(),
                "result": "valid",
            }
        )
    shares = {j: [c["shares"][j - 1] for c in made] for j in range(1, r.t + 1)}
    values, residuals, key = r.open([c["ciphertext"] for c in made], shares)
    assert values[:n_slots] == expected
    assert not any(values[n_slots:])
    total = [sum(c) % (1 << W) for c in zip(*(split(c["ciphertext"], W) for c in made), strict=True)]
    share_sums = [
        (3).to_bytes(4, "little")
        + join([sum(v) % P for v in zip(*(split(c["shares"][j][48:], 32) for c in made), strict=True)], 32)
        for j in range(members)
    ]
    a0 = r.public(0)
    return {
        "set": set_name,
        "nSlots": n_slots,
        "valueBits": bits,
        "maxSummands": summands,
        "nMembers": members,
        "wireBits": W,
        "context": context.hex(),
        "seedOfA": sha("SOTTOVOCE-V1-KAHE-SEED", context).hex(),
        "slots": r.S,
        "scaleBits": r.k_prime,
        "publicHead": [plane[:4] for plane in a0],
        "publicSha256": [digest(plane, 8) for plane in a0],
        "sumSha256": hashlib.sha256((3).to_bytes(4, "little") + join(total, W)).hexdigest(),
        "shareSumsSha256": [hashlib.sha256(s).hexdigest() for s in share_sums],
        "keySumSha256": digest(key, 8, True),
        "openedSha256": digest(expected, 8, True),
        "maxResidual": max(abs(x) for x in residuals),
        "residualSquares": [
            sum(x * x for x in residuals[i : i + r.N]) for i in range(0, len(residuals), r.N)
        ],
        "tests": clients,
    }


def decode_cases():
    """For the first round of ROUNDS: N = 2048, W = 28, n = 4, t = 3."""
    sizes = {
        "Ciphertext": 2048 * 28 // 8,
        "CiphertextSum": 4 + 2048 * 28 // 8,
        "KeyShare": 32 + 16 + 4 * 2048,
        "DegreeProof": 4 * 32 + 3 * 16,
        "ShareSum": 4 + 4 * 2048,
    }
    valid = {"ShareSum": [[0, "03000000"]]}
    out = []

    def case(kind, comment, base, patches=(), result="invalid"):
        entry = {"tcId": len(out) + 1, "comment": comment, "flags": [], "type": kind, "base": base}
        entry["patches"] = [*valid.get(kind, []), *patches]
        entry["result"] = result
        if result == "invalid":
            entry["error"] = "DecodeError"
        out.append(entry)

    for kind, size in sizes.items():
        case(kind, "zeros", size, result="valid")
        case(kind, "empty but for what is patched in" if kind in valid else "empty", 0)
        case(kind, "truncated by one byte", size - 1)
        case(kind, "extended by one byte", size + 1)
        case(kind, "twice as long", 2 * size)
    for kind, places in {
        "KeyShare": [(32, "first mask"), (48, "first share"), (sizes["KeyShare"] - 4, "last share")],
        "DegreeProof": [(128, "first check"), (sizes["DegreeProof"] - 4, "last check")],
        "ShareSum": [(4, "first"), (sizes["ShareSum"] - 4, "last")],
    }.items():
        for at, name in places:
            case(kind, f"{name} integer is p", sizes[kind], [[at, "ffffff7f"]])
            case(kind, f"{name} integer is 2^32 - 1", sizes[kind], [[at, "ffffffff"]])
            case(kind, f"{name} integer is p - 1", sizes[kind], [[at, "feffff7f"]], "valid")
    for kind, count, result in (
        ("CiphertextSum", 64, "valid"),
        ("CiphertextSum", 65, "invalid"),
        ("CiphertextSum", 2**32 - 1, "invalid"),
        ("ShareSum", 64, "valid"),
        ("ShareSum", 65, "invalid"),
        ("ShareSum", 2, "invalid"),
        ("ShareSum", 0, "invalid"),
    ):
        patch = [[0, count.to_bytes(4, "little").hex()]]
        case(kind, f"count {count} of at most 64", sizes[kind], patch, result)
    return out


def write(folder, name, data):
    (folder / name).write_text(json.dumps(data, indent=1) + "\n")


def main(folder):
    groups = [group(i, fields) for i, fields in enumerate(ROUNDS)]
    count = sum(len(g["tests"]) for g in groups)
    write(folder, "kahe.json", {"algorithm": "he.kahe", "numberOfTests": count, "testGroups": groups})
    cases = decode_cases()
    write(
        folder, "decode.json", {"algorithm": "he.kahe decoding", "numberOfTests": len(cases), "tests": cases}
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS / "he")
