"""The audit: what an aggregator did to the sum, the list or the mean is found by whoever has the record."""

import hashlib
import io
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce import clsc
from sottovoce._ext.enc import enc
from sottovoce._ext.errors import ParameterError, SottovoceError
from sottovoce.fl import (
    AuditError,
    AuditFault,
    ContributorSet,
    Fault,
    ProtocolError,
    Reason,
    RoundResult,
    SignedHeader,
    audit_round,
)
from sottovoce.fl.audit_file import AuditHead, AuditReader
from sottovoce.fl.closing import result_max_bytes
from sottovoce.fl.conviction import conviction_max_bytes
from sottovoce.fl.wire import set_root
from sottovoce.he import kahe
from support.fl_federation import NOW, craft, finish

A = AuditFault


@dataclass
class Record:
    """An audit record in parts, any of which a test replaces."""

    head: AuditHead
    contributions: list[tuple[bytes, bytes]]

    def to_bytes(self):
        out = io.BytesIO()
        self.head.write(out, self.contributions)
        return out.getvalue()


def read(data, header):
    reader = AuditReader(io.BytesIO(data))
    first = reader.round()
    result = reader.result(header)
    head = AuditHead(*first, result, reader.share_sums(header), tuple(reader.convictions(header)))
    count = RoundResult.from_bytes(result, header).agreed.count
    return Record(head, list(reader.contributions(header, count)))


def written(aggregator, published=None):
    out = io.BytesIO()
    aggregator.write_audit(published or aggregator.publish(aggregator.open()), out)
    return out.getvalue()


@pytest.fixture(scope="module")
def done(fed, sealed):
    """An honest round of the six, from which a cheat was taken out."""
    packet, _ = craft(fed, sealed.header, fed.client_keys[7], bad_for=[2])
    aggregator = sealed.aggregator([*sealed.packets, packet])
    finish(aggregator, sealed.members(), sealed.signed)
    return aggregator


@pytest.fixture(scope="module")
def good(done, sealed):
    return read(written(done), sealed.header)


@pytest.fixture
def root(fed):
    return fed.authority.root_public_key


def found(record, root, **expected):
    with pytest.raises(AuditError) as caught:
        audit_round(io.BytesIO(record.to_bytes()), root, **expected)
    return [finding.fault for finding in caught.value.report.findings], caught.value.report


def published(fed, sealed, record, **changed):
    """The record with a result that the aggregator changed and signed."""
    result = RoundResult.from_bytes(record.head.result, sealed.header)
    data = replace(result, **changed).to_bytes(sealed.header, fed.aggregator_keys)
    return replace(record, head=replace(record.head, result=data))


