"""The member: checks everything about every packet, and answers one set a round number."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce.fl import (
    Answer,
    CheckReply,
    CloseRequest,
    ContributorSet,
    Fault,
    MemberShare,
    MemoryMemberStore,
    ProtocolError,
    Reason,
    SignedHeader,
    revocation_digest,
)
from sottovoce.fl.signed import HeaderReader
from sottovoce.fl.sizes import member_packet_bytes
from sottovoce.fl.wire import associated_data, set_root
from sottovoce.he import kahe
from support.fl_federation import NOW, craft, make_request

J = 2  # the member asked in most tests


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def verdict(fed, sealed, reply, j=J, header=None):
    """A check reply, opened as the aggregator does."""
    opened = clsc.unsigncrypt(
        reply,
        receiver=fed.aggregator_keys.decrypt,
        trust=fed.trust(),
        ad=associated_data((header or sealed.header).hash, "check", j),
    )
    return CheckReply.from_bytes(opened.plaintext, header or sealed.header)


class TestBinding:
    def test_checking_binds_nothing(self, fed, sealed):
        member = fed.member(J)
        for indices in ((0, 1, 2), (0, 1, 2, 3), (2, 3, 4)):
            assert verdict(fed, sealed, member.check(sealed.signed, sealed.request(J, indices))).bad == ()
        member.answer(sealed.signed, sealed.request(J, (3, 4, 5)))
        # Even afterwards: it looks, and says nothing that helps to open a sum.
        member.check(sealed.signed, sealed.request(J, (0, 1, 2)))

    def test_a_second_set_is_refused_and_the_first_keeps_its_bytes(self, fed, sealed):
        member = fed.member(J)
        request = sealed.request(J, (0, 1, 2, 3))
        answer = member.answer(sealed.signed, request)
        for indices in ((0, 1, 2), (0, 1, 2, 3, 4), (1, 2, 3, 4), (3, 4, 5)):
            other = sealed.request(J, indices)
            assert reason(lambda r=other: member.answer(sealed.signed, r)) is Reason.BOUND
        assert member.answer(sealed.signed, request) == answer
        assert member.answer(sealed.signed, sealed.request(J, (0, 1, 2, 3))) == answer

    def test_another_sum_for_the_same_set_is_refused(self, fed, sealed):
        member = fed.member(J)
        updates = [sealed.update(i) for i in range(3)]
        good = sealed.request(J, updates=updates)
        agreed = CloseRequest.from_bytes(good, sealed.header, J).agreed
        member.answer(sealed.signed, good)
        other = sealed.request(J, updates=updates, agreed=replace(agreed, sum_digest=bytes(32)))
        assert reason(lambda: member.answer(sealed.signed, other)) is Reason.BOUND

    def test_another_round_of_the_same_number_is_refused(self, fed, sealed):
        """Another view, or another aggregator: a round number is answered once an epoch."""
        names = frozenset({fed.aggregator_keys.public.name, fed.other_aggregator_keys.public.name})
        member = fed.member(J, fed.policy(aggregators=names))
        member.answer(sealed.signed, sealed.request(J))
        for keys, why in (
            (fed.aggregator_keys, Reason.OTHER_HEADER),
            (fed.other_aggregator_keys, Reason.BOUND),
        ):
            header = fed.header(min_contributors=4, aggregator=keys.public)
            updates = [craft(fed, header, fed.client_keys[i])[1] for i in range(4)]
            request = make_request(header, J, updates, keys)
            assert reason(lambda h=header, r=request: member.answer(fed.sign(h), r)) is why
        other = fed.header(round_number=2)
        updates = [craft(fed, other, fed.client_keys[i])[1] for i in range(3)]
        member.answer(fed.sign(other), make_request(other, J, updates, fed.aggregator_keys))

    def test_the_store_outlives_the_member(self, fed, sealed):
        store = MemoryMemberStore()
        request = sealed.request(J, (0, 1, 2))
        answer = fed.member(J, store=store).answer(sealed.signed, request)
        again = fed.member(J, store=store)
        assert again.answer(sealed.signed, request) == answer
        assert reason(lambda: again.answer(sealed.signed, sealed.request(J))) is Reason.BOUND

    def test_it_is_bound_before_anything_is_signed(self, fed, sealed):
        class Crashing(MemoryMemberStore):
            def bind(self, *args, **options):
                super().bind(*args, **options)
                raise OSError("power cut")

        store = Crashing()
        member = fed.member(J, store=store)
        with pytest.raises(OSError, match="power cut"):
            member.answer(sealed.signed, sealed.request(J, (0, 1, 2)))
        store.__class__ = MemoryMemberStore
        assert reason(lambda: member.answer(sealed.signed, sealed.request(J))) is Reason.BOUND
        member.answer(sealed.signed, sealed.request(J, (0, 1, 2)))

    def test_a_refused_request_does_not_bind(self, fed, sealed):
        member = fed.member(J)
        bad = [sealed.update(i).member_packets[0] for i in range(6)]  # another member's packets
        request = sealed.request(J, packets=bad)
        assert reason(lambda: member.answer(sealed.signed, request)) is Reason.BAD_SHARES
        assert member._store._bindings == {}
        member.answer(sealed.signed, sealed.request(J, (0, 1, 2)))

    def test_identical_set_with_bad_packets_gets_no_other_answer(self, fed, sealed):
        """Before the answer it is refused; afterwards nothing leaves that has not left already."""
        member = fed.member(J)
        request = sealed.request(J, packets=[b"x"] * 6)
        assert reason(lambda: member.answer(sealed.signed, request)) is Reason.BAD_SHARES
        answer = member.answer(sealed.signed, sealed.request(J))
        assert member.answer(sealed.signed, request) == answer
        assert verdict(fed, sealed, member.check(sealed.signed, request)).bad == tuple(sorted(sealed.pids))

    def test_one_that_forgets_its_store_answers_a_second_set(self, fed, sealed):
        """Documented: such a member counts as corrupted.  What it remembers is in the store alone."""
        store = MemoryMemberStore()
        fed.member(J, store=store).answer(sealed.signed, sealed.request(J))
        second = sealed.request(J, (0, 1, 2, 3))
        assert reason(lambda: fed.member(J, store=store).answer(sealed.signed, second)) is Reason.BOUND
        assert fed.member(J).answer(sealed.signed, second)


@pytest.fixture(scope="module")
def other(fed):
    """Another header of the same number, signed by everybody all the same, and a request under it."""
    header = fed.header(audit_deadline=NOW + 9000)
    updates = [craft(fed, header, fed.client_keys[i])[1] for i in range(3)]
    return header, fed.sign(header), make_request(header, J, updates, fed.aggregator_keys)


class TestOtherHeader:
    """One header for an aggregator, epoch and number, whatever a member does with it first."""

    def doings(self, fed, header, signed, request):
        proposal = SignedHeader.propose(header, fed.aggregator_keys).to_bytes()
        return {
            "cosign": lambda member: member.cosign(proposal),
            "check": lambda member: member.check(signed, request),
            "answer": lambda member: member.answer(signed, request),
        }

    @pytest.mark.parametrize("first", ["cosign", "check", "answer"])
    @pytest.mark.parametrize("then", ["cosign", "check", "answer"])
    def test_is_refused(self, fed, sealed, other, first, then):
        ours = self.doings(fed, sealed.header, sealed.signed, sealed.request(J))
        theirs = self.doings(fed, *other)
        store = MemoryMemberStore()
        member = fed.member(J, store=store)
        ours[first](member)
        bindings = dict(store._bindings)
        for asked in (member, fed.member(J, store=store)):
            assert reason(lambda m=asked: theirs[then](m)) is Reason.OTHER_HEADER
        assert store._bindings == bindings
        for call in ours.values():
            call(member)

    @pytest.mark.parametrize("doing", ["check", "answer"])
    def test_what_is_not_signed_by_a_quorum_is_not_remembered(self, fed, sealed, other, doing):
        header, _, request = other
        member = fed.member(J)
        proposal = SignedHeader.propose(header, fed.aggregator_keys).to_bytes()
        unsigned = self.doings(fed, header, proposal, request)
        assert reason(lambda: unsigned[doing](member)) is Reason.HEADER_SIGNATURE
        member.answer(sealed.signed, sealed.request(J))


class TestRevokedLater:
    """Whom a member revokes after the header is bad to it, and nothing else changes."""

    def test_somebody_else(self, fed, sealed):
        trust = fed.trust()
        member, request = fed.member(J, trust=trust), sealed.request(J)
        answer = member.answer(sealed.signed, request)
        trust.revoke(fed.pids[11])
        assert member.answer(sealed.signed, request) == answer
        assert verdict(fed, sealed, member.check(sealed.signed, request)).bad == ()
        other = fed.member(3, trust=trust)
        assert verdict(fed, sealed, other.check(sealed.signed, sealed.request(3)), 3).bad == ()
        assert other.answer(sealed.signed, sealed.request(3))

    @pytest.mark.parametrize("checked", [False, True], ids=["not opened before", "opened before"])
    def test_a_contributor(self, fed, sealed, checked):
        trust = fed.trust()
        member, request = fed.member(J, trust=trust), sealed.request(J)
        if checked:
            assert verdict(fed, sealed, member.check(sealed.signed, request)).bad == ()
        trust.revoke(sealed.pids[2])
        assert reason(lambda: member.answer(sealed.signed, request)) is Reason.BAD_SHARES
        assert verdict(fed, sealed, member.check(sealed.signed, request)).bad == (sealed.pids[2],)
        assert reason(lambda: member.answer(sealed.signed, request)) is Reason.BAD_SHARES
        assert member._store._bindings == {}
        member.answer(sealed.signed, sealed.request(J, (0, 1, 3, 4, 5)))

    def test_a_contributor_after_the_answer(self, fed, sealed):
        """It has left: the identical request gets the identical bytes, any other one is refused."""
        trust = fed.trust()
        member, request = fed.member(J, trust=trust), sealed.request(J)
        answer = member.answer(sealed.signed, request)
        trust.revoke(sealed.pids[2])
        assert member.answer(sealed.signed, request) == answer
        assert verdict(fed, sealed, member.check(sealed.signed, request)).bad == (sealed.pids[2],)
        without = sealed.request(J, (0, 1, 3, 4, 5))
        assert reason(lambda: member.answer(sealed.signed, without)) is Reason.BOUND


class TestRequest:
    def refused(self, fed, sealed, request, error, *, signed=None, j=J, why=None):
        for name in ("check", "answer"):
            member = fed.member(j)
            with pytest.raises(error) as caught:
                getattr(member, name)(signed or sealed.signed, request)
            if why is not None:
                assert caught.value.reason is why
            assert member._store._bindings == {}

    def test_not_signed_by_the_aggregator(self, fed, sealed):
        for keys in (fed.other_aggregator_keys, fed.member_keys[0], fed.member_keys[J - 1]):
            self.refused(fed, sealed, sealed.request(J, keys=keys), clsc.SignatureError)

    def test_for_another_member(self, fed, sealed):
        self.refused(fed, sealed, sealed.request(3), clsc.SignatureError)

    def test_of_another_round(self, fed, sealed):
        other = fed.header(round_number=5)
        updates = [craft(fed, other, fed.client_keys[i])[1] for i in range(3)]
        request = make_request(other, J, updates, fed.aggregator_keys)
        self.refused(fed, sealed, request, ProtocolError, why=Reason.SET)

    def test_one_who_is_no_member(self, fed, sealed):
        self.refused(fed, sealed, sealed.request(J), ProtocolError, j=6, why=Reason.NOT_MEMBER)

    def test_too_few_contributors(self, fed, sealed):
        for indices in ((), (0,), (0, 1)):
            request = sealed.request(J, indices)
            self.refused(fed, sealed, request, ProtocolError, why=Reason.TOO_FEW)

    def test_past_the_deadline(self, fed, sealed):
        late = fed.member(J, now=sealed.header.deadline + 121)
        request = sealed.request(J)
        assert reason(lambda: late.answer(sealed.signed, request)) is Reason.DEADLINE
        assert reason(lambda: late.check(sealed.signed, request)) is Reason.DEADLINE

    @pytest.mark.parametrize(("listed", "revoked"), [([], [11]), ([11], []), ([10], [11]), ([10], [10, 11])])
    def test_another_revocation_list_is_not_signed(self, fed, listed, revoked):
        """A member signs only headers with its own list of the revoked."""
        digest = revocation_digest(frozenset(fed.pids[i] for i in listed))
        header = fed.header(revoked=digest)
        proposal = SignedHeader.propose(header, fed.aggregator_keys).to_bytes()
        member = fed.member(J, trust=fed.trust(revoked=[fed.pids[i] for i in revoked]))
        with pytest.raises(ProtocolError, match="revocation") as caught:
            member.cosign(proposal)
        assert caught.value.reason is Reason.POLICY
        assert member._store._headers == {}
        agreeing = fed.member(J, trust=fed.trust(revoked=[fed.pids[i] for i in listed]))
        assert agreeing.cosign(proposal)

    def test_a_header_without_a_quorum(self, fed, sealed):
        proposal = SignedHeader.propose(sealed.header, fed.aggregator_keys).to_bytes()
        request = sealed.request(J)
        self.refused(fed, sealed, request, ProtocolError, signed=proposal, why=Reason.HEADER_SIGNATURE)

    def test_lists_that_do_not_fit(self, fed, sealed):
        good = CloseRequest.from_bytes(sealed.request(J), sealed.header, J)
        m, p, agreed = good.manifests, good.packets, good.agreed
        keys, header = fed.aggregator_keys, sealed.header
        cases = [
            CloseRequest(agreed, m[:-1], p[:-1]),
            CloseRequest(agreed, m[::-1], p[::-1]),
            CloseRequest(agreed, (m[0], *m), (p[0], *p)),
            CloseRequest(replace(agreed, count=5), m, p),
            CloseRequest(replace(agreed, count=7), m, p),
            CloseRequest(replace(agreed, root=bytes(32)), m, p),
            CloseRequest(replace(agreed, root=bytes(31)), m, p),
            CloseRequest(replace(agreed, sum_digest=b""), m, p),
        ]
        for case in cases:
            self.refused(fed, sealed, case.to_bytes(header, J, keys), clsc.DecodeError)

    def test_a_pid_twice_even_with_two_manifests(self, fed, sealed):
        """Attack: one client's key counted twice, another's not at all, under a count that looks right."""
        twice = craft(fed, sealed.header, fed.client_keys[0])[1]
        updates = sorted(
            [*(sealed.update(i) for i in range(3)), twice], key=lambda u: (u.manifest.pid, u.manifest.digest)
        )
        entries = [(u.manifest.pid, u.manifest.digest) for u in updates]
        agreed = ContributorSet(set_root(sealed.header.hash, entries), bytes(32), 4)
        packets = [u.member_packets[J - 1] for u in updates]
        request = CloseRequest(agreed, tuple(u.manifest for u in updates), tuple(packets))
        data = request.to_bytes(sealed.header, J, fed.aggregator_keys)
        self.refused(fed, sealed, data, clsc.DecodeError)


def cheats(fed, sealed):
    """Name -> update of a client 7 that differs from an honest one in one thing about member J."""
    header, key = sealed.header, fed.client_keys[7]
    old = fed.header(round_number=0)
    earlier = craft(fed, old, key)[1]

    def only(change):
        return lambda j, content: change(content) if j == J else content.to_bytes()

    def for_j(change):
        return lambda j, packet: change(packet) if j == J else packet

    def flipped_share(content):
        data = bytearray(content.to_bytes())
        data[-1] ^= 1
        return bytes(data)

    def flipped_salt(content):
        data = bytearray(content.to_bytes())
        data[12 + 36 + 4] ^= 1
        return bytes(data)

    def of_share(**fields):
        return only(
            lambda c: MemberShare(
                **{"index": J, "manifest_digest": c.manifest_digest, "share": c.share, **fields}
            ).to_bytes()
        )

    other_signer = lambda packet: clsc.signcrypt(  # noqa: E731
        clsc.unsigncrypt(
            packet,
            receiver=fed.member_keys[J - 1].decrypt,
            trust=fed.trust(),
            ad=associated_data(header.hash, "share", J),
        ).plaintext,
        sender=fed.client_keys[8],
        receivers=[header.members[J - 1].decrypt],
        ad=associated_data(header.hash, "share", J),
    )
    other_ad = lambda packet: clsc.signcrypt(  # noqa: E731
        clsc.unsigncrypt(
            packet,
            receiver=fed.member_keys[J - 1].decrypt,
            trust=fed.trust(),
            ad=associated_data(header.hash, "share", J),
        ).plaintext,
        sender=key,
        receivers=[header.members[J - 1].decrypt],
        ad=associated_data(header.hash, "share", 3),
    )
    make = lambda **options: craft(fed, header, key, **options)[1]  # noqa: E731
    return {
        "degree": make(bad_for=[J]),
        "share not the one committed to": make(share_plain=only(flipped_share)),
        "salt not the one committed to": make(share_plain=only(flipped_salt)),
        "index of another member": make(share_plain=of_share(index=3)),
        "manifest of another": make(share_plain=of_share(manifest_digest=bytes(32))),
        "empty content": make(share_plain=only(lambda c: b"")),
        "content cut": make(share_plain=only(lambda c: c.to_bytes()[:-4])),
        "content extended": make(share_plain=only(lambda c: c.to_bytes() + bytes(4))),
        "share not below p": make(share_plain=only(lambda c: c.to_bytes()[:-4] + b"\xff" * 4)),
        "packet of another client": make(
            member_packet=for_j(lambda p: sealed.update(0).member_packets[J - 1])
        ),
        "packet of another member": make(member_packet=for_j(lambda p: sealed.update(0).member_packets[2])),
        "packet of another round": make(member_packet=for_j(lambda p: earlier.member_packets[J - 1])),
        "packet altered": make(member_packet=for_j(lambda p: p[:-1] + bytes([p[-1] ^ 1]))),
        "signed by another client": make(member_packet=for_j(other_signer)),
        "index of another member in the associated data": make(member_packet=for_j(other_ad)),
        "another ciphertext": make(manifest=lambda m: replace(m, ciphertext_digest=bytes(32))),
        "pid of another": make(manifest=lambda m: replace(m, pid=fed.pids[9])),
        "proof of another": make(manifest=lambda m: replace(m, proof=sealed.update(1).manifest.proof)),
    }


CHEATS = [
    "degree",
    "share not the one committed to",
    "salt not the one committed to",
    "index of another member",
    "manifest of another",
    "empty content",
    "content cut",
    "content extended",
    "share not below p",
    "packet of another client",
    "packet of another member",
    "packet of another round",
    "packet altered",
    "signed by another client",
    "index of another member in the associated data",
    "another ciphertext",
    "pid of another",
    "proof of another",
]


PROVABLE = {
    "degree": Fault.SHARE,
    "share not the one committed to": Fault.SHARE,
    "salt not the one committed to": Fault.SHARE,
    "index of another member": Fault.MALFORMED,
    "empty content": Fault.MALFORMED,
    "content cut": Fault.MALFORMED,
    "content extended": Fault.MALFORMED,
    "share not below p": Fault.MALFORMED,
}
"""What the client has signed about its own manifest.  All others could be the aggregator's work."""


