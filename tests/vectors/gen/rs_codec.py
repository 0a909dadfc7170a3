"""Make tests/vectors/rs/codec.json: published words, and words of the second implementation.

Run: python tests/vectors/gen/rs_codec.py  (from anywhere; the output is reproducible)
"""

import hashlib
import json
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(VECTORS.parent))
from support import rs_codec_twin, rs_twin  # noqa: E402

# Word as printed at the source, its parity symbols, what differs from the defaults.
PUBLISHED = [
    ("readme of reedsolo: [1, 2, 3, 4]", "010203042c9d1c2b3df868fa984d", {"nsym": 10}),
    ("readme of reedsolo: hello world", b"hello world".hex() + "ed2554c4fdfd89f3a8aa", {"nsym": 10}),
    ("readme of reedsolo: hello world, 12", b"hello world".hex() + "3f4179b2bcdc0171b9e3e23d", {"nsym": 12}),
    (
        "Wikiversity, Reed-Solomon codes for coders: the QR code of its example",
        "40d2754776173206272696c6c69670ec" + "bc2a90136bafeffd4be0",
        {"nsym": 10},
    ),
    (
        "QR version 1-M, HELLO WORLD, as tutorials print it",
        bytes([32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17]).hex()
        + bytes([196, 35, 39, 119, 235, 215, 231, 226, 93, 23]).hex(),
        {"nsym": 10},
    ),
    (
        "ISO/IEC 16022: Data Matrix of 123456",
        bytes([142, 164, 186, 114, 25, 5, 88, 102]).hex(),
        {"nsym": 5, "fcr": 1, "prim": 0x12D},
    ),
    (
        "BBC WHP 031, section on RS(15, 11)",
        bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 3, 3, 12, 12]).hex(),
        {"nsym": 4, "c_exp": 4, "prim": 0x13},
    ),
    (
        "the mother code of DVB, 1 ... 239, as free decoders test it",
        bytes(range(1, 240)).hex()
        + bytes([1, 126, 147, 48, 155, 224, 3, 157, 29, 226, 40, 114, 61, 30, 244, 75]).hex(),
        {"nsym": 16},
    ),
]

# nsym, n, fcr, prim, generator, c_exp
OWN = [
    (2, 7, 0, 0xB, 2, 3), (4, 15, 1, 0x19, 2, 4), (6, 20, 3, 0x25, 2, 5), (1, 9, 0, 0x11D, 2, 8),
    (7, 40, 120, 0x187, 2, 8), (32, 60, 112, 0x187, 0xAD, 8), (10, 30, 300, 0x11B, 3, 8),
    (253, 255, 0, 0x11D, 2, 8),
    (5, 12, 0, 0x22D, 2, 9), (8, 20, 2, 0x1069, 2, 12), (6, 10, 65534, 0x1100B, 2, 16),
]  # fmt: skip


def digits(symbols, c_exp):
    return "".join(f"{s:0{2 if c_exp <= 8 else 4}x}" for s in symbols)


def case(comment, word, nsym, fcr=0, prim=0x11D, generator=2, c_exp=8, **more):
    return {
        "comment": comment,
        "nsym": nsym,
        "fcr": fcr,
        "prim": prim,
        "generator": generator,
        "c_exp": c_exp,
        "word": word,
        "result": "valid",
        **more,
    }


def accumulated(seed, count):
    """SHA-256 over many small words, all parameters drawn from the stream of the seed."""
    stream, digest = rs_twin.Stream(seed), hashlib.sha256()
    for _ in range(count):
        nsym, fcr = stream.number(1, 12), stream.number(0, 254)
        prim = (0x11D, 0x12D, 0x187)[stream.number(0, 2)]
        message = list(stream.take(stream.number(1, 16)))
        digest.update(bytes(rs_codec_twin.Twin(nsym, fcr, prim).encode(message)))
    return digest.hexdigest()


def main():
    stream = rs_twin.Stream(b"sottovoce rs codec vectors")
    tests = [case(comment, word, **arguments) for comment, word, arguments in PUBLISHED]
    for nsym, n, fcr, prim, generator, c_exp in OWN:
        twin = rs_codec_twin.Twin(nsym, fcr, prim, generator, c_exp)
        word = twin.encode([stream.number(0, (1 << c_exp) - 1) for _ in range(n - nsym)])
        comment = f"n = {n}, nsym = {nsym}, fcr = {fcr}, GF(2^{c_exp}) / {prim:#x}"
        tests.append(case(comment, digits(word, c_exp), nsym, fcr, prim, generator, c_exp))
    # A word of 7 symbols with nsym 4, damaged; all codewords in reach are found by trying every set of
    # places.
    twin = rs_codec_twin.Twin(4, 0, 0x13, 2, 4)
    word = twin.encode([3, 14, 15])
    for comment, damage, erased in [
        ("two errors", {0: 1, 6: 9}, []),
        ("one error, two erasures", {1: 5, 2: 7, 3: 15}, [2, 3]),
        ("four erasures, one of them right", {0: 1, 1: 2, 2: 3}, [5, 0, 2, 1]),
        ("three errors", {0: 1, 3: 1, 6: 1}, []),
        ("two errors, one erasure", {0: 1, 3: 1, 6: 1}, [0]),
        ("one error, three erasures", {0: 1, 2: 3, 4: 4, 6: 5}, [0, 2, 4]),
    ]:
        received = [s ^ damage.get(p, 0) for p, s in enumerate(word)]
        found = twin.nearest(received, erased)
        more = {"received": digits(received, 4), "erased": erased}
        if found:
            tests.append(case(comment, digits(found[0], 4), 4, 0, 0x13, 2, 4, **more))
        else:
            bad = {"result": "invalid", "error": "ReedSolomonError"}
            tests.append(case(comment, digits(word, 4), 4, 0, 0x13, 2, 4, **more) | bad)
    for number, test in enumerate(tests, 1):
        test["tcId"] = number
    seed = b"sottovoce rs codec accumulated"
    vectors = {
        "algorithm": "Reed-Solomon words, systematic, errors and erasures",
        "numberOfTests": len(tests),
        "testGroups": [{"tests": tests}],
        "accumulated": {"seed": seed.hex(), "encodes": 1000, "sha256": accumulated(seed, 1000)},
    }
    (VECTORS / "rs" / "codec.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
