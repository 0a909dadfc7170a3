"""Write tests/vectors/clsc/revocation.json: signed revocation lists, and pairs that contradict each other.

    python tests/vectors/gen/clsc_revocation.py [FOLDER]

Ed25519 is deterministic, so ``root_seed`` and the fields give every byte.  A case with ``known`` is read
after that list of the same parameters.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from clsc_vectors import invalid, valid, write

from sottovoce._ext.enc import enc
from sottovoce.clsc import RevocationList, RootKey, Usage
from support.clsc_world import NOW, Drbg, World

TAG = "SOTTOVOCE-V1-REVOKED"
DECODE, CONFLICT = "DecodeError", "RevocationConflict"


def revocation_vectors(folder):
    seed = Drbg("revocation vectors")(32)
    root, stranger = RootKey._from_seed_derand(seed), RootKey._from_seed_derand(Drbg("stranger")(32))
    world = World("revocation vectors")
    keys = [world.key(f"user {i}", usage).public_key for i in range(2) for usage in Usage]
    params_id = keys[0].params.params_id
    pids = sorted(key.pid for key in keys)

    def listing(number, held, issued_at=NOW):
        return RevocationList.sign(root, params_id, number=number, issued_at=issued_at, pids=held)

    def good(comment, number, held, issued_at=NOW, known=None):
        one = listing(number, held, issued_at)
        more = {"known": known.to_bytes().hex()} if known else {}
        return valid(
            comment, list=one.to_bytes().hex(), params_id=params_id.hex(), number=number,
            issued_at=issued_at, pids=[pid.hex() for pid in one.pids], **more,
        )  # fmt: skip

    def signed(*fields, key=root):
        body = enc(*fields)
        return body + key._key.sign(body)

    fields = [TAG, root.public_key, params_id, 5, NOW, *pids[:2]]

    def changed(at, *values):
        return signed(*fields[:at], *values, *fields[at + 1 :])

    whole = signed(*fields)
    tests = [
        good("nothing revoked yet", 1, []),
        good("one key", 2, pids[:1]),
        good("four keys", 3, pids),
        good("largest number, latest time", (1 << 32) - 1, pids[:1], (1 << 40) - 1),
        good("earliest time", 1, pids[:1], 0),
        good("a later list holds all of the known one", 6, pids[:3], known=listing(5, pids[:2])),
        good("the known list again", 5, pids[:2], known=listing(5, pids[:2])),
        good("an older list than the known one", 4, pids[:1], known=listing(5, pids[:2])),
    ]
    for comment, flag, data in (
        ("empty input", "Length", b""),
        ("last byte missing", "Length", whole[:-1]),
        ("one byte too many", "Length", whole + b"\0"),
        ("signature missing", "Length", whole[:-64]),
        ("tag of other signed data", "Tag", changed(0, "SOTTOVOCE-V1-PARAMS!")),
        ("names another root key", "Root", changed(1, stranger.public_key)),
        ("signed by another root key", "Signature", signed(*fields, key=stranger)),
        ("one bit of the signature", "Signature", whole[:-1] + bytes([whole[-1] ^ 1])),
        ("signature of the list with the next number", "Signature", whole[:-64] + changed(3, 6)[-64:]),
        ("number 0", "Number", changed(3, 0)),
        ("number 2**32", "Number", changed(3, 1 << 32)),
        ("time 2**40", "Time", changed(4, 1 << 40)),
        ("number of 7 bytes", "Field", changed(3, bytes(6) + b"\5")),
        ("keys in descending order", "Order", signed(*fields[:5], pids[1], pids[0])),
        ("the same key twice", "Order", signed(*fields[:5], pids[0], pids[0])),
        ("last key of 15 bytes", "Field", changed(6, pids[1][:-1])),
        ("last key of 17 bytes", "Field", changed(6, pids[1] + b"\0")),
        ("an empty key at the end", "Field", signed(*fields, b"")),
        ("two keys in one field", "Field", signed(*fields[:5], pids[0] + pids[1])),
    ):
        tests.append(invalid(comment, flag, DECODE, list=data.hex()))
    known = listing(5, pids[:2])
    for comment, one in (
        ("same number, other keys", listing(5, pids[2:])),
        ("same number, one key more", listing(5, pids[:3])),
        ("same number and keys, another time", listing(5, pids[:2], NOW + 1)),
        ("a later list without a key of the known one", listing(6, pids[1:])),
        ("a later list that is empty", listing(6, [])),
        ("an older list with a key that the known one lacks", listing(4, [pids[3]])),
    ):
        tests.append(
            invalid(
                comment, "Contradiction", CONFLICT, list=one.to_bytes().hex(), known=known.to_bytes().hex()
            )
        )
    write(folder, "revocation", tests, root_seed=seed.hex(), root=root.public_key.hex())


if __name__ == "__main__":
    default = pathlib.Path(__file__).parents[1] / "clsc"
    revocation_vectors(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default)
