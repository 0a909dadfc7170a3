"""Every message of a round, of peers, and the audit record.

What a server signs as a whole is fuzzed as a body that is signed anew: an aggregator that lies.
"""

import io
from functools import cache

import numpy as np

from fuzz import world
from fuzz.core import Target, taken
from fuzz.targets import he as he_targets
from sottovoce import clsc
from sottovoce._ext import cbor
from sottovoce._ext.enc import enc
from sottovoce._ext.errors import DecodeError, SenderError, SignatureError
from sottovoce.fl import (
    Answer,
    AuditError,
    Beacon,
    CheckReply,
    CloseRequest,
    ContributorSet,
    Conviction,
    Manifest,
    MemberShare,
    ProtocolError,
    Roster,
    RoundHeader,
    RoundResult,
    ServerIdentity,
    SignedHeader,
    Update,
    audit_round,
)
from sottovoce.fl.closing import _TAG_RESULT
from sottovoce.fl.http import model_bytes
from sottovoce.fl.request import _TAG_CLOSE
from sottovoce.fl.sizes import member_packet_bytes
from sottovoce.fl.wire import open_body, set_root, sign_body, split_exactly
from sottovoce.he import kahe

MEMBER = he_targets.MEMBER


def trust() -> clsc.TrustStore:
    return world.people().trust


# -- made at run time: they are long, or a key signs them -----------------------------------------


@cache
def updates() -> list[tuple[Update, kahe.KeyShare]]:
    """Three clients' updates, packets of members without content, and the first member's shares."""
    header = world.header()
    params, found = header.kahe_params, []
    for i in range(3):
        key = kahe.OneTimeKey._generate_derand(params, header.hash, bytes([i]) * 32)
        ciphertext = key.encrypt(np.arange(params.n_slots) - 7)
        pid = bytes([i]) * 16
        proof, shares = key.share(pid)
        manifest = Manifest(header.hash, pid, ciphertext.digest, proof)
        packets = tuple(bytes([j]) * member_packet_bytes(params) for j in range(1, len(header.members) + 1))
        found.append((Update(manifest, ciphertext, packets), shares[MEMBER - 1]))
    return found


@cache
def agreed() -> ContributorSet:
    header, total = world.header(), kahe.CiphertextSum(world.header().kahe_params, world.header().hash)
    entries = []
    for update, _ in updates():
        total.add(update.ciphertext)
        entries.append((update.manifest.pid, update.manifest.digest))
    return ContributorSet(set_root(header.hash, entries), total.digest, len(entries))


def member_share() -> bytes:
    update, share = updates()[0]
    return MemberShare(MEMBER, update.manifest.digest, share).to_bytes()


def answer() -> bytes:
    header, total = world.header(), kahe.ShareSum(world.header().kahe_params, MEMBER)
    for _, share in updates():
        total.add(share)
    key = world.server_keys(f"member-{MEMBER}").sign
    return Answer(agreed(), clsc.sign(key, agreed().signed_text(header.hash)), total).to_bytes()


def unsigned_answer() -> bytes:
    read = Answer.unverified(answer(), world.header(), MEMBER)
    return Answer(read.agreed, bytes(clsc.SIGNATURE_BYTES), read.share_sum).to_bytes()


def request() -> bytes:
    manifests = tuple(update.manifest for update, _ in updates())
    packets = tuple(update.member_packets[MEMBER - 1] for update, _ in updates())
    keys = world.server_keys("aggregator")
    return CloseRequest(agreed(), manifests, packets).to_bytes(world.header(), MEMBER, keys)


def result() -> bytes:
    header = world.header()
    text = agreed().signed_text(header.hash)
    signatures = {
        j: clsc.sign(world.server_keys(f"member-{j}").sign, text) for j in range(1, header.threshold + 1)
    }
    entries = tuple((u.manifest.pid, u.manifest.digest) for u, _ in updates())
    mean = np.linspace(-0.25, 0.25, header.layout.size)
    made = RoundResult(agreed(), entries, mean, 6, signatures)
    return made.to_bytes(header, world.server_keys("aggregator"))


