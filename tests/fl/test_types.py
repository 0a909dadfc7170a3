"""Arguments of the wrong type are refused where they are given, by name, and not some steps later."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc, he
from sottovoce.fl import (
    Aggregator,
    Client,
    Member,
    Policy,
    ServerKeys,
    SignedHeader,
    model_digest,
    plan_round,
)
from support.fl_federation import MODEL, NOW

NAMES = frozenset({b"a name"})


class TestPolicy:
    def test_names_are_a_set_of_bytes(self):
        # With one bytes object for the set, every part of it would be an acceptable name.
        for wrong in (b"a long aggregator name", "a name", None, 7):
            with pytest.raises(TypeError, match="aggregators: a set of names expected"):
                Policy(aggregators=wrong, members=NAMES)
        with pytest.raises(TypeError, match="members: name: bytes expected, got str"):
            Policy(aggregators=NAMES, members={"a name"})
        for wrong in (b"", bytes(65)):
            with pytest.raises(clsc.ParameterError, match="1 to 64 bytes"):
                Policy(aggregators=NAMES, members={wrong})

    def test_other_containers_become_sets(self):
        policy = Policy([b"one"], (b"two", b"three"), sets=["RLWE_128_N2048_Q50"])
        assert policy.aggregators == {b"one"}
        assert policy.members == {b"two", b"three"}
        assert hash(policy)

    @pytest.mark.parametrize(
        ("field", "value", "error"),
        [
            ("sets", "RLWE_128_N2048_Q50", TypeError),
            ("sets", {"RLWE_1_N4_Q3"}, clsc.ParameterError),
            ("min_members", "5", TypeError),
            ("min_members", 3, clsc.ParameterError),
            ("min_members", True, TypeError),
            ("min_contributors", 8.0, TypeError),
            ("min_contributors", 2, clsc.ParameterError),
            ("assumed_corrupted", True, TypeError),
            ("assumed_corrupted", -1, clsc.ParameterError),
            ("max_ahead_s", 0, clsc.ParameterError),
            ("max_committee_epoch_s", 86_400.0, TypeError),
            ("max_committee_epoch_s", 0, clsc.ParameterError),
            ("max_audit_s", None, TypeError),
            ("max_audit_s", -1, clsc.ParameterError),
            ("clip_range", 1.0, TypeError),
            ("clip_range", (0.0, 1.0), clsc.ParameterError),
            ("clip_range", (2.0, 1.0), clsc.ParameterError),
            ("max_expansion", 0.5, clsc.ParameterError),
        ],
    )
    def test_every_field_is_checked(self, field, value, error):
        with pytest.raises(error, match=field):
            Policy(NAMES, NAMES, **{field: value})


class TestHeader:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("aggregator", None),
            ("members", 5),
            ("members", (None,) * 5),
            ("epoch", "week 1"),
            ("round_number", True),
            ("view", None),
            ("sender_params", "x"),
            ("layout", [np.zeros(3)]),
            ("clip", "1"),
            ("max_examples", 5.0),
            ("set_name", b"RLWE_128_N2048_Q50"),
            ("wire_bits", None),
            ("shard_key", None),
            ("deadline", NOW + 60.5),
        ],
    )
    def test_what_no_reader_accepts_cannot_be_made(self, fed, field, value):
        with pytest.raises(TypeError, match=field):
            replace(fed.header(), **{field: value})

    def test_a_list_of_members_becomes_a_tuple(self, fed):
        header = fed.header()
        again = replace(header, members=list(header.members), clip=np.float32(1))
        assert hash(again)
        assert again.members == header.members
        assert type(again.clip) is float


class TestRoles:
    def test_arguments_in_the_wrong_order(self, fed, sealed):
        key = fed.client(0)._key
        with pytest.raises(TypeError, match="key: SecretKey expected, got TrustStore"):
            Client(fed.trust(), key, fed.policy())
        with pytest.raises(TypeError, match="policy: Policy expected, got dict"):
            Member(fed.member_keys[0], fed.trust(), {})
        with pytest.raises(TypeError, match="shard_key: ShardKey expected"):
            Aggregator(fed.aggregator_keys, b"key", fed.trust(), sealed.signed)
        keys = fed.aggregator_keys
        with pytest.raises(clsc.ParameterError, match="one sign and one decrypt key"):
            ServerKeys(keys.decrypt, keys.sign)

    def test_indices_of_signatures(self, fed):
        proposal = SignedHeader.propose(fed.header(), fed.aggregator_keys)
        with pytest.raises(TypeError, match="signatures"):
            proposal.with_members([b""] * 5)
        with pytest.raises(clsc.ParameterError, match="member indices 1 to"):
            proposal.with_members({0: bytes(176)})


def test_plan_round_derives_what_can_be_derived(fed):
    trust = fed.trust()
    given = {
        "aggregator": fed.aggregator_keys.public,
        "members": [keys.public for keys in fed.member_keys],
        "shard_key": fed.header().shard_key,
        "sender_params": trust.get(fed.header().sender_params),
        "trust": trust,
        "round_number": 7,
        "clip": 1.0,
        "deadline": NOW + 60,
        "audit_deadline": NOW + 120,
    }
    header = plan_round(MODEL, **given)
    assert header.model == model_digest(MODEL)
    assert header.layout == he.ModelLayout.of(MODEL)
    assert header.epoch == given["sender_params"].epoch
    assert header.committee_params == given["aggregator"].sign.params.params_id
    assert (header.max_contributors, header.wire_bits) == (1024, 34)
    signed = fed.sign(header)
    assert fed.client(0, fed.policy(min_contributors=8)).check(signed) == header
    with pytest.raises(clsc.ParameterError, match="wire width"):
        plan_round(MODEL, **given, max_contributors=1 << 20, value_bits=24)
