"""Key generation among servers: what faulty servers do, and what becomes of the run."""

import pickle

import pytest

from sottovoce.clsc import DecodeError, DkgError, comb, dkg_proof, group, polynomial
from sottovoce.clsc.dkg_board import DkgRound
from sottovoce.clsc.dkg_messages import Commit, Complaints, Justifications, Reveal
from sottovoce.clsc.dkg_session import DkgFault
from support.clsc_dkg import (
    Net,
    accuse,
    check_issuing,
    one_public,
    other_transcript,
    participants,
    reveal_with,
    run,
    session,
    share_off_by_one,
    silent,
    wrong_justification,
)
from support.clsc_world import Drbg

R = group.ORDER


# -- silent, wrong and lying servers --------------------------------------------------------------


def disqualified(fault, index=2):
    return ((index, fault),)


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("commit", DkgFault.NO_COMMITMENT),
        ("reveal", DkgFault.NO_REVEAL),
        ("complain", None),
        ("justify", None),
        ("confirm", None),
    ],
)
def test_silent_server(step, fault):
    results, _ = run(session(), {(2, step): silent})
    assert sorted(results) == [1, 3, 4, 5]
    assert one_public(results).disqualified == (disqualified(fault) if fault else ())
    check_issuing(results, 3)


def test_server_that_dies_after_each_step():
    steps = ["commit", "reveal", "complain", "justify", "confirm"]
    for k in range(len(steps)):
        faults = {(2, step): silent for step in steps[k:]}
        if k <= 1:
            faults |= {(2, f"share {j}"): silent for j in range(1, 6)}
        results, _ = run(session(), faults)
        public = one_public(results)
        assert (2 in public.qualified) is (k >= 2)
        check_issuing(results, 3)


WRONG_SHARES = {
    "off by one": share_off_by_one,
    "not sent": silent,
    "cut": lambda data: data[:-1],
    "zero": lambda data: data[:36] + bytes(32),
    "r": lambda data: data[:36] + R.to_bytes(32, "big"),
}


@pytest.mark.parametrize("name", WRONG_SHARES)
def test_wrong_share_is_justified_in_public(name):
    """The accused publishes the right one: it stays, and the accuser has its share."""
    results, net = run(session(), {(2, "share 4"): WRONG_SHARES[name]})
    assert one_public(results).disqualified == ()
    check_issuing(results, 3)
    complaint = next(Complaints.from_bytes(d) for s, i, d in net.sent if (s, i) == ("complain", 4))
    assert complaint.accused == (2,)
    published = next(Justifications.from_bytes(d) for s, i, d in net.sent if (s, i) == ("justify", 2))
    assert [j for j, _ in published.shares] == [4]
    assert 4 in results


@pytest.mark.parametrize("change", [silent, wrong_justification], ids=["silent", "wrong"])
def test_wrong_share_that_is_not_justified(change):
    results, _ = run(session(), {(2, "share 4"): share_off_by_one, (2, "justify"): change})
    assert one_public(results).disqualified == disqualified(DkgFault.NOT_JUSTIFIED)
    check_issuing(results, 3)


@pytest.mark.parametrize("receivers", [(1, 3), (1, 3, 4), (1, 3, 4, 5)])
def test_wrong_shares_to_many(receivers):
    """Two complaints are answered; three would show the polynomial, and prove the fault."""
    results, net = run(session(), {(2, f"share {j}"): share_off_by_one for j in receivers})
    expected = () if len(receivers) < 3 else disqualified(DkgFault.ACCUSED)
    assert one_public(results).disqualified == expected
    published = next(Justifications.from_bytes(d) for s, i, d in net.sent if (s, i) == ("justify", 2))
    assert [j for j, _ in published.shares] == (list(receivers) if len(receivers) < 3 else [])
    check_issuing(results, 3)


def test_share_of_another_receiver_is_refused_and_complained_about():
    swapped = {}

    def take(data):
        swapped.setdefault("data", data)
        return swapped["data"]

    results, net = run(session(), {(2, "share 3"): take, (2, "share 4"): take})
    assert any("for server 3" in str(error) for _, _, j, error in net.refused if j == 4)
    assert one_public(results).disqualified == ()
    check_issuing(results, 3)


