"""What each method of a store promises, in memory and on disk."""

import threading
from collections import Counter

import pytest

from sottovoce.fl import (
    Accepted,
    Binding,
    MemoryAggregatorStore,
    MemoryMemberStore,
    MemoryOutbox,
    ProtocolError,
    Reason,
    Sent,
    SqliteAggregatorStore,
    SqliteMemberStore,
    SqliteOutbox,
    Step,
    StepKind,
)

H = [bytes([i]) * 32 for i in range(8)]


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def race(n, call):
    """``call(i)`` from n threads at once; what each returned, or the reason of its refusal."""
    barrier, results = threading.Barrier(n), [None] * n

    def run(i):
        barrier.wait(10)
        try:
            results[i] = call(i)
        except ProtocolError as error:
            results[i] = error.reason

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture(params=["memory", "disk"])
def make(request, tmp_path):
    """``make(MemoryStore, SqliteStore)``: a new empty store of the kind of this run."""
    opened = []

    def make(memory, on_disk):
        if request.param == "memory":
            return memory()
        opened.append(on_disk(tmp_path / f"{len(opened)}.sqlite"))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def box(make):
    return make(MemoryOutbox, SqliteOutbox)


@pytest.fixture
def member_store(make):
    return make(MemoryMemberStore, SqliteMemberStore)


@pytest.fixture
def aggregator_store(make):
    return make(MemoryAggregatorStore, SqliteAggregatorStore)


def sent(round_id, model=H[7], digests=(H[6],), packet=b"packet"):
    return Sent(round_id, b"p" * 16, model, frozenset(digests), H[5], packet)


class TestOutbox:
    def test_finds_by_round(self, box):
        assert box.find(H[0]) is None
        a, b = sent(H[0]), sent(H[1], model=H[4], digests=[H[3]])
        box.put(a)
        box.put(b)
        assert (box.find(H[0]), box.find(H[1]), box.find(H[2])) == (a, b, None)

    @pytest.mark.parametrize("allow", [False, True])
    def test_the_first_of_a_round_stays(self, box, allow):
        box.put(sent(H[0], packet=b"first"))
        again = lambda: box.put(sent(H[0], H[1], [H[2]], b"second"), allow_retrained=allow)  # noqa: E731
        assert reason(again) is Reason.SEALED
        assert box.find(H[0]).packet == b"first"

    def refused(self, box, new, allow, expected):
        """``check`` says it before, ``put`` says it too, and nothing is kept."""
        check = lambda: box.check(new.model, new.update_digests, allow_retrained=allow)  # noqa: E731
        assert reason(check) is expected
        with pytest.raises(ProtocolError) as caught:
            box.put(new, allow_retrained=allow)
        assert caught.value.reason is expected
        assert caught.value.round_id == new.header_hash
        assert box.find(new.header_hash) is None

    def test_one_update_a_model(self, box):
        box.put(sent(H[0], digests=[H[1]]))
        other = sent(H[1], digests=[H[2]])
        self.refused(box, other, False, Reason.MODEL_REUSED)
        self.refused(box, sent(H[1], digests=[H[1]]), False, Reason.MODEL_REUSED)
        self.refused(box, sent(H[1], digests=[H[1]]), True, Reason.UPDATE_REUSED)
        box.check(other.model, other.update_digests, allow_retrained=True)
        box.put(other, allow_retrained=True)
        assert (box.find(H[0]).update_digests, box.find(H[1])) == ({H[1]}, other)

    @pytest.mark.parametrize("allow", [False, True])
    def test_one_digest_in_common_with_any_model_is_enough(self, box, allow):
        box.put(sent(H[0], model=H[7], digests=[H[1], H[2]]))
        box.put(sent(H[1], model=H[6], digests=[H[3], H[4]]))
        for digests in ([H[1], H[2]], [H[1], H[0]], [H[0], H[2]], [H[3], H[0]], [H[0], H[4]]):
            self.refused(box, sent(H[2], model=H[5], digests=digests), allow, Reason.UPDATE_REUSED)
        box.put(sent(H[2], model=H[5], digests=[H[5], H[6]]), allow_retrained=allow)

    def test_a_discarded_packet_was_sent_all_the_same(self, box):
        box.discard(H[0])  # there is none
        box.put(sent(H[0], digests=[H[1]]))
        box.put(sent(H[1], model=H[4], digests=[H[2]]))
        for _ in range(2):
            box.discard(H[0])
        assert box.find(H[0]) == sent(H[0], digests=[H[1]], packet=b"")
        assert box.find(H[1]).packet == b"packet"
        self.refused(box, sent(H[2], digests=[H[3]]), False, Reason.MODEL_REUSED)
        self.refused(box, sent(H[2], model=H[3], digests=[H[1]]), True, Reason.UPDATE_REUSED)
        assert reason(lambda: box.put(sent(H[0], model=H[3], digests=[H[3]]))) is Reason.SEALED

    def test_to_ask_keeps_nothing(self, box):
        new = sent(H[0])
        for _ in range(2):
            box.check(new.model, new.update_digests)
        assert box.find(H[0]) is None
        box.put(new)

    @pytest.mark.parametrize(
        ("same", "expected"),
        [
            ("round", Reason.SEALED),
            ("model", Reason.MODEL_REUSED),
            ("update", Reason.UPDATE_REUSED),
        ],
    )
    def test_exactly_one_of_many_threads_wins(self, box, same, expected):
        def put(i):
            round_id, model, digest = (H[7 if same == part else i] for part in ("round", "model", "update"))
            box.put(sent(round_id, model, [digest, bytes([100 + i]) * 32]))

        assert Counter(race(7, put)) == {None: 1, expected: 6}


