"""Results that a client reads: whose they are, and what no honest round could have given."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    ContributorSet,
    ProtocolError,
    Reason,
    RoundResult,
    ServerKeys,
    SignedHeader,
)
from sottovoce.fl.wire import set_root, split_exactly
from sottovoce.he import ModelLayout
from support.fl_federation import CLIP, MODEL, finish, update_of


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


@pytest.fixture(scope="module")
def opened(sealed):
    """(aggregator, result) of clients 0 to 4."""
    aggregator = sealed.aggregator(sealed.packets[:5])
    return aggregator, finish(aggregator, sealed.members(), sealed.signed)


class TestResult:
    def read(self, sealed, data, i=0):
        return sealed.clients[i].read_result(sealed.signed, data)

    def test_reading_needs_no_outbox_entry_for_one_who_is_not_in_it(self, fed, sealed, opened):
        data = opened[0].publish(opened[1])
        newcomer = fed.client(9)
        assert not newcomer.included(newcomer.read_result(sealed.signed, data))

    def test_listed_without_having_sealed(self, fed, sealed, opened):
        data = opened[0].publish(opened[1])
        assert reason(lambda: fed.client(0).read_result(sealed.signed, data)) is Reason.RESULT

    def test_own_manifest_replaced(self, fed, sealed, opened):
        """Another packet under our key: the committee signed it, we did not make it."""
        data = opened[0].publish(opened[1])
        client = fed.client(0)
        client.seal(sealed.signed, MODEL, update_of(0))  # a second object that lost its memory
        assert reason(lambda: client.read_result(sealed.signed, data)) is Reason.RESULT

    def of_a_committee(self, fed, aggregator, members):
        """A header and a result that an aggregator and a committee of its own can make among themselves."""
        header = fed.header(
            aggregator=aggregator.public, members=tuple(m.public for m in members), round_number=78
        )
        signers = range(1, header.threshold + 1)
        signed = SignedHeader.propose(header, aggregator).with_members(
            {j: header.sign(members[j - 1]) for j in signers}
        )
        entries = tuple(((i + 1).to_bytes(16, "big"), bytes([i]) * 32) for i in range(3))
        agreed = ContributorSet(set_root(header.hash, entries), bytes(32), len(entries))
        text = agreed.signed_text(header.hash)
        signatures = {j: clsc.sign(members[j - 1].sign, text) for j in signers}
        mean = np.full(header.layout.size, 0.8 * CLIP)
        result = RoundResult(agreed, entries, mean, 3, signatures)
        return header, signed.to_bytes(), result.to_bytes(header, aggregator)

    def test_of_servers_that_the_policy_does_not_name(self, fed):
        """Attack: anybody with five names of the issuer signs a round of their own, and a mean for it."""
        strangers = [fed.authority.server(f"server of somebody {j}".encode()) for j in range(5)]
        named = fed.member_keys
        evil, *others = strangers
        for aggregator, members, words in (
            (evil, others, "aggregator b.* is not one of those named"),
            (evil, named[:4], "aggregator b.* is not one of those named"),
            (fed.aggregator_keys, others, "member b.* is not one of those named"),
            (fed.aggregator_keys, [*named[:4], evil], "member b.* is not one of those named"),
        ):
            header, signed, data = self.of_a_committee(fed, aggregator, members)
            client = fed.client(0)
            with pytest.raises(ProtocolError, match=words) as caught:
                client.read_result(signed, data)
            assert caught.value.reason is Reason.POLICY
            assert caught.value.round_id == header.hash
            # It is whole in all other respects: who names these servers accepts it.
            names = frozenset(m.public.name for m in members)
            policy = fed.policy(aggregators=frozenset({aggregator.public.name}), members=names)
            assert fed.client(0, policy).read_result(signed, data).agreed.count == 3

    def test_of_a_committee_smaller_than_the_policy_asks(self, fed):
        """Attack: t of a few chosen members are fewer than t of all."""
        _, signed, data = self.of_a_committee(fed, fed.aggregator_keys, fed.member_keys[:4])
        for least, words in ((5, "at least 5 members"), (None, "at least 7 members")):
            client = fed.client(0, fed.policy(min_members=least))
            with pytest.raises(ProtocolError, match=words) as caught:
                client.read_result(signed, data)
            assert caught.value.reason is Reason.POLICY
        fed.client(0, fed.policy(min_members=4)).read_result(signed, data)

    def test_read_after_its_deadline(self, fed, sealed, opened):
        """What is asked of a result is who made it, not what is asked of a round to take part in."""
        data = opened[0].publish(opened[1])
        late = fed.client(9, now=sealed.header.audit_deadline + 1)
        late.read_result(sealed.signed, data)

    def test_forged_by_another_aggregator(self, fed, sealed, opened):
        data = opened[1].to_bytes(sealed.header, fed.other_aggregator_keys)
        with pytest.raises(clsc.SignatureError):
            self.read(sealed, data)

    def test_of_another_round(self, fed, sealed, opened):
        other = fed.header(round_number=77)
        data = opened[1].to_bytes(other, fed.aggregator_keys)
        assert reason(lambda: self.read(sealed, data)) is Reason.RESULT

    def forge(self, fed, sealed, result):
        return result.to_bytes(sealed.header, fed.aggregator_keys)

    def changed(self, result, **fields):
        return RoundResult(
            **{name: fields.get(name, getattr(result, name)) for name in RoundResult.__dataclass_fields__}
        )

    def test_fewer_than_t_signatures(self, fed, sealed, opened):
        result = opened[1]
        for keep in ([], [1], [1, 2, 3], [3, 4, 5]):
            signatures = {j: result.member_signatures[j] for j in keep}
            data = self.forge(fed, sealed, self.changed(result, member_signatures=signatures))
            assert reason(lambda d=data: self.read(sealed, d)) is Reason.RESULT
        four = {j: result.member_signatures[j] for j in (1, 2, 4, 5)}
        self.read(sealed, self.forge(fed, sealed, self.changed(result, member_signatures=four)))

    def test_wrong_member_signatures(self, fed, sealed, opened):
        result = opened[1]
        good = result.member_signatures
        text = result.agreed.signed_text(sealed.header.hash)
        cases = [
            ({**good, 2: good[3]}, clsc.SignatureError),
            ({**good, 2: bytes(176)}, clsc.SignatureError),
            ({**good, 5: clsc.sign(fed.member_keys[5].sign, text)}, clsc.SignatureError),
            ({**good, 2: good[2][:-1]}, clsc.DecodeError),
            ({**good, 0: good[1]}, clsc.DecodeError),
            ({**good, 6: good[1]}, clsc.DecodeError),
        ]
        for signatures, error in cases:
            data = self.forge(fed, sealed, self.changed(result, member_signatures=signatures))
            with pytest.raises(error):
                self.read(sealed, data)

    def test_a_set_that_no_member_answered_for(self, fed, sealed, opened):
        result = opened[1]
        fewer = result.entries[1:]
        agreed = ContributorSet(set_root(sealed.header.hash, fewer), result.agreed.sum_digest, 4)
        changed = self.changed(result, agreed=agreed, entries=fewer, total_weight=4)
        with pytest.raises(clsc.SignatureError):
            self.read(sealed, self.forge(fed, sealed, changed))

    def test_another_sum_than_the_members_signed(self, fed, sealed, opened):
        result = opened[1]
        agreed = replace(result.agreed, sum_digest=bytes(32))
        with pytest.raises(clsc.SignatureError):
            self.read(sealed, self.forge(fed, sealed, self.changed(result, agreed=agreed)))

    def test_lists_that_do_not_fit(self, fed, sealed, opened):
        result = opened[1]
        e = result.entries
        for entries in (e[1:], e[::-1], (e[0], *e), (*e[:-1], e[-2]), (*e, (b"\xff" * 16, bytes(32)))):
            with pytest.raises(clsc.DecodeError):
                self.read(sealed, self.forge(fed, sealed, self.changed(result, entries=entries)))

    @pytest.mark.parametrize("bad", [np.nan, np.inf, CLIP * 1.01, -CLIP * 1.01])
    def test_means_that_no_clients_could_give(self, fed, sealed, opened, bad):
        mean = opened[1].mean.copy()
        mean[7] = bad
        with pytest.raises(clsc.DecodeError, match="means"):
            self.read(sealed, self.forge(fed, sealed, self.changed(opened[1], mean=mean)))

    def test_the_largest_means_that_clients_can_give(self, fed, sealed, opened):
        mean = opened[1].mean.copy()
        mean[:2] = CLIP, -CLIP
        read = self.read(sealed, self.forge(fed, sealed, self.changed(opened[1], mean=mean)))
        assert np.array_equal(read.mean, mean)
        assert read.mean.dtype == sealed.header.layout.vector_dtype

    def test_a_mean_of_more_bytes_than_the_model_takes_is_too_long(self, fed, opened):
        """Nothing of it is read: of a float32 model 4 bytes a value, of one with float64 in it 8."""
        size = 10_000
        wide = ModelLayout.of([np.zeros(size - 1, np.float32), np.zeros(1)])
        header = fed.header(layout=wide)
        data = self.changed(opened[1], mean=np.zeros(size)).to_bytes(header, fed.aggregator_keys)
        with pytest.raises(clsc.DecodeError, match="root and count"):
            RoundResult.of_aggregator(data, header)
        narrow = fed.header(layout=ModelLayout.of([np.zeros(size, np.float32)]))
        with pytest.raises(clsc.DecodeError, match="longer than any"):
            RoundResult.of_aggregator(data, narrow)

    @pytest.mark.parametrize(("value", "said"), [(1e38, "root and count"), (np.inf, "means within")])
    def test_infinity_is_no_mean_where_the_clip_is_beyond_float32(self, fed, sealed, opened, value, said):
        """The first passes this check, and is refused later: its set is that of the header as it was."""
        layout = ModelLayout.of([np.zeros(sealed.header.layout.size, np.float32)])
        header = replace(sealed.header, layout=layout, clip=1e39)
        mean = opened[1].mean.astype(np.float32)
        mean[7] = value
        data = self.changed(opened[1], mean=mean).to_bytes(header, fed.aggregator_keys)
        with pytest.raises(clsc.DecodeError, match=said):
            RoundResult.of_aggregator(data, header)

    @pytest.mark.parametrize("weight", [-1, 0, 4, 5 * (2**15 - 1) + 1, 1 << 63])
    def test_weights_that_no_clients_could_give(self, fed, sealed, opened, weight):
        with pytest.raises(clsc.DecodeError, match="weights"):
            self.read(sealed, self.forge(fed, sealed, self.changed(opened[1], total_weight=weight)))

    def test_too_few_and_too_many_contributors(self, fed, sealed, opened):
        result = opened[1]
        for n, error in ((2, ProtocolError), (65, clsc.DecodeError)):
            entries = tuple((i.to_bytes(16, "big"), bytes(32)) for i in range(n))
            agreed = ContributorSet(set_root(sealed.header.hash, entries), bytes(32), n)
            text = agreed.signed_text(sealed.header.hash)
            signatures = {j: clsc.sign(fed.member_keys[j - 1].sign, text) for j in range(1, 6)}
            changed = self.changed(
                result, agreed=agreed, entries=entries, member_signatures=signatures, total_weight=n
            )
            with pytest.raises(error):
                self.read(sealed, self.forge(fed, sealed, changed))

    def test_another_mean_than_was_signed(self, sealed, opened):
        data = opened[0].publish(opened[1])
        envelope, listed, mean = split_exactly(data, 3)
        other = mean[:8][::-1] + mean[8:]
        with pytest.raises(clsc.DecodeError):
            self.read(sealed, enc(envelope, listed, other))
        with pytest.raises(clsc.DecodeError):
            self.read(sealed, enc(envelope, listed, mean[:-8]))

    def test_a_member_does_not_pass_for_the_aggregator(self, fed, sealed, opened):
        member = fed.member_keys[0]
        assert isinstance(member, ServerKeys)
        with pytest.raises(clsc.SignatureError):
            self.read(sealed, opened[1].to_bytes(sealed.header, member))