class TestHonest:
    def test_a_record_of_an_honest_round_is_right(self, fed, sealed, done, good, root, tmp_path):
        path = tmp_path / "round.audit"
        path.write_bytes(good.to_bytes())
        told = []
        report = audit_round(path, root, progress=lambda *at: told.append(at))
        assert report.findings == []
        assert (report.count, report.header) == (6, sealed.header)
        assert report.signers == (1, 2, 3, 4, 5)
        assert report.convictions == {fed.pids[7]: Fault.SHARE}
        assert report.total_weight == int(done.opened_sum[-1])
        assert len(told) == 6
        assert told == sorted(told)
        assert told[-1] == (path.stat().st_size,) * 2

    def test_it_is_read_and_written_contributor_by_contributor(self, sealed, done, good, root):
        largest = max(sealed.header.kahe_params.ciphertext_bytes, len(good.head.result), 1 << 17)

        class Narrow(io.BytesIO):
            def read(self, n=-1):
                assert 0 <= n <= largest
                return super().read(n)

            def write(self, data):
                assert len(data) <= 2 * largest
                return super().write(data)

        out = Narrow()
        done.write_audit(done.publish(done.open()), out)
        assert audit_round(out, root).count == 6

    def test_the_keys_of_the_servers_have_expired_by_then(self, good, root):
        """It is looked at in days, by the true clock; the epoch of the tests is another one altogether."""
        assert audit_round(io.BytesIO(good.to_bytes()), root).count == 6

    def test_no_packet_of_a_member_is_in_it(self, sealed, good):
        data = good.to_bytes()
        for i in range(6):
            for packet in sealed.update(i).member_packets:
                assert packet[-64:] not in data

    def test_not_before_it_is_opened_nor_for_another_result(self, fed, sealed, done):
        aggregator = sealed.aggregator()
        with pytest.raises(ProtocolError) as caught:
            aggregator.write_audit(b"", io.BytesIO())
        assert caught.value.reason is Reason.STATE
        with pytest.raises(clsc.DecodeError):
            done.write_audit(b"", io.BytesIO())
        finish(aggregator, sealed.members(), sealed.signed, checkers=(1, 2, 3, 4))
        other = sealed.aggregator(sealed.packets[:4])
        finish(other, sealed.members(), sealed.signed)
        with pytest.raises(ParameterError, match="set"):
            other.write_audit(aggregator.publish(aggregator.open()), io.BytesIO())

    def test_a_member_that_lied_is_named_and_the_mean_is_right_all_the_same(self, sealed, good, root):
        sums = dict(good.head.share_sums)
        lie = bytearray(sums[3])
        lie[4] ^= 1
        sums[3] = bytes(lie)
        record = replace(good, head=replace(good.head, share_sums=sums))
        report = audit_round(io.BytesIO(record.to_bytes()), root)
        assert report.wrong_members == (3,)


