"""A round that goes on after a restart: from every state, over every kind of store, to the same end."""

import numpy as np
import pytest

from sottovoce.fl import (
    CloseRequest,
    MemoryAggregatorStore,
    ParameterError,
    ProtocolError,
    Reason,
    SqliteAggregatorStore,
    SqliteMemberStore,
    SqliteOutbox,
    State,
    Step,
    StepKind,
    StoreError,
    revocation_digest,
)
from sottovoce.fl.simulate import Simulation
from support.fl_federation import MODEL, NOW, craft, update_of


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


@pytest.fixture(params=["memory", "disk"])
def reopened(request, tmp_path):
    """``reopened()``: the store of this test as a new process would find it."""
    store = MemoryAggregatorStore() if request.param == "memory" else None
    opened = []

    def reopen():
        if store is not None:
            return store
        for old in opened:
            old.close()
        opened.append(SqliteAggregatorStore(tmp_path / "aggregator.sqlite"))
        return opened[-1]

    yield reopen
    for old in opened:
        old.close()


@pytest.fixture
def restart(fed, sealed, reopened):
    """``restart()``: the aggregator of a new process."""
    return lambda **options: fed.aggregator(sealed.signed, store=reopened(), **options)


def test_restarted_after_every_step(sealed, restart):
    members = sealed.members()
    aggregator = restart()
    for packet in sealed.packets:
        aggregator.receive_packet(packet)
        aggregator.process()
        aggregator = restart()
    assert aggregator.state is State.COLLECTING
    first = aggregator.close()
    agreed = {j: CloseRequest.from_bytes(first[j], sealed.header, j).agreed for j in first}
    for j in members:
        aggregator = restart()
        assert (aggregator.state, aggregator.checked) == (State.CLOSING, tuple(range(1, j)))
        again = aggregator.requests()
        assert {i: CloseRequest.from_bytes(again[i], sealed.header, i).agreed for i in again} == agreed
        aggregator.receive_check(j, members[j].check(sealed.signed, again[j]))
    aggregator = restart()
    aggregator.settle()
    early = members[1].answer(sealed.signed, first[1])
    for j in members:
        aggregator = restart()
        assert (aggregator.state, aggregator.answered) == (State.ANSWERING, tuple(range(1, j)))
        answer = members[j].answer(sealed.signed, aggregator.requests()[j])
        assert j != 1 or answer == early  # signed anew, and the same set: the identical bytes
        aggregator.receive_answer(j, answer)
    result = restart().open()
    for _ in range(2):
        aggregator = restart()
        assert aggregator.state is State.DONE
        assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
        same = aggregator.open()
        assert same.to_bytes(sealed.header, sealed.fed.aggregator_keys)
        assert (same.agreed, same.entries, same.total_weight) == (
            result.agreed,
            result.entries,
            result.total_weight,
        )
        assert np.array_equal(same.mean, result.mean)
        assert reason(aggregator.erase) is Reason.AUDIT
    restart(now=sealed.header.audit_deadline + 1).erase()
    aggregator = restart()
    assert (aggregator.state, aggregator.accepted) == (State.ERASED, ())
    for call in (aggregator.open, aggregator.requests, aggregator.close):
        assert reason(call) is Reason.STATE
    assert reason(lambda: aggregator.receive_packet(sealed.packets[0])) is Reason.STATE


def test_who_was_dropped_stays_dropped(fed, sealed, restart):
    cheat = craft(fed, sealed.header, fed.client_keys[9], spoiled_for=[2, 3])[0]
    members = sealed.members()
    aggregator = restart()
    for packet in [*sealed.packets, cheat]:
        aggregator.receive_packet(packet)
    requests = aggregator.close()
    for j in members:
        aggregator.receive_check(j, members[j].check(sealed.signed, requests[j]))
    settled = aggregator.settle()
    assert fed.pids[9] not in aggregator.accepted
    aggregator = restart()
    assert aggregator.state is State.ANSWERING
    assert aggregator.accepted == tuple(sorted(sealed.pids))
    assert aggregator.refused[Reason.BAD_SHARES] == 1
    again = aggregator.requests()
    assert again.keys() == settled.keys()
    for j, request in again.items():
        aggregator.receive_answer(j, members[j].answer(sealed.signed, request))
    aggregator.open()
    assert np.array_equal(restart().opened_sum, sealed.sum_of(sealed.pids))


def test_a_new_revocation_does_not_keep_a_round_from_going_on(fed, sealed, restart):
    aggregator = restart()
    for packet in sealed.packets:
        aggregator.receive_packet(packet)
    aggregator.close()
    trust = fed.trust(revoked=[fed.pids[11]])
    assert sealed.header.revoked != revocation_digest(trust.revoked)
    assert restart(trust=trust).state is State.CLOSING
    other = fed.sign(fed.header(round_number=2))
    assert reason(lambda: fed.aggregator(other, store=restart()._store, trust=trust)) is Reason.POLICY


@pytest.mark.parametrize(
    "steps",
    [
        [Step(StepKind.CLOSED, data=bytes(64))],
        [Step(StepKind.CHECK, 1, b"no check")],
        [Step(StepKind.ANSWER, 1, b"no answer")],
        [Step(StepKind.SETTLED, data=bytes(64))],
    ],
    ids=lambda steps: steps[0].kind,
)
def test_steps_that_do_not_fit_what_is_held_are_an_error(sealed, restart, reopened, steps):
    aggregator = restart()
    for packet in sealed.packets:
        aggregator.receive_packet(packet)
    aggregator.process()
    store = reopened()
    for step in steps:
        store.note(sealed.header.hash, step)
    with pytest.raises(StoreError):
        restart()


