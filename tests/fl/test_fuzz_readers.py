"""What third parties and peers read: audit records, convictions, rosters, beacons and their parts, changed.

The decoders and roles of a round are in ``test_fuzz_props.py``; here is what is read outside it, up to the
verdict: whatever comes, an honest client is not convicted, and a book that refuses stays as it was.
"""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce._ext.errors import DecodeError, SottovoceError, TooFewAnswers
from sottovoce.fl import (
    AuditError,
    BeaconServer,
    Conviction,
    ProtocolError,
    Reason,
    RosterBook,
    audit_round,
    combine_beacon,
)
from support.fl_asgi import mutate, seeded
from support.fl_federation import EPOCH, craft, finish
from support.mutations import mutations


@pytest.fixture(scope="module")
def record(fed, sealed):
    """The audit record of a round from which a cheat was taken out, and where its contributions begin."""
    packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[2])
    aggregator = sealed.aggregator([*sealed.packets, packet])
    result = finish(aggregator, sealed.members(), sealed.signed)
    out = io.BytesIO()
    aggregator.write_audit(aggregator.publish(result), out)
    data = out.getvalue()
    each = [len(manifest) + len(ciphertext) + 8 for manifest, ciphertext in
            aggregator._collection.contributions()]  # fmt: skip
    return data, len(data) - sum(each)


def changed_records(record, root, n):
    """Damaged anywhere, mostly in the head: documented errors, or a report that is as right as before."""
    data, head = record
    choose, honest = seeded("audit"), audit_round(io.BytesIO(data), root)
    verdicts = {"refused": 0, "found": 0, "right": 0}
    for i in range(n):
        if i % 4:
            changed = mutate(choose, data[:head], [data[: head // 2], data]) + data[head:]
        else:
            changed = mutate(choose, data, [data[head:], data[:head]])
        if changed == data:
            continue
        try:
            report = audit_round(io.BytesIO(changed), root)
        except AuditError as error:
            verdicts["found"] += 1
            assert error.report.findings  # noqa: PT017
        except SottovoceError:
            verdicts["refused"] += 1
        else:
            # A key sum that goes out of the opening, or the head of a convicting packet, which nobody signs.
            verdicts["right"] += 1
            assert (report.count, report.agreed) == (honest.count, honest.agreed)
    assert verdicts["refused"] > 0
    assert verdicts["refused"] + verdicts["found"] + verdicts["right"] > n // 2
    assert audit_round(io.BytesIO(data), root).count == honest.count


def test_changed_audit_records(fed, record):
    changed_records(record, fed.authority.root_public_key, 60)


@pytest.mark.slow
def test_changed_audit_records_for_long(fed, record):
    changed_records(record, fed.authority.root_public_key, 3000)


@pytest.fixture(scope="module")
def shown(fed, sealed):
    update = craft(fed, sealed.header, fed.client_keys[7], bad_for=[2])[1]
    return Conviction.make(
        sealed.header, 2, update.member_packets[1], update.manifest,
        receiver=fed.member_keys[1].decrypt, trust=fed.trust(),
    )  # fmt: skip


class TestConvictions:
    """Read and verified: it convicts the cheat, or nobody."""

    def test_changed_bytes_convict_nobody_else(self, fed, sealed, shown):
        root, data = fed.authority.root_public_key, shown.to_bytes()

        @given(mutations(data))
        def run(changed):
            try:
                read = Conviction.from_bytes(changed, sealed.header)
                read.verify(sealed.header, root)
            except DecodeError:
                return
            except ProtocolError as error:
                assert error.reason is Reason.CONVICTION  # noqa: PT017
                return
            assert read.pid == fed.pids[7]

        run()

    def test_with_parts_of_honest_packets(self, fed, sealed, shown):
        """Spliced from the cheat's and an honest client's bytes of one length, wherever."""
        root, data = fed.authority.root_public_key, shown.to_bytes()
        victim = sealed.update(0)
        parts = [victim.member_packets[1], victim.manifest.to_bytes(), victim.manifest.pid]

        @given(st.sampled_from(parts), st.integers(0, len(data)), st.integers(0, 4000), st.integers(1, 4000))
        def run(part, at, start, length):
            piece = part[start % len(part) :][:length]
            changed = (data[:at] + piece + data[at + len(piece) :])[: len(data)]
            try:
                read = Conviction.from_bytes(changed, sealed.header)
                read.verify(sealed.header, root)
            except (DecodeError, ProtocolError):
                return
            assert read.pid == fed.pids[7]

        run()


@pytest.fixture(scope="module")
def book(peer_world):
    book = RosterBook(peer_world.trust())
    book.add_roster(peer_world.signed_roster())
    book.add_beacon(peer_world.beacon(1).to_bytes())
    return book


class TestBook:
    """Rosters and beacons of a peer's book."""

    @staticmethod
    def state(book):
        return (
            {epoch: [roster.digest for roster in known] for epoch, known in book._rosters.items()},
            {epoch: dict(known) for epoch, known in book._beacons.items()},
        )

    @pytest.mark.parametrize("kind", ["roster", "beacon"])
    def test_changed_bytes_change_nothing(self, peer_world, book, kind):
        data = {
            "roster": peer_world.signed_roster(version=2, first_round=5),
            "beacon": peer_world.beacon(2).to_bytes(),
        }[kind]
        add = {"roster": book.add_roster, "beacon": book.add_beacon}[kind]
        before = self.state(book)

        @settings(max_examples=40)
        @given(mutations(data).filter(lambda changed: changed != data))
        def run(changed):
            with pytest.raises(SottovoceError):
                add(changed)
            assert self.state(book) == before

        run()

    def test_what_is_honest_is_taken_after_it(self, peer_world, book):
        book.add_roster(peer_world.signed_roster(version=2, first_round=5))
        book.add_beacon(peer_world.beacon(2).to_bytes())
        assert book.choice(EPOCH, 2).members


def test_changed_parts_of_a_beacon_are_named_and_do_no_harm(peer_world):
    parts = {s.index: BeaconServer(s, EPOCH).end_round(0) for s in peer_world.beacon_shares}

    @settings(max_examples=40)
    @given(st.sampled_from([1, 2, 3]), mutations(parts[2]))
    def run(bad, changed):
        given_ = {**parts, bad: changed}
        beacon, wrong = combine_beacon(peer_world.beacon_key, EPOCH, 1, given_)
        assert beacon == peer_world.beacon(1)
        assert wrong == (() if changed == parts[bad] else (bad,))
        others = {j: part for j, part in given_.items() if j in (bad, bad % 3 + 1)}
        if changed != parts[bad]:
            with pytest.raises(TooFewAnswers):
                combine_beacon(peer_world.beacon_key, EPOCH, 1, others)

    run()