def test_false_complaint_does_not_disqualify():
    at = session()
    results, net = run(at, {(2, "complain"): accuse(1, 3, 4, 5)})
    assert one_public(results).qualified == (1, 2, 3, 4, 5)
    for i in (1, 3, 4, 5):
        # Each publishes what server 2 knew before, and nothing else.
        published = next(Justifications.from_bytes(d) for s, j, d in net.sent if (s, j) == ("justify", i))
        assert [j for j, _ in published.shares] == [2]
    check_issuing(results, 3)


def test_two_liars_together_neither_disqualify_nor_learn():
    results, net = run(session(), {(2, "complain"): accuse(1), (3, "complain"): accuse(1)})
    assert one_public(results).qualified == (1, 2, 3, 4, 5)
    published = next(Justifications.from_bytes(d) for s, j, d in net.sent if (s, j) == ("justify", 1))
    assert [j for j, _ in published.shares] == [2, 3]
    check_issuing(results, 3)


def test_attack_t_liars_do_not_get_a_polynomial_published():
    """Beyond the assumption: the run goes on without server 1, but its secret stays its own."""
    results, net = run(session(), {(i, "complain"): accuse(1) for i in (2, 3, 4)})
    published = next(Justifications.from_bytes(d) for s, j, d in net.sent if (s, j) == ("justify", 1))
    assert published.shares == ()
    assert one_public(results).disqualified == disqualified(DkgFault.ACCUSED, 1)


def test_justification_of_more_than_is_disputed_is_refused():
    def more(data):
        own = Justifications.from_bytes(data)
        return Justifications(own.session, own.sender, (*own.shares, (5, 7))).to_bytes()

    results, net = run(session(), {(2, "share 4"): share_off_by_one, (2, "justify"): more})
    assert any("other shares than the disputed" in str(error) for *_, error in net.refused)
    assert one_public(results).disqualified == disqualified(DkgFault.NOT_JUSTIFIED)


def test_complaint_about_a_server_without_reveal_is_refused():
    results, net = run(session(), {(3, "reveal"): silent, (2, "complain"): accuse(1, 3)})
    assert any("without a valid reveal" in str(error) for *_, error in net.refused)
    assert one_public(results).disqualified == disqualified(DkgFault.NO_REVEAL, 3)


# -- reveals --------------------------------------------------------------------------------------


def other_polynomial(t, seed="other"):
    """A reveal with everything right but what it was committed to, or its degree."""
    party = participants(session(t, 2 * t - 1), seed)[2]

    def change(data):
        own = Reveal.from_bytes(data)
        at = session()
        object.__setattr__(at, "id", own.session)
        return dkg_proof.commit_to(party._f, at, own.sender, Drbg("proof")).to_bytes()

    return change


def recommitted(change, i=2):
    """Faults of a server that commits to the changed reveal: only the rule itself can refuse it."""
    kept = {}

    def commit(data):
        own = Commit.from_bytes(data)
        kept["reveal"] = change(kept["honest"])
        return Commit(own.session, own.sender, Reveal.from_bytes(kept["reveal"]).digest()).to_bytes()

    return kept, {(i, "commit"): commit, (i, "reveal"): lambda _: kept["reveal"]}


def run_recommitted(at, change, i=2):
    kept, faults = recommitted(change, i)
    parties = participants(at)
    kept["honest"] = parties[i]._own.to_bytes()
    net = Net(parties, faults)
    results = net.run()
    return {j: r for j, r in results.items() if j != i}, net


def test_recommitting_the_honest_reveal_is_accepted():
    results, net = run_recommitted(session(), lambda data: data)
    assert not net.refused
    assert one_public(results).disqualified == ()


def test_reveals_something_else_than_committed():
    results, net = run(session(), {(2, "reveal"): other_polynomial(3)})
    assert any("not what it committed to" in str(error) for *_, error in net.refused)
    assert one_public(results).disqualified == disqualified(DkgFault.NO_REVEAL)
    check_issuing(results, 3)


