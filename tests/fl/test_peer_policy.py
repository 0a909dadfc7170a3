"""What a peer accepts: exactly the chosen ones, on their turn, above its own floors."""

from dataclasses import replace

import pytest

from sottovoce import clsc
from sottovoce._ext.limits import CLOCK_SKEW_S
from sottovoce.fl import (
    ParameterError,
    PeerPolicy,
    Policy,
    ProtocolError,
    Reason,
    RosterBook,
    ServerKeys,
    SignedHeader,
    plan_round,
)
from sottovoce.rs import ShardKey
from support.fl_federation import CLIP, EPOCH, MODEL, NOW
from support.fl_peers import MIN_CONTRIBUTORS, VIEW_S, PeerNet, peer_name

ROUND = 1


@pytest.fixture(scope="module")
def net(peer_world):
    net = PeerNet(peer_world)
    net.release(ROUND)
    return net


@pytest.fixture
def at(net):
    """Move the clock, and back afterwards."""

    def move(seconds):
        net.now = NOW + seconds

    yield move
    net.now = NOW


def header_of(net, view=0, **fields):
    """The header that the rules ask for in a view, with fields changed."""
    choice = net.alive[0].book.choice(EPOCH, ROUND, view)
    usual = {
        "aggregator": choice.aggregator,
        "members": choice.members,
        "shard_key": ShardKey.generate().public_key,
        "sender_params": net.world.authority.blind,
        "trust": net.world.trust(),
        "round_number": ROUND,
        "view": view,
        "clip": CLIP,
        "deadline": NOW + (view + 1) * VIEW_S - CLOCK_SKEW_S,
        "audit_deadline": NOW + (view + 1) * VIEW_S,
        "min_contributors": MIN_CONTRIBUTORS,
    }
    return plan_round(MODEL, **usual | fields)


def second_keys(net, name):
    """Other keys under a name of the roster and the same parameters, as only the issuer can make them."""
    issuer = clsc.Issuer(net.world.authority._identity_issuer._master)
    token = issuer.enrol(name.decode())
    made = []
    for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
        request = clsc.IdentityRequest(net.world.authority.identity, usage, name, token)
        made.append(request.finish(issuer.issue(name.decode(), request.to_bytes(issuer.challenge()))))
    return ServerKeys(*made).public


def policy_of(net):
    return net.alive[0]._policy


def refusal(net, header):
    with pytest.raises(ProtocolError) as caught:
        policy_of(net).check(header, net.world.trust(), net.now)
    assert caught.value.round_id == header.hash
    return caught.value


def test_every_view_on_its_turn(net, at):
    for view in range(3):
        at(view * VIEW_S)
        policy_of(net).check(header_of(net, view), net.world.trust(), net.now)


class TestOtherParties:
    def test_any_other_aggregator(self, net):
        right = header_of(net)
        for keys in net.world.keys:
            peer = keys.public
            if peer.name == right.aggregator.name or peer in right.members:
                continue
            error = refusal(net, header_of(net, aggregator=peer))
            assert error.reason is Reason.POLICY
            assert error.sender == peer.name

    def test_the_aggregator_of_another_view(self, net, at):
        at(VIEW_S)
        later = header_of(net, 1)
        assert refusal(net, header_of(net, 1, aggregator=header_of(net).aggregator)).reason is Reason.POLICY
        assert refusal(net, replace(later, view=2)).reason is Reason.POLICY
        assert refusal(net, replace(later, view=0)).reason is Reason.POLICY

    def test_no_such_view(self, net, at):
        at(3 * VIEW_S)
        assert refusal(net, replace(header_of(net, 2), view=3)).reason is Reason.VIEW

    def test_another_committee_order_or_size(self, net):
        right = header_of(net)
        outsider = header_of(net, 1).aggregator
        for members in (
            right.members[::-1],
            (*right.members[:3], outsider),
            (*right.members, outsider),
        ):
            error = refusal(net, header_of(net, members=members))
            assert error.reason is Reason.POLICY
            assert "committee" in str(error)

    def test_the_right_name_with_another_key(self, net):
        """The issuer makes a second key for a name: the roster has one."""
        right = header_of(net)
        for i, server in enumerate((right.aggregator, *right.members)):
            again = second_keys(net, server.name)
            servers = [right.aggregator, *right.members]
            servers[i] = again
            assert [s.name for s in servers] == [s.name for s in (right.aggregator, *right.members)]
            error = refusal(net, header_of(net, aggregator=servers[0], members=servers[1:]))
            assert error.reason is Reason.POLICY

    def test_another_round_or_epoch(self, net):
        assert refusal(net, header_of(net, round_number=2)).reason is Reason.BEACON
        assert refusal(net, replace(header_of(net), epoch=b"another")).reason is Reason.BEACON


