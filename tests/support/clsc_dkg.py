"""A key generation among servers, in one process, over a broadcast channel that always works.

``run`` takes a function for each faulty server and round, which gets what an honest server would send
and returns what is sent instead: another message, a list of them, or None for silence.
"""

import itertools

from sottovoce.clsc import DecodeError, DkgError, DkgParticipant, DkgSession, Mode, comb, group, polynomial
from sottovoce.clsc.dkg_messages import Commit, Complaints, Confirm, Justifications, PrivateShare, Reveal
from support.clsc_world import Drbg

ROOT = bytes(range(32))


def session(t=3, n=5, **changes):
    return DkgSession(**{
        "root_public_key": ROOT, "mode": Mode.BLIND, "epoch": b"2026-W47", "threshold": t, "servers": n,
        **changes,
    })  # fmt: skip


def participants(session, seed="dkg"):
    return {i: DkgParticipant._derand(session, i, Drbg(f"{seed}/{i}")) for i in range(1, session.servers + 1)}


KINDS = {
    "commit": Commit,
    "reveal": Reveal,
    "complain": Complaints,
    "justify": Justifications,
    "confirm": Confirm,
}


class Net:
    """Delivers the rounds; ``refused`` says which message of whom was refused by whom, and why."""

    def __init__(self, parties, faults=None):
        self.parties = parties
        self.faults = faults or {}
        self.refused = []
        self.sent = []
        self.failed = {}

    def faulty(self, i):
        return any(server == i for server, _ in self.faults)

    def altered(self, i, step, data):
        """What server ``i`` really sends in place of ``data``: a list of messages."""
        if (i, step) not in self.faults:
            return [data]
        out = self.faults[i, step](data)
        return out if isinstance(out, list) else [] if out is None else [out]

    def broadcast(self, step, messages):
        for i, data in messages.items():
            if self.faulty(i) and i in self.parties:
                # A clever one: it goes on from what all others see of it, so its later messages fit.
                self.parties[i]._board._received(KINDS[step]).pop(i)
            for sent in self.altered(i, step, data):
                self.sent.append((step, i, sent))
                for j, party in self.parties.items():
                    try:
                        party.receive(i, sent)
                    except (DecodeError, DkgError) as error:
                        self.refused.append((step, i, j, error))

    def step(self, step):
        """Every server closes the round before and makes its message of ``step``."""
        out = {}
        for i, party in self.parties.items():
            try:
                out[i] = getattr(party, step)()
            except DkgError as error:
                self.failed[i] = error
            except KeyError as error:
                # It swallowed its own complaint, and has no share; an honest one cannot come here.
                assert self.faulty(i)
                self.failed[i] = error
        for i in self.failed:
            self.parties.pop(i, None)
        return out

    def run(self):
        """The results, by server; a server whose run failed is in ``failed``."""
        self.broadcast("commit", self.step("commit"))
        made = self.step("reveal")
        for i, (_, shares) in made.items():
            for j, data in shares.items():
                for sent in self.altered(i, f"share {j}", data):
                    if j in self.parties:
                        try:
                            self.parties[j].receive_private(i, sent)
                        except (DecodeError, DkgError) as error:
                            self.refused.append((f"share {j}", i, j, error))
        self.broadcast("reveal", {i: data for i, (data, _) in made.items()})
        for step in ("complain", "justify", "confirm"):
            self.broadcast(step, self.step(step))
        return self.step("finish")


def run(session, faults=None, seed="dkg"):
    """``(results of the honest servers, the net)``."""
    net = Net(participants(session, seed), faults)
    results = net.run()
    return {i: r for i, r in results.items() if not net.faulty(i)}, net


def silent(_):
    return None


def share_off_by_one(data):
    share = PrivateShare.from_bytes(data)
    return PrivateShare(share.session, share.sender, share.receiver, share.value + 1).to_bytes()


def accuse(*indices):
    def change(data):
        own = Complaints.from_bytes(data)
        return Complaints(own.session, own.sender, tuple(sorted(indices))).to_bytes()

    return change


def wrong_justification(data):
    own = Justifications.from_bytes(data)
    return Justifications(own.session, own.sender, tuple((j, v ^ 1 or 2) for j, v in own.shares)).to_bytes()


def other_transcript(data):
    own = Confirm.from_bytes(data)
    return Confirm(own.session, own.sender, bytes(32)).to_bytes()


def reveal_with(**changes):
    def change(data):
        own = Reveal.from_bytes(data)
        fields = {name: getattr(own, name) for name in ("session", "sender", "commitments", "R", "z")}
        return Reveal(**{**fields, **changes}).to_bytes()

    return change


def master_secret(results, threshold):
    """``s`` from any ``threshold`` shares: what nobody in a real run ever computes."""
    some = sorted(results)[:threshold]
    weights = polynomial.lagrange_at_zero(some)
    return sum(w * results[j]._s for w, j in zip(weights, some, strict=True))


def one_public(results):
    """The public result, when all have the same one."""
    (public,) = {result.public for result in results.values()}
    return public


def check_issuing(results, threshold):
    """Any t of the honest servers make valid partial keys; fewer do not."""
    public = one_public(results)
    Y = group.g2_from_bytes(public.Y, "Y")
    Y_servers = [group.g2_from_bytes(data, "Y_j") for data in public.Y_servers]
    Q = group.hash_to_g1(b"SOTTOVOCE-V1-TEST", b"name")
    answers = {}
    for j, result in results.items():
        assert comb.p2_mul(result._s) == Y_servers[j - 1]
        answers[j] = group.g1_mul_secret(Q, result._s)
    for some in itertools.islice(itertools.combinations(answers, threshold), 4):
        D = group.g1_msm_vartime([answers[j] for j in some], polynomial.lagrange_at_zero(some))
        assert group.pairing_is_one([D, -Q], [group.P2, Y])
    if threshold > 1:
        few = list(answers)[: threshold - 1]
        D = group.g1_msm_vartime([answers[j] for j in few], polynomial.lagrange_at_zero(few))
        assert not group.pairing_is_one([D, -Q], [group.P2, Y])