@pytest.mark.parametrize("t", [2, 4])
def test_degree_too_low_or_too_high(t):
    results, net = run_recommitted(session(), other_polynomial(t))
    assert any(f"3 commitments expected, got {t}" in str(error) for *_, error in net.refused)
    assert one_public(results).disqualified == disqualified(DkgFault.NO_REVEAL)
    check_issuing(results, 3)


def _bad_reveals():
    generator = group.P2.to_compressed_bytes()
    yield "z off by one", lambda own: {"z": own.z % (R - 1) + 1}
    yield "R another point", lambda own: {"R": generator}
    yield "constant term of another", lambda own: {"commitments": (group.P2, *own.commitments[1:])}
    yield "negated constant term", lambda own: {"commitments": (-own.commitments[0], *own.commitments[1:])}
    yield "another coefficient", lambda own: {"commitments": (*own.commitments[:2], group.P2)}
    yield "coefficients swapped", lambda own: {"commitments": own.commitments[::-1]}


BAD_REVEALS = dict(_bad_reveals())


@pytest.mark.parametrize("name", BAD_REVEALS)
def test_proof_covers_the_whole_reveal(name):
    fields = BAD_REVEALS[name]
    results, net = run_recommitted(
        session(), lambda data: reveal_with(**fields(Reveal.from_bytes(data)))(data)
    )
    assert any("does not hold" in str(error) for *_, error in net.refused), name
    assert one_public(results).disqualified == disqualified(DkgFault.NO_REVEAL)


@pytest.mark.parametrize("at", [35, 131, 227, 323], ids=["constant term", "middle", "leading", "R"])
@pytest.mark.parametrize("point", [b"\xc0" + bytes(95), bytes(96), b"\xff" * 96], ids=["identity", "0", "f"])
def test_identity_and_invalid_points_in_a_reveal(at, point):
    """A constant term of zero is the identity; so is a leading coefficient that lowers the degree."""
    results, net = run(session(), {(2, "reveal"): lambda data: data[:at] + point + data[at + 96 :]})
    assert [type(error) for *_, error in net.refused] == [DecodeError] * 5
    assert one_public(results).disqualified == disqualified(DkgFault.NO_REVEAL)


def test_attack_rogue_constant_term():
    """Without the proof the last to reveal would choose Y: its constant term minus all others'."""
    at = session(2, 3)
    parties = participants(at)
    others = [parties[i]._own.commitments[0] for i in (1, 3)]
    chosen = comb.p2_mul(42)
    rogue = chosen + (-(others[0] + others[1]))
    results, net = run_recommitted(
        at, lambda data: reveal_with(commitments=(rogue, Reveal.from_bytes(data).commitments[1]))(data)
    )
    assert any("does not hold" in str(error) for *_, error in net.refused)
    assert one_public(results).qualified == (1, 3)
    assert chosen.to_compressed_bytes() != one_public(results).Y


def test_attack_copy_of_another_servers_messages():
    """Server 2 commits and reveals what server 1 does, as its own: the proof is bound to the index."""
    at = session()
    parties = participants(at)
    copied = parties[1]._own

    def as_own(data):
        return Reveal(copied.session, 2, copied.commitments, copied.R, copied.z).to_bytes()

    results, net = run_recommitted(at, as_own)
    assert any("does not hold" in str(error) for *_, error in net.refused)
    assert one_public(results).disqualified == disqualified(DkgFault.NO_REVEAL)
    # And the bytes as they are: the commitment is copied, but the reveal says whose it is.
    results, net = run(at, {
        (2, "commit"): lambda data: data[:35] + copied.digest(),
        (2, "reveal"): lambda data: copied.to_bytes(),
    })  # fmt: skip
    assert any("says it is of server 1" in str(error) for *_, error in net.refused)
    assert one_public(results).disqualified == disqualified(DkgFault.NO_REVEAL)


