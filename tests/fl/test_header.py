"""What a header says, and who must have signed it."""

import numpy as np
import pytest

from sottovoce import clsc, he, rs
from sottovoce.fl import (
    ProtocolError,
    Reason,
    RoundHeader,
    ServerIdentity,
    ServerKeys,
    SignedHeader,
    model_digest,
    revocation_digest,
)
from support.fl_federation import AGGREGATOR_NAME, MODEL, NOW, member_name


class TestHash:
    def test_changes_with_every_field(self, fed):
        header = fed.header()
        other_model = [a + 1 for a in MODEL]
        packet = header.packet_bytes
        variants = {
            "aggregator": fed.header(aggregator=fed.other_aggregator_keys.public),
            "member": fed.header(members=tuple(k.public for k in fed.member_keys[1:6])),
            "order of members": fed.header(members=header.members[::-1]),
            "number of members": fed.header(4),
            "epoch": fed.header(epoch=b"2027-W03"),
            "round": fed.header(round_number=2),
            "view": fed.header(view=1),
            "sender params": fed.header(sender_params=bytes(32)),
            "revoked": fed.header(revoked=revocation_digest(frozenset({bytes(16)}))),
            "layout": fed.header(layout=he.ModelLayout.of([np.zeros(50)])),
            "model": fed.header(model=model_digest(other_model)),
            "clip": fed.header(clip=0.25),
            "value bits": fed.header(value_bits=15),
            "max examples": fed.header(max_examples=1),
            "wire bits": fed.header(wire_bits=header.wire_bits + 1, packet_bytes=packet + 256),
            "min": fed.header(min_contributors=4),
            "max": fed.header(max_contributors=63),
            "shard key": fed.header(shard_key=rs.ShardKey.generate().public_key),
            "shard k": fed.header(shard_k=2),
            "shard n": fed.header(shard_n=6),
            "packet bytes": fed.header(packet_bytes=packet + 1),
            "deadline": fed.header(deadline=NOW + 3601),
            "audit deadline": fed.header(audit_deadline=NOW + 7201),
        }
        hashes = {header.hash, *(variant.hash for variant in variants.values())}
        assert len(hashes) == 1 + len(variants)

    def test_has_no_seed_and_no_field_that_is_not_a_fact_about_the_round(self):
        """Attack: with a chosen seed of the public elements the key of one client can be marked or solved."""
        assert set(RoundHeader.__dataclass_fields__) == {
            "aggregator",
            "members",
            "epoch",
            "round_number",
            "view",
            "sender_params",
            "committee_params",
            "revoked",
            "layout",
            "model",
            "clip",
            "value_bits",
            "max_examples",
            "set_name",
            "wire_bits",
            "min_contributors",
            "max_contributors",
            "shard_key",
            "shard_k",
            "shard_n",
            "packet_bytes",
            "deadline",
            "audit_deadline",
        }

    def test_round_trip_keeps_everything(self, fed):
        header = fed.header(max_examples=17, clip=0.1)
        again = RoundHeader.from_bytes(header.to_bytes(), fed.trust())
        assert again == header
        assert again.hash == header.hash
        assert (again.threshold, again.codec, again.kahe_params) == (
            header.threshold,
            header.codec,
            header.kahe_params,
        )

    def test_revocation_digest_is_of_the_set(self):
        a, b = bytes(16), bytes(15) + b"\1"
        assert revocation_digest(frozenset([a, b])) == revocation_digest(frozenset([b, a]))
        assert len({revocation_digest(frozenset(s)) for s in ([], [a], [b], [a, b])}) == 4

    @pytest.mark.parametrize(("n", "t", "f"), [(4, 3, 1), (5, 4, 1), (6, 4, 1), (7, 5, 2)])
    def test_threshold_follows_from_the_committee(self, fed, n, t, f):
        header = fed.header(n)
        assert header.threshold == t
        assert header.kahe_params.n_corrupted == f
        assert 2 * t - n > f


class TestModelDigest:
    def test_sees_shapes_dtypes_and_every_bit(self):
        base = [np.arange(6.0).reshape(2, 3)]
        variants = [
            base,
            [np.arange(6.0).reshape(3, 2)],
            [np.arange(6.0)],
            [np.arange(6.0).reshape(2, 3).astype(np.float32)],
            [np.arange(6.0).reshape(2, 3) * -1],
            [np.array([[-0.0, 1, 2], [3, 4, 5]])],
            [np.arange(3.0), np.arange(3.0, 6.0)],
            [np.arange(6.0).reshape(2, 3), np.zeros(1)],
        ]
        assert len({model_digest(v) for v in variants}) == len(variants)

    def test_does_not_see_strides(self):
        array = np.arange(12.0).reshape(3, 4)
        assert model_digest([array[:, ::2]]) == model_digest([array[:, ::2].copy()])
        assert model_digest([np.asfortranarray(array)]) == model_digest([array])
        assert model_digest([np.zeros((2, 0)), array]) != model_digest([array])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_refuses_what_is_not_finite_and_says_where(self, bad):
        model = [np.zeros(3), np.array([[0.0, 0.0], [bad, 0.0]])]
        with pytest.raises(clsc.ParameterError, match=r"array 1, index \(1, 0\)"):
            model_digest(model)

    def test_refuses_no_arrays_and_integers(self):
        for bad in ([], [np.zeros(3, np.int64)]):
            with pytest.raises(clsc.ParameterError):
                model_digest(bad)