@pytest.fixture(scope="module")
def cheating(fed, sealed):
    return cheats(fed, sealed)


class TestBadPackets:
    def test_every_cheat_has_a_test(self, cheating):
        assert list(cheating) == CHEATS

    @pytest.mark.parametrize("name", CHEATS)
    def test_exactly_the_bad_one_is_named_and_the_set_not_answered(self, fed, sealed, cheating, name):
        bad = cheating[name]
        updates = [sealed.update(0), sealed.update(1), bad, sealed.update(2)]
        request = sealed.request(J, updates=updates)
        member = fed.member(J)
        reply = verdict(fed, sealed, member.check(sealed.signed, request))
        assert reply.bad == (bad.manifest.pid,)
        assert reply.root == CloseRequest.from_bytes(request, sealed.header, J).agreed.root
        faults = [c.verify(sealed.header, fed.authority.root_public_key) for c in reply.convictions]
        # A packet of another length has not come through an honest aggregator, which refuses such an update.
        usual = len(bad.member_packets[J - 1]) == member_packet_bytes(sealed.header.kahe_params)
        provable = name in PROVABLE and usual
        assert faults == ([PROVABLE[name]] if provable else [])
        assert all(c.pid == bad.manifest.pid for c in reply.convictions)
        assert reason(lambda: member.answer(sealed.signed, request)) is Reason.BAD_SHARES
        member.answer(sealed.signed, sealed.request(J, (0, 1, 2)))

    @pytest.mark.parametrize("name", ["degree", "share not the one committed to", "packet altered"])
    def test_the_other_members_see_nothing_wrong(self, fed, sealed, cheating, name):
        updates = [*(sealed.update(i) for i in range(3)), cheating[name]]
        for j in (1, 3, 4, 5):
            member = fed.member(j)
            request = sealed.request(j, updates=updates)
            assert verdict(fed, sealed, member.check(sealed.signed, request), j).bad == ()
            member.answer(sealed.signed, request)

    def test_all_bad_ones_are_named_in_order(self, fed, sealed, cheating):
        header = sealed.header
        other = craft(fed, header, fed.client_keys[8], bad_for=[1, J])[1]
        updates = [*(sealed.update(i) for i in range(3)), cheating["degree"], other]
        reply = fed.member(J).check(sealed.signed, sealed.request(J, updates=updates))
        named = verdict(fed, sealed, reply).bad
        assert named == tuple(sorted([fed.pids[7], fed.pids[8]]))

    def test_packets_of_two_clients_swapped(self, fed, sealed):
        good = CloseRequest.from_bytes(sealed.request(J), sealed.header, J)
        packets = [good.packets[1], good.packets[0], *good.packets[2:]]
        reply = fed.member(J).check(sealed.signed, sealed.request(J, packets=packets))
        assert verdict(fed, sealed, reply).bad == tuple(m.pid for m in good.manifests[:2])

    def test_missing_packets(self, fed, sealed):
        good = CloseRequest.from_bytes(sealed.request(J), sealed.header, J)
        packets = [b"", *good.packets[1:]]
        reply = fed.member(J).check(sealed.signed, sealed.request(J, packets=packets))
        assert verdict(fed, sealed, reply).bad == (good.manifests[0].pid,)

    def test_a_key_of_another_epoch_is_bad(self, fed, sealed):
        """An identity key signs well, but is not under the senders' ONE set of parameters."""
        server = fed.member_keys[6].sign
        bad = craft(fed, sealed.header, server)[1]
        updates = [*(sealed.update(i) for i in range(3)), bad]
        reply = fed.member(J).check(sealed.signed, sealed.request(J, updates=updates))
        assert verdict(fed, sealed, reply).bad == (server.public_key.pid,)

    def test_a_revoked_client_is_bad(self, fed):
        gone = fed.pids[3]
        header = fed.header(revoked=revocation_digest(frozenset([gone])))
        updates = [craft(fed, header, fed.client_keys[i])[1] for i in range(4)]
        member = fed.member(J, trust=fed.trust(revoked=[gone]))
        reply = member.check(fed.sign(header), make_request(header, J, updates, fed.aggregator_keys))
        assert verdict(fed, None, reply, header=header).bad == (gone,)

    def test_what_was_good_once_is_not_good_in_another_company(self, fed, sealed, cheating):
        """The memory of checked shares is by manifest and packet, not by pid."""
        member = fed.member(J)
        bad = cheating["share not the one committed to"]
        good = craft(fed, sealed.header, fed.client_keys[7])[1]
        honest = [sealed.update(i) for i in range(3)]
        member.check(sealed.signed, sealed.request(J, updates=[*honest, good]))
        mixed = replace(good, member_packets=bad.member_packets)
        for update in (bad, mixed):
            request = sealed.request(J, updates=[*honest, update])
            assert verdict(fed, sealed, member.check(sealed.signed, request)).bad == (fed.pids[7],)
        member.answer(sealed.signed, sealed.request(J, updates=[*honest, good]))

    def test_the_answer_is_the_sum_of_exactly_the_listed_shares(self, fed, sealed):
        member, indices = fed.member(J), (0, 2, 5)
        answer = member.answer(sealed.signed, sealed.request(J, indices))
        opened = clsc.unsigncrypt(
            answer,
            receiver=fed.aggregator_keys.decrypt,
            trust=fed.trust(),
            ad=associated_data(sealed.header.hash, "answer", J),
        )
        parsed = Answer.from_bytes(opened.plaintext, sealed.header, J)
        total = kahe.ShareSum(sealed.header.kahe_params, J)
        for i in indices:
            inner = clsc.unsigncrypt(
                sealed.update(i).member_packets[J - 1],
                receiver=fed.member_keys[J - 1].decrypt,
                trust=fed.trust(),
                ad=associated_data(sealed.header.hash, "share", J),
            )
            total.add(MemberShare.from_bytes(inner.plaintext, sealed.header, J).share)
        assert parsed.share_sum.to_bytes() == total.to_bytes()
        assert parsed.agreed.count == 3
        clsc.verify(
            fed.member_keys[J - 1].sign.public_key,
            parsed.agreed.signed_text(sealed.header.hash),
            parsed.signature,
        )
        assert parsed.to_bytes() == opened.plaintext
        shown = repr(parsed) + repr(member)
        assert str(int(np.frombuffer(parsed.share_sum.to_bytes()[4:8], "<u4")[0])) not in shown


def test_deadline_is_by_the_members_own_clock(fed, sealed):
    assert fed.member(J, now=NOW).answer(sealed.signed, sealed.request(J))
    early = fed.member(J, now=NOW - 90_000)
    early._reader = HeaderReader(fed.trust())
    with pytest.raises(ProtocolError, match="too far ahead"):
        early.answer(sealed.signed, sealed.request(J))