class TestAggregatorThatCheats:
    """It holds the keys of its role, so everything that it signs is signed."""

    def cheating(self, sealed, change):
        """A round whose aggregator added something else than it lists."""
        aggregator = sealed.aggregator()
        change(aggregator._collection.sum)
        return aggregator

    def with_made_up_mean(self, fed, sealed, aggregator):
        """Members answer as they must, and the aggregator publishes what it likes for a mean."""
        members, requests = sealed.members(), aggregator.close()
        for j, member in members.items():
            aggregator.receive_check(j, member.check(sealed.signed, requests[j]))
        for j, request in aggregator.settle().items():
            aggregator.receive_answer(j, members[j].answer(sealed.signed, request))
        settlement = aggregator._settlement
        result = RoundResult(
            settlement.agreed,
            tuple(aggregator._collection.entries),
            np.zeros(sealed.header.layout.size),
            6,
            {j: answer.signature for j, answer in settlement._answers.items()},
        )
        out = io.BytesIO()
        AuditHead(
            fed.authority.blind.to_bytes(),
            fed.authority.identity.to_bytes(),
            sealed.signed,
            result.to_bytes(sealed.header, fed.aggregator_keys),
            settlement.share_sums,
            (),
        ).write(out, aggregator._collection.contributions())
        return read(out.getvalue(), sealed.header)

    def test_adds_a_ciphertext_of_its_own(self, fed, sealed, root):
        """Members fix the digest of whatever it adds up: they see no ciphertexts."""
        delta = np.zeros(sealed.header.kahe_params.n_slots, np.int64)
        delta[0] = 1000

        def change(total):
            key = kahe.OneTimeKey.generate(sealed.header.kahe_params, sealed.header.hash)
            total.add(key.encrypt(delta))

        record = self.with_made_up_mean(fed, sealed, self.cheating(sealed, change))
        faults, report = found(record, root)
        assert faults == [A.SUM]
        assert report.findings[0].detail == ""

    @pytest.mark.parametrize("i", [0, 5])
    def test_leaves_one_out_of_the_sum(self, fed, sealed, root, i):
        aggregator = self.cheating(sealed, lambda total: total.subtract(sealed.update(i).ciphertext))
        faults, report = found(self.with_made_up_mean(fed, sealed, aggregator), root)
        assert faults == [A.SUM]
        assert report.findings[0].detail == f"it is that without {sealed.pids[i].hex()}"

    def test_publishes_another_mean(self, fed, sealed, good, root):
        result = RoundResult.from_bytes(good.head.result, sealed.header)
        mean = result.mean.copy()
        mean[[3, 4]] = mean[[4, 3]]
        faults, report = found(published(fed, sealed, good, mean=mean), root)
        assert faults == [A.MEAN]
        assert report.findings[0].detail == "2 of 50 values"

    def test_publishes_another_weight(self, fed, sealed, good, root):
        weight = RoundResult.from_bytes(good.head.result, sealed.header).total_weight
        faults, _ = found(published(fed, sealed, good, total_weight=weight - 1), root)
        assert faults == [A.MEAN]

    def test_publishes_a_sum_that_members_did_not_answer_for(self, fed, sealed, good, root):
        agreed = RoundResult.from_bytes(good.head.result, sealed.header).agreed
        faults, report = found(
            published(fed, sealed, good, agreed=replace(agreed, sum_digest=bytes(32))), root
        )
        assert faults == [A.MEMBERS, A.SUM]
        assert "(1, 2, 3, 4, 5)" in report.findings[0].detail

    def test_shows_different_sets_to_members_and_publishes_one(self, fed, sealed, good, root):
        """Equivocation: signatures for S under a list of S without somebody, and without the ciphertext."""
        entries = RoundResult.from_bytes(good.head.result, sealed.header).entries[1:]
        total = kahe.CiphertextSum(sealed.header.kahe_params, sealed.header.hash)
        kept = good.contributions[1:]
        for _, data in kept:
            total.add(kahe.Ciphertext.from_bytes(data, sealed.header.kahe_params))
        agreed = ContributorSet(set_root(sealed.header.hash, entries), total.digest, len(entries))
        record = published(fed, sealed, good, agreed=agreed, entries=entries, total_weight=5)
        faults, _ = found(replace(record, contributions=kept), root)
        # The sum is that of the list, but nobody answered for it, and the keys are those of another set.
        assert faults == [A.MEMBERS, A.KEYS]

    def test_takes_a_signature_of_another_member(self, fed, sealed, good, root):
        signatures = dict(RoundResult.from_bytes(good.head.result, sealed.header).member_signatures)
        signatures[4] = signatures[5]
        faults, report = found(published(fed, sealed, good, member_signatures=signatures), root)
        assert faults == [A.MEMBERS]
        assert "(4)" in report.findings[0].detail
        few = {j: signatures[j] for j in (1, 2, 3)}
        faults, report = found(published(fed, sealed, good, member_signatures=few), root)
        assert faults == [A.MEMBERS]
        assert "4 members expected, got 3" in report.findings[0].detail

    def test_changes_an_accepted_ciphertext(self, sealed, good, root):
        pairs = list(good.contributions)
        (_, data), changed = pairs[2], bytearray(pairs[2][1])
        changed[100] ^= 1
        pairs[2] = (pairs[2][0], bytes(changed))
        faults, report = found(replace(good, contributions=pairs), root)
        assert faults == [A.CIPHERTEXT, A.SUM]
        pid = RoundResult.from_bytes(good.head.result, sealed.header).entries[2][0]
        assert report.findings[0].pid == pid
        assert bytes(changed) != data

    def test_changes_the_manifest_with_it(self, sealed, good, root):
        """The manifest was named in what the client signed for each member, and is in the root."""
        pairs = list(good.contributions)
        other = next(u for u in map(sealed.update, range(6)) if u.manifest.to_bytes() == pairs[1][0])
        forged = replace(other.manifest, ciphertext_digest=bytes(32)).to_bytes()
        pairs[1] = (forged, pairs[1][1])
        faults, report = found(replace(good, contributions=pairs), root)
        assert faults == [A.MANIFEST]
        assert report.findings[0].pid == other.manifest.pid

    def test_swaps_two(self, good, root):
        pairs = [good.contributions[1], good.contributions[0], *good.contributions[2:]]
        faults, _ = found(replace(good, contributions=pairs), root)
        assert faults == [A.MANIFEST, A.MANIFEST]
        pairs = [(a, d) for (a, _), (_, d) in zip(good.contributions, pairs, strict=True)]
        faults, _ = found(replace(good, contributions=pairs), root)
        assert faults == [A.CIPHERTEXT, A.CIPHERTEXT]

    def test_uses_a_header_that_members_did_not_sign(self, fed, sealed, good, root):
        proposal = SignedHeader.propose(sealed.header, fed.aggregator_keys).to_bytes()
        faults, _ = found(replace(good, head=replace(good.head, signed_header=proposal)), root)
        assert faults == [A.HEADER]

    def test_a_result_of_another_round_or_not_signed(self, fed, sealed, good, root):
        data = good.head.result
        for result in (data[:60] + bytes([data[60] ^ 1]) + data[61:], b"", data[:-1]):
            faults, _ = found(replace(good, head=replace(good.head, result=result)), root)
            assert faults == [A.RESULT]

    def test_key_sums_that_are_too_few_or_nothing(self, good, root):
        three = {j: good.head.share_sums[j] for j in (1, 2, 3)}
        for sums in ({}, three, dict.fromkeys(range(1, 6), b""), {9: good.head.share_sums[1], **three}):
            sums = dict(sorted(sums.items()))
            faults, _ = found(replace(good, head=replace(good.head, share_sums=sums)), root)
            assert faults == [A.KEYS]

    def test_convicts_somebody_who_is_not(self, fed, sealed, good, root):
        wrong = good.head.convictions[0]
        for shown in (wrong[:-1] + bytes([wrong[-1] ^ 1]), b"", wrong + b"\x00"):
            faults, _ = found(replace(good, head=replace(good.head, convictions=(shown,))), root)
            assert faults == [A.CONVICTION]

    def test_everything_at_once_is_all_found(self, fed, sealed, good, root):
        record = published(fed, sealed, good, member_signatures={})
        proposal = SignedHeader.propose(sealed.header, fed.aggregator_keys).to_bytes()
        pairs = [(good.contributions[1][0], good.contributions[0][1]), *good.contributions[1:]]
        head = replace(record.head, signed_header=proposal, convictions=(b"",), share_sums={})
        faults, _ = found(Record(head, pairs), root)
        assert faults == [A.HEADER, A.CONVICTION, A.MEMBERS, A.MANIFEST, A.KEYS]
        with pytest.raises(AuditError, match="and 4 more"):
            audit_round(io.BytesIO(Record(head, pairs).to_bytes()), root)