def conviction() -> bytes:
    from fuzz.targets.clsc_records import BY_NAME

    (shown,) = (
        e
        for e in map(clsc.Evidence.from_bytes, BY_NAME["clsc/evidence"].stored())
        if e.strength is clsc.Strength.ADDRESSED
    )
    update, _ = updates()[0]
    header = world.header()
    return Conviction(header.hash, MEMBER, update.member_packets[0], shown, update.manifest).to_bytes()


def check_with_conviction() -> bytes:
    shown = Conviction.from_bytes(conviction(), world.header())
    return CheckReply(agreed().root, (shown.pid,), (shown,)).to_bytes()


# -- read ------------------------------------------------------------------------------------------


def parsed(kind, *more):
    """``kind.from_bytes`` with what it needs, and back."""
    return lambda data: kind.from_bytes(data, world.header(), *more).to_bytes()


def read_identity(data: bytes) -> bytes:
    return cbor.dumps(ServerIdentity.from_list(cbor.loads(data), trust()).to_list())


def read_signed(data: bytes) -> bytes:
    return SignedHeader.from_bytes(data, trust()).to_bytes()


def read_proposal(data: bytes) -> bytes:
    return SignedHeader.from_bytes(data, trust(), proposal=True).to_bytes()


def read_request_body(data: bytes) -> None:
    """A request whose body the aggregator signs, whatever it is; the parts are honest."""
    envelope = request()
    parts = envelope[4 + int.from_bytes(envelope[:4], "big") :]
    keys = world.server_keys("aggregator").sign
    CloseRequest.from_bytes(enc(sign_body(keys, _TAG_CLOSE, data, MEMBER)) + parts, world.header(), MEMBER)


def request_body() -> list[bytes]:
    data = request()
    envelope = data[4 : 4 + int.from_bytes(data[:4], "big")]
    return [open_body(envelope, world.header().aggregator.sign, _TAG_CLOSE, MEMBER)]


def read_request(data: bytes) -> None:
    CloseRequest.from_bytes(data, world.header(), MEMBER)


def read_result(data: bytes) -> None:
    RoundResult.from_bytes(data, world.header())


@cache
def a_result() -> list[bytes]:
    return split_exactly(BY_NAME["fl/result"].stored()[0], 3)


def read_result_body(data: bytes) -> None:
    _, listed, mean = a_result()
    signed = sign_body(world.server_keys("aggregator").sign, _TAG_RESULT, data)
    RoundResult.from_bytes(enc(signed, listed, mean), world.header())


def result_body() -> list[bytes]:
    return [open_body(a_result()[0], world.header().aggregator.sign, _TAG_RESULT)]


def read_roster(data: bytes) -> bytes:
    return Roster.from_bytes(data, trust()).sign(world.people().root)


def read_roster_body(data: bytes) -> bytes:
    root = world.people().root
    signed = clsc.sign_notice(root, "roster", data)
    return Roster.from_bytes(signed, trust())._body


def roster_bodies() -> list[bytes]:
    root = world.people().root.public_key
    return [clsc.read_notice(data, "roster", root) for data in BY_NAME["fl/roster"].stored()]


def read_beacon(data: bytes) -> bytes:
    return Beacon.from_bytes(data, world.beacon_shares()[0].public_key).to_bytes()


def read_model(data: bytes) -> bytes:
    arrays = model_bytes.load(data, world.header().layout)
    return model_bytes.dump(arrays)


@cache
def federation():
    """A whole round, with keys of its own."""
    from support.fl_federation import Federation, Sealed, craft, finish

    fed = Federation(n_clients=5)
    sealed = Sealed(fed, n_clients=3, n=4)
    packet, _ = craft(fed, sealed.header, fed.client_keys[4], bad_for=[2])
    aggregator = sealed.aggregator([*sealed.packets, packet])
    out = io.BytesIO()
    aggregator.write_audit(aggregator.publish(finish(aggregator, sealed.members(), sealed.signed)), out)
    return fed, out.getvalue()