class TestMemberStore:
    def test_one_header_an_aggregator_epoch_and_number(self, member_store):
        store = member_store
        store.sign_header(b"a", b"e", 1, H[0])
        store.sign_header(b"a", b"e", 1, H[0])
        assert reason(lambda: store.sign_header(b"a", b"e", 1, H[1])) is Reason.OTHER_HEADER
        for other in ((b"b", b"e", 1), (b"a", b"f", 1), (b"a", b"e", 2)):
            store.sign_header(*other, H[1])
        store.sign_header(b"a", b"e", 1, H[0])

    def test_who_answered_one_view_signs_no_other(self, member_store):
        """Its signature would make clients seal for a round that it cannot answer."""
        store = member_store
        store.sign_header(b"first", b"e", 1, H[0])
        store.bind(b"e", 1, Binding(H[0], H[5], H[6]))
        store.sign_header(b"first", b"e", 1, H[0])
        assert reason(lambda: store.sign_header(b"second", b"e", 1, H[1])) is Reason.BOUND
        assert reason(lambda: store.sign_header(b"first", b"e", 1, H[1])) is Reason.OTHER_HEADER
        store.sign_header(b"second", b"e", 2, H[1])  # what was refused used nothing up
        store.sign_header(b"second", b"f", 1, H[2])

    def test_one_binding_an_epoch_and_number_and_its_first_answer(self, member_store):
        store = member_store
        binding = Binding(H[0], H[1], H[2])
        assert store.bind(b"e", 1, binding) is None
        assert store.bind(b"e", 1, binding) is None  # a crash before the answer was kept
        assert store.keep_answer(b"e", 1, binding, b"first") == b"first"
        assert store.keep_answer(b"e", 1, binding, b"second") == b"first"
        assert store.bind(b"e", 1, binding) == b"first"
        for other in (Binding(H[3], H[1], H[2]), Binding(H[0], H[3], H[2]), Binding(H[0], H[1], H[3])):
            assert reason(lambda o=other: store.bind(b"e", 1, o)) is Reason.BOUND
        assert store.bind(b"e", 1, binding) == b"first"
        assert store.bind(b"e", 2, binding) is None
        assert store.bind(b"f", 1, binding) is None

    def test_exactly_one_of_many_threads_wins(self, member_store):
        store = member_store
        results = Counter(race(8, lambda i: store.sign_header(b"a", b"e", 1, H[i])))
        assert results == {None: 1, Reason.OTHER_HEADER: 7}
        results = Counter(race(8, lambda i: store.bind(b"e", 1, Binding(H[i], H[0], H[0]))))
        assert results == {None: 1, Reason.BOUND: 7}
        last = store.last_binding(b"e", 1)
        kept = race(8, lambda i: store.keep_answer(b"e", 1, last, bytes([i])))
        assert len(set(kept)) == 1
        follow = lambda i: store.bind(b"e", 1, Binding(H[i], H[1], H[1]), replaces=last)  # noqa: E731
        assert Counter(race(8, follow)) == {None: 1, Reason.BOUND: 7}

    def test_a_chain_grows_only_at_its_end(self, member_store):
        store = member_store
        first, second, third = (Binding(H[0], H[i], H[i]) for i in (1, 2, 3))
        assert store.last_binding(b"e", 1) is None
        assert reason(lambda: store.bind(b"e", 1, second, replaces=first)) is Reason.BOUND
        store.bind(b"e", 1, first)
        store.keep_answer(b"e", 1, first, b"to the first")
        assert reason(lambda: store.bind(b"e", 1, second)) is Reason.BOUND
        assert store.bind(b"e", 1, second, replaces=first) is None
        assert store.last_binding(b"e", 1) == second
        assert store.find_answer(b"e", 1, second) is None
        for replaces in (None, first, third):
            assert reason(lambda r=replaces: store.bind(b"e", 1, third, replaces=r)) is Reason.BOUND
        store.keep_answer(b"e", 1, second, b"to the second")
        # What was bound stays bound, and keeps its bytes; asking again for it does not lengthen the chain.
        assert store.bind(b"e", 1, first) == b"to the first"
        assert store.find_answer(b"e", 1, first) == b"to the first"
        assert store.bind(b"e", 1, second, replaces=first) == b"to the second"
        assert store.last_binding(b"e", 1) == second
        assert store.last_binding(b"e", 2) is None


