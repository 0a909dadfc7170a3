"""Convictions: what a client signed against its own manifest, and nothing that others can make of it."""

from dataclasses import replace

import numpy as np
import pytest

from sottovoce import clsc
from sottovoce.fl import (
    CheckReply,
    Conviction,
    Fault,
    MemberShare,
    ProtocolError,
    Reason,
    RoundHeader,
)
from sottovoce.fl.wire import associated_data
from sottovoce.he import kahe
from support.fl_federation import NOW, craft

J = 2


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def shown(
    fed, header, update, j=J, *, packet=None, manifest=None, index=None, strength=clsc.Strength.ADDRESSED
):
    """A conviction of any packet that member ``j`` can open, whether it convicts or not."""
    packet = packet if packet is not None else update.member_packets[j - 1]
    evidence = clsc.make_evidence(
        packet,
        receiver=fed.member_keys[j - 1].decrypt,
        trust=fed.trust(),
        ad=associated_data(header.hash, "share", j),
        strength=strength,
    )
    return Conviction(header.hash, index or j, packet, evidence, manifest)


@pytest.fixture(scope="module")
def cheat(fed, sealed):
    """Client 7: its shares for members 2 and 3 are off the polynomials that its manifest commits to."""
    return craft(fed, sealed.header, fed.client_keys[7], bad_for=[2, 3])[1]


@pytest.fixture(scope="module")
def conviction(fed, sealed, cheat):
    return Conviction.make(
        sealed.header,
        J,
        cheat.member_packets[J - 1],
        cheat.manifest,
        receiver=fed.member_keys[J - 1].decrypt,
        trust=fed.trust(),
    )


class TestWhoCheats:
    def test_is_convicted_before_anybody(self, fed, sealed, conviction):
        """A third party holds the root key, what it signed, and the header; no key, and no word of others."""
        trust = clsc.TrustStore(fed.authority.root_public_key, clock=lambda: NOW + 10**8)
        trust.add(fed.authority.identity)
        header = RoundHeader.from_bytes(sealed.header.to_bytes(), trust)
        read = Conviction.from_bytes(conviction.to_bytes(), header)
        assert read.verify(header, fed.authority.root_public_key) is Fault.SHARE
        assert read.pid == fed.pids[7]
        assert read.to_bytes() == conviction.to_bytes()

    def test_by_bytes_that_are_no_share(self, fed, sealed):
        wrong = craft(
            fed, sealed.header, fed.client_keys[7], share_plain=lambda j, c: c.to_bytes()[:-4] + b"\xff" * 4
        )[1]
        found = Conviction.make(
            sealed.header,
            J,
            wrong.member_packets[J - 1],
            wrong.manifest,
            receiver=fed.member_keys[J - 1].decrypt,
            trust=fed.trust(),
        )
        assert found.verify(sealed.header, fed.authority.root_public_key) is Fault.MALFORMED
        assert found.manifest is None
        read = Conviction.from_bytes(found.to_bytes(), sealed.header)
        assert read.verify(sealed.header, fed.authority.root_public_key) is Fault.MALFORMED
        more = replace(found, manifest=wrong.manifest)  # one form, not two
        assert reason(lambda: more.verify(sealed.header, fed.authority.root_public_key)) is Reason.CONVICTION

    def test_gives_away_the_bad_share_only(self, fed, sealed, conviction):
        # CEK of this packet opens no other one.
        other = sealed.update(0).member_packets[J - 1]
        with pytest.raises(clsc.EvidenceError):
            clsc.judge(conviction.evidence, fed.authority.root_public_key, packet=other)
        assert "0x" not in repr(conviction)
        assert len(repr(conviction)) < 200


