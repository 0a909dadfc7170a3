"""The issuer's service over a folder of kgc, in all modes; what is refused spends nothing."""

import pytest

from sottovoce._ext import cbor, limits
from sottovoce.cli.kgc import revoking
from sottovoce.clsc import (
    BlindRequest,
    IdentityRequest,
    Mode,
    TraceableRequest,
    Usage,
    sign,
    verify,
)
from sottovoce.fl.http.challenges import Challenges
from support.fl_http_issuer import IssuerWorld


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = IssuerWorld(tmp_path_factory.mktemp("issuer"))
    yield made
    made.desk.close()


def identity_key(world, party, usage=Usage.SIGN):
    enrolment = world.enrol(party)
    request = IdentityRequest(world.params()[Mode.IDENTITY], usage, enrolment.identity, enrolment.token)
    challenge = cbor.loads(world.call("/v1/challenge")[1])["challenge"]
    status, answer = world.issue(party, request.to_bytes(challenge))
    assert status == 200
    return request.finish(cbor.loads(answer)["answer"])


def test_who_asks_for_many_challenges_makes_no_other_forgotten(world, monkeypatch):
    enrolment, params = world.enrol("server-9"), world.params()[Mode.IDENTITY]
    monkeypatch.setattr(limits, "MAX_CHALLENGES", 4)
    early = cbor.loads(world.call("/v1/challenge")[1])["challenge"]
    for _ in range(10):
        assert world.call("/v1/challenge")[0] == 200
    # That of the enrolment file, and an early one of the service.
    for usage, challenge in ((Usage.SIGN, enrolment.challenges[0]), (Usage.DECRYPT, early)):
        request = IdentityRequest(params, usage, enrolment.identity, enrolment.token)
        status, answer = world.issue("server-9", request.to_bytes(challenge))
        assert status == 200
        request.finish(cbor.loads(answer)["answer"])


def test_a_challenge_of_the_service_is_good_once(world):
    enrolment, params = world.enrol("server-10"), world.params()[Mode.IDENTITY]
    challenge = cbor.loads(world.call("/v1/challenge")[1])["challenge"]
    first, second = (
        IdentityRequest(params, usage, enrolment.identity, enrolment.token)
        for usage in (Usage.SIGN, Usage.DECRYPT)
    )
    status, answer = world.issue("server-10", first.to_bytes(challenge))
    assert status == 200
    assert world.issue("server-10", second.to_bytes(challenge))[0] == 403
    assert world.issue("server-10", first.to_bytes(challenge)) == (200, answer)  # the same, not another one
    assert world.issue("server-10", second.to_bytes(bytes(32)))[0] == 403


def test_challenges_expire_are_bound_to_their_process_and_cannot_be_made():
    now = [1_800_000_000.0]
    ours, other = Challenges(lambda: now[0]), Challenges(lambda: now[0])
    old, new = ours.new(), ours.new()
    assert not other.use(new)
    assert [ours.use(wrong) for wrong in (new[:-1], new + b"x", b"")] == [False] * 3
    for at in range(0, 32, 5):
        assert not ours.use(new[:at] + bytes([new[at] ^ 1]) + new[at + 1 :])
    assert ours.use(new)
    assert not ours.use(new)
    now[0] += limits.HTTP_CHALLENGE_SECONDS + 1
    assert not ours.use(old)


def test_used_challenges_take_bounded_memory_and_none_is_good_twice(monkeypatch):
    monkeypatch.setattr(limits, "MAX_CHALLENGES", 3)
    now = [1_800_000_000.0]
    ours = Challenges(lambda: now[0])
    given = [ours.new() for _ in range(4)]
    assert [ours.use(value) for value in given] == [True, True, True, False]
    assert [ours.use(value) for value in given] == [False] * 4
    now[0] += limits.HTTP_CHALLENGE_SECONDS + 1
    assert ours.use(ours.new())
    assert len(ours._used) == 1


def works(world, key):
    verify(key.public_key, b"text", sign(key, b"text"))
    world.trust.acceptable(key.public_key)


def test_a_name_is_issued_over_a_challenge_of_the_service(world):
    key = identity_key(world, "server-1")
    works(world, key)
    assert key.public_key.identity == b"server-1"


def test_a_blind_pseudonym_is_issued_once_and_the_same_request_again_gets_the_same(world):
    enrolment = world.enrol("device-1")
    params = world.params()[Mode.BLIND]
    request = BlindRequest(params, Usage.SIGN, enrolment.token)
    status, answer = world.issue("device-1", request.to_bytes())
    assert status == 200
    works(world, request.finish(cbor.loads(answer)["answer"]))
    assert world.issue("device-1", request.to_bytes()) == (200, answer)
    another = BlindRequest(params, Usage.SIGN, enrolment.token)
    assert world.issue("device-1", another.to_bytes())[0] == 403  # the quota is spent


def test_a_traceable_pseudonym_needs_the_signature_of_a_name(world):
    signer = identity_key(world, "device-2")
    request = TraceableRequest(world.params()[Mode.TRACEABLE], Usage.SIGN, signer)
    status, answer = world.issue("device-2", request.to_bytes())
    assert status == 200
    works(world, request.finish(cbor.loads(answer)["answer"]))
    assert world.issue("server-1", request.to_bytes())[0] == 403


def test_what_is_refused_spends_nothing(world):
    enrolment, params = world.enrol("device-3"), world.params()[Mode.BLIND]
    request = BlindRequest(params, Usage.SIGN, enrolment.token)
    data = request.to_bytes()
    fields = {"v": 1, "party": "device-3", "request": data, "admissions": []}
    for path, body, status in (
        ("/v1/issue", b"", 400),
        ("/v1/issue", cbor.dumps(fields) + b"x", 400),
        ("/v1/issue", {**fields, "v": 2}, 400),
        ("/v1/issue", {**fields, "more": 1}, 400),
        ("/v1/issue", {**fields, "admissions": ["x"]}, 400),
        ("/v1/issue", {**fields, "request": data[:-1]}, 400),
        ("/v1/issue", {**fields, "party": "nobody"}, 403),
        ("/v1/issue", {**fields, "party": "x" * 1000}, 403),
        ("/v1/issue", {**fields, "request": bytes(60_000)}, 413),
        ("/v1/admit", {"v": 1, "party": "device-3", "request": data}, 403),
        ("/v1/challenge", b"x", 413),
    ):
        assert world.call(path, body)[0] == status, (path, status)
    forged = BlindRequest(params, Usage.SIGN, bytes(32)).to_bytes()
    assert world.issue("device-3", forged)[0] == 403
    assert world.issue("device-3", data)[0] == 200


def test_the_operators_commands_work_beside_the_service(world):
    enrolment, params = world.enrol("device-4"), world.params()[Mode.BLIND]
    request = BlindRequest(params, Usage.SIGN, enrolment.token)
    revoking.revoke(world.folder, world.secret, "device-4", [], None, None, 0, None)
    assert world.issue("device-4", request.to_bytes())[0] == 403
