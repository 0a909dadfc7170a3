"""The client: one packet a round, one update a model, and results it can check."""

import hashlib
import threading
from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    Client,
    ContributorSet,
    MemoryOutbox,
    Meter,
    ProtocolError,
    Reason,
    RoundResult,
    ServerKeys,
    Update,
    model_digest,
)
from sottovoce.fl.wire import associated_data, set_root, split_exactly
from support.fl_federation import CLIP, MODEL, NOW, finish, update_of


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


class TestSealsOnce:
    def test_the_same_bytes_again_whatever_the_update(self, fed, sealed):
        client = fed.client(0)
        first = client.seal(sealed.signed, MODEL, update_of(0))
        assert client.seal(sealed.signed, MODEL, update_of(0)) == first
        assert client.seal(sealed.signed, MODEL, update_of(1)) == first
        assert client.seal(sealed.signed, [a + 1 for a in MODEL], update_of(1)) == first
        assert first.packet != sealed.packets[0]

    def test_after_a_restart_too(self, fed, sealed):
        outbox = MemoryOutbox()
        first = fed.client(0, outbox=outbox).seal(sealed.signed, MODEL, update_of(0))
        assert fed.client(0, outbox=outbox).seal(sealed.signed, MODEL, update_of(0)) == first

    def test_every_packet_of_a_round_has_the_headers_length(self, fed, sealed):
        assert {len(p) for p in sealed.packets} == {sealed.header.packet_bytes}

    def test_a_shared_outbox_does_not_hand_out_a_packet_of_another_pseudonym(self, fed, sealed):
        outbox = MemoryOutbox()
        fed.client(0, outbox=outbox).seal(sealed.signed, MODEL, update_of(0))
        other = fed.client(1, outbox=outbox)
        assert reason(lambda: other.seal(sealed.signed, MODEL, update_of(1))) is Reason.SEALED

    def test_two_objects_that_race_for_one_round_send_one_packet(self, fed, sealed):
        outbox, barrier, results = MemoryOutbox(), threading.Barrier(2), []

        class Racing(Client):
            def _quantize(self, *args):
                barrier.wait(10)  # both have seen an empty outbox
                return super()._quantize(*args)

        def run():
            client = Racing(fed.client_keys[0], fed.trust(), fed.policy(), outbox=outbox, clock=lambda: NOW)
            try:
                results.append(client.seal(sealed.signed, MODEL, update_of(0)).packet)
            except ProtocolError as error:
                results.append(error.reason)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results.count(Reason.SEALED) == 1
        assert outbox.find(sealed.header.hash).packet in results


class TestOneUpdateAModel:
    def rounds(self, fed, **fields):
        return [fed.sign(fed.header(round_number=r, **fields)) for r in (1, 2)]

    def test_a_second_round_on_the_same_model_is_refused(self, fed):
        first, second = self.rounds(fed)
        client = fed.client(0)
        client.seal(first, MODEL, update_of(0))
        for update in (update_of(0), update_of(1)):
            assert reason(lambda u=update: client.seal(second, MODEL, u)) is Reason.MODEL_REUSED
        assert len(client._outbox.for_model(model_digest(MODEL))) == 1

    def test_retrained_may_go_but_the_same_vector_never(self, fed):
        """Attack: one vector in two sets; the difference of the sums is that of the sets."""
        first, second = self.rounds(fed)
        client = fed.client(0, fed.policy(allow_retrained=True))
        client.seal(first, MODEL, update_of(0))
        again = [a.copy(order="F") for a in update_of(0)]
        assert reason(lambda: client.seal(second, MODEL, again)) is Reason.MODEL_REUSED
        client.seal(second, MODEL, update_of(1))

    def test_another_number_of_examples_does_not_make_it_another_vector(self, fed):
        first, second = self.rounds(fed, max_examples=10)
        client = fed.client(0, fed.policy(allow_retrained=True))
        client.seal(first, MODEL, update_of(0), examples=3)
        refused = lambda: client.seal(second, MODEL, update_of(0), examples=4)  # noqa: E731
        assert reason(refused) is Reason.MODEL_REUSED

    def test_another_model_is_another_matter(self, fed):
        client = fed.client(0)
        client.seal(self.rounds(fed)[0], MODEL, update_of(0))
        other = [a + 1 for a in MODEL]
        client.seal(fed.sign(fed.header(round_number=2, model=model_digest(other))), other, update_of(0))

    @pytest.mark.parametrize("allow", [False, True])
    def test_two_objects_that_race_send_it_once(self, fed, allow):
        first, second = self.rounds(fed)
        outbox = MemoryOutbox()
        policy = fed.policy(allow_retrained=allow)

        class Interrupted(Client):
            """While this one encrypts, another object of the same device seals for the other round."""

            def _encrypt(self, header, values):
                fed.client(0, policy, outbox=outbox).seal(second, MODEL, update_of(0))
                return super()._encrypt(header, values)

        client = Interrupted(fed.client_keys[0], fed.trust(), policy, outbox=outbox, clock=lambda: NOW)
        assert reason(lambda: client.seal(first, MODEL, update_of(0))) is Reason.MODEL_REUSED
        assert len(outbox.for_model(model_digest(MODEL))) == 1


