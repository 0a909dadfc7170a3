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


def sent(round_id, model=H[7], digests=(H[6],), packet=b"packet"):
    return Sent(round_id, b"p" * 16, model, frozenset(digests), H[5], packet)


class TestOutbox:
    def test_finds_by_round(self):
        box = MemoryOutbox()
        assert box.find(H[0]) is None
        a, b = sent(H[0]), sent(H[1], model=H[4], digests=[H[3]])
        box.put(a)
        box.put(b)
        assert (box.find(H[0]), box.find(H[1]), box.find(H[2])) == (a, b, None)

    @pytest.mark.parametrize("allow", [False, True])
    def test_the_first_of_a_round_stays(self, allow):
        box = MemoryOutbox()
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

    def test_one_update_a_model(self):
        box = MemoryOutbox()
        box.put(sent(H[0], digests=[H[1]]))
        other = sent(H[1], digests=[H[2]])
        self.refused(box, other, False, Reason.MODEL_REUSED)
        self.refused(box, sent(H[1], digests=[H[1]]), False, Reason.MODEL_REUSED)
        self.refused(box, sent(H[1], digests=[H[1]]), True, Reason.UPDATE_REUSED)
        box.check(other.model, other.update_digests, allow_retrained=True)
        box.put(other, allow_retrained=True)
        assert (box.find(H[0]).update_digests, box.find(H[1])) == ({H[1]}, other)

    @pytest.mark.parametrize("allow", [False, True])
    def test_one_digest_in_common_with_any_model_is_enough(self, allow):
        box = MemoryOutbox()
        box.put(sent(H[0], model=H[7], digests=[H[1], H[2]]))
        box.put(sent(H[1], model=H[6], digests=[H[3], H[4]]))
        for digests in ([H[1], H[2]], [H[1], H[0]], [H[0], H[2]], [H[3], H[0]], [H[0], H[4]]):
            self.refused(box, sent(H[2], model=H[5], digests=digests), allow, Reason.UPDATE_REUSED)
        box.put(sent(H[2], model=H[5], digests=[H[5], H[6]]), allow_retrained=allow)

    def test_to_ask_keeps_nothing(self):
        box = MemoryOutbox()
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
    def test_exactly_one_of_many_threads_wins(self, same, expected):
        box = MemoryOutbox()

        def put(i):
            round_id, model, digest = (H[7 if same == part else i] for part in ("round", "model", "update"))
            box.put(sent(round_id, model, [digest, bytes([100 + i]) * 32]))

        assert Counter(race(7, put)) == {None: 1, expected: 6}


class TestMemberStore:
    def test_one_header_an_aggregator_epoch_and_number(self):
        store = MemoryMemberStore()
        store.sign_header(b"a", b"e", 1, H[0])
        store.sign_header(b"a", b"e", 1, H[0])
        assert reason(lambda: store.sign_header(b"a", b"e", 1, H[1])) is Reason.OTHER_HEADER
        for other in ((b"b", b"e", 1), (b"a", b"f", 1), (b"a", b"e", 2)):
            store.sign_header(*other, H[1])
        store.sign_header(b"a", b"e", 1, H[0])

    def test_who_answered_one_view_signs_no_other(self):
        """Its signature would make clients seal for a round that it cannot answer."""
        store = MemoryMemberStore()
        store.sign_header(b"first", b"e", 1, H[0])
        store.bind(b"e", 1, Binding(H[0], H[5], H[6]))
        store.sign_header(b"first", b"e", 1, H[0])
        assert reason(lambda: store.sign_header(b"second", b"e", 1, H[1])) is Reason.BOUND
        assert reason(lambda: store.sign_header(b"first", b"e", 1, H[1])) is Reason.OTHER_HEADER
        store.sign_header(b"second", b"e", 2, H[1])  # what was refused used nothing up
        store.sign_header(b"second", b"f", 1, H[2])

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
        assert "secret" not in repr(sent(H[0], digests=[b"secret"], packet=b"secret"))
