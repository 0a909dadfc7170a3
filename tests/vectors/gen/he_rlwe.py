"""Make tests/vectors/he/rlwe.json with the second implementation only.

Run: python tests/vectors/gen/he_rlwe.py [FOLDER]   (from anywhere; the output is reproducible)

``testGroups``: a key, ciphertexts and their weighted sum for each set, step by step.  Vectors are given by a
rule: ``values[i] = (factor * i + offset) mod (2 G + 1) - G`` with ``G = 2**(value_bits-1) - 1``.
``decoding``: encodings with one fault each: ``base`` names an object of the first group, ``cut`` bytes are
taken off its end, ``append`` (hex) is put there, ``patches`` are ``[position, hex]`` written over it.
``keys``: whole secret keys whose key id is right and whose numbers are beyond one bound.
"""

import hashlib
import json
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(VECTORS.parent))
from support.he_reference import join, sha  # noqa: E402
from support.rlwe_reference import HEADER, Key, Scheme  # noqa: E402

ROUNDS = [
    # set, n_slots, value_bits, max_summands, max_square_sum, k, S, k0, k1, weights
    ("RLWE_128_N2048_Q50", 40, 16, 1024, 1027, 24, 1, 15, 10, (1, 1, -1)),
    ("RLWE_128_N2048_Q50", 4500, 8, 64, 300, 22, 2, 14, 9, (3, -7, 1)),
    ("RLWE_PQ128_N2048_Q40", 2049, 16, 64, 64, 18, 1, 11, 6, (1, 1, 1)),
    ("RLWE_128_N4096_Q100", 12300, 16, 1024, 1024, 22, 3, 13, 8, (1, -1, 1)),
    ("RLWE_PQ128_N4096_Q80", 100, 16, 1024, 1024, 28, 2, 19, 14, (1, 1, 1)),
    ("RLWE_192_N4096_Q72", 100, 16, 1024, 1024, 20, 2, 11, 5, (1, 1, 1)),
]


def digest(values, size, signed=False):
    return hashlib.sha256(b"".join(v.to_bytes(size, "little", signed=signed) for v in values)).hexdigest()


def flat(elements):
    return [x for element in elements for x in element]


def sequence(count, bits, factor, offset):
    G = (1 << (bits - 1)) - 1
    return [(factor * i + offset) % (2 * G + 1) - G for i in range(count)]


def group(number, fields):
    *given, weights = fields
    name, n_slots, bits = given[:3]
    key_seed = hashlib.sha256(b"sottovoce rlwe key %d" % number).digest()
    key = Key(name, key_seed)
    scheme = Scheme(key, *given[1:])
    tests, made, expected = [], [], [0] * n_slots
    for i, weight in enumerate(weights):
        seed = hashlib.sha256(b"client %d of %d" % (i, number)).digest()
        factor, offset = (0, 0) if i == 2 else (7919 + 2 * i, 31 * i)
        values = sequence(n_slots, bits, factor, offset)
        expected = [a + weight * b for a, b in zip(expected, values, strict=True)]
        c = scheme.encrypt(values, seed)
        slots, _ = scheme.decrypt(c["bytes"])
        assert slots[:n_slots] == values
        made.append(c["bytes"])
        tests.append(
            {
                "tcId": 10 * number + i,
                "comment": "all values at the minimum" if i == 2 else "values of both signs",
                "flags": [],
                "seed": seed.hex(),
                "factor": factor,
                "offset": offset,
                "weight": weight,
                "uSha256": digest(flat(c["u"]), 1, True),
                "e0Sha256": digest(flat(c["e0"]), 1, True),
                "e1Sha256": digest(flat(c["e1"]), 1, True),
                "c0Head": c["c0"][0][:4],
                "c1Head": c["c1"][0][:4],
                "ciphertextSha256": hashlib.sha256(c["bytes"]).hexdigest(),
                "result": "valid",
            }
        )
    total = scheme.add(made, weights)
    compress_seed = hashlib.sha256(b"compression of %d" % number).digest()
    compressed = scheme.compress(total, compress_seed)
    slots, noise = scheme.decrypt(total)
    again, noise_again = scheme.decrypt(compressed)
    assert slots == again
    assert slots[:n_slots] == expected
    assert not any(slots[n_slots:])
    k, S, k0, k1 = given[5:]
    return {
        "set": name,
        "nSlots": n_slots,
        "valueBits": bits,
        "maxSummands": given[3],
        "maxSquareSum": given[4],
        "scaleBits": k,
        "slots": S,
        "dropBits": [k0, k1],
        "keySeed": key_seed.hex(),
        "seedOfA": key.seed.hex(),
        "aSha256": digest(key.a, 16),
        "sHead": key.s[:8],
        "sSha256": digest(key.s, 1, True),
        "eSha256": digest(key.e, 1, True),
        "keyId": key.id.hex(),
        "publicKeySha256": hashlib.sha256(key.public_bytes).hexdigest(),
        "secretKeySha256": hashlib.sha256(key.secret_bytes).hexdigest(),
        "headerOfFirst": made[0][:HEADER].hex(),
        "sumSha256": hashlib.sha256(total).hexdigest(),
        "compressSeed": compress_seed.hex(),
        "compressedSha256": hashlib.sha256(compressed).hexdigest(),
        "openedSha256": digest(expected, 8, True),
        "noiseSha256": digest(noise, 8, True),
        "maxNoise": max(abs(x) for x in noise),
        "maxNoiseCompressed": max(abs(x) for x in noise_again),
        "tests": tests,
    }


