"""Floors that no header can lower, for clients and members alike."""

from dataclasses import replace

import pytest

from sottovoce import clsc
from sottovoce.fl import Client, Policy, ProtocolError, Reason, SignedHeader
from sottovoce.fl.simulate import Authority
from support.fl_federation import AGGREGATOR_NAME, EPOCH, MODEL, NOW, member_name, update_of

NAMES = frozenset(member_name(j) for j in range(1, 8))

# What a header says, what the owner asks for, and the words of the refusal.
AGAINST = {
    "aggregator": (
        {},
        {"aggregators": {b"somebody else"}},
        "aggregator b.* is not one of those named",
    ),
    "view": ({"view": 1}, {}, "view 0 expected"),
    "member": ({}, {"members": NAMES - {member_name(3)}}, "member b.* is not one of those named"),
    "committee": ({}, {"min_members": 6}, "at least 6 members"),
    "committee, all named": ({}, {"min_members": None}, "at least 7 members"),
    "contributors": ({"min_contributors": 7}, {"min_contributors": 8}, "at least 8 expected"),
    "assumed corrupted": (
        {"min_contributors": 8},
        {"min_contributors": 8, "assumed_corrupted": 7},
        "at least 9 expected",
    ),
    "set": ({}, {"sets": frozenset({"RLWE_PQ128_N2048_Q40"})}, "parameter set"),
    "no set": ({}, {"sets": frozenset()}, "parameter set"),
    "clip too large": ({"clip": 0.51}, {"clip_range": (0.1, 0.5)}, "clip"),
    "clip too small": ({"clip": 0.09}, {"clip_range": (0.1, 0.5)}, "clip"),
    "padding": ({"packet_bytes": 1 << 29}, {}, "8.0 times the bytes"),
    "redundancy": ({"shard_k": 1, "shard_n": 9}, {}, "8.0 times the bytes"),
    "little redundancy": ({}, {"max_expansion": 1.66}, "1.66 times the bytes"),
    "unknown senders": ({"sender_params": bytes(32)}, {}, "parameters unknown"),
    "epoch": ({"epoch": b"another"}, {}, "epoch"),
    "deadline far ahead": ({}, {"max_ahead_s": 3599}, "too far ahead"),
    "committee epoch": (
        {},
        {"max_committee_epoch_s": 86_399},
        "committee keys valid for at most 86399 s expected, got 86400",
    ),
    "audit": ({}, {"max_audit_s": 3599}, "an audit of at most 3599 s"),
    "no audit": ({}, {"max_audit_s": 0}, "an audit of at most 0 s"),
    "audit of the default": (
        {"audit_deadline": NOW + 3600 + 7 * 86_400 + 1},
        {},
        "an audit of at most 604800 s",
    ),
}


@pytest.mark.parametrize("case", AGAINST)
def test_client_and_member_refuse(fed, case):
    fields, conditions, words = AGAINST[case]
    header = fed.header(**fields)
    signed, policy = fed.sign(header), fed.policy(**conditions)
    client, member = fed.client(0, policy), fed.member(1, policy)
    calls = {
        "seal": lambda: client.seal(signed, MODEL, update_of(0)),
        "check header": lambda: client.check(signed),
        "cosign": lambda: member.cosign(SignedHeader.propose(header, fed.aggregator_keys).to_bytes()),
        "check": lambda: member.check(signed, b""),
        "answer": lambda: member.answer(signed, b""),
    }
    for call in calls.values():
        with pytest.raises(ProtocolError, match=words) as caught:
            call()
        assert caught.value.reason is Reason.POLICY
        assert caught.value.round_id == header.hash
    assert client._outbox.find(header.hash) is None


def test_exactly_at_every_floor_is_accepted(fed):
    header = fed.header(clip=0.5, min_contributors=9)
    policy = fed.policy(
        min_members=5,
        min_contributors=9,
        assumed_corrupted=7,
        clip_range=(0.5, 0.5),
        max_ahead_s=3600,
        max_committee_epoch_s=86_400,
        max_audit_s=3600,
        max_expansion=1.7,
        members=NAMES - {member_name(6), member_name(7)},
    )
    policy.check(header, fed.trust(), NOW)


def test_the_name_of_who_is_not_acceptable_is_told(fed):
    policy = fed.policy(members=NAMES - {member_name(3)})
    with pytest.raises(ProtocolError) as caught:
        policy.check(fed.header(), fed.trust(), NOW)
    assert caught.value.sender == member_name(3)


@pytest.mark.parametrize(("late_s", "refused"), [(0, False), (120, False), (121, True), (10**6, True)])
def test_deadline_with_clock_skew(fed, late_s, refused):
    header = fed.header()
    now = header.deadline + late_s
    if not refused:
        fed.policy().check(header, fed.trust(), now)
        return
    with pytest.raises(ProtocolError) as caught:
        fed.policy().check(header, fed.trust(), now)
    assert caught.value.reason is Reason.DEADLINE


def test_keys_of_another_epoch_do_not_contribute(fed):
    """The ONE set of senders' parameters: a client of the right authority, but of the servers' epoch."""
    key = fed.member_keys[6].sign
    client = Client(key, fed.trust(), fed.policy(), clock=lambda: NOW)
    with pytest.raises(ProtocolError) as caught:
        client.seal(fed.sign(fed.header()), MODEL, update_of(0))
    assert caught.value.reason is Reason.SENDER_PARAMS


