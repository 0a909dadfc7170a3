"""Make tests/vectors/he/paillier.json with the textbook reference only.

Run: python tests/vectors/gen/he_paillier.py [FOLDER]   (from anywhere; the output is reproducible)

Keys are made from seeds: a TOY_INSECURE one of 128 bits, two of 2048 bits (one with short exponents) and
one of 2048 bits whose primes are 1 modulo 4, as imported keys may have them.  Vectors are given by a rule:
``values[i] = (factor * i + offset) mod (2 G + 1) - G`` with ``G = 2**(value_bits-1) - 1``.  Decoding cases
are encodings with one fault each: ``patches`` are ``[position, hex]`` written over the ``base`` encoding
after it was cut or filled up with zeros to ``length``.
"""

import hashlib
import json
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(VECTORS.parent))
from support.paillier_reference import Drbg, Key, Packing, ciphertext_bytes, is_prime, prime  # noqa: E402

KEYS = [
    # name, bits, exponent bits, residue of the primes modulo 4
    ("TOY_INSECURE_128", 128, 64, 3),
    ("PAILLIER_2048", 2048, 1024, 3),
    ("PAILLIER_2048_SHORT", 2048, 448, 3),
    ("PAILLIER_2048_NOT_BLUM", 2048, 1024, 1),
]
VECTOR_CASES = [
    # factor, offset, n_slots, value_bits, max_summands, slots (None: as many as fit)
    ("TOY_INSECURE_128", 5, 3, 50, 4, 4, None),
    ("TOY_INSECURE_128", 1, 0, 15, 8, 100, None),
    ("TOY_INSECURE_128", 7, 1, 3, 4, 16, 1),
    ("PAILLIER_2048", 977, 12345, 100, 16, 1024, None),
    ("PAILLIER_2048", 977, 12345, 3, 16, 1024, 1),
    ("PAILLIER_2048_SHORT", 31, 7, 40, 24, 1 << 24, None),
    ("PAILLIER_2048_NOT_BLUM", 31, 7, 40, 32, 2, None),
]