def test_attack_replay_from_another_session():
    """The same server, numbers and randomness, another attempt: nothing of it fits."""
    now, before = session(attempt=2), session(attempt=1)
    assert now.id != before.id
    old = participants(before)[2]
    results, net = run(now, {(2, "commit"): lambda _: old.commit(), (2, "reveal"): lambda _: old.reveal()[0]})
    assert sum("another session" in str(error) for *_, error in net.refused) == 10
    assert one_public(results).disqualified == disqualified(DkgFault.NO_COMMITMENT)
    # With the session number replaced the proof fails.
    moved = old._own
    results, net = run_recommitted(
        now, lambda _: Reveal(now.id, 2, moved.commitments, moved.R, moved.z).to_bytes()
    )
    assert any("does not hold" in str(error) for *_, error in net.refused)


# -- failure --------------------------------------------------------------------------------------


def test_too_few_qualified_name_the_culprits():
    at = session(3, 5)
    net = Net(participants(at), {
        (1, "commit"): silent, (2, "reveal"): silent,
        (4, "share 5"): share_off_by_one, (4, "justify"): wrong_justification,
    })  # fmt: skip
    parties = dict(net.parties)
    assert net.run() == {}
    for i in (3, 5):
        error = net.failed[i]
        assert "2 of 3 needed servers are qualified" in str(error)
        assert error.culprits == {1: "no commitment", 2: "no reveal", 4: "not justified"}
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.culprits) == (str(error), error.culprits)
        assert parties[i].round is DkgRound.FAILED
        assert parties[i]._f == []
        assert parties[i]._shares == {}
        assert parties[i]._s == 0
        for step in ("confirm", "finish", "reveal"):
            with pytest.raises(DkgError, match="round failed"):
                getattr(parties[i], step)()


