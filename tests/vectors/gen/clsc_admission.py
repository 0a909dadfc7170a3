"""Write tests/vectors/clsc/admission.json: acknowledgements of blind threshold issuers, and lists of keys.

    python tests/vectors/gen/clsc_admission.py [FOLDER]

Everything comes from seeds, so the file is byte for byte the same on every run and on both back ends.
tests/clsc/test_admission_kat.py makes and checks every signature again, over ``cryptography`` alone.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sottovoce._ext.enc import enc
from sottovoce.clsc import AdmissionKey, Mode, RootKey, group, hashes, issue_wire, sign_admission_keys
from support.clsc_servers import Servers
from support.clsc_world import Drbg, World

SHAPE = (3, 4)
PARTIES = {"alice": "alice", "two bytes a sign": "J\u00fcrgen \u2603", "the longest name": "n" * 64}


def texts(values):
    return {str(j): value.hex() for j, value in values.items()}


def flipped(data, at, bit=1):
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def main(folder):
    folder.mkdir(exist_ok=True)
    world = World("admission vectors")
    root = RootKey._from_seed_derand(Drbg("admission vectors/root")(32))
    t, n = SHAPE
    servers = Servers(world, Mode.BLIND, t, n, seed="servers")
    other = Servers(world, Mode.BLIND, t, n, q=1, f=1, seed="servers")
    params, seeds = servers.params, {j: Drbg(f"admission vectors/seed {j}")(32) for j in range(1, n + 1)}
    keys = {j: AdmissionKey(seed) for j, seed in seeds.items()}
    public = [key.public_key for key in keys.values()]
    points = [group.g1_mul_vartime(group.P1, 3 + i).to_compressed_bytes() for i in range(len(PARTIES))]
    tests = []

    def add(kind, comment, flag=None, error=None, **more):
        result = {"result": "invalid", "error": error} if error else {"result": "valid"}
        tests.append({"tcId": len(tests) + 1, "kind": kind, "comment": comment,
                      "flags": [flag] if flag else [], **more, **result})  # fmt: skip

    def request(B, params_id=params.params_id):
        return bytes([1, 3]) + params_id + B + bytes(32)  # nobody looks at the MAC here

    def one(comment, index, party, B, admission, flag=None, error=None, asked=None):
        asked = request(B) if asked is None else asked
        add("admission", comment, flag, error, index=index, party=party, request=asked.hex(),
            public_key=public[index - 1].hex(), admission=admission.hex())  # fmt: skip

    shown = {}
    for (comment, party), B in zip(PARTIES.items(), points, strict=True):
        shown[party] = {j: key._acknowledge(params, j, party, B) for j, key in keys.items()}
        for j, admission in shown[party].items():
            one(f"server {j}, {comment}", j, party, B, admission)
    party, B = "alice", points[0]
    good = shown[party][1]
    for comment, flag, admission in (
        ("truncated by 1", "Length", good[:-1]),
        ("extended by 1", "Length", good + b"\0"),
        ("empty", "Length", b""),
        ("suite 2", "Version", b"\2" + good[1:]),
        ("another server in front", "Server", b"\1\2" + good[2:]),
        ("another server signed", "Server", bytes([1, 1]) + keys[1]._acknowledge(params, 2, party, B)[2:]),
        ("by the key of another server", "Key", keys[2]._acknowledge(params, 1, party, B)),
        ("for another party", "Party", keys[1]._acknowledge(params, 1, "alic", B)),
        ("for another point", "Point", keys[1]._acknowledge(params, 1, party, points[1])),
        ("for the negated point", "Point", keys[1]._acknowledge(params, 1, party, flipped(B, 0, 0x20))),
        ("for another epoch", "Params", keys[1]._acknowledge(other.params, 1, party, B)),
        ("a bit of R", "Signature", flipped(good, 2)),
        ("a bit of S", "Signature", flipped(good, 34)),
        ("S above the order", "Malleability", good[:34] + _plus_order(good[34:])),
    ):
        one(comment, 1, party, B, admission, flag, "IssueError")
    one("request of another epoch", 1, party, B, good, "Params", "IssueError", request(B, bytes(32)))
    one("request truncated by 1", 1, party, B, good, "Length", "DecodeError", request(B)[:-1])

    def require(comment, given, present, wrong=(), flag=None):
        error = None if present >= t else "TooFewAdmissions"
        add("require", comment, flag, error, party=party, request=request(B).hex(), admissions=texts(given),
            needed=t, present=present, wrong=list(wrong))  # fmt: skip

    own = shown[party]
    foreign = shown[PARTIES["two bytes a sign"]]
    three = {j: own[j] for j in (1, 2, 4)}
    two = {j: own[j] for j in (1, 2)}
    require("all", own, 4)
    require("t of them", three, 3)
    require("t of them, and a wrong one", {**three, 3: own[1]}, 3, (3,))
    require("none", {}, 0, flag="Shortage")
    require("fewer than t", two, 2, flag="Shortage")
    require("one twice", {**two, 3: own[1]}, 2, (3,), "Server")
    require("one twice, relabelled", {**two, 3: bytes([1, 3]) + own[1][2:]}, 2, (3,), "Server")
    require("two swapped", {**three, 1: own[2], 2: own[1]}, 1, (1, 2), "Server")
    require("a server that there is not", {**two, 5: own[4]}, 2, (5,), "Server")
    require("the rest of another party", {**two, 3: foreign[3], 4: foreign[4]}, 2, (3, 4), "Party")

    def listed(comment, data, flag=None, error=None):
        add("keys", comment, flag, error, data=data.hex())

    data = sign_admission_keys(root, params, public)

    stranger = RootKey._from_seed_derand(bytes(32))

    def signed(*fields, by=root):
        body = enc(*fields)
        return body + by._key.sign(body)

    tag, ours = b"SOTTOVOCE-V1-ADMISSION-KEYS", (root.public_key, params.params_id)
    listed("the keys of the servers", data)
    for comment, flag, wrong in (
        ("truncated by 1", "Length", data[:-1]),
        ("extended by 1", "Length", data + b"\0"),
        ("empty", "Length", b""),
        ("one key too few", "Length", signed(tag, *ours, *public[:-1])),
        ("one key too many", "Length", signed(tag, *ours, *public, bytes(32))),
        ("another tag", "Tag", signed(b"SOTTOVOCE-V2-ADMISSION-KEYS", *ours, *public)),
        ("another root", "Root", signed(tag, bytes(32), params.params_id, *public)),
        ("other parameters", "Params", signed(tag, root.public_key, other.params.params_id, *public)),
        ("two servers with one key", "Key", signed(tag, *ours, *public[:-1], public[0])),
        ("keys of other lengths", "Key", signed(tag, *ours, *public[:-2], public[2][:-1], public[3] + b"\0")),
        ("two keys in one field", "Key", signed(tag, *ours, *public[:-2], public[2] + bytes(4) + public[3])),
        ("a field longer than the rest", "Encoding", data[:3] + b"\xff" + data[4:]),
        ("signed by another", "Signature", signed(tag, *ours, *public, by=stranger)),
        ("a bit of the signature", "Signature", flipped(data, len(data) - 1)),
    ):
        listed(comment, wrong, flag, "DecodeError")

    out = {
        "algorithm": "admission", "suite": hashes.SUITE_NAME, "numberOfTests": len(tests),
        "root": root.public_key.hex(), "root_seed": Drbg("admission vectors/root")(32).hex(),
        "params": params.to_bytes().hex(), "threshold": t, "servers": n, "seeds": texts(seeds),
        "public_keys": [key.hex() for key in public], "admission_bytes": 2 + 64,
        "answer_bytes": len(issue_wire.blind_answer(group.P1)), "tests": tests,
    }  # fmt: skip
    (folder / "admission.json").write_text(json.dumps(out, indent=1) + "\n")


def _plus_order(S):
    """The same S modulo the order of the base point, which RFC 8032 does not accept."""
    order = (1 << 252) + 27742317777372353535851937790883648493
    return (int.from_bytes(S, "little") + order).to_bytes(32, "little")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "clsc")