def make_key(name, bits, exponent_bits, residue):
    numbers = Drbg(name.encode())
    p = prime(numbers, bits // 2, residue)
    q = prime(numbers, bits // 2, residue)
    # -x^2 for primes that are 3 modulo 4, x^2 for others.
    return Key(p, q, numbers.bits(bits - 1), exponent_bits, -1 if residue == 3 else 1)


def key_entry(name, key):
    return {
        "name": name,
        "bits": key.bits,
        "exponentBits": key.exponent_bits,
        "p": f"{key.p:x}",
        "q": f"{key.q:x}",
        "n": f"{key.n:x}",
        "h": f"{key.h:x}",
        "hs": f"{key.hs:x}",
        "keyId": key.key_id().hex(),
        "publicSha256": hashlib.sha256(key.public_bytes()).hexdigest(),
        "secretSha256": hashlib.sha256(key.secret_bytes()).hexdigest(),
    }


def vector_case(number, keys, fields):
    name, factor, offset, n_slots, value_bits, summands, slots = fields
    key = keys[name]
    packing = Packing(key.bits, n_slots, value_bits, summands, slots)
    G = (1 << (value_bits - 1)) - 1
    values = [(factor * i + offset) % (2 * G + 1) - G for i in range(n_slots)]
    plain = packing.pack(values)
    numbers = Drbg(b"case %d" % number)
    alphas = [numbers.bits(key.exponent_bits) for _ in plain]
    c = [key.encrypt(m, a) for m, a in zip(plain, alphas, strict=True)]
    doubled = [x * x % key.n2 for x in c]
    opened = [key.decrypt(x) for x in doubled]
    assert opened == [2 * m for m in plain]
    assert packing.unpack(opened)[:n_slots] == [2 * v for v in values]
    return {
        "tcId": number,
        "comment": f"{n_slots} values, {packing.slots} slots of {packing.w} bits",
        "flags": [],
        "key": name,
        "factor": factor,
        "offset": offset,
        "nValues": n_slots,
        "valueBits": value_bits,
        "maxSummands": summands,
        "slots": packing.slots,
        "slotBits": packing.w,
        "params": packing.to_bytes().hex(),
        "plain": [f"{m:x}" for m in plain],
        "alphas": [f"{a:x}" for a in alphas],
        "powers": [f"{key.power(a):x}" for a in alphas],
        "ciphertext": ciphertext_bytes(key, packing, 1, c).hex(),
        "doubledSha256": hashlib.sha256(ciphertext_bytes(key, packing, 2, doubled)).hexdigest(),
        "result": "valid",
    }


def modp_2048():
    """The prime of group 14: 2^2048 - 2^1984 - 1 + 2^64 ([2^1918 pi] + 124476); RFC 3526, section 3."""

    def arctan_of_inverse(x, one):
        total, term, k = 0, one // x, 1
        while term:
            total += term // k if k % 4 == 1 else -(term // k)
            term, k = term // (x * x), k + 2
        return total

    one = 1 << 2000
    pi = 16 * arctan_of_inverse(5, one) - 4 * arctan_of_inverse(239, one)
    r = 2**2048 - 2**1984 - 1 + 2**64 * ((pi >> 82) + 124476)
    assert pow(2, r - 1, r) == 1
    return r


def decode_cases(key, other):
    """For the key of 2048 bits; ``other`` has the same size."""
    packing = Packing(2048, 3, 16, 1024, 1)
    c = [key.encrypt(m, a) for m, a in ((1, 2**1023 + 1), (-5, 2**1000 + 3), (0, 77))]
    bases = {
        "PublicKey": key.public_bytes(),
        "SecretKey": key.secret_bytes(),
        "Ciphertext": ciphertext_bytes(key, packing, 1, c),
        "Params": packing.to_bytes(),
    }
    out = []

    def case(kind, comment, patches=(), length=None, result="invalid", flags=()):
        entry = {"tcId": len(out) + 1, "comment": comment, "flags": list(flags), "type": kind}
        entry["length"] = len(bases[kind]) if length is None else length
        entry["patches"] = [[at, data.hex()] for at, data in patches]
        entry["result"] = result
        if result == "invalid":
            entry["error"] = "DecodeError"
        out.append(entry)

    def le(number, size):
        return number.to_bytes(size, "little")

    for kind, base in bases.items():
        case(kind, "as it was written", result="valid")
        case(kind, "empty", length=0)
        case(kind, "one byte", length=1)
        case(kind, "truncated by one byte", length=len(base) - 1)
        case(kind, "extended by one byte", length=len(base) + 1)
    for kind in ("PublicKey", "SecretKey"):
        case(kind, "size 0", [(0, le(0, 2))], flags=["Size"])
        case(kind, "size 1024", [(0, le(1024, 2))], flags=["Size"])
        case(kind, "size 3072 with the length of 2048", [(0, le(3072, 2))], flags=["Size"])
        case(kind, "size 2049", [(0, le(2049, 2))], flags=["Size"])
        case(kind, "exponents of 0 bits", [(2, le(0, 2))], flags=["Size"])
        case(kind, "exponents of 512 bits, short ones of another size", [(2, le(512, 2))], flags=["Size"])
        case(kind, "short exponents", [(2, le(448, 2))], result="valid")

    # n: bytes 4 to 260; hs: 260 to 772.
    n, p, q, n2 = key.n, key.p, key.q, key.n2
    r = modp_2048()
    root = prime(Drbg(b"square"), 1024)
    fifth = (1 << 2047) | 5
    fifth -= fifth % 5
    fifth += 5 * (fifth % 2 == 0)
    for comment, number in (
        ("n is 0", 0),
        ("n is even", n - 1),
        ("n has 2047 bits", n >> 1 | 1),
        ("n is a square", root * root),
        ("n is a prime", r),
        ("n is divisible by 5", fifth),
    ):
        case("PublicKey", comment, [(4, le(number, 256))], flags=["Modulus"])
    for comment, number in (
        ("hs is 0", 0),
        ("hs is 1", 1),
        ("hs is n^2 - 1", n2 - 1),
        ("hs is n^2", n2),
        ("hs is n^2 + 4", n2 + 4),
        ("hs is n", n),
        ("hs is a multiple of p", p * 12345),
        ("hs is 1 + n", 1 + n),
        ("hs is n - 1", n - 1),
    ):
        case("PublicKey", comment, [(260, le(number, 512))], flags=["Base"])
        case("SecretKey", comment, [(260, le(number, 512))], flags=["Base"])
    case("SecretKey", "hs is no n-th power", [(260, le(key.hs * (1 + n) % n2, 512))], flags=["Base"])

    # p: bytes 4 to 132; q: 132 to 260.
    close = p + 2
    while not is_prime(close):
        close += 2
    for comment, one, two in (
        ("p and q exchanged", q, p),
        ("p is q", q, q),
        ("p is 1", 1, q),
        ("p is 0", 0, q),
        ("q is even", p, q + 1),
        ("q is a composite", p, q + 2),
        ("p is the prime of another key", min(other.p, other.q), q),
        ("p has 1023 bits", prime(Drbg(b"shorter"), 1023), q),
        ("q is the next prime after p", p, close),
    ):
        patches = [(4, le(one, 128)), (132, le(two, 128))]
        case("SecretKey", comment, patches, flags=["Primes"])

    # key id: 32 bytes; params: 17; weight: 4; then three numbers of 512 bytes.
    case("Ciphertext", "of another key", [(0, other.key_id())], flags=["Header"])
    case(
        "Ciphertext", "one bit of the key's hash", [(31, bytes([key.key_id()[31] ^ 0x80]))], flags=["Header"]
    )
    for comment, changed in (
        ("of another key size", Packing(3072, 3, 16, 1024, 1)),
        ("of other value bits", Packing(2048, 3, 15, 1024, 1)),
        ("of other slots", Packing(2048, 3, 16, 1024, 2)),
        ("of other max_summands", Packing(2048, 3, 16, 1023, 1)),
        ("of other n_slots", Packing(2048, 2, 16, 1024, 1)),
    ):
        case("Ciphertext", comment, [(32, changed.to_bytes())], flags=["Header"])
    for weight in (0, 1025, 2**32 - 1):
        case("Ciphertext", f"weight {weight} of at most 1024", [(49, le(weight, 4))], flags=["Header"])
    case("Ciphertext", "weight 1024 of at most 1024", [(49, le(1024, 4))], result="valid")
    for comment, number, result in (
        ("0", 0, "invalid"),
        ("n", n, "invalid"),
        ("p", p, "invalid"),
        ("a multiple of q", q * 98765, "invalid"),
        ("n^2 - n", n2 - n, "invalid"),
        ("n^2", n2, "invalid"),
        ("n^2 + 1", n2 + 1, "invalid"),
        ("2^4096 - 1", 2**4096 - 1, "invalid"),
        ("1", 1, "valid"),
        ("n^2 - 1", n2 - 1, "valid"),
        ("1 + n", 1 + n, "valid"),
    ):
        for i in (0, 2):
            patches = [(53 + 512 * i, le(number, 512))]
            case("Ciphertext", f"number {i} is {comment}", patches, result=result, flags=["Unit"])

    # key_bits 0..2, value_bits 2, slots 3..5, max_summands 5..9, n_slots 9..17
    for comment, at, number, size, result in (
        ("key_bits 0", 0, 0, 2, "invalid"),
        ("key_bits 1024", 0, 1024, 2, "invalid"),
        ("key_bits 4096", 0, 4096, 2, "valid"),
        ("value_bits 3", 2, 3, 1, "invalid"),
        ("value_bits 4", 2, 4, 1, "valid"),
        ("value_bits 32", 2, 32, 1, "valid"),
        ("value_bits 33", 2, 33, 1, "invalid"),
        ("slots 0", 3, 0, 2, "invalid"),
        ("slots 78, the most", 3, 78, 2, "valid"),
        ("slots 79", 3, 79, 2, "invalid"),
        ("max_summands 0", 5, 0, 4, "invalid"),
        ("max_summands 2^24", 5, 1 << 24, 4, "valid"),
        ("max_summands 2^24 + 1", 5, (1 << 24) + 1, 4, "invalid"),
        ("n_slots 0", 9, 0, 8, "invalid"),
        ("n_slots 2^32", 9, 1 << 32, 8, "valid"),
        ("n_slots 2^32 + 1", 9, (1 << 32) + 1, 8, "invalid"),
    ):
        case("Params", comment, [(at, le(number, size))], result=result)
    return {name: data.hex() for name, data in bases.items()}, out


def main(folder):
    keys = {fields[0]: make_key(*fields) for fields in KEYS}
    cases = [vector_case(i + 1, keys, fields) for i, fields in enumerate(VECTOR_CASES)]
    bases, decoding = decode_cases(keys["PAILLIER_2048"], keys["PAILLIER_2048_NOT_BLUM"])
    data = {
        "algorithm": "he.paillier",
        "numberOfTests": len(cases) + len(decoding),
        "keys": [key_entry(name, key) for name, key in keys.items()],
        "tests": cases,
        "decodeKey": "PAILLIER_2048",
        "decodeBases": bases,
        "decodeTests": decoding,
    }
    (folder / "paillier.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS / "he")
