"""Write tests/vectors/clsc/dkg.json: a key generation of 3 of 5 servers, message by message.

    python tests/vectors/gen/clsc_dkg.py [FOLDER]

Server 5 never reveals, server 2 sends server 4 a wrong share and justifies it.  All randomness comes
from seeds, so the file comes out the same on every run and on both back ends.
tests/support/clsc_independent_shares.py checks it over py_ecc alone.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from sottovoce.clsc import dkg_proof, group, hashes, polynomial
from sottovoce.clsc.dkg_messages import Commit, Complaints, Confirm, Justifications, PrivateShare, Reveal
from support.clsc_dkg import Net, participants, session, share_off_by_one, silent
from support.clsc_world import Drbg

IDENTITY = b"\xc0" + bytes(95)
SMALL_ORDER = bytes([0x80]) + bytes(94) + b"\2"
R = group.ORDER
STEPS = {"commit": 1, "reveal": 2, "complain": 4, "justify": 5, "confirm": 6}


def the_run():
    at = session()
    parties = participants(at, "vectors/dkg")
    secrets_ = {i: list(party._f) for i, party in parties.items()}
    net = Net(parties, {(5, "reveal"): silent, (2, "share 4"): share_off_by_one})
    results = net.run()
    return at, secrets_, net, results


def message(comment, kind, sender, data, **fields):
    return {
        "comment": comment, "flags": [], "kind": kind, "sender": sender, "input": data.hex(), **fields,
        "result": "valid",
    }  # fmt: skip


def messages(at, secrets_, net):
    tests = []
    for step, i, data in net.sent:
        fields = {}
        if step == "reveal":
            own = Reveal.from_bytes(data)
            encoded = [point.to_compressed_bytes() for point in own.commitments]
            fields = {
                "commitments": [point.hex() for point in encoded], "R": own.R.hex(), "z": f"{own.z:064x}",
                "challenge": f"{dkg_proof._challenge(at.id, i, encoded, own.R):064x}",
                "digest": own.digest().hex(),
            }  # fmt: skip
        tests.append(message(f"{step} of server {i}", STEPS[step], i, data, **fields))
    for i in (1, 2):
        for j in range(1, 6):
            if j != i:
                value = polynomial.evaluate(secrets_[i], j)
                data = PrivateShare(at.id, i, j, value).to_bytes()
                tests.append(message(f"share of server {i} for server {j}", 3, i, data, receiver=j))
    return tests


def refused(comment, flag, error, kind, sender, data, **fields):
    return {
        "comment": comment, "flags": [flag], "kind": kind, "sender": sender, "input": data.hex(), **fields,
        "result": "invalid", "error": error,
    }  # fmt: skip


def undecodable(at, net):
    """Bytes that no session takes: one fault each."""
    found = {}
    for step, _, data in net.sent:
        kind = STEPS[step]
        if len(data) >= len(found.get(kind, b"")):
            found[kind] = data
    found[3] = PrivateShare(at.id, 1, 2, 77).to_bytes()
    found[4] = Complaints(at.id, 4, (1, 2)).to_bytes()
    found[5] = Justifications(at.id, 2, ((1, 5), (4, 6))).to_bytes()
    for kind, data in sorted(found.items()):
        for comment, flag, bad in (
            ("truncated by 1", "Length", data[:-1]), ("extended by 1", "Length", data + b"\0"),
            ("empty", "Length", b""), ("suite 2", "Suite", b"\2" + data[1:]),
            ("another kind", "Kind", data[:1] + bytes([kind % 6 + 1]) + data[2:]),
            ("sender 0", "Index", data[:34] + b"\0" + data[35:]),
            ("sender 65", "Index", data[:34] + b"\x41" + data[35:]),
        ):  # fmt: skip
            yield refused(comment, flag, "DecodeError", kind, data[34], bad)
    reveal, share, complaints, shares = found[2], found[3], found[4], found[5]
    for comment, flag, kind, bad in (
        ("constant term zero: A_0 is the identity", "Identity", 2, reveal[:35] + IDENTITY + reveal[131:]),
        ("degree below t - 1: A_2 is the identity", "Identity", 2, reveal[:227] + IDENTITY + reveal[323:]),
        ("R is the identity", "Identity", 2, reveal[:323] + IDENTITY + reveal[419:]),
        ("A_1 outside the subgroup", "Subgroup", 2, reveal[:131] + SMALL_ORDER + reveal[227:]),
        ("A_0 without flag", "Flag", 2, reveal[:35] + bytes([reveal[35] & 0x7F]) + reveal[36:]),
        ("z = 0", "Range", 2, reveal[:-32] + bytes(32)),
        ("z = r", "Range", 2, reveal[:-32] + R.to_bytes(32, "big")),
        ("share of zero", "Range", 3, share[:36] + bytes(32)),
        ("share of r", "Range", 3, share[:36] + R.to_bytes(32, "big")),
        ("receiver 0", "Index", 3, share[:35] + b"\0" + share[36:]),
        ("descending", "Order", 4, complaints[:35] + bytes([2, 2, 1])),
        ("one twice", "Order", 4, complaints[:35] + bytes([2, 1, 1])),
        ("accuses itself", "Index", 4, complaints[:35] + bytes([1, 4])),
        ("accuses server 0", "Index", 4, complaints[:35] + bytes([1, 0])),
        ("descending", "Order", 5, shares[:36] + shares[69:] + shares[36:69]),
        ("a share of zero", "Range", 5, shares[:37] + bytes(32) + shares[69:]),
        ("a share of r", "Range", 5, shares[:37] + R.to_bytes(32, "big") + shares[69:]),
        ("for itself", "Index", 5, shares[:35] + b"\1" + b"\2" + shares[37:69]),
    ):  # fmt: skip
        yield refused(comment, flag, "DecodeError", kind, bad[34], bad)


def against_the_rules(at, secrets_, net):
    """Well-formed messages that a participant must refuse; ``commit`` replaces that of the sender."""
    sent = {(step, i): data for step, i, data in net.sent}
    own = Reveal.from_bytes(sent["reveal", 3])

    def reveal(comment, flag, commitments=own.commitments, R=own.R, z=own.z, session=at.id, sender=3):
        made = Reveal(session, sender, tuple(commitments), R, z)
        commit = Commit(at.id, 3, made.digest()).to_bytes().hex()
        return refused(comment, flag, "DkgError", 2, 3, made.to_bytes(), commit=commit)

    A = own.commitments
    one = Reveal.from_bytes(sent["reveal", 1])
    lower, higher = secrets_[3][:2], [*secrets_[3], 7]
    made = [dkg_proof.commit_to(f, at, 3, Drbg("vectors/dkg/degree")) for f in (lower, higher)]
    later = session(attempt=2)
    moved = dkg_proof.commit_to(secrets_[3], later, 3, Drbg("vectors/dkg/later"))
    return [
        refused("not what was committed to", "Commitment", "DkgError", 2, 3,
                Reveal(at.id, 3, A, one.R, own.z).to_bytes()),
        reveal("z and one", "Proof", z=own.z % (R - 1) + 1),
        reveal("R of another proof", "Proof", R=one.R),
        reveal("constant term of server 1", "Proof", [one.commitments[0], *A[1:]]),
        reveal("constant term negated", "Proof", [-A[0], *A[1:]]),
        reveal("leading coefficient replaced", "Proof", [*A[:2], group.P2]),
        reveal("all of server 1 as its own", "Proof", one.commitments, one.R, one.z),
        reveal("degree t - 2", "Degree", made[0].commitments, made[0].R, made[0].z),
        reveal("degree t", "Degree", made[1].commitments, made[1].R, made[1].z),
        reveal("of another attempt", "Session", moved.commitments, moved.R, moved.z, session=later.id),
        reveal("of another attempt under this session", "Proof", moved.commitments, moved.R, moved.z),
        reveal("says it is of server 4", "Sender", sender=4),
        refused("of another session", "Session", "DkgError", 1, 3,
                Commit(later.id, 3, own.digest()).to_bytes()),
        refused("says it is of server 4", "Sender", "DkgError", 1, 3,
                Commit(at.id, 4, own.digest()).to_bytes()),
        refused("accuses server 5, which did not reveal", "Accused", "DkgError", 4, 3,
                Complaints(at.id, 3, (1, 5)).to_bytes()),
        refused("of another session", "Session", "DkgError", 4, 3, Complaints(later.id, 3, ()).to_bytes()),
        refused("publishes a share that nobody disputed", "Disputed", "DkgError", 5, 3,
                Justifications(at.id, 3, ((1, polynomial.evaluate(secrets_[3], 1)),)).to_bytes()),
        refused("does not publish the disputed share", "Disputed", "DkgError", 5, 2,
                Justifications(at.id, 2, ()).to_bytes()),
        refused("publishes one more", "Disputed", "DkgError", 5, 2,
                Justifications(at.id, 2, tuple((j, polynomial.evaluate(secrets_[2], j)) for j in (1, 4)))
                .to_bytes()),
        refused("of another session", "Session", "DkgError", 6, 3,
                Confirm(later.id, 3, bytes(32)).to_bytes()),
    ]  # fmt: skip


def main(folder):
    at, secrets_, net, results = the_run()
    public = results[1].public
    tests = [
        *messages(at, secrets_, net),
        *undecodable(at, net),
        *against_the_rules(at, secrets_, net),
    ]
    data = {
        "algorithm": "dkg", "suite": hashes.SUITE_NAME, "numberOfTests": len(tests),
        "session": {
            "root_public_key": at.root_public_key.hex(), "mode": str(at.mode), "epoch": at.epoch.hex(),
            "threshold": at.threshold, "servers": at.servers, "answers": at.answers,
            "corrupted": at.corrupted, "attempt": at.attempt, "id": at.id.hex(),
        },
        "polynomials": {i: [f"{a:064x}" for a in f] for i, f in secrets_.items()},
        "outcome": {
            "disqualified": [[j, int(fault)] for j, fault in public.disqualified],
            "transcript": public.transcript.hex(), "Y": public.Y.hex(),
            "Y_servers": [point.hex() for point in public.Y_servers],
            "shares": [f"{results[j]._s:064x}" for j in sorted(results)],
            "public": public.to_bytes().hex(),
        },
        "tests": [{"tcId": i, **t} for i, t in enumerate(tests, 1)],
    }  # fmt: skip
    (folder / "dkg.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    here = pathlib.Path(__file__).parents[1] / "clsc"
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here)