class TestAggregatorStore:
    def record(self, i, packet=b"packet"):
        return Accepted(bytes([i]) * 16, H[i], packet, b"update %d" % i)

    def test_a_number_is_used_for_one_header(self, aggregator_store):
        store = aggregator_store
        store.open_round(b"e", 1, H[0])
        store.open_round(b"e", 1, H[0])
        assert reason(lambda: store.open_round(b"e", 1, H[1])) is Reason.OTHER_HEADER
        store.open_round(b"e", 2, H[1])
        store.erase(H[0])
        assert reason(lambda: store.open_round(b"e", 1, H[1])) is Reason.OTHER_HEADER

    def test_keeps_what_was_accepted_by_round(self, aggregator_store):
        store = aggregator_store
        for i in range(3):
            store.accept(H[0], self.record(i))
        store.accept(H[1], self.record(5))
        assert [a.pid[0] for a in store.accepted(H[0])] == [0, 1, 2]
        assert store.update(H[0], bytes([1]) * 16) == b"update 1"
        assert list(store.accepted(H[2])) == []
        iterator = store.accepted(H[0])
        store.accept(H[0], self.record(4))  # does not disturb one who is reading
        assert len(list(iterator)) == 3
        store.erase(H[0])
        assert list(store.accepted(H[0])) == []
        assert len(list(store.accepted(H[1]))) == 1

    def test_keeps_the_first_different_packet_as_evidence(self, aggregator_store):
        store = aggregator_store
        store.equivocated(H[0], b"p" * 16, b"first")
        store.equivocated(H[0], b"p" * 16, b"second")
        assert store.evidence(H[0]) == {b"p" * 16: b"first"}
        assert store.evidence(H[1]) == {}
        store.erase(H[0])
        assert store.evidence(H[0]) == {}

    def test_finds_the_round_of_a_number(self, aggregator_store):
        store = aggregator_store
        assert store.find_round(b"e", 1) is None
        store.open_round(b"e", 1, H[0])
        assert (store.find_round(b"e", 1), store.find_round(b"e", 2), store.find_round(b"f", 1)) == (
            H[0],
            None,
            None,
        )

    def test_keeps_the_steps_in_order(self, aggregator_store):
        store = aggregator_store
        steps = (
            Step(StepKind.CLOSED, data=b"set"),
            Step(StepKind.CHECK, 3, b"check"),
            Step(StepKind.CHECK, 1, b""),
            Step(StepKind.CHECK, 3, b"check"),
            Step(StepKind.OPENED),
        )
        for step in steps:
            store.note(H[0], step)
            store.note(H[1], Step(StepKind.ANSWER, 2, b"answer"))
        assert store.steps(H[0]) == steps
        assert len(store.steps(H[1])) == 5
        assert store.steps(H[2]) == ()
        for _ in range(2):
            store.erase(H[0])
            assert store.steps(H[0]) == (Step(StepKind.ERASED),)
        assert len(store.steps(H[1])) == 5

    def test_keeps_the_first_conviction_of_a_sender(self, aggregator_store):
        store = aggregator_store
        store.convict(H[0], b"p" * 16, b"first")
        store.convict(H[0], b"p" * 16, b"second")
        assert store.convictions(H[0]) == {b"p" * 16: b"first"}
        assert store.convictions(H[1]) == {}
        store.erase(H[0])
        assert store.convictions(H[0]) == {}

    def test_exactly_one_of_many_threads_wins(self, aggregator_store):
        store = aggregator_store
        results = Counter(race(8, lambda i: store.open_round(b"e", 1, H[i])))
        assert results == {None: 1, Reason.OTHER_HEADER: 7}
        race(8, lambda i: store.accept(H[0], self.record(i)))
        assert len(list(store.accepted(H[0]))) == 8

    def test_records_show_no_content(self):
        assert "secret" not in repr(Accepted(b"p" * 16, H[0], b"secret", b"secret"))
        assert "secret" not in repr(sent(H[0], digests=[b"secret"], packet=b"secret"))