def audit(data: bytes) -> None:
    fed, record = federation()
    honest = audit_round(io.BytesIO(record), fed.authority.root_public_key)
    found = audit_round(io.BytesIO(data), fed.authority.root_public_key)
    assert (found.count, found.agreed) == (honest.count, honest.agreed), "another round is proved"


SIGNED = (DecodeError, SenderError, SignatureError, ProtocolError)

TARGETS = [
    Target(
        "fl/header",
        lambda data: RoundHeader.from_bytes(data, trust()).to_bytes(),
        (DecodeError, SenderError),
        of=("fl.header.RoundHeader",),
    ),
    Target("fl/signed-header", read_signed, SIGNED, of=("fl.signed.SignedHeader",), tries=30),
    Target("fl/proposal", read_proposal, SIGNED, tries=30),
    Target(
        "fl/server-identity",
        read_identity,
        (DecodeError, SenderError),
        of=("fl.server.ServerIdentity",),
        tries=30,
        made=lambda: [cbor.dumps(world.header().aggregator.to_list())],
    ),
    Target(
        "fl/manifest",
        parsed(Manifest),
        of=("fl.update.Manifest",),
        made=lambda: [updates()[0][0].manifest.to_bytes()],
    ),
    Target("fl/update", parsed(Update), of=("fl.update.Update",), made=lambda: [updates()[0][0].to_bytes()]),
    Target(
        "fl/member-share",
        parsed(MemberShare, MEMBER),
        of=("fl.update.MemberShare",),
        made=lambda: [member_share()],
    ),
    Target(
        "fl/check",
        parsed(CheckReply),
        of=("fl.request.CheckReply",),
        made=lambda: [check_with_conviction(), CheckReply(agreed().root, (bytes(16),)).to_bytes()],
    ),
    Target(
        "fl/conviction",
        parsed(Conviction),
        of=("fl.conviction.Conviction",),
        made=lambda: [conviction()],
        tries=30,
    ),
    Target(
        "fl/answer",
        parsed(Answer, MEMBER),
        (DecodeError, SignatureError),
        of=("fl.closing.Answer",),
        made=lambda: [answer()],
        tries=30,
        random="targets/fl.py: fl/answer-unverified",
    ),
    Target(
        "fl/answer-unverified",
        lambda data: Answer.unverified(data, world.header(), MEMBER).to_bytes(),
        made=lambda: [unsigned_answer()],
    ),
    Target(
        "fl/request",
        taken(read_request),
        (DecodeError, ProtocolError, SignatureError),
        of=("fl.request.CloseRequest",),
        made=lambda: [request()],
        tries=20,
        random="targets/fl.py: fl/request-signed-anew",
    ),
    Target(
        "fl/request-signed-anew",
        taken(read_request_body),
        (DecodeError, ProtocolError, SignatureError),
        made=request_body,
        tries=20,
    ),
    Target(
        "fl/result",
        taken(read_result),
        (DecodeError, ProtocolError, SignatureError),
        of=("fl.closing.RoundResult",),
        tries=20,
    ),
    Target(
        "fl/result-signed-anew",
        taken(read_result_body),
        (DecodeError, ProtocolError, SignatureError),
        made=result_body,
        tries=20,
    ),
    Target("fl/roster", read_roster, (DecodeError, SenderError), of=("fl.roster.Roster",), tries=30),
    Target(
        "fl/roster-signed-anew", read_roster_body, (DecodeError, SenderError), made=roster_bodies, tries=30
    ),
    Target("fl/beacon", read_beacon, (DecodeError, SignatureError), of=("fl.beacon.Beacon",), tries=30),
    Target("fl/model", read_model, made=lambda: [model_bytes.dump(world.MODEL)], tries=10),
    Target(
        "fl/audit",
        taken(audit),
        (DecodeError, SenderError, AuditError),
        made=lambda: [federation()[1]],
        random="../fl/test_wire_frozen.py",
        of=("fl.audit.audit_round",),
        tries=20,
        heavy=True,
    ),
]
BY_NAME = {target.name: target for target in TARGETS}
