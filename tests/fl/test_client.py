"""The client: one packet a round, one update a model, no update twice."""

import hashlib
import threading
from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce._ext.enc import enc
from sottovoce.fl import (
    Client,
    MemoryOutbox,
    Meter,
    ProtocolError,
    Reason,
    Update,
    model_digest,
)
from sottovoce.fl import client as client_module
from sottovoce.fl.update import UpdateDraft
from sottovoce.fl.wire import associated_data
from support.fl_federation import CLIP, MODEL, NOW, update_of


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def kept(outbox):
    """How many packets an outbox holds, of any round."""
    return len(outbox._sent)


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
            with pytest.raises(ProtocolError) as caught:
                client.seal(second, MODEL, update)
            assert caught.value.reason is Reason.MODEL_REUSED
            assert caught.value.round_id == client.check(second).hash
        assert kept(client._outbox) == 1

    def test_retrained_may_go_but_the_same_vector_never(self, fed):
        """Attack: one vector in two sets; the difference of the sums is that of the sets."""
        first, second = self.rounds(fed)
        client = fed.client(0, fed.policy(allow_retrained=True))
        client.seal(first, MODEL, update_of(0))
        again = [a.copy(order="F") for a in update_of(0)]
        with pytest.raises(ProtocolError) as caught:
            client.seal(second, MODEL, again)
        assert caught.value.reason is Reason.UPDATE_REUSED
        assert caught.value.round_id == client.check(second).hash
        assert kept(client._outbox) == 1
        client.seal(second, MODEL, update_of(1))
        assert kept(client._outbox) == 2

    def test_another_number_of_examples_does_not_make_it_another_vector(self, fed):
        first, second = self.rounds(fed, max_examples=10)
        client = fed.client(0, fed.policy(allow_retrained=True))
        client.seal(first, MODEL, update_of(0), examples=3)
        refused = lambda: client.seal(second, MODEL, update_of(0), examples=4)  # noqa: E731
        assert reason(refused) is Reason.UPDATE_REUSED

    def other_model(self):
        """The model with the last bit of one value flipped, as an aggregator would do it."""
        other = [a.copy() for a in MODEL]
        other[0].flat[0] = np.nextafter(other[0].flat[0], np.float32(9))
        return other

    def test_another_model_is_another_matter(self, fed):
        client = fed.client(0)
        client.seal(self.rounds(fed)[0], MODEL, update_of(0))
        other = [a + 1 for a in MODEL]
        client.seal(fed.sign(fed.header(round_number=2, model=model_digest(other))), other, update_of(1))
        assert kept(client._outbox) == 2

    @pytest.mark.parametrize("allow", [False, True])
    def test_the_same_update_never_leaves_again_whatever_the_model(self, fed, allow):
        """Attack: flip a bit of the model, and a client that trained to the same update sends it again."""
        other = self.other_model()
        first = fed.sign(fed.header(round_number=1))
        second = fed.sign(fed.header(round_number=2, model=model_digest(other)))
        client = fed.client(0, fed.policy(allow_retrained=allow))
        client.seal(first, MODEL, update_of(0))
        assert reason(lambda: client.seal(second, other, update_of(0))) is Reason.UPDATE_REUSED
        assert kept(client._outbox) == 1
        client.seal(second, other, update_of(1))

    @pytest.mark.parametrize("fields", [{"clip": 0.25}, {"value_bits": 12}, {"clip": 2.0, "value_bits": 20}])
    def test_another_encoding_of_the_same_floats_is_the_same_update(self, fed, fields):
        other = self.other_model()
        second = fed.sign(fed.header(round_number=2, model=model_digest(other), **fields))
        client = fed.client(0)
        client.seal(fed.sign(fed.header(round_number=1)), MODEL, update_of(0))
        assert reason(lambda: client.seal(second, other, update_of(0))) is Reason.UPDATE_REUSED
        client.seal(second, other, update_of(1))

    @pytest.mark.parametrize("case", ["beyond the clip", "last bit", "sign of zero"])
    def test_what_encodes_to_the_same_integers_is_the_same_update(self, fed, case):
        """Floats that differ, and that nobody could tell apart in a sum: 0.9 and 0.8 are both the clip."""
        update = update_of(0)
        again = [a.copy() for a in update]
        if case == "beyond the clip":
            update = [np.full_like(a, 0.9) for a in MODEL]
            again = [np.full_like(a, 0.8) for a in MODEL]
        elif case == "last bit":
            update[0].flat[0] = again[0].flat[0] = 0.125 * CLIP
            again[0].flat[0] = np.nextafter(update[0].flat[0], np.float32(9))
        else:
            update[0].flat[0], again[0].flat[0] = 0.0, -0.0
        other = self.other_model()
        rounds = [
            (fed.sign(fed.header(round_number=2)), MODEL),
            (fed.sign(fed.header(round_number=3, model=model_digest(other))), other),
        ]
        assert model_digest(update) != model_digest(again)
        client = fed.client(0, fed.policy(allow_retrained=True))
        client.seal(fed.sign(fed.header(round_number=1)), MODEL, update)
        for signed, model in rounds:
            assert reason(lambda s=signed, m=model: client.seal(s, m, again)) is Reason.UPDATE_REUSED
        assert kept(client._outbox) == 1
        # One step of the encoding is another update.
        again[0].flat[0] = np.float32(0.5 * CLIP)
        client.seal(*rounds[0], again)

    def test_what_will_be_refused_is_not_encrypted_first(self, fed):
        first, second = self.rounds(fed)
        client = fed.client(0)
        client.seal(first, MODEL, update_of(0))
        meter = Meter()
        again = fed.client(0, outbox=client._outbox, meter=meter)
        assert reason(lambda: again.seal(second, MODEL, update_of(1))) is Reason.MODEL_REUSED
        retrained = fed.client(0, fed.policy(allow_retrained=True), outbox=client._outbox, meter=meter)
        assert reason(lambda: retrained.seal(second, MODEL, update_of(0))) is Reason.UPDATE_REUSED
        assert set(meter.stages) == {"check header", "quantize"}

    @pytest.mark.parametrize("allow", [False, True])
    def test_two_objects_that_race_send_it_once(self, fed, allow):
        expected = Reason.UPDATE_REUSED if allow else Reason.MODEL_REUSED
        self.race(fed, allow, MODEL, expected)

    @pytest.mark.parametrize("allow", [False, True])
    def test_two_objects_that_race_for_two_models_send_it_once(self, fed, allow):
        self.race(fed, allow, self.other_model(), Reason.UPDATE_REUSED)

    def race(self, fed, allow, model, expected):
        first = fed.sign(fed.header(round_number=1))
        second = fed.sign(fed.header(round_number=2, model=model_digest(model)))
        outbox = MemoryOutbox()
        policy = fed.policy(allow_retrained=allow)

        class Interrupted(Client):
            """While this one encrypts, another object of the same device seals for the other round."""

            def _encrypt(self, header, values):
                fed.client(0, policy, outbox=outbox).seal(second, model, update_of(0))
                return super()._encrypt(header, values)

        client = Interrupted(fed.client_keys[0], fed.trust(), policy, outbox=outbox, clock=lambda: NOW)
        with pytest.raises(ProtocolError) as caught:
            client.seal(first, MODEL, update_of(0))
        assert caught.value.reason is expected
        assert caught.value.round_id == client.check(first).hash
        assert kept(outbox) == 1
        assert outbox.find(client.check(second).hash) is not None