class TestArguments:
    def refused(self, fed, client, call, error, match=None):
        with pytest.raises(error, match=match):
            call()
        assert client._outbox.for_model(model_digest(MODEL)) == ()

    def test_trained_on_another_model(self, fed, sealed):
        client = fed.client(0)
        other = [a.copy() for a in MODEL]
        other[0][0, 0] = np.nextafter(other[0][0, 0], np.float32(9))
        assert reason(lambda: client.seal(sealed.signed, other, update_of(0))) is Reason.MODEL
        assert client._outbox.for_model(model_digest(MODEL)) == ()

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_not_finite_is_named(self, fed, sealed, bad):
        update = update_of(0)
        update[1][3] = bad
        client = fed.client(0)
        call = lambda: client.seal(sealed.signed, MODEL, update)  # noqa: E731
        self.refused(fed, client, call, clsc.ParameterError, r"array 1, index \(3,\)")
        client.seal(sealed.signed, MODEL, update_of(0))

    def test_other_shapes_dtypes_and_numbers_of_arrays(self, fed, sealed):
        client = fed.client(0)
        good = update_of(0)
        for bad in (
            good[:-1],
            [*good, good[0]],
            [good[0].T, *good[1:]],
            [g.astype(np.float64) for g in good],
        ):
            call = lambda b=bad: client.seal(sealed.signed, MODEL, b)  # noqa: E731
            self.refused(fed, client, call, clsc.ParameterError)

    def test_examples_exactly_if_the_header_weighs(self, fed, sealed):
        weighing = fed.sign(fed.header(max_examples=10))
        client = fed.client(0)
        for signed, examples in (
            (sealed.signed, 1),
            (weighing, None),
            (weighing, 0),
            (weighing, 11),
            (weighing, -1),
        ):
            call = lambda s=signed, e=examples: client.seal(s, MODEL, update_of(0), examples=e)  # noqa: E731
            self.refused(fed, client, call, clsc.ParameterError, "examples")
        for examples in (1.5, True, "5"):
            call = lambda e=examples: client.seal(weighing, MODEL, update_of(0), examples=e)  # noqa: E731
            self.refused(fed, client, call, TypeError, "examples: int expected")
        client.seal(weighing, MODEL, update_of(0), examples=np.int64(10))

    def test_only_sign_keys_seal(self, fed):
        with pytest.raises(clsc.ParameterError):
            Client(fed.member_keys[0].decrypt, fed.trust(), fed.policy())

    def test_past_the_deadline(self, fed, sealed):
        client = fed.client(0, now=sealed.header.deadline + 121)
        assert reason(lambda: client.seal(sealed.signed, MODEL, update_of(0))) is Reason.DEADLINE

    def test_an_outbox_that_fails_lets_nothing_out(self, fed, sealed):
        class Full(MemoryOutbox):
            def put(self, sent, *, allow_retrained=False):
                raise OSError("disk full")

        client = fed.client(0, outbox=Full())
        with pytest.raises(OSError, match="disk full"):
            client.seal(sealed.signed, MODEL, update_of(0))

    def test_its_arrays_are_left_alone(self, fed, sealed):
        update = update_of(0, scale=9)
        before = [a.copy() for a in update]
        for a in update:
            a.flags.writeable = False
        fed.client(0).seal(sealed.signed, MODEL, update)
        assert all(np.array_equal(a, b) for a, b in zip(update, before, strict=True))


