"""Key generation among servers: honest runs, steps and messages out of turn, results."""

import pickle

import pytest

from sottovoce.clsc import (
    DecodeError,
    DkgError,
    DkgParticipant,
    DkgPublic,
    EpochParams,
    Mode,
    ParameterError,
    RootKey,
    comb,
    deal,
    group,
    polynomial,
)
from sottovoce.clsc.dkg_board import Board, DkgRound
from sottovoce.clsc.dkg_messages import Complaints, Confirm, PrivateShare
from support.clsc_dkg import (
    Net,
    check_issuing,
    master_secret,
    one_public,
    other_transcript,
    participants,
    run,
    session,
    share_off_by_one,
    silent,
)
from support.clsc_world import NOT_AFTER

R = group.ORDER
TIMES = {"not_before": 0, "not_after": NOT_AFTER}


# -- honest runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "n"), [(1, 1), (2, 2), (2, 3), (3, 5), (5, 5)])
def test_honest_servers_agree_and_issue(t, n):
    root = RootKey.generate()
    results, net = run(session(t, n, root_public_key=root.public_key))
    assert not net.refused
    assert sorted(results) == list(range(1, n + 1))
    public = one_public(results)
    assert public.qualified == tuple(range(1, n + 1))
    assert public.disqualified == ()
    assert all(result.dissenting == () for result in results.values())
    check_issuing(results, t)
    params = public.sign(root, **TIMES)
    assert EpochParams.from_bytes(params.to_bytes(), root.public_key) == params
    for j, result in results.items():
        share = result.share(params)
        assert (share.index, share.params) == (j, params)


def test_secret_is_the_sum_of_all_secrets():
    at = session(3, 5)
    parties = participants(at)
    constants = [party._f[0] for party in parties.values()]
    results = Net(parties).run()
    assert master_secret(results, 3) % R == sum(constants) % R
    assert comb.p2_mul(sum(constants) % R).to_compressed_bytes() == one_public(results).Y


def test_runs_are_independent():
    at = session(2, 3)
    first, second = (Net({i: DkgParticipant(at, i) for i in (1, 2, 3)}).run() for _ in range(2))
    assert one_public(first).Y != one_public(second).Y
    assert one_public(first).transcript != one_public(second).transcript


def test_t_minus_one_shares_fit_every_secret():
    """What two of five servers hold of an honest one's polynomial fits any constant term."""
    party = participants(session(3, 5))[1]
    _, shares = advance(party, DkgRound.REVEAL)
    known = {j: PrivateShare.from_bytes(shares[j]).value for j in (2, 3)}
    for constant in (1, party._f[0] + 1, R - 1):
        # f(x) + (constant - f(0)) * (x - 2)(x - 3) / 6 agrees in 2 and 3 and has this constant term.
        other = [
            polynomial.evaluate(party._f, j) + (constant - party._f[0]) * (j - 2) * (j - 3) * pow(6, -1, R)
            for j in range(4)
        ]
        assert other[0] % R == constant % R
        assert [v % R for v in other[2:]] == [known[2], known[3]]


def advance(party, target):
    """An honest participant alone in its round: what it sends then."""
    out = None
    for step in ("reveal", "complain", "justify")[: target - 1]:
        out = getattr(party, step)()
    return out