class TestArguments:
    def refused(self, fed, client, call, error, match=None):
        with pytest.raises(error, match=match):
            call()
        assert kept(client._outbox) == 0

    def test_trained_on_another_model(self, fed, sealed):
        client = fed.client(0)
        other = [a.copy() for a in MODEL]
        other[0][0, 0] = np.nextafter(other[0][0, 0], np.float32(9))
        assert reason(lambda: client.seal(sealed.signed, other, update_of(0))) is Reason.MODEL
        assert kept(client._outbox) == 0

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


class TestFingerprints:
    """One update has one fingerprint, whatever it comes in; another has another."""

    def test_however_the_arrays_are_cut(self, fed, sealed, monkeypatch):
        monkeypatch.setattr(client_module, "_DIGEST_BLOCK", 8)
        vector = np.random.default_rng(1).normal(0, 0.3, 50).astype(np.float32)
        digests = lambda *arrays: client_module._update_digests(sealed.header, list(arrays))  # noqa: E731
        whole = digests(vector)
        for cuts in ([1], [8], [7, 9, 40], [16, 17, 18, 19, 48]):
            assert digests(*np.split(vector, cuts)) == whole
        assert digests(vector.astype(np.float64)) == whole
        assert digests(vector[:16], vector[16:].astype(np.float64)) == whole
        assert digests(np.asfortranarray(vector.reshape(5, 10))) == whole

    @pytest.mark.parametrize("block", [8, None])
    def test_wherever_they_lie(self, fed, sealed, monkeypatch, block):
        if block:
            monkeypatch.setattr(client_module, "_DIGEST_BLOCK", block)
        base = np.random.default_rng(2).normal(0, 0.3, (80_000, 2)).astype(np.float32)
        digests = lambda array: client_module._update_digests(sealed.header, [array])  # noqa: E731
        for array in (base[:, 0], base[:, :1], base[::-1, 1], base[::2], base.T, base[:0]):
            assert digests(array) == digests(array.copy())
        constant = np.broadcast_to(np.float32(0.1), (40_000,))
        assert digests(constant) == digests(constant.copy())

    def test_every_number_counts(self, fed, sealed, monkeypatch):
        monkeypatch.setattr(client_module, "_DIGEST_BLOCK", 8)
        seen = set()
        for at in range(-1, 20):
            vector = np.zeros(20, np.float32)
            vector[at] = 0.25 if at >= 0 else 0
            digests = client_module._update_digests(sealed.header, [vector])
            assert len(digests) == 2
            assert not digests & seen
            seen |= digests
        assert not client_module._update_digests(sealed.header, [np.zeros(21, np.float32)]) & seen


