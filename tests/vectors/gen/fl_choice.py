"""Write tests/vectors/fl/choice.json: beacons, rankings and who does what, over hashlib and py_ecc alone.

    python tests/vectors/gen/fl_choice.py [FOLDER]

Nothing of the package is imported: this is the second implementation that it is compared with.
"""

import hashlib
import json
import pathlib
import sys

from py_ecc.bls.g2_primitives import G1_to_pubkey
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G2
from py_ecc.optimized_bls12_381 import G2, multiply

SECRET = 0x1234567890ABCDEF
CASES = [
    (b"2027-W02", 1, 7, 4),
    (b"2027-W02", 2, 7, 4),
    (b"2027-W03", 1, 7, 4),
    (b"e", (1 << 63) - 1, 5, 4),
    (b"x" * 64, 40, 40, 31),
]


def enc(*fields):
    out = b""
    for field in fields:
        data = field.encode() if isinstance(field, str) else field
        data = data.to_bytes(8, "big") if isinstance(data, int) else data
        out += len(data).to_bytes(4, "big") + data
    return out


def key():
    Y = b"".join(z.to_bytes(48, "big") for z in compress_G2(multiply(G2, SECRET)))
    return enc("SOTTOVOCE-V1-BLS-KEY", 1, Y, Y)


def case(epoch, round_number, n_peers, n_members):
    text = enc("SOTTOVOCE-V1-BEACON", epoch, round_number)
    beacon = G1_to_pubkey(multiply(hash_to_G1(text, b"SOTTOVOCE-V1-BLS", hashlib.sha256), SECRET))
    names = [b"peer %d" % i for i in range(n_peers)]
    ranked = sorted(names, key=lambda name: hashlib.sha256(enc("SOTTOVOCE-V1-RANK", beacon, name)).digest())
    committee = ranked[1 : n_members + 1]
    return {
        "comment": f"{n_members} of {n_peers}, round {round_number} of {epoch.decode()[:8]}",
        "flags": [],
        "epoch": epoch.hex(),
        "round": round_number,
        "key": key().hex(),
        "text": text.hex(),
        "beacon": beacon.hex(),
        "names": [name.hex() for name in names],
        "ranked": [name.hex() for name in ranked],
        "committee": [name.hex() for name in committee],
        "aggregators": [name.hex() for name in ranked if name not in committee],
        "result": "valid",
    }


def main(folder):
    tests = [{"tcId": i, **case(*args)} for i, args in enumerate(CASES, 1)]
    folder.mkdir(exist_ok=True)
    data = {"numberOfTests": len(tests), "tests": tests}
    folder.joinpath("choice.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[1] / "fl"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