class TestWhatSomebodyGot:
    """The record may be right in itself, and another than what the clients were given."""

    def test_the_report_says_what_was_agreed(self, sealed, good, root):
        result = RoundResult.from_bytes(good.head.result, sealed.header)
        report = audit_round(io.BytesIO(good.to_bytes()), root)
        assert report.agreed == result.agreed
        assert report.mean_digest == hashlib.sha256(result.mean.tobytes()).digest()
        assert report.result_digest == hashlib.sha256(good.head.result).digest()
        assert not report.compared

    def test_the_result_that_a_client_got(self, fed, sealed, good, root):
        result = RoundResult.from_bytes(good.head.result, sealed.header)
        few = {j: result.member_signatures[j] for j in (1, 3, 4, 5)}  # any t are as good as all
        for signatures in (result.member_signatures, few):
            got = replace(result, member_signatures=signatures).to_bytes(sealed.header, fed.aggregator_keys)
            report = audit_round(io.BytesIO(good.to_bytes()), root, published=got)
            assert report.compared

    @pytest.mark.parametrize("which", ["mean", "weight"])
    def test_an_aggregator_that_signs_one_result_for_clients_and_one_for_the_record(
        self, fed, sealed, good, root, which
    ):
        """Members sign neither mean nor weight, so both results pass everywhere else."""
        result = RoundResult.from_bytes(good.head.result, sealed.header)
        change = {"mean": result.mean[::-1]} if which == "mean" else {"total_weight": result.total_weight - 1}
        got = replace(result, **change).to_bytes(sealed.header, fed.aggregator_keys)
        RoundResult.from_bytes(got, sealed.header)  # a client accepts it
        audit_round(io.BytesIO(good.to_bytes()), root)  # and the record alone is right
        faults, report = found(good, root, published=got)
        assert faults == [A.PUBLISHED]
        assert report.findings[0].detail == f"another {which}"
        assert report.compared

    def test_a_result_of_another_set(self, sealed, good, root):
        other = sealed.aggregator(sealed.packets[:4])
        finish(other, sealed.members(), sealed.signed)
        faults, report = found(good, root, published=other.publish(other.open()))
        assert faults == [A.PUBLISHED]
        assert "root, digest of the sum, count, weight, mean" in report.findings[0].detail

    def test_what_no_client_would_have_taken(self, fed, sealed, good, root):
        result = RoundResult.from_bytes(good.head.result, sealed.header)
        unsigned = replace(result, member_signatures={}).to_bytes(sealed.header, fed.aggregator_keys)
        for got in (b"", good.head.result[:-1], unsigned):
            faults, report = found(good, root, published=got)
            assert faults == [A.PUBLISHED]
            assert "no result of this round" in report.findings[0].detail

    def test_a_record_without_a_result(self, sealed, good, root):
        record = replace(good, head=replace(good.head, result=b""))
        faults, _ = found(record, root, published=good.head.result)
        assert faults == [A.RESULT, A.PUBLISHED]
        faults, _ = found(record, root, published=b"")
        assert faults == [A.RESULT]

    def test_the_round_that_is_expected(self, sealed, good, root):
        audit_round(io.BytesIO(good.to_bytes()), root, header_hash=sealed.header.hash)
        faults, report = found(good, root, header_hash=bytes(32))
        assert faults == [A.ROUND]
        assert sealed.header.hash.hex() in str(report.findings[0])

    def test_a_policy_that_is_expected(self, fed, good, root):
        policy = fed.policy()
        audit_round(io.BytesIO(good.to_bytes()), root, policy=policy)
        faults, report = found(good, root, policy=replace(policy, aggregators=frozenset({b"another"})))
        assert faults == [A.ROUND]
        assert "aggregator" in str(report.findings[0])
        faults, _ = found(good, root, policy=replace(policy, min_contributors=7))
        assert faults == [A.ROUND]

    def test_parameters_that_the_header_does_not_name(self, fed, good, root):
        """Who reads the record takes them for those of the contributors."""
        span = {"not_before": NOW, "not_after": NOW + 600}
        master = clsc.MasterKey.generate(fed.authority._root, clsc.Mode.BLIND, b"another", **span)
        for params in (good.head.committee_params, master.params.to_bytes()):
            faults, report = found(replace(good, head=replace(good.head, sender_params=params)), root)
            assert faults == [A.PARAMS]
            assert report.findings[0].detail == "the contributors'"

    def test_a_header_of_another_epoch_than_its_contributors(self, fed, sealed, good, root):
        header = replace(sealed.header, epoch=b"another")
        proposal = SignedHeader.propose(header, fed.aggregator_keys).to_bytes()
        faults, _ = found(
            replace(good, head=replace(good.head, signed_header=proposal, convictions=())), root
        )
        assert faults == [A.HEADER, A.PARAMS, A.RESULT]