class TestHonestClients:
    """Whatever members, aggregator, other clients and strangers make of their bytes, it does not convict."""

    def test_of_nothing_that_they_send(self, fed, sealed, cheat):
        """The forgeries, each from real parts of the round."""
        header, victim = sealed.header, sealed.update(0)
        own, other = victim.manifest, sealed.update(1).manifest
        honest = shown(fed, header, victim, manifest=own)
        guilty = shown(fed, header, cheat, manifest=cheat.manifest)
        at_3 = shown(fed, header, cheat, 3, manifest=cheat.manifest)
        flipped = honest.packet[:-20] + bytes([honest.packet[-20] ^ 1]) + honest.packet[-19:]
        forged_proof = replace(own, proof=other.proof)
        cases = {
            "own manifest, which it fits": honest,
            "no manifest": replace(honest, manifest=None),
            "manifest of another": replace(honest, manifest=other),
            "manifest of another under own pid": replace(honest, manifest=replace(other, pid=own.pid)),
            "forged manifest": replace(honest, manifest=forged_proof),
            "manifest of the cheat": replace(honest, manifest=cheat.manifest),
            "index of another member": replace(honest, index=3),
            "another index still": replace(at_3, index=J),
            "altered packet": replace(honest, packet=flipped),
            "packet of the cheat": replace(honest, packet=guilty.packet),
            "packet of another member": replace(honest, packet=victim.member_packets[2]),
            "evidence of the cheat's packet": replace(guilty, packet=honest.packet, manifest=own),
            "evidence for another member": replace(guilty, evidence=at_3.evidence, packet=at_3.packet),
            "signed, not opened": replace(honest, evidence=honest.evidence.weakened(clsc.Strength.SIGNED)),
            "opened, not addressed": replace(
                guilty, evidence=guilty.evidence.weakened(clsc.Strength.CONTENT)
            ),
            "no index": replace(guilty, index=0),
            "too large an index": replace(guilty, index=6),
            "another round": replace(guilty, header_hash=bytes(32)),
        }
        for name, case in cases.items():
            assert (
                reason(lambda c=case: c.verify(header, fed.authority.root_public_key)) is Reason.CONVICTION
            ), name
        assert guilty.verify(header, fed.authority.root_public_key) is Fault.SHARE

    def test_by_what_they_sent_in_another_round(self, fed, sealed):
        """Replayed: a good share of one round is a bad one in every other."""
        earlier = fed.header(round_number=3)
        update = craft(fed, earlier, fed.client_keys[0])[1]
        root = fed.authority.root_public_key
        for manifest in (None, update.manifest, sealed.update(0).manifest):
            old = shown(fed, earlier, update, manifest=manifest)
            now = replace(old, header_hash=sealed.header.hash)
            for case in (old, now):
                assert reason(lambda c=case: c.verify(sealed.header, root)) is Reason.CONVICTION
        with pytest.raises(clsc.DecodeError, match="round"):
            Conviction.from_bytes(old.to_bytes(), sealed.header)

    def test_by_a_member_that_seals_their_share_again(self, fed, sealed):
        """It can put any text in, but sign for nobody else; and its own key is no contributor's."""
        header, root = sealed.header, fed.authority.root_public_key
        receiver = header.members[J - 1].decrypt
        ad = associated_data(header.hash, "share", J)
        share = clsc.unsigncrypt(
            sealed.update(0).member_packets[J - 1],
            receiver=fed.member_keys[J - 1].decrypt,
            trust=fed.trust(),
            ad=ad,
        ).plaintext
        bad = share[:-1] + bytes([share[-1] ^ 1])
        for text in (bad, bytes(len(share))):
            for sender in (fed.member_keys[J - 1].sign, fed.member_keys[5].sign):
                packet = clsc.signcrypt(text, sender=sender, receivers=[receiver], ad=ad)
                for manifest in (None, sealed.update(0).manifest):
                    made = shown(fed, header, None, packet=packet, manifest=manifest)
                    assert made.pid != sealed.pids[0]
                    assert reason(lambda c=made: c.verify(header, root)) is Reason.CONVICTION
        # Another client may convict itself in this way, and nobody else.
        packet = clsc.signcrypt(bytes(len(share)), sender=fed.client_keys[8], receivers=[receiver], ad=ad)
        made = shown(fed, header, None, packet=packet)
        assert made.verify(header, root) is Fault.MALFORMED
        assert made.pid == fed.pids[8]

    def test_by_an_issuer_that_is_not_ours(self, fed, sealed):
        """A stranger signs as it likes, under parameters of its own root."""
        header, other = sealed.header, fed.other_authority
        packet = clsc.signcrypt(
            bytes(8280),
            sender=fed.stranger_key,
            receivers=[header.members[J - 1].decrypt],
            ad=associated_data(header.hash, "share", J),
        )
        trust = other.trust()
        trust._clock = lambda: NOW
        evidence = clsc.make_evidence(
            packet,
            receiver=fed.member_keys[J - 1].decrypt,
            trust=trust,
            ad=associated_data(header.hash, "share", J),
            strength=clsc.Strength.ADDRESSED,
        )
        made = Conviction(header.hash, J, packet, evidence, None)
        for root in (fed.authority.root_public_key, other.root_public_key):
            assert reason(lambda r=root: made.verify(header, r)) is Reason.CONVICTION

    def test_a_member_makes_none_of_what_it_cannot_show(self, fed, sealed, cheat):
        """Of a good packet, one that does not open, one of another client, or one with another manifest."""
        header = sealed.header
        make = lambda packet, manifest: Conviction.make(  # noqa: E731
            header, J, packet, manifest, receiver=fed.member_keys[J - 1].decrypt, trust=fed.trust()
        )
        good, other = sealed.update(0), sealed.update(1)
        packet = good.member_packets[J - 1]
        assert make(packet, good.manifest) is None
        assert make(packet[:-1] + bytes([packet[-1] ^ 1]), good.manifest) is None
        assert make(packet[:-1], good.manifest) is None
        assert make(packet, other.manifest) is None
        assert make(packet, replace(good.manifest, proof=other.manifest.proof)) is None
        assert make(good.member_packets[2], good.manifest) is None
        assert make(cheat.member_packets[J - 1], good.manifest) is None

    def test_a_kind_of_share_that_both_honest_tests_accept_never_convicts(self, fed, sealed):
        """Every honest packet, shown with its own manifest by the member that it is for."""
        root = fed.authority.root_public_key
        for i in range(2):
            update = sealed.update(i)
            for j in range(1, 6):
                case = shown(fed, sealed.header, update, j, manifest=update.manifest)
                assert reason(lambda c=case: c.verify(sealed.header, root)) is Reason.CONVICTION