class TestServerIdentity:
    def test_needs_a_sign_and_a_decrypt_key_of_one_name(self, fed):
        a, b = fed.member_keys[:2]
        blind = fed.client_keys[0].public_key
        pairs = [
            (a.sign.public_key, a.sign.public_key),
            (a.decrypt.public_key, a.sign.public_key),
            (a.sign.public_key, b.decrypt.public_key),
            (blind, a.decrypt.public_key),
        ]
        for sign, decrypt in pairs:
            with pytest.raises(clsc.ParameterError):
                ServerIdentity(sign, decrypt)
            with pytest.raises(clsc.DecodeError):
                ServerIdentity.from_list([sign.to_bytes(), decrypt.to_bytes()], fed.trust())

    def test_blind_keys_are_no_server(self, fed):
        key = fed.client_keys[0].public_key
        with pytest.raises(clsc.ParameterError):
            ServerIdentity(key, key)

    @pytest.mark.parametrize("bad", [b"", None, [], [b""], [b"", b"", b""], [b"x", "y"], "ab"])
    def test_from_list_refuses_anything_else(self, fed, bad):
        with pytest.raises(clsc.DecodeError):
            ServerIdentity.from_list(bad, fed.trust())

    def test_repr_of_keys_shows_no_secret(self, fed):
        keys = fed.member_keys[0]
        shown = repr(keys) + repr(ServerKeys(keys.sign, keys.decrypt))
        for key in (keys.sign, keys.decrypt):
            assert str(key._x) not in shown
            assert key._d_bytes.hex() not in shown
            assert repr(key._d_bytes) not in shown


class TestQuorum:
    def test_t_of_n_suffice_whoever_they_are(self, fed):
        header = fed.header()
        for missing in range(1, 6):
            signed = fed.sign(header, [j for j in range(1, 6) if j != missing])
            parsed = SignedHeader.from_bytes(signed, fed.trust())
            assert parsed.header == header
            assert parsed.member_signatures[missing - 1] == b""
            assert parsed.to_bytes() == signed

    def test_fewer_than_t_are_refused(self, fed):
        header = fed.header()
        with pytest.raises(ProtocolError) as caught:
            fed.sign(header, [1, 2, 3])
        assert caught.value.reason is Reason.HEADER_SIGNATURE
        proposal = SignedHeader.propose(header, fed.aggregator_keys)
        three = {j: header.sign(fed.member_keys[j - 1]) for j in (1, 2, 3)}
        listed = tuple(three.get(j, b"") for j in range(1, 6))
        data = SignedHeader(header, proposal.aggregator_signature, listed).to_bytes()
        with pytest.raises(ProtocolError) as caught:
            SignedHeader.from_bytes(data, fed.trust())
        assert caught.value.reason is Reason.HEADER_SIGNATURE
        assert caught.value.round_id == header.hash
        SignedHeader.from_bytes(data, fed.trust(), proposal=True)

    def test_a_wrong_co_signature_is_named_even_if_t_others_are_right(self, fed):
        header, other = fed.header(), fed.header(round_number=9)
        proposal = SignedHeader.propose(header, fed.aggregator_keys)
        good = {j: header.sign(fed.member_keys[j - 1]) for j in range(1, 6)}
        wrong = {
            "of another header": other.sign(fed.member_keys[2]),
            "of another member": good[4],
            "of nobody": bytes(176),
            "short": good[3][:-1],
        }
        for signature in wrong.values():
            with pytest.raises(ProtocolError, match="member 3") as caught:
                proposal.with_members({**good, 3: signature})
            assert caught.value.reason is Reason.HEADER_SIGNATURE
            assert "member 4" not in str(caught.value)

    def test_one_members_signature_does_not_count_twice(self, fed):
        header = fed.header()
        proposal = SignedHeader.propose(header, fed.aggregator_keys)
        one = header.sign(fed.member_keys[0])
        with pytest.raises(ProtocolError):
            proposal.with_members(dict.fromkeys(range(1, 6), one))

    def test_the_aggregators_signature_is_needed(self, fed):
        header = fed.header()
        good = tuple(header.sign(keys) for keys in fed.member_keys[:5])
        forged = [header.sign(fed.member_keys[0]), good[0], bytes(176)]
        for signature in forged:
            data = SignedHeader(header, signature, good).to_bytes()
            for proposal in (False, True):
                with pytest.raises(ProtocolError, match="aggregator") as caught:
                    SignedHeader.from_bytes(data, fed.trust(), proposal=proposal)
                assert caught.value.reason is Reason.HEADER_SIGNATURE
        with pytest.raises(clsc.DecodeError):
            SignedHeader.from_bytes(SignedHeader(header, b"", good).to_bytes(), fed.trust())

    def test_only_the_aggregator_proposes_and_only_members_sign(self, fed):
        header = fed.header()
        with pytest.raises(clsc.ParameterError):
            SignedHeader.propose(header, fed.other_aggregator_keys)
        with pytest.raises(ProtocolError) as caught:
            header.sign(fed.member_keys[5])
        assert caught.value.reason is Reason.NOT_MEMBER
        assert header.index_of(fed.member_keys[4].public) == 5

    def test_revoked_and_expired_servers_are_refused(self, fed, sealed):
        for keys in (fed.aggregator_keys, fed.member_keys[1]):
            for pid in (keys.public.sign.pid, keys.public.decrypt.pid):
                with pytest.raises(clsc.SenderError):
                    SignedHeader.from_bytes(sealed.signed, fed.trust(revoked=[pid]))
        with pytest.raises(clsc.SenderError):
            SignedHeader.from_bytes(sealed.signed, fed.trust(now=NOW + 10**6))

    def test_servers_of_another_authority_are_refused(self, fed, sealed):
        other = clsc.TrustStore(fed.other_authority.root_public_key, clock=lambda: NOW)
        other.add(fed.other_authority.identity)
        with pytest.raises(clsc.SenderError):
            SignedHeader.from_bytes(sealed.signed, other)


