"""Make tests/vectors/rs/erasure.json with the second implementation only.

Run: python tests/vectors/gen/rs_erasure.py  (from anywhere; the output is reproducible)
"""

import hashlib
import json
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(VECTORS.parent))
from support import rs_twin  # noqa: E402

SHAPES = [(1, 1), (1, 3), (2, 3), (3, 5), (4, 6), (10, 14), (17, 20), (5, 256), (128, 160), (255, 256)]


def accumulated(seed, count):
    """SHA-256 over the parity of many small encodes; inputs are drawn from the stream of the seed."""
    stream, digest = rs_twin.Stream(seed), hashlib.sha256()
    for _ in range(count):
        k = stream.number(1, 8)
        n = k + stream.number(0, 5)
        length = stream.number(1, 24)
        data = [stream.take(length) for _ in range(k)]
        digest.update(b"".join(rs_twin.encode(data, n)))
    return digest.hexdigest()


def main():
    stream, tests = rs_twin.Stream(b"sottovoce rs erasure vectors"), []
    for k, n in SHAPES:
        data = [stream.take(9 if n < 100 else 2) for _ in range(k)]
        tests.append(
            {
                "tcId": len(tests) + 1,
                "comment": f"k = {k}, n = {n}",
                "k": k,
                "n": n,
                "data": [row.hex() for row in data],
                "parity": [row.hex() for row in rs_twin.encode(data, n)],
                "result": "valid",
            }
        )
    # Worked by hand: k = 2, row of shard 2 is 1/(2+0), 1/(2+1) = 1/2, 1/3.  2 * 0x8E = 0x11C, which is
    # 0x01 modulo 0x11D; 3 * 0xF4 = 0x1E8 + 0xF4 (shifted, added) = 0x11C, again 0x01.  Data 01, 00 and
    # 00, 01 therefore give 8E and F4, and 01, 01 their sum 7A.
    for data, parity in ((("01", "00"), "8e"), (("00", "01"), "f4"), (("01", "01"), "7a")):
        tests.append(
            {
                "tcId": len(tests) + 1,
                "comment": "by hand: coefficients 1/2 = 8e and 1/3 = f4",
                "k": 2,
                "n": 3,
                "data": list(data),
                "parity": [parity],
                "result": "valid",
            }
        )
    seed = b"sottovoce rs accumulated"
    vectors = {
        "algorithm": "erasure, cauchy, GF(2^8)/0x11D",
        "numberOfTests": len(tests),
        "testGroups": [{"tests": tests}],
        "accumulated": {"seed": seed.hex(), "encodes": 10000, "sha256": accumulated(seed, 10000)},
    }
    (VECTORS / "rs" / "erasure.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