DEGENERATE = {
    "Y is the identity": {1: [5, 1], 2: [R - 5, 1]},
    "server 1's share is zero": {1: [5, 1], 2: [7, R - 13]},
    "degree 0: every server holds the secret": {1: [5, 1], 2: [7, R - 1]},
    "degree 1 of three: any two know the secret": {1: [5, 1, 2], 2: [7, 1, 3], 3: [9, 1, R - 5]},
    "servers 1 and 2 hold one share": {1: [5, 1, 2], 2: [7, 1, 3], 3: [9, R - 41, 8]},
    "server 2 holds the secret": {1: [5, 1, 2], 2: [7, 1, 3], 3: [9, R - 28, 8]},
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_sum_fails(name):
    """No honest run meets one; commitments before reveals keep a faulty server from aiming at it."""
    coefficients = DEGENERATE[name]
    at = session(len(coefficients), len(coefficients))
    parties = participants(at)
    for i, f in coefficients.items():
        party = parties[i]
        party._f = f
        party._own = dkg_proof.commit_to(f, at, i, Drbg("proof"))
        party._post(Commit(at.id, i, party._own.digest()))
    net = Net(parties)
    assert net.run() == {}
    for error in net.failed.values():
        assert "degenerate" in str(error)
        assert error.culprits == {}


# -- a broadcast channel that is none --


class Split(Net):
    """A broadcast channel that is none: server 2's messages of one step differ by receiver."""

    def __init__(self, parties, step, change, deceived, faults=None):
        super().__init__(parties, faults)
        self.split, self.change, self.deceived = step, change, deceived

    def broadcast(self, step, messages):
        for i, data in messages.items():
            for j, party in list(self.parties.items()):
                sent = data
                if (i, step) == (2, self.split) and j in self.deceived:
                    sent = self.change(data)
                if sent is not None and party.round < DkgRound.FAILED:
                    try:
                        party.receive(i, sent)
                    except (DecodeError, DkgError) as error:
                        self.refused.append((step, i, j, error))


@pytest.mark.parametrize(
    ("step", "change"),
    [("commit", silent), ("reveal", silent), ("complain", accuse(1)), ("confirm", other_transcript)],
    ids=["commit", "reveal", "complain", "confirm"],
)
@pytest.mark.parametrize("deceived", [(5,), (4, 5), (3, 4, 5), (1, 3, 4)])
def test_attack_equivocation_never_gives_two_results(step, change, deceived):
    """One faulty server of a 4-of-6 with f = 1 shows different things to different servers."""
    at = session(4, 6, corrupted=1)
    net = Split(participants(at), step, change, deceived)
    results = net.run()
    honest = {i: r for i, r in results.items() if i != 2}
    assert len({r.public for r in honest.values()}) <= 1
    assert len({r.public.transcript for r in honest.values()}) <= 1
    seen_right = {1, 3, 4, 5, 6} - set(deceived)
    if step == "confirm":
        assert set(honest) == {1, 3, 4, 5, 6}
        for i, result in honest.items():
            assert result.dissenting == ((2,) if i in deceived else ())
    elif step in ("commit", "reveal"):
        # Who was deceived accepts no message built on what it did not see; t equal views or none.
        assert set(honest) in (set(), seen_right, set(deceived))
        for i in set(honest):
            assert honest[i].dissenting
        for i in {1, 3, 4, 5, 6} - set(honest):
            assert "needed servers" in str(net.failed[i])
    if honest:
        check_issuing(honest, 4)


@pytest.mark.parametrize("change", [silent, wrong_justification])
@pytest.mark.parametrize("deceived", [(5,), (1, 3), (1, 3, 5)])
def test_attack_equivocation_in_a_justification(change, deceived):
    """Server 2 wrongs server 4 and justifies itself before some: they would count its secret, others not."""
    at = session(4, 6, corrupted=1)
    net = Split(participants(at), "justify", change, deceived, {(2, "share 4"): share_off_by_one})
    results = net.run()
    counted = {j: party for j, party in results.items() if j != 2}
    assert len({r.public for r in counted.values()}) <= 1
    if len(deceived) == 1:
        assert sorted(counted) == [1, 3, 4, 6]
        assert all(r.dissenting == (5,) for r in counted.values())
        check_issuing(counted, 4)
    assert not set(counted) & set(deceived)
    assert all("needed servers confirm" in str(net.failed[j]) for j in deceived)


# -- messages that are held up -----------------------------------------------------------------------


@pytest.mark.parametrize("stated", [0, 1], ids=["f = 0, which is not true", "f = 1"])
def test_attack_held_up_shares_do_not_cost_the_secret(stated):
    """One server listens, and somebody holds up what the honest ones send each other confidentially.

    Every complaint is honest.  Were all disputed shares published, they and the one that the listener got
    would be ``t`` of each polynomial: which is so where ``f`` was stated too low.
    """
    t, listener, others = 3, 4, (1, 2, 3)
    parties = participants(session(t, 4, corrupted=stated))
    secret = polynomial.evaluate(parties[listener]._f, 0)
    got = {i: polynomial.evaluate(parties[i]._f, listener) for i in others}  # by its private channel
    net = Net(parties, {(i, f"share {j}"): silent for i in others for j in others})
    results = net.run()
    published = {
        i: dict(Justifications.from_bytes(data).shares)
        for step, i, data in net.sent
        if step == "justify" and i != listener
    }
    if stated:
        assert published == {i: {} for i in others}
        assert all("1 of 3 needed servers are qualified" in str(net.failed[i]) for i in parties)
        assert all(net.failed[i].culprits == dict.fromkeys(others, "accused") for i in parties)
        return
    public = results[listener].public
    assert public.disqualified == ()
    for i, shares in published.items():
        known = {**shares, listener: got[i]}
        assert len(known) == t
        weights = polynomial.lagrange_at_zero(list(known))
        secret += sum(w * share for w, share in zip(weights, known.values(), strict=True))
    assert comb.p2_mul(secret % R).to_compressed_bytes() == public.Y


@pytest.mark.parametrize(("liars", "accused"), [((6, 7), ()), ((5, 6, 7), (1, 2, 3, 4))])
def test_false_complaints_of_f_servers_disqualify_nobody(liars, accused):
    """5-of-7 bears f = 2: two liars accuse everybody honest in vain; a third is more than was agreed on."""
    parties = participants(session(5, 7, corrupted=2))

    def accuse(data):
        return Complaints(data[2:34], data[34], (1, 2, 3, 4)).to_bytes()

    net = Net(parties, {(i, "complain"): accuse for i in liars})
    results = net.run()
    if accused:
        assert all(net.failed[i].culprits == dict.fromkeys(accused, "accused") for i in accused)
    else:
        assert one_public(results).disqualified == ()