class TestNothingSecretShows:
    def test_repr(self, fed, sealed):
        client = fed.client(0)
        sealed_one = client.seal(sealed.signed, MODEL, update_of(0))
        sent = client._outbox.find(sealed.header.hash)
        update = sealed.update(0)
        key = fed.client_keys[0]
        for thing in (client, sent, update.manifest, sealed_one, client._outbox):
            shown = repr(thing)
            for secret in (key._d_bytes, sent.update_digest):
                assert repr(secret)[2:-1] not in shown
                assert secret.hex() not in shown
            assert str(key._x) not in shown
        assert repr(sent.packet) not in repr(sent)

    def test_errors_name_no_value(self, fed, sealed):
        update = update_of(0)
        update[0][0, 0] = np.float32(0.123456)
        update[1][0] = np.nan
        with pytest.raises(clsc.ParameterError) as caught:
            fed.client(0).seal(sealed.signed, MODEL, update)
        assert "0.123" not in str(caught.value)
        assert "nan" not in str(caught.value).lower()


class TestContent:
    def test_the_manifest_names_round_sender_and_ciphertext(self, sealed):
        update = sealed.update(2)
        manifest = update.manifest
        assert manifest.header_hash == sealed.header.hash
        assert manifest.pid == sealed.pids[2]
        assert manifest.ciphertext_digest == hashlib.sha256(update.ciphertext.to_bytes()).digest()
        encoded = enc("SOTTOVOCE-V1-MANIFEST", manifest.to_bytes())
        assert manifest.digest == hashlib.sha256(encoded).digest()

    def test_each_member_can_open_its_packet_and_no_other(self, fed, sealed):
        packets = sealed.update(0).member_packets
        for j in range(1, 6):
            for k in range(1, 6):
                opens = lambda j=j, k=k: clsc.unsigncrypt(  # noqa: E731
                    packets[k - 1],
                    receiver=fed.member_keys[j - 1].decrypt,
                    trust=fed.trust(),
                    ad=associated_data(sealed.header.hash, "share", k),
                )
                if j == k:
                    assert opens().sender.pid == sealed.pids[0]
                else:
                    with pytest.raises(clsc.UnsigncryptError):
                        opens()

    def test_clients_with_one_vector_share_nothing(self, fed, sealed):
        a = fed.client(0).seal(sealed.signed, MODEL, update_of(0)).packet
        b = fed.client(1).seal(sealed.signed, MODEL, update_of(0)).packet
        same = sum(x == y for x, y in zip(a, b, strict=True))
        assert same < len(a) / 256 * 2  # magic, suite, lengths; the rest agrees by chance

    def test_meter_sees_every_stage(self, fed, sealed):
        meter = Meter()
        fed.client(0, meter=meter).seal(sealed.signed, MODEL, update_of(0))
        params = sealed.header.kahe_params
        assert meter.stages["encrypt"].n_bytes == params.ciphertext_bytes
        assert meter.stages["signcrypt to aggregator"].n_bytes == sealed.header.packet_bytes
        assert all(stage.calls == 1 for stage in meter.stages.values())


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


def test_update_refuses_a_manifest_of_another_ciphertext(sealed):
    a, b = sealed.update(0), sealed.update(1)
    mixed = Update(a.manifest, b.ciphertext, a.member_packets)
    with pytest.raises(clsc.DecodeError, match="not the one of the manifest"):
        Update.from_bytes(mixed.to_bytes(), sealed.header)