class TestTurn:
    def test_not_a_second_early(self, net, at):
        header = header_of(net, 1)
        at(VIEW_S - 1)
        error = refusal(net, header)
        assert (error.reason, "has not come" in str(error)) == (Reason.VIEW, True)
        at(VIEW_S)
        policy_of(net).check(header, net.world.trust(), net.now)

    def test_no_deadline_in_anothers_turn(self, net):
        for late, fine in ((VIEW_S - 1, True), (VIEW_S, False), (VIEW_S + CLOCK_SKEW_S, False)):
            header = header_of(net, deadline=NOW + late, audit_deadline=NOW + late)
            if fine:
                policy_of(net).check(header, net.world.trust(), net.now)
            else:
                assert refusal(net, header).reason is Reason.VIEW

    def test_a_view_that_is_over(self, net, at):
        at(VIEW_S - 1)
        header = header_of(net, 0)
        policy_of(net).check(header, net.world.trust(), net.now)
        for late in (VIEW_S, VIEW_S + CLOCK_SKEW_S, 2 * VIEW_S):
            at(late)
            assert refusal(net, header).reason in (Reason.VIEW, Reason.DEADLINE)

    def test_one_view_at_a_time(self, net, at):
        headers = [header_of(net, view) for view in range(3)]
        for second in range(0, 3 * VIEW_S, 20):
            for moment in (second, second - 1):
                at(moment)
                accepted = [h.view for h in headers if not self.refused(net, h)]
                # None in between: past the deadline and the skew that every round grants.
                assert accepted in ([], [moment // VIEW_S])
                assert accepted or moment < 0

    @staticmethod
    def refused(net, header):
        try:
            policy_of(net).check(header, net.world.trust(), net.now)
        except ProtocolError:
            return True
        return False

    @pytest.mark.parametrize(
        ("fast", "late"),
        [(1 - CLOCK_SKEW_S, 0), (CLOCK_SKEW_S - 1, 0), (0, 1 - CLOCK_SKEW_S), (-60, -59), (60, 59)],
    )
    def test_honest_clocks_that_differ(self, net, fast, late):
        """From where all have begun to the aggregator's deadline everybody takes part, and in that view."""
        world = net.world
        # When the beacon comes, after it came to the aggregator, by this peer's clock.
        book = RosterBook(world.trust(), clock=lambda: NOW + late + fast)
        book.add_roster(world.signed_roster())
        book.add_beacon(world.beacon(ROUND).to_bytes())
        policy = replace(policy_of(net), book=book)
        for view in range(3):
            header = header_of(net, view)
            assert header.deadline == NOW + (view + 1) * VIEW_S - CLOCK_SKEW_S
            begin = NOW + view * VIEW_S
            for moment in (begin + max(0, late), header.deadline - 1, header.deadline):
                policy.check(header, world.trust(), moment + fast)
            with pytest.raises(ProtocolError):
                policy.check(header, world.trust(), begin + VIEW_S + late + fast)

    def test_clocks_that_differ_by_more_take_no_part(self, net):
        world = net.world
        slow = RosterBook(world.trust(), clock=lambda: NOW - CLOCK_SKEW_S)
        slow.add_roster(world.signed_roster())
        slow.add_beacon(world.beacon(ROUND).to_bytes())
        with pytest.raises(ProtocolError, match="a deadline before the end"):
            replace(policy_of(net), book=slow).check(header_of(net), world.trust(), NOW - CLOCK_SKEW_S)


class TestFloors:
    def test_all_of_an_ordinary_policy_hold(self, net):
        for fields, words in (
            ({"min_contributors": MIN_CONTRIBUTORS - 1}, "min_contributors"),
            ({"clip": 1e9}, "clip"),
            ({"audit_deadline": NOW + 10**6}, "audit"),
        ):
            assert words in str(refusal(net, header_of(net, **fields)))

    def test_a_roster_with_too_small_committees(self, net):
        strict = replace(policy_of(net), min_members=5)
        with pytest.raises(ProtocolError, match="at least 5 members"):
            strict.check(header_of(net), net.world.trust(), net.now)

    def test_results_are_held_to_the_parties_only(self, net, at):
        at(50 * VIEW_S)
        policy_of(net).check_parties(header_of(net))
        with pytest.raises(ProtocolError):
            policy_of(net).check_parties(header_of(net, aggregator=header_of(net, 1).aggregator))

    def test_impossible_policies(self, net):
        book = policy_of(net).book
        for fields in ({"min_members": None}, {"min_members": 3}, {"min_contributors": 2}):
            with pytest.raises(ParameterError):
                PeerPolicy(book=book, **fields)
        with pytest.raises(TypeError):
            PeerPolicy(book=None)
        with pytest.raises(TypeError):
            PeerPolicy(book=book, members=frozenset({peer_name(1)}))
        assert isinstance(PeerPolicy(book=book), Policy)

    def test_a_pinned_policy_takes_no_views(self, net, at):
        names = frozenset(keys.public.name for keys in net.world.keys)
        pinned = Policy(aggregators=names, members=names, min_contributors=5, min_members=4)
        pinned.check(header_of(net), net.world.trust(), net.now)
        with pytest.raises(ProtocolError, match="view 0"):
            pinned.check(header_of(net, 1), net.world.trust(), net.now)


def test_client_and_member_ask_it(net):
    """Every way in is held against it, not only one."""
    header = header_of(net, 1)
    keys = {k.public.name: k for k in net.world.keys}
    proposal = SignedHeader.propose(header, keys[header.aggregator.name])
    signed = proposal.with_members({j: header.sign(keys[m.name]) for j, m in enumerate(header.members, 1)})
    member = net.peers[header.members[0].name].member
    client = net.alive[0].client
    for call in (
        lambda: client.check(signed.to_bytes()),
        lambda: client.seal(signed.to_bytes(), MODEL, MODEL),
        lambda: member.cosign(proposal.to_bytes()),
        lambda: member.check(signed.to_bytes(), b""),
        lambda: member.answer(signed.to_bytes(), b""),
    ):
        with pytest.raises(ProtocolError) as caught:
            call()
        assert caught.value.reason is Reason.VIEW


def test_a_peer_without_the_beacon_takes_no_part(net):
    ignorant = replace(policy_of(net), book=RosterBook(net.world.trust()))
    with pytest.raises(ProtocolError) as caught:
        ignorant.check(header_of(net), net.world.trust(), net.now)
    assert caught.value.reason is Reason.BEACON