def test_session_binds_everything():
    base = {"root_public_key": bytes(32), "mode": Mode.BLIND, "epoch": b"e", "threshold": 4, "servers": 5}
    others = [
        {"root_public_key": bytes(31) + b"\1"}, {"mode": Mode.TRACEABLE}, {"epoch": b"f"}, {"threshold": 5},
        {"servers": 6}, {"threshold": 5, "answers": 2}, {"corrupted": 1}, {"attempt": 2}, {"attempt": 0},
    ]  # fmt: skip
    ids = [session(**base).id, *(session(**{**base, **change}).id for change in others)]
    assert len(set(ids)) == len(others) + 1
    assert session(**base) == session(**base)
    for change in (
        {"root_public_key": bytes(31)}, {"epoch": b""}, {"threshold": 0}, {"threshold": 2}, {"servers": 65},
        {"answers": 0}, {"corrupted": 4}, {"attempt": -1}, {"attempt": 1 << 64},
    ):  # fmt: skip
        with pytest.raises(ParameterError):
            session(**{**base, **change})
    for change in (
        {"root_public_key": "0" * 32}, {"mode": "blind"}, {"epoch": "e"}, {"threshold": 4.0},
        {"attempt": "1"}, {"attempt": True},
    ):  # fmt: skip
        with pytest.raises(TypeError):
            session(**{**base, **change})


# -- duplicates, order, equivocation --------------------------------------------------------------


def test_same_message_again_changes_nothing_and_another_is_refused():
    at = session(2, 3)
    a, b = participants(at)[1], participants(at, "another")[2]
    real = participants(at)[2]
    a.receive(2, real.commit())
    a.receive(2, real.commit())
    a.receive(1, a.commit())
    with pytest.raises(DkgError, match="server 2 sent two different ones"):
        a.receive(2, b.commit())
    reveal, shares = real.reveal()
    a.reveal()
    a.receive(2, reveal)
    a.receive(2, reveal)
    for _ in range(2):
        a.receive_private(2, shares[1])
    with pytest.raises(DkgError, match="server 2 sent two different ones"):
        a.receive_private(2, share_off_by_one(shares[1]))
    with pytest.raises(DkgError, match="server 1 sent two different ones"):
        a.receive(1, real_as(reveal, 1))
    assert Complaints.from_bytes(a.complain()).accused == ()


def real_as(data, sender):
    return data[:34] + bytes([sender]) + data[35:]