def u(value, size):
    return (value % (1 << (8 * size))).to_bytes(size, "little").hex()


def decode_cases():
    """For the first round of ROUNDS: N = 2048, L = 50, one element, k0 = 15, k1 = 10."""
    q, N = 0x3FFFFFFFFC001, 2048
    c1_at, fresh_size, sum_size = HEADER + N * 35 // 8, HEADER + N * 75 // 8, HEADER + N * 100 // 8
    out = []

    def case(base, comment, patches=(), result="invalid", kind=None, cut=0, append=""):
        entry = {"tcId": len(out) + 1, "comment": comment, "flags": [], "type": kind or base, "base": base}
        entry |= {"cut": cut, "append": append, "patches": [list(p) for p in patches], "result": result}
        if result == "invalid":
            entry["error"] = "DecodeError"
        out.append(entry)

    sizes = {"Ciphertext": fresh_size, "CiphertextSum": sum_size, "PublicKey": 34 + N * 50 // 8}
    sizes["SecretKey"] = 66 + N // 4 + N
    for base, size in sizes.items():
        case(base, "as it was made", result="valid")
        case(base, "empty", cut=size)
        case(base, "one byte", cut=size - 1)
        case(base, "truncated by one byte", cut=1)
        case(base, "extended by one byte", append="00")
        case(base, "twice as long", append="00" * size)
        for version in (0, 2, 255):
            case(base, f"version {version}", [(0, u(version, 1))])
        for number in (0, 6, 255):
            case(base, f"unknown set {number}", [(1, u(number, 1))])
        case(base, "another set of the same dimension", [(1, "02")])
        case(base, "another set", [(1, "03")])
    for base, size, form in (("Ciphertext", fresh_size, 0), ("CiphertextSum", sum_size, 1)):
        case(base, "header without body", cut=size - HEADER)
        case(base, "header truncated by one byte", cut=size - HEADER + 1)
        for value in (1 - form, 2, 255):
            case(base, f"form {value}", [(2, u(value, 1))])
        for at, what, true in (
            (3, "value_bits", 16),
            (4, "k", 24),
            (5, "S", 1),
            (6, "k0", 15),
            (7, "k1", 10),
        ):
            for value in (0, true - 1, true + 1, 255):
                if value != 0 or true != 1:
                    case(base, f"{what} {value}", [(at, u(value, 1))])
        case(base, "another key id is another key's, not malformed", [(8, "00" * 32)], "valid")
        for n_slots in (0, 39, 41, 2049, 1 << 40, (1 << 64) - 1):
            case(base, f"n_slots {n_slots}", [(40, u(n_slots, 8))])
        for n in (0, 1, 1023, 1025, (1 << 32) - 1):
            case(base, f"max_summands {n}", [(48, u(n, 4))])
        for n in (0, 1023, 1026, 1028, 1 << 20, (1 << 64) - 1):
            case(base, f"max_square_sum {n}", [(52, u(n, 8))])
    for w1, w2, r, result, comment in (
        (0, 0, 0, "invalid", "nothing"),
        (1, 0, 0, "invalid", "a weight without a square"),
        (0, 1, 0, "invalid", "a square without a weight"),
        (2, 1, 0, "invalid", "squares below weights"),
        (2, 3, 0, "invalid", "odd and even"),
        (2, 6, 0, "invalid", "squares above the square of the weights"),
        (2, 4, 0, "valid", "one weight of 2"),
        (2, 2, 0, "valid", "two weights of 1"),
        (1024, 1024, 0, "valid", "all weights that are declared"),
        (1025, 1025, 0, "invalid", "one summand more than declared"),
        (1021, 1027, 0, "valid", "all squares that are declared"),
        (1022, 1028, 0, "invalid", "squares beyond the declaration"),
        ((1 << 32) - 1, (1 << 32) - 1, 0, "invalid", "far too many"),
        (3, (1 << 64) - 1, 0, "invalid", "far too large squares"),
        (1024, 1024, 1, "valid", "a full sum, compressed once"),
        (1024, 1024, 2, "invalid", "a full sum, compressed twice"),
        (1000, 1000, 9, "valid", "compressions in the place of summands"),
        (1000, 1000, 10, "invalid", "one compression too many"),
        (1023, 1025, 1, "invalid", "squares that leave no room for a compression"),
        (3, 3, (1 << 64) - 1, "invalid", "far too many compressions"),
    ):
        patches = [(60, u(w1, 4)), (64, u(w2, 8)), (72, u(r, 8))]
        case("CiphertextSum", f"lossless: {comment}", patches, result)
        if r == 0 and (w1, w2) != (1, 1):
            result, comment = "invalid", comment + ", and compressed without a compression"
        case("Ciphertext", f"compressed: {comment}", patches, result)
    case("Ciphertext", "a fresh one, compressed again", [(72, u(1, 8))], "valid")
    case("Ciphertext", "a compressed one is no running sum", [], kind="CiphertextSum")
    case("CiphertextSum", "a lossless sum is a ciphertext", [], "valid", kind="Ciphertext")
    most = (q - 1) >> 10  # 40 bits are 5 bytes
    for index, name in ((0, "first"), (N - 1, "last")):
        at = c1_at + 5 * index
        case("Ciphertext", f"{name} of c1 is the largest", [(at, u(most, 5))], "valid")
        case("Ciphertext", f"{name} of c1 is one above the largest", [(at, u(most + 1, 5))])
        case("Ciphertext", f"{name} of c1 is 2^40 - 1", [(at, "ff" * 5)])
    case("Ciphertext", "every integer of 35 bits stands for a c0", [(HEADER, "ff" * (N * 35 // 8))], "valid")
    group_of_8 = N * 50 // 8 - 50  # 8 coefficients of 50 bits are 50 bytes
    for base, start in (("CiphertextSum", HEADER), ("CiphertextSum", c1_at + N * 15 // 8), ("PublicKey", 34)):
        which = {34: "b", HEADER: "c0"}.get(start, "c1")
        for at, name, place in ((0, "first", 0), (group_of_8, "last", 7)):
            for value, result in ((q - 1, "valid"), (q, "invalid"), ((1 << 50) - 1, "invalid")):
                packed = join([value if i == place else 1 for i in range(8)], 50).hex()
                comment = f"{name} of {which} is q{value - q:+d}"
                case(base, comment, [(start + at, packed)], result)
    case("PublicKey", "another seed", [(2, "00" * 32)], "valid")
    case("SecretKey", "another key id", [(2, "00" * 32)])
    case("SecretKey", "another seed", [(34, "00" * 32)])
    for at, name in ((66, "first"), (66 + N // 4 - 1, "last")):
        case("SecretKey", f"{name} four of s: 3 is no digit", [(at, "ff")])
        case("SecretKey", f"{name} four of s are others", [(at, "00" if name == "first" else "aa")])
    for at, name in ((66 + N // 4, "first"), (66 + N // 4 + N - 1, "last")):
        case("SecretKey", f"{name} of e is 22", [(at, u(43, 1))])
        case("SecretKey", f"{name} of e is 234", [(at, "ff")])
        case("SecretKey", f"{name} of e is another", [(at, u(42, 1))])
    return out


def bad_keys():
    """Secret keys with the id of their public key, each beyond one bound and at it."""
    name = ROUNDS[0][0]
    out = []

    def case(comment, s, e, result="invalid"):
        key = Key(name, hashlib.sha256(b"sottovoce rlwe bounds").digest())
        r = key.ring
        key.s, key.e = s(list(key.s)), e(list(key.e))
        assert key.good() == (result == "valid"), comment
        b = [(y - x) % r.q for x, y in zip(r.times(key.a, key.s), key.e, strict=True)]
        public = bytes((1, r.number)) + key.seed + join(b, r.L)
        data = bytes((1, r.number)) + sha("SOTTOVOCE-V1-RLWE-KEY", public) + key.seed
        data += join([x + 1 for x in key.s], 2) + bytes(x + 21 for x in key.e)
        entry = {"tcId": len(out) + 1, "comment": comment, "flags": [], "data": data.hex(), "result": result}
        if result == "invalid":
            entry["error"] = "DecodeError"
        out.append(entry)

    def weight(count):
        """Exactly so many that are not 0, alternately 1 and -1: their sums stay small."""
        return lambda s: [(1, -1)[i % 2] if i < count else 0 for i in range(len(s))]

    def same(x):
        return x

    def square(total):
        """21 as often as it fits, then ones."""
        return lambda e: (
            [21] * (total // 441) + [1] * (total % 441) + [0] * (len(e) - total // 441 - total % 441)
        )

    def lopsided(count):
        """A sum of all of count."""
        return lambda s: [1] * count + [0] * (len(s) - count)

    case("|s|^2 is the bound", weight(1493), same, "valid")
    case("|s|^2 is beyond the bound by 1", weight(1494), same)
    case("|e|^2 is the bound", same, square(25536), "valid")
    case("|e|^2 is beyond the bound by 1", same, square(25537))
    case("the sum of s is the bound", lopsided(147), same, "valid")
    case("the sum of s is beyond the bound by 1", lopsided(148), same)
    return out


def main(folder):
    groups = [group(i, fields) for i, fields in enumerate(ROUNDS)]
    decoding, keys = decode_cases(), bad_keys()
    count = sum(len(g["tests"]) for g in groups) + len(decoding) + len(keys)
    data = {"algorithm": "he.rlwe", "numberOfTests": count, "testGroups": groups}
    data |= {"decoding": decoding, "keys": keys}
    (folder / "rlwe.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS / "he")
