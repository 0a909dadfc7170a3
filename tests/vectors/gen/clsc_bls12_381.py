"""Write tests/vectors/bls12_381/*.json: hash to curve, expand_message_xmd, pairing bytes.

    python tests/vectors/gen/clsc_bls12_381.py

Everything comes from py_ecc, never from the back end under test.  The inputs of the first two files
are those of RFC 9380 appendix J.9.1 and K.1; the outputs were compared with the appendix once, and
are equal.
"""

import hashlib
import json
import pathlib
import sys

from py_ecc.bls.g2_primitives import G1_to_pubkey, G2_to_signature
from py_ecc.bls.hash import expand_message_xmd
from py_ecc.bls.hash_to_curve import hash_to_field_FQ, hash_to_G1
from py_ecc.optimized_bls12_381 import G1, G2, curve_order, multiply, normalize, pairing

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
from support.clsc_independent import gt_bytes

OUT = pathlib.Path(__file__).parents[1] / "bls12_381"
MESSAGES = [b"", b"abc", b"abcdef0123456789", b"q128_" + b"q" * 128, b"a512_" + b"a" * 512]


def write(name, source, tests, **extra):
    data = {"algorithm": name, "source": source, "numberOfTests": len(tests), **extra, "tests": tests}
    (OUT / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


def hash_to_g1():
    dst = b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
    tests = []
    for i, message in enumerate(MESSAGES, 1):
        x, y = normalize(hash_to_G1(message, dst, hashlib.sha256))
        u = [f"{int(v):096x}" for v in hash_to_field_FQ(message, 2, dst, hashlib.sha256)]
        point = G1_to_pubkey(hash_to_G1(message, dst, hashlib.sha256)).hex()
        tests.append(
            {
                "tcId": i,
                "msg": message.decode(),
                "u": u,
                "x": f"{int(x):096x}",
                "y": f"{int(y):096x}",
                "compressed": point,
            }
        )
    write("hash_to_g1", "RFC 9380 appendix J.9.1", tests, dst=dst.decode())


def expand():
    dst = b"QUUX-V01-CS02-with-expander-SHA256-128"
    tests = [
        {
            "tcId": 5 * k + i,
            "msg": message.decode(),
            "len_in_bytes": n,
            "uniform_bytes": expand_message_xmd(message, dst, n, hashlib.sha256).hex(),
        }
        for k, n in enumerate((0x20, 0x80))
        for i, message in enumerate(MESSAGES, 1)
    ]
    write("expand_message_xmd", "RFC 9380 appendix K.1", tests, dst=dst.decode())


def gt():
    tests = []
    for i, (a, b) in enumerate([(1, 1), (2, 3), (curve_order - 1, 1), (2**200 + 1, 2**100 - 3)], 1):
        p, q = multiply(G1, a), multiply(G2, b)
        tests.append(
            {
                "tcId": i,
                "a": f"{a:064x}",
                "b": f"{b:064x}",
                "P": G1_to_pubkey(p).hex(),
                "Q": G2_to_signature(q).hex(),
                "gt": gt_bytes(pairing(q, p)).hex(),
            }
        )
    write("pairing_bytes", "pairing of py_ecc to the power -3 in the 2-3-2 tower", tests)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    hash_to_g1()
    expand()
    gt()