def test_messages_of_another_round_sender_and_channel():
    at = session(2, 3)
    parties = participants(at)
    a, b = parties[1], parties[2]
    reveal, shares = participants(at)[2].reveal()
    for data, match in (
        (reveal, "reveal: received by broadcast in round commit"),
        (shares[1], "share: received by broadcast in round commit"),
        (real_as(b.commit(), 3), "says it is of server 3"),
    ):
        with pytest.raises(DkgError, match=match):
            a.receive(2, data)
    with pytest.raises(DkgError, match="received in round commit"):
        a.receive_private(2, shares[1])
    with pytest.raises(DecodeError, match="kind 1 expected, got 7"):
        a.receive(2, bytes([1, 7]) + b.commit()[2:])
    for sender, error in ((0, ParameterError), (4, ParameterError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="sender"):
            a.receive(sender, b.commit())
    with pytest.raises(TypeError):
        a.receive(2, "commit")
    a.receive(2, b.commit())
    a.reveal()
    with pytest.raises(DkgError, match="commit: received by broadcast in round reveal"):
        a.receive(3, parties[3].commit())
    with pytest.raises(DkgError, match="without a commitment"):
        a.receive(3, parties[3].reveal()[0])
    with pytest.raises(DkgError, match="share of server 2: for server 3"):
        a.receive_private(2, shares[3])
    with pytest.raises(DkgError, match="share of server 3: says it is of server 2"):
        a.receive_private(3, shares[1])
    with pytest.raises(DkgError, match="for server 1"):
        a.receive_private(1, real_as(shares[1], 1))
    with pytest.raises(DecodeError):
        a.receive_private(2, reveal)
    with pytest.raises(TypeError):
        a.receive_private(2, None)
    with pytest.raises(ParameterError):
        a.receive_private(9, shares[1])
    foreign = participants(session(2, 3, attempt=9))[2].reveal()[1][1]
    with pytest.raises(DkgError, match="another session"):
        a.receive_private(2, foreign)
    # After all these refusals the run goes on as if they had not been.
    a.receive(2, reveal)
    a.receive_private(2, shares[1])
    assert Complaints.from_bytes(a.complain()).accused == ()


def test_steps_out_of_turn_change_nothing_and_repeats_are_equal():
    parties = participants(session(2, 2))
    net = Net(dict(parties))
    steps = ["commit", "reveal", "complain", "justify", "confirm", "finish"]
    for k, step in enumerate(steps):
        for party in parties.values():
            for other in steps[: max(k - 1, 0)] + steps[max(k, 1) + 1 :]:
                with pytest.raises(DkgError, match=f"{other}: called in round"):
                    getattr(party, other)()
        if step == "finish":
            break
        made = net.step(step)
        assert made == net.step(step)
        if step == "reveal":
            for i, (data, shares) in made.items():
                for j, share in shares.items():
                    parties[j].receive_private(i, share)
                made[i] = data
        net.broadcast(step, made)
    results = net.step("finish")
    assert not net.refused
    check_issuing(results, 2)
    for party in parties.values():
        for step in steps:
            with pytest.raises(DkgError, match="round finished"):
                getattr(party, step)()
        with pytest.raises(DkgError, match="round finished"):
            party.receive(1, bytes(67))


def test_late_confirmations_finish_after_all():
    at = session(2, 3)
    parties = participants(at)
    net = Net(dict(parties))
    net.broadcast("commit", net.step("commit"))
    made = net.step("reveal")
    for i, (_, shares) in made.items():
        for j, data in shares.items():
            parties[j].receive_private(i, data)
    net.broadcast("reveal", {i: data for i, (data, _) in made.items()})
    for step in ("complain", "justify"):
        net.broadcast(step, net.step(step))
    confirms = net.step("confirm")
    with pytest.raises(DkgError, match="1 of 2 needed servers confirm"):
        parties[1].finish()
    parties[1].receive(2, other_transcript(confirms[2]))
    with pytest.raises(DkgError, match=r"others: \[2\]"):
        parties[1].finish()
    parties[1].receive(3, confirms[3])
    result = parties[1].finish()
    assert result.dissenting == (2,)


# -- results --------------------------------------------------------------------------------------


def test_share_fits_only_the_parameters_of_its_run():
    root = RootKey.generate()
    at = session(3, 5, root_public_key=root.public_key)
    results, _ = run(at)
    public = one_public(results)
    params = public.sign(root, **TIMES)
    other, _ = run(session(3, 5, root_public_key=root.public_key, epoch=b"f"), seed="other")
    for wrong in (
        one_public(other).sign(root, **TIMES),
        deal(root, Mode.BLIND, b"g", **TIMES, threshold=3, servers=5)[0].params,
        root.sign_params(Mode.IDENTITY, at.epoch, public.Y, public.Y_servers, **TIMES, threshold=3),
        RootKey.generate().sign_params(at.mode, at.epoch, public.Y, public.Y_servers, **TIMES, threshold=3),
    ):
        with pytest.raises(ParameterError, match="not those of this key generation"):
            results[1].share(wrong)
    with pytest.raises(TypeError):
        results[1].share(params.to_bytes())
    with pytest.raises(ParameterError, match="not the root key"):
        public.sign(RootKey.generate(), **TIMES)
    assert results[1].share(params).params == params


def test_public_result_round_trip_and_refusals():
    at = session()
    results, _ = run(at, {(2, "commit"): silent, (4, "reveal"): silent})
    public = one_public(results)
    data = public.to_bytes()
    assert len(data) == 203 + 2 * 2 + 100 * 5
    assert DkgPublic.from_bytes(data, at) == public
    assert public.qualified == (1, 3, 5)
    head = data.index(bytes([0, 0, 0, 4, 2, 1, 4, 2]))
    broken = [
        data[:-1], data + b"\0", b"", data[:100], data[:-100], data.replace(b"PUBLIC", b"PUBLIK"),
        data[:head] + bytes([0, 0, 0, 4, 4, 2, 2, 1]) + data[head + 8 :],  # descending
        data[:head] + bytes([0, 0, 0, 4, 2, 1, 2, 2]) + data[head + 8 :],  # one twice
        data[:head] + bytes([0, 0, 0, 4, 0, 1, 4, 2]) + data[head + 8 :],
        data[:head] + bytes([0, 0, 0, 4, 2, 1, 6, 2]) + data[head + 8 :],
        data[:head] + bytes([0, 0, 0, 4, 2, 0, 4, 2]) + data[head + 8 :],  # unknown reason
        data[:head] + bytes([0, 0, 0, 4, 2, 1, 4, 5]) + data[head + 8 :],
        data[:head] + bytes([0, 0, 0, 3, 2, 1, 4]) + data[head + 8 :],
        data[:head] + bytes([0, 0, 0, 6, 2, 1, 4, 2, 5, 2]) + data[head + 8 :],  # two qualified
        data[:-96] + b"\xc0" + bytes(95),
        data[: head + 12] + b"\xc0" + bytes(95) + data[head + 108 :],
    ]  # fmt: skip
    for bad in broken:
        with pytest.raises(DecodeError):
            DkgPublic.from_bytes(bad, at)
    with pytest.raises(DecodeError, match="another session"):
        DkgPublic.from_bytes(data, session(attempt=2))
    with pytest.raises(TypeError):
        DkgPublic.from_bytes(data.hex(), at)
    with pytest.raises(TypeError):
        DkgPublic.from_bytes(data, at.id)


def test_observer_gets_the_same_public_result():
    """The board is a function of what was broadcast: whoever signs can follow the run."""
    at = session()
    results, net = run(at, {(2, "share 4"): share_off_by_one, (3, "commit"): silent})
    board = Board(at)
    rounds = dict(zip(("commit", "reveal", "complain", "justify", "confirm"), list(DkgRound), strict=False))
    for step, i, data in net.sent:
        if step in rounds:
            board.round = rounds[step]
            try:
                board.receive(i, data)
            except DkgError:
                assert i == 3
    public = board.result()
    assert public == one_public(results)
    assert board.confirmations(public.transcript) == ((1, 2, 3, 4, 5), ())


def test_participant_arguments():
    at = session()
    for index in (0, 6, -1):
        with pytest.raises(ParameterError, match="index"):
            DkgParticipant(at, index)
    with pytest.raises(TypeError):
        DkgParticipant(at, "1")
    with pytest.raises(TypeError):
        DkgParticipant(at.id, 1)


def test_secrets_are_dropped_and_not_shown():
    at = session(2, 2)
    parties = participants(at)
    coefficients = {i: list(p._f) for i, p in parties.items()}
    shares = {i: p._f and polynomial.evaluate(p._f, 3 - i) for i, p in parties.items()}
    net = Net(dict(parties))
    for party in parties.values():
        assert "round commit" in repr(party)
    results = net.run()
    for i, party in parties.items():
        assert party._f == []
        assert party._shares == {}
        assert party._s == 0
        numbers = [*coefficients[i], shares[i], results[i]._s]
        for text in (repr(party), repr(results[i]), repr(results[i].public), repr(at)):
            assert not any(str(n) in text or f"{n:x}" in text for n in numbers)
        for secret in (party, results[i]):
            with pytest.raises(TypeError, match="secret"):
                pickle.dumps(secret)
        with pytest.raises(AttributeError):
            results[i]._s = 5
        with pytest.raises(AttributeError):
            del results[i].public
    assert pickle.loads(pickle.dumps(results[1].public)) == results[1].public
    assert "DkgParticipant" in repr(DkgParticipant.__new__(DkgParticipant))
    share = PrivateShare(at.id, 1, 2, 12345)
    assert "12345" not in repr(share)
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(share)


def test_confirm_says_the_transcript():
    results, net = run(session())
    for step, _, data in net.sent:
        if step == "confirm":
            assert Confirm.from_bytes(data).transcript == one_public(results).transcript