class TestBytes:
    def test_refused(self, fed, sealed, conviction):
        data, header = conviction.to_bytes(), sealed.header
        weak = replace(conviction, evidence=conviction.evidence.weakened(clsc.Strength.CONTENT))
        short = replace(conviction, packet=conviction.packet[:-1])
        cases = [b"", data[:-1], data + b"\x00", b"\x00" + data, weak.to_bytes(), short.to_bytes()]
        cases += [replace(conviction, index=i).to_bytes() for i in (0, 6, 1 << 40)]
        cases += [data.replace(b"CONVICTION", b"CONVICTIOM"), data + bytes(1 << 17)]
        for case in cases:
            with pytest.raises(clsc.DecodeError):
                Conviction.from_bytes(case, header)

    def test_of_a_check_reply(self, sealed, conviction, fed):
        root = bytes(32)
        good = CheckReply(root, tuple(sorted([fed.pids[7], fed.pids[8]])), (conviction,))
        assert CheckReply.from_bytes(good.to_bytes(), sealed.header) == good
        for bad in (
            CheckReply(root, (fed.pids[8],), (conviction,)),
            CheckReply(root, (), (conviction,)),
            CheckReply(root, (fed.pids[7],), (conviction, conviction)),
        ):
            with pytest.raises(clsc.DecodeError, match="convictions"):
                CheckReply.from_bytes(bad.to_bytes(), sealed.header)


def test_the_proof_is_about_the_share_that_was_committed_to(fed, sealed, cheat):
    """What the judge sees is what the member saw: off the polynomials, though the hash fits."""
    text = clsc.judge(
        shown(fed, sealed.header, cheat).evidence,
        fed.authority.root_public_key,
        packet=cheat.member_packets[J - 1],
    ).plaintext
    share = MemberShare.from_bytes(text, sealed.header, J).share
    manifest = cheat.manifest
    with pytest.raises(clsc.SottovoceError) as caught:
        manifest.proof.verify(sealed.header.hash, manifest.pid, manifest.ciphertext_digest, share)
    assert caught.value.committed
    assert isinstance(share, kahe.KeyShare)
    assert np.frombuffer(share.to_bytes()[48:52], "<u4")[0] < 2**31 - 1