class TestFile:
    def test_cut_short_or_longer(self, good, root):
        data = good.to_bytes()
        for case in (b"", data[:3], data[:40], data[:1000], data[:-1], data + b"\x00", b"\x00" + data):
            with pytest.raises(clsc.DecodeError, match="audit record"):
                audit_round(io.BytesIO(case), root)

    def test_one_contribution_less_or_more(self, good, root):
        for pairs in (good.contributions[:-1], [*good.contributions, good.contributions[0]]):
            with pytest.raises(clsc.DecodeError, match="audit record"):
                audit_round(io.BytesIO(replace(good, contributions=pairs).to_bytes()), root)

    def test_of_another_issuer(self, fed, good):
        with pytest.raises(clsc.SottovoceError) as caught:
            audit_round(io.BytesIO(good.to_bytes()), fed.other_authority.root_public_key)
        assert isinstance(caught.value, (clsc.SenderError, clsc.DecodeError))
        assert not isinstance(caught.value, AuditError)

    def test_a_claimed_length_is_not_allocated(self, good, sealed, root):
        """Of each part the header says how long it can be, however long the file is."""

        class Endless(io.BytesIO):
            """As long as any length in it claims."""

            def read(self, n=-1):
                assert n < 1 << 20
                return super().read(n)

            def seek(self, offset, whence=io.SEEK_SET):
                at = super().seek(offset, whence)
                return 1 << 40 if whence == io.SEEK_END else at

        head, header = good.head, sealed.header
        first = enc(b"SOTTOVOCE-V1-AUDIT", head.sender_params, head.committee_params, head.signed_header)
        sums = enc(*[part for pair in sorted(head.share_sums.items()) for part in pair])
        result_most, conviction_most = result_max_bytes(header), conviction_max_bytes(header)
        sums_most = 5 * (4 + 8 + 4 + header.kahe_params.share_sum_bytes)
        lies = [
            (b"", 19),
            (enc(b"SOTTOVOCE-V1-AUDIT"), (1 << 13) + 1),
            (enc(b"SOTTOVOCE-V1-AUDIT", head.sender_params), (1 << 13) + 1),
            (enc(b"SOTTOVOCE-V1-AUDIT", head.sender_params, head.committee_params), (1 << 18) + 1),
            (first, result_most + 1),
            (first + enc(head.result), sums_most + 1),
            (first + enc(head.result, sums) + b"\xff" * 4, conviction_most + 1),
        ]
        for before, length in lies:
            for claimed in (length, (1 << 30) - 1, (1 << 32) - 1):
                data = before + claimed.to_bytes(4, "big") + bytes(1 << 10)
                with pytest.raises(clsc.DecodeError, match=rf"audit record: a field of .* got {claimed}"):
                    audit_round(Endless(data), root)

    def test_convictions_are_read_one_by_one_to_the_end_of_their_field(self, good, sealed, root):
        shown = good.head.convictions[0]
        record = replace(good, head=replace(good.head, convictions=(shown, shown)))
        assert audit_round(io.BytesIO(record.to_bytes()), root).count == 6
        many = replace(
            good, head=replace(good.head, convictions=(b"",) * (sealed.header.max_contributors + 1))
        )
        with pytest.raises(clsc.DecodeError, match="more convictions than contributors"):
            audit_round(io.BytesIO(many.to_bytes()), root)
        # The field ends inside its last conviction, which would otherwise take bytes of what follows.
        data, inner = good.to_bytes(), enc(shown)
        at = data.index(inner) - 4
        assert int.from_bytes(data[at : at + 4], "big") == len(inner)
        for less in (1, 3, len(shown), len(shown) + 3):
            lie = data[:at] + (len(inner) - less).to_bytes(4, "big") + data[at + 4 :]
            with pytest.raises(clsc.DecodeError, match="audit record: a field of at most"):
                audit_round(io.BytesIO(lie), root)

    def test_wrong_arguments(self, good, root, tmp_path):
        with pytest.raises(OSError, match="No such file"):
            audit_round(tmp_path / "nothing", root)
        with pytest.raises(TypeError):
            audit_round(io.BytesIO(good.to_bytes()), "root")
        for wrong in ({"published": "result"}, {"header_hash": "00" * 32}, {"policy": object()}):
            with pytest.raises(TypeError):
                audit_round(io.BytesIO(good.to_bytes()), root, **wrong)
        with pytest.raises(ParameterError, match="header_hash"):
            audit_round(io.BytesIO(good.to_bytes()), root, header_hash=bytes(31))

    def test_damaged_records_are_refused_or_found_out(self, good, root):
        data = good.to_bytes()
        head = len(data) - sum(8 + len(m) + len(c) for m, c in good.contributions)

        @given(st.one_of(st.integers(0, head - 1), st.integers(0, len(data) - 1)), st.integers(0, 7))
        def run(at, bit):
            changed = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
            try:
                report = audit_round(io.BytesIO(changed), root)
            except SottovoceError:
                return
            # A key sum that went out of the opening, or the head of a convicting packet, which nobody signed.
            assert report.wrong_members or (at < head and report.count == 6)

        run()