class TestDraft:
    """What a client encodes in place is what :meth:`Update.to_bytes` says, or nothing."""

    def test_is_the_update(self, sealed):
        update = sealed.update(0)
        draft = UpdateDraft(sealed.header)
        draft.ciphertext[:] = update.ciphertext.to_bytes()
        assert draft.finish(update.manifest, update.member_packets) == update.to_bytes()

    def test_with_something_missing_it_is_none(self, sealed):
        update = sealed.update(0)
        short = replace(update.manifest, header_hash=bytes(31))
        for manifest, packets in (
            (update.manifest, update.member_packets[:-1]),
            (short, update.member_packets),
        ):
            with pytest.raises(clsc.ParameterError, match="another length"):
                UpdateDraft(sealed.header).finish(manifest, packets)


class TestNothingSecretShows:
    def test_repr(self, fed, sealed):
        client = fed.client(0)
        sealed_one = client.seal(sealed.signed, MODEL, update_of(0))
        sent = client._outbox.find(sealed.header.hash)
        update = sealed.update(0)
        key = fed.client_keys[0]
        for thing in (client, sent, update.manifest, sealed_one, client._outbox):
            shown = repr(thing)
            assert len(sent.update_digests) == 2
            for secret in (key._d_bytes, *sent.update_digests):
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


def test_update_refuses_a_manifest_of_another_ciphertext(sealed):
    a, b = sealed.update(0), sealed.update(1)
    mixed = Update(a.manifest, b.ciphertext, a.member_packets)
    with pytest.raises(clsc.DecodeError, match="not the one of the manifest"):
        Update.from_bytes(mixed.to_bytes(), sealed.header)
