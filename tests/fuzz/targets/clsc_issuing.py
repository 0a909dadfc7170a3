"""Requests to an issuer, its answers, and secrets at rest."""

from dataclasses import replace
from functools import cache

from fuzz import world
from fuzz.core import Target, taken
from sottovoce import clsc
from sottovoce._ext.errors import DecodeError, IssueError
from sottovoce.clsc import Mode, Usage, hashes, issue_wire, keybody
from support.clsc_servers import enrol_signer, traceable_issuer
from support.clsc_world import Drbg

_USAGE_BYTE = {usage: byte for byte, usage in issue_wire.BYTE_USAGE.items()}


def read_request(data: bytes) -> bytes:
    """Parsed and put together again, field by field."""
    r = issue_wire.parse_request(data)
    head = bytes([hashes.SUITE, issue_wire.MODE_BYTE[r.mode]])
    if r.usage is None:
        return head + r.params_id + r.issued + r.mac
    head += bytes([_USAGE_BYTE[r.usage]]) + r.params_id
    if r.mode is Mode.TRACEABLE:
        return head + r.issued + r.signer + r.signature
    name = bytes([len(r.identity)]) + r.identity
    return head + name + r.issued + r.R + r.z.to_bytes(32, "big") + r.challenge + r.mac


@cache
def issuer(mode: Mode) -> clsc.Issuer:
    if mode is Mode.TRACEABLE:
        return traceable_issuer(world.people())
    return clsc.Issuer(world.people().master[mode])


@cache
def asked(mode: Mode):
    """A request of somebody who is enrolled, and what goes to the issuer."""
    at, people = issuer(mode), world.people()
    if mode is Mode.TRACEABLE:
        party = enrol_signer(at, people.signer())
        request = clsc.TraceableRequest._derand(at.params, Usage.SIGN, people.signer(), Drbg("t"))
        return party, request, request.to_bytes()
    if mode is Mode.BLIND:
        request = clsc.BlindRequest._derand(at.params, Usage.SIGN, at.enrol("alice"), Drbg("b"))
        return "alice", request, request.to_bytes()
    token = at.enrol("alice", identity=b"alice")
    request = clsc.IdentityRequest._derand(at.params, Usage.SIGN, b"alice", token, Drbg("i"))
    return "alice", request, request.to_bytes(at.challenge())


def of_issuer(mode: Mode) -> Target:
    def read(data: bytes) -> None:
        party, _, honest = asked(mode)
        issuer(mode).issue(party, data)
        # The same answer again, whatever proof and challenge come with a key that was proved before.
        known, found = issue_wire.parse_request(honest), issue_wire.parse_request(data)
        proof = {"R": known.R, "z": known.z, "challenge": known.challenge}
        assert replace(found, **proof) == known, "a request that nobody made was answered"

    return Target(
        f"clsc/issuer-{mode}",
        taken(read),
        (DecodeError, IssueError),
        made=lambda: [asked(mode)[2]],
        tries=20,
        random="corpus/clsc/request",
    )


@cache
def answered(mode: Mode) -> bytes:
    party, _, honest = asked(mode)
    return issuer(mode).issue(party, honest)


@cache
def honest_key(mode: Mode) -> bytes | None:
    return keybody.encode(asked(mode)[1].finish(answered(mode)))


def of_answer(mode: Mode) -> Target:

    def read(data: bytes) -> None:
        _, request, _ = asked(mode)
        made = request.finish(data)
        assert keybody.encode(made) == honest_key(mode), "an answer that nobody gave made a key"

    return Target(
        f"clsc/answer-{mode}",
        taken(read),
        (IssueError,),
        made=lambda: [answered(mode)],
        tries=20,
        random="../clsc/test_wire_frozen.py",
    )


def read_key_body(data: bytes) -> bytes | None:
    key = keybody.decode(data)
    return None if key is None else keybody.encode(key)


def read_admission(data: bytes) -> None:
    servers = world.servers(Mode.BLIND)
    request, honest = admission()
    key = servers.admission_keys[1].public_key
    clsc.verify_admission(servers.params, 1, key, "alice", request, data)
    assert data == honest


@cache
def admission() -> tuple[bytes, bytes]:
    servers = world.servers(Mode.BLIND)
    request = servers.request(None)
    data = servers.bytes_for(request, 1)
    return data, servers.issuers[1].admit("alice", data)


def read_share_of_answer(data: bytes) -> None:
    servers = world.servers(Mode.BLIND)
    request, honest = answer_of_server()
    clsc.verify_answer(servers.params, 1, request, data)
    assert data == honest


@cache
def answer_of_server() -> tuple[bytes, bytes]:
    servers = world.servers(Mode.BLIND)
    servers.enrol("bob")
    request = servers.request(None, party="bob")
    return servers.bytes_for(request, 1), servers.ask(request, [1], party="bob")[1]


TARGETS = [
    Target("clsc/request", read_request, of=("clsc.issue_wire.parse_request",), tries=200),
    *(of_issuer(mode) for mode in Mode),
    *(of_answer(mode) for mode in Mode),
    Target("clsc/key-body", read_key_body, of=("clsc.keybody.decode",), tries=30),
    Target(
        "clsc/admission",
        taken(read_admission),
        (IssueError,),
        made=lambda: [admission()[1]],
        random="../vectors/clsc/admission.json",
        of=("clsc.admission.verify_admission",),
        tries=20,
    ),
    Target(
        "clsc/answer-of-a-server",
        taken(read_share_of_answer),
        (IssueError,),
        made=lambda: [answer_of_server()[1]],
        random="../vectors/clsc/threshold.json",
        of=("clsc.threshold.verify_answer",),
        tries=20,
    ),
]