class TestOneHeaderARound:
    def test_a_second_header_for_a_round_number_is_not_signed(self, fed):
        member = fed.member(1)
        first, second = fed.header(), fed.header(clip=0.25)
        propose = lambda h: SignedHeader.propose(h, fed.aggregator_keys).to_bytes()  # noqa: E731
        signature = member.cosign(propose(first))
        assert len(signature) == clsc.SIGNATURE_BYTES
        with pytest.raises(ProtocolError) as caught:
            member.cosign(propose(second))
        assert caught.value.reason is Reason.OTHER_HEADER
        member.cosign(propose(first))  # the same again is fine
        member.cosign(propose(fed.header(round_number=2, clip=0.25)))

    def test_a_refused_proposal_does_not_use_up_the_round_number(self, fed):
        member = fed.member(1)
        propose = lambda h: SignedHeader.propose(h, fed.aggregator_keys).to_bytes()  # noqa: E731
        with pytest.raises(ProtocolError):
            member.cosign(propose(fed.header(deadline=NOW + 10**6, audit_deadline=NOW + 10**6)))
        unsigned = SignedHeader(fed.header(clip=0.1), bytes(176), (b"",) * 5).to_bytes()
        with pytest.raises(ProtocolError):
            member.cosign(unsigned)
        member.cosign(propose(fed.header()))

    def test_other_aggregators_and_committees_count_apart(self, fed):
        policy = fed.policy(aggregators=frozenset({AGGREGATOR_NAME, b"another aggregator"}))
        member = fed.member(1, policy)
        member.cosign(SignedHeader.propose(fed.header(), fed.aggregator_keys).to_bytes())
        other = fed.header(aggregator=fed.other_aggregator_keys.public)
        member.cosign(SignedHeader.propose(other, fed.other_aggregator_keys).to_bytes())

    @pytest.mark.parametrize("n", [4, 5, 7])
    def test_split_view_two_headers_never_both_get_t_signatures_with_f_cheats(self, fed, n):
        """Attack: f members sign both views, each honest member the one it is shown first."""
        views = [fed.header(n), fed.header(n, clip=0.25)]
        proposals = [SignedHeader.propose(h, fed.aggregator_keys) for h in views]
        f = views[0].kahe_params.n_corrupted
        for split in range(n - f + 1):  # how many honest members see view 0 first
            collected = [{}, {}]
            for j in range(1, f + 1):
                for k, header in enumerate(views):
                    collected[k][j] = header.sign(fed.member_keys[j - 1])
            for j in range(f + 1, n + 1):
                member = fed.member(j)
                first = 0 if j - f <= split else 1
                collected[first][j] = member.cosign(proposals[first].to_bytes())
                with pytest.raises(ProtocolError) as caught:
                    member.cosign(proposals[1 - first].to_bytes())
                assert caught.value.reason is Reason.OTHER_HEADER
            complete = [k for k in (0, 1) if len(collected[k]) >= views[k].threshold]
            assert len(complete) <= 1
            for k in {0, 1} - set(complete):
                with pytest.raises(ProtocolError) as caught:
                    proposals[k].with_members(collected[k])
                assert caught.value.reason is Reason.HEADER_SIGNATURE

    def test_a_member_of_another_committee_does_not_sign(self, fed):
        member = fed.member(6)
        with pytest.raises(ProtocolError) as caught:
            member.cosign(SignedHeader.propose(fed.header(), fed.aggregator_keys).to_bytes())
        assert caught.value.reason is Reason.NOT_MEMBER
        assert member.name == member_name(6)
        assert member._store._headers == {}