@pytest.mark.parametrize(
    "fields",
    [
        {"min_members": 3},
        {"max_committee_epoch_s": 0},
        {"max_audit_s": -1},
        {"min_contributors": 2},
        {"min_contributors": 0},
        {"assumed_corrupted": -1},
        {"clip_range": (0.0, 1.0)},
        {"clip_range": (-1.0, 1.0)},
        {"clip_range": (2.0, 1.0)},
        {"clip_range": (float("nan"), 1.0)},
        {"clip_range": (1.0, float("nan"))},
        {"max_expansion": 0.5},
        {"max_expansion": float("nan")},
    ],
    ids=str,
)
def test_impossible_policies_are_refused(fields):
    with pytest.raises(clsc.ParameterError):
        Policy(aggregators=frozenset({AGGREGATOR_NAME}), members=NAMES, **fields)


def test_defaults_are_the_documented_floors():
    policy = Policy(frozenset(), frozenset())
    assert (policy.min_members, policy.min_contributors) == (None, 8)
    assert policy.sets == {"RLWE_128_N2048_Q50"}
    assert not policy.allow_retrained
    assert policy.max_ahead_s == 86_400
    assert policy.max_committee_epoch_s == 86_400
    assert policy.max_audit_s == 7 * 86_400


@pytest.mark.parametrize(("header_says", "refused"), [(7, True), (8, False)])
def test_the_default_floor_of_contributors_holds(fed, header_says, refused):
    policy = Policy(frozenset({AGGREGATOR_NAME}), NAMES)
    header = fed.header(7, min_contributors=header_says)
    if refused:
        with pytest.raises(ProtocolError, match="at least 8 expected"):
            policy.check(header, fed.trust(), NOW)
    else:
        policy.check(header, fed.trust(), NOW)


@pytest.mark.parametrize("named", [4, 5, 7])
def test_the_default_committee_is_all_that_are_named(fed, named):
    """The aggregator that picks picks the corrupted ones: f of a part is less than f of all."""
    policy = Policy(frozenset({AGGREGATOR_NAME}), frozenset(member_name(j) for j in range(1, named + 1)))
    policy.check(fed.header(named, min_contributors=8), fed.trust(), NOW)
    for n in range(4, named):
        with pytest.raises(ProtocolError, match=f"at least {named} members expected") as caught:
            policy.check(fed.header(n, min_contributors=8), fed.trust(), NOW)
        assert caught.value.reason is Reason.POLICY


def test_a_copy_that_names_more_members_asks_for_more(fed):
    four = Policy(frozenset({AGGREGATOR_NAME}), frozenset(member_name(j) for j in range(1, 5)))
    policy = replace(four, members=NAMES)
    with pytest.raises(ProtocolError, match="at least 7 members expected"):
        policy.check(fed.header(4, min_contributors=8), fed.trust(), NOW)
    policy.check(fed.header(7, min_contributors=8), fed.trust(), NOW)


def test_more_names_than_a_committee_holds_ask_for_the_largest_committee(fed):
    many = NAMES | {b"spare %d" % i for i in range(64)}
    with pytest.raises(ProtocolError, match="at least 64 members expected"):
        Policy(frozenset({AGGREGATOR_NAME}), many).check_parties(fed.header(7))


def test_the_default_bounds_of_epoch_and_audit_hold(fed):
    policy = Policy(frozenset({AGGREGATOR_NAME}), NAMES)
    header = fed.header(7, min_contributors=8)  # of a committee whose keys are valid for exactly a day
    longest = replace(header, audit_deadline=header.deadline + 7 * 86_400)
    policy.check(longest, fed.trust(), NOW)
    with pytest.raises(ProtocolError, match="an audit of at most 604800 s"):
        policy.check(replace(longest, audit_deadline=longest.audit_deadline + 1), fed.trust(), NOW)


def test_a_committee_epoch_of_more_than_a_day_is_refused_by_default(fed):
    """Whoever steals t keys before their epoch ends opens every update recorded in it."""
    policy = Policy(frozenset({AGGREGATOR_NAME}), NAMES)
    for valid_s, refused in ((86_400, False), (86_401, True)):
        authority = Authority(EPOCH, NOW, valid_s)
        header = fed.header(
            aggregator=authority.server(AGGREGATOR_NAME).public,
            members=tuple(authority.server(member_name(j)).public for j in range(1, 8)),
            sender_params=authority.blind.params_id,
            committee_params=authority.identity.params_id,
            min_contributors=8,
        )
        if refused:
            with pytest.raises(ProtocolError, match="at most 86400 s expected, got 86401") as caught:
                policy.check(header, authority.trust(), NOW)
            assert caught.value.reason is Reason.POLICY
        else:
            policy.check(header, authority.trust(), NOW)


def test_the_epoch_that_counts_is_the_committees(fed):
    """Senders' keys only sign: theirs may last."""
    long = Authority(EPOCH, NOW, 86_401)

    class Both:
        def get(self, params_id):
            known = (fed.authority.blind, fed.authority.identity, long.blind, long.identity)
            return next(params for params in known if params.params_id == params_id)

    fed.policy(max_committee_epoch_s=86_400).check(
        fed.header(sender_params=long.blind.params_id), Both(), NOW
    )
    header = fed.header(
        aggregator=long.server(AGGREGATOR_NAME).public,
        members=tuple(long.server(member_name(j)).public for j in range(1, 6)),
        committee_params=long.identity.params_id,
    )
    with pytest.raises(ProtocolError, match="at most 86400 s expected, got 86401"):
        fed.policy(max_committee_epoch_s=86_400).check(header, Both(), NOW)


def test_parameters_of_the_committee_must_be_known(fed):
    only_senders = clsc.TrustStore(fed.authority.root_public_key, clock=lambda: NOW)
    only_senders.add(fed.authority.blind)
    with pytest.raises(ProtocolError, match="parameters unknown") as caught:
        fed.policy().check(fed.header(), only_senders, NOW)
    assert caught.value.reason is Reason.POLICY