def test_a_packet_missing_from_a_fixed_set_is_an_error(fed, sealed, tmp_path):
    """Never a sum of fewer than the members answered for."""
    path = tmp_path / "a.sqlite"
    with SqliteAggregatorStore(path) as store:
        sealed.aggregator(store=store).close()
        with store._file.changing() as db:
            db.execute("DELETE FROM accepted WHERE pid = ?", (sealed.pids[2],))
        with pytest.raises(StoreError, match="not the set that was fixed"):
            fed.aggregator(sealed.signed, store=store)


class _Failing(MemoryAggregatorStore):
    """Cannot note anything at the moment."""

    broken = False

    def note(self, header_hash, step):
        if self.broken:
            raise OSError("the disk is full")
        super().note(header_hash, step)


def test_a_step_that_cannot_be_noted_does_not_happen(fed, sealed):
    store, members = _Failing(), sealed.members()
    cheat = craft(fed, sealed.header, fed.client_keys[9], bad_for=[2, 3])[0]
    aggregator = sealed.aggregator([*sealed.packets, cheat], store=store)

    def fails(call):
        before = (aggregator.state, aggregator.accepted, aggregator.checked, aggregator.answered)
        store.broken = True
        with pytest.raises(OSError, match="full"):
            call()
        store.broken = False
        assert before == (aggregator.state, aggregator.accepted, aggregator.checked, aggregator.answered)
        return call()

    requests = fails(aggregator.close)
    for j in members:
        reply = members[j].check(sealed.signed, requests[j])
        fails(lambda j=j, reply=reply: aggregator.receive_check(j, reply))
    for j, request in fails(aggregator.settle).items():
        answer = members[j].answer(sealed.signed, request)
        fails(lambda j=j, answer=answer: aggregator.receive_answer(j, answer))
    fails(aggregator.open)
    assert np.array_equal(aggregator.opened_sum, sealed.sum_of(sealed.pids))
    assert fed.aggregator(sealed.signed, store=store).state is State.DONE


def test_a_member_on_disk_answers_one_set_whatever_happens_to_its_process(fed, sealed, tmp_path):
    path = tmp_path / "member.sqlite"

    def member(**options):
        return fed.member(3, **options)

    with SqliteMemberStore(path) as store:
        answer = member(store=store).answer(sealed.signed, sealed.request(3))
    with SqliteMemberStore(path) as store:
        again = member(store=store)
        assert again.answer(sealed.signed, sealed.request(3)) == answer
        others = lambda: again.answer(sealed.signed, sealed.request(3, [0, 1, 2, 3]))  # noqa: E731
        assert reason(others) is Reason.BOUND
        other_header = fed.sign(fed.header(clip=0.25))
        assert reason(lambda: again.cosign(other_header)) is Reason.OTHER_HEADER


def test_a_client_on_disk_sends_the_same_packet_again(fed, tmp_path):
    path, header = tmp_path / "outbox.sqlite", fed.header()
    signed = fed.sign(header)
    with SqliteOutbox(path) as outbox:
        client = fed.client(1, outbox=outbox)
        assert reason(lambda: client.resend(signed)) is Reason.UNSEALED
        packet = client.seal(signed, MODEL, update_of(1)).packet
    with SqliteOutbox(path) as outbox:
        client = fed.client(1, outbox=outbox)
        assert client.resend(signed).packet == packet
        assert client.seal(signed, MODEL, update_of(2)).packet == packet  # trained again meanwhile
        assert reason(lambda: fed.client(2, outbox=outbox).resend(signed)) is Reason.SEALED
        second = fed.sign(fed.header(round_number=2))
        assert reason(lambda: client.seal(second, MODEL, update_of(2))) is Reason.MODEL_REUSED
        late = fed.client(1, outbox=outbox, now=NOW + 3600 + 121)
        assert reason(lambda: late.resend(signed)) is Reason.DEADLINE
        outbox.discard(header.hash)
        for call in (lambda: client.resend(signed), lambda: client.seal(signed, MODEL, update_of(1))):
            assert reason(call) is Reason.SEALED


def test_a_simulation_in_a_folder_is_exact_and_leaves_every_role_its_file(tmp_path):
    template = [np.zeros((5, 8), np.float32), np.zeros(10)]
    updates = {i: ([np.full(a.shape, i / 8, a.dtype) for a in template], 1 + i) for i in range(3)}
    with Simulation(template, 3, clip=1.0, min_contributors=3, n_members=4, folder=tmp_path) as simulation:
        for round_number in (1, 2):
            model = [np.full_like(a, round_number) for a in template]
            trained = {i: ([a + round_number / 9 for a in u], n) for i, (u, n) in updates.items()}
            assert simulation.run_round(model, trained).exact
    names = {p.name for p in tmp_path.glob("*.sqlite")}
    assert names == {
        "aggregator.sqlite",
        *(f"client-{i}.sqlite" for i in range(3)),
        *(f"member-{j}.sqlite" for j in range(1, 5)),
    }
    assert len(list((tmp_path / "aggregator.sqlite.spool").iterdir())) == 6
    with pytest.raises(ParameterError, match="empty"):
        Simulation(template, 3, clip=1.0, min_contributors=3, folder=tmp_path)
