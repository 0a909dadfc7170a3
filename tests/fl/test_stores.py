"""What each method of a store promises; a store on disk will have to pass the same."""

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


def sent(round_id, model=H[7], digest=H[6], packet=b"packet"):
    return Sent(round_id, b"p" * 16, model, digest, H[5], packet)


class TestOutbox:
    def test_finds_by_round_and_by_model(self):
        box = MemoryOutbox()
        assert box.find(H[0]) is None
        assert box.for_model(H[7]) == ()
        a, b = sent(H[0]), sent(H[1], model=H[4])
        box.put(a)
        box.put(b)
        assert (box.find(H[0]), box.find(H[1]), box.find(H[2])) == (a, b, None)
        assert box.for_model(H[7]) == (a,)

    @pytest.mark.parametrize("allow", [False, True])
    def test_the_first_of_a_round_stays(self, allow):
        box = MemoryOutbox()
        box.put(sent(H[0], packet=b"first"))
        again = lambda: box.put(sent(H[0], H[1], H[2], b"second"), allow_retrained=allow)  # noqa: E731
        assert reason(again) is Reason.SEALED
        assert box.find(H[0]).packet == b"first"

    def test_one_update_a_model(self):
        box = MemoryOutbox()
        box.put(sent(H[0], digest=H[1]))
        assert reason(lambda: box.put(sent(H[1], digest=H[2]))) is Reason.MODEL_REUSED
        same = lambda: box.put(sent(H[1], digest=H[1]), allow_retrained=True)  # noqa: E731
        assert reason(same) is Reason.MODEL_REUSED
        assert box.find(H[1]) is None
        box.put(sent(H[1], digest=H[2]), allow_retrained=True)
        assert len(box.for_model(H[7])) == 2

    def test_exactly_one_of_many_threads_wins(self):
        for same_round in (True, False):
            box = MemoryOutbox()
            put = lambda i: box.put(sent(H[0] if same_round else H[i], digest=H[i]))  # noqa: B023, E731
            results = Counter(race(7, put))
            assert results[None] == 1
            assert results[Reason.SEALED if same_round else Reason.MODEL_REUSED] == 6


class TestMemberStore:
    def test_one_header_an_aggregator_epoch_and_number(self):
        store = MemoryMemberStore()
        store.sign_header(b"a", b"e", 1, H[0])
        store.sign_header(b"a", b"e", 1, H[0])
        assert reason(lambda: store.sign_header(b"a", b"e", 1, H[1])) is Reason.OTHER_HEADER
        for other in ((b"b", b"e", 1), (b"a", b"f", 1), (b"a", b"e", 2)):
            store.sign_header(*other, H[1])
        store.sign_header(b"a", b"e", 1, H[0])

    def test_one_binding_an_epoch_and_number_and_its_first_answer(self):
        store = MemoryMemberStore()
        binding = Binding(H[0], H[1], H[2])
        assert store.bind(b"e", 1, binding) is None
        assert store.bind(b"e", 1, binding) is None  # a crash before the answer was kept
        assert store.keep_answer(b"e", 1, b"first") == b"first"
        assert store.keep_answer(b"e", 1, b"second") == b"first"
        assert store.bind(b"e", 1, binding) == b"first"
        for other in (Binding(H[3], H[1], H[2]), Binding(H[0], H[3], H[2]), Binding(H[0], H[1], H[3])):
            assert reason(lambda o=other: store.bind(b"e", 1, o)) is Reason.BOUND
        assert store.bind(b"e", 1, binding) == b"first"
        assert store.bind(b"e", 2, binding) is None
        assert store.bind(b"f", 1, binding) is None

    def test_exactly_one_of_many_threads_wins(self):
        store = MemoryMemberStore()
        results = Counter(race(8, lambda i: store.sign_header(b"a", b"e", 1, H[i])))
        assert results == {None: 1, Reason.OTHER_HEADER: 7}
        results = Counter(race(8, lambda i: store.bind(b"e", 1, Binding(H[i], H[0], H[0]))))
        assert results == {None: 1, Reason.BOUND: 7}
        kept = race(8, lambda i: store.keep_answer(b"e", 1, bytes([i])))
        assert len(set(kept)) == 1


class TestAggregatorStore:
    def record(self, i, packet=b"packet"):
        return Accepted(bytes([i]) * 16, H[i], packet, b"update %d" % i)

    def test_a_number_is_used_for_one_header(self):
        store = MemoryAggregatorStore()
        store.open_round(b"e", 1, H[0])
        store.open_round(b"e", 1, H[0])
        assert reason(lambda: store.open_round(b"e", 1, H[1])) is Reason.OTHER_HEADER
        store.open_round(b"e", 2, H[1])
        store.erase(H[0])
        assert reason(lambda: store.open_round(b"e", 1, H[1])) is Reason.OTHER_HEADER

    def test_keeps_what_was_accepted_by_round(self):
        store = MemoryAggregatorStore()
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

    def test_keeps_the_first_different_packet_as_evidence(self):
        store = MemoryAggregatorStore()
        store.equivocated(H[0], b"p" * 16, b"first")
        store.equivocated(H[0], b"p" * 16, b"second")
        assert store.evidence(H[0]) == {b"p" * 16: b"first"}
        assert store.evidence(H[1]) == {}
        store.erase(H[0])
        assert store.evidence(H[0]) == {}

    def test_exactly_one_of_many_threads_wins(self):
        store = MemoryAggregatorStore()
        results = Counter(race(8, lambda i: store.open_round(b"e", 1, H[i])))
        assert results == {None: 1, Reason.OTHER_HEADER: 7}
        race(8, lambda i: store.accept(H[0], self.record(i)))
        assert len(list(store.accepted(H[0]))) == 8

    def test_records_show_no_content(self):
        assert "secret" not in repr(Accepted(b"p" * 16, H[0], b"secret", b"secret"))
        assert "secret" not in repr(sent(H[0], digest=b"secret", packet=b"secret"))
