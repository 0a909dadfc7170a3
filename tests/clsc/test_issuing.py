"""The issuer: authentication, proof of possession, strict bytes, and the attacks on it."""

import hmac
import pickle

import pytest

from sottovoce._ext import limits
from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    BlindRequest,
    DecodeError,
    IdentityRequest,
    IssueError,
    Issuer,
    Mode,
    ParameterError,
    Usage,
    group,
    sign,
    verify,
)
from support.clsc_world import World, issue_blind, issue_identity


def test_identity_key_works(both):
    issuer, _ = both
    key = issue_identity(issuer, "alice")
    assert (key.identity, key.usage) == (b"alice", Usage.SIGN)
    verify(key.public_key, b"m", sign(key, b"m"))


def test_blind_key_works_and_has_no_name(both):
    _, issuer = both
    key = issue_blind(issuer, "device-1")
    assert key.identity == b""
    verify(key.public_key, b"m", sign(key, b"m"))


def test_token_of_a_single_issuer_may_be_named_by_its_server(both):
    """The one server is server 1, named or not."""
    identity, blind = both
    asked = IdentityRequest(identity.params, Usage.SIGN, b"alice", {1: identity.enrol("alice")})
    for server in (None, 1):
        answer = identity.issue("alice", asked.to_bytes(identity.challenge(), server=server))
        assert asked.finish(answer).public_key == asked.public_key
    asked = BlindRequest(blind.params, Usage.SIGN, {1: blind.enrol("bob")})
    assert asked.to_bytes() == asked.to_bytes(server=1)
    asked.finish(blind.issue("bob", asked.to_bytes()))


def test_challenge_is_single_use_and_must_be_known(both):
    issuer, _ = both
    challenge = issuer.challenge()
    token = issuer.enrol("alice", quota=2)
    issuer.issue("alice", IdentityRequest(issuer.params, Usage.SIGN, b"alice", token).to_bytes(challenge))
    other = IdentityRequest(issuer.params, Usage.DECRYPT, b"alice", token)
    for bad in (challenge, bytes(32)):
        with pytest.raises(IssueError, match="challenge"):
            issuer.issue("alice", other.to_bytes(bad))
    other.finish(issuer.issue("alice", other.to_bytes(issuer.challenge())))


def test_outstanding_challenges_are_bounded(both, monkeypatch):
    issuer, _ = both
    monkeypatch.setattr(limits, "MAX_CHALLENGES", 3)
    challenges = [issuer.challenge() for _ in range(4)]
    token = issuer.enrol("alice")
    request = IdentityRequest(issuer.params, Usage.SIGN, b"alice", token)
    with pytest.raises(IssueError):
        issuer.issue("alice", request.to_bytes(challenges[0]))
    request.finish(issuer.issue("alice", request.to_bytes(challenges[3])))


def test_authentication_is_needed_and_covers_what_is_issued(both):
    identity, blind = both
    token = identity.enrol("alice")
    wrong = IdentityRequest(identity.params, Usage.SIGN, b"alice", bytes(32))
    right = IdentityRequest(identity.params, Usage.SIGN, b"alice", token)
    messages = set()
    for party, data in (
        ("alice", wrong.to_bytes(identity.challenge())),
        ("nobody", right.to_bytes(identity.challenge())),
    ):
        with pytest.raises(IssueError) as caught:
            identity.issue(party, data)
        messages.add(str(caught.value))
    assert len(messages) == 1  # no oracle for who is enrolled

    token = blind.enrol("alice", quota=9)
    a, b = (BlindRequest(blind.params, Usage.SIGN, token).to_bytes() for _ in range(2))
    assert len(a) == 114
    for data in (
        a[:34] + b[34:82] + a[82:],  # another B under this MAC
        a[:-1] + bytes([a[-1] ^ 1]),
    ):
        with pytest.raises(IssueError, match="not authenticated"):
            blind.issue("alice", data)
    blind.enrol("bob")
    with pytest.raises(IssueError, match="not authenticated"):
        blind.issue("bob", a)


def test_token_never_travels(both):
    identity, blind = both
    token = identity.enrol("alice")
    assert token not in IdentityRequest(identity.params, Usage.SIGN, b"alice", token).to_bytes(bytes(32))
    token = blind.enrol("alice")
    assert token not in BlindRequest(blind.params, Usage.SIGN, token).to_bytes()


def test_party_cannot_take_a_name_that_is_not_its_own(both):
    issuer, _ = both
    token = issuer.enrol("mallory")
    request = IdentityRequest(issuer.params, Usage.SIGN, b"server", token)
    with pytest.raises(IssueError, match="belongs to somebody else"):
        issuer.issue("mallory", request.to_bytes(issuer.challenge()))
    issuer.enrol("device 7", identity=b"server")
    with pytest.raises(IssueError, match="belongs to another"):
        issuer.enrol("mallory 2", identity=b"server")


def _forged(request, issuer, **changes):
    """The bytes of an identity request with fields replaced and the MAC made anew."""
    challenge = issuer.challenge()
    data = request.to_bytes(challenge)
    end = 36 + data[35]
    f = {"X": data[end : end + 48], "R": data[end + 48 : end + 96], "z": data[end + 96 : end + 128],
         "challenge": challenge}  # fmt: skip
    f.update(changes)
    mac = hmac.digest(
        request._token, enc("SOTTOVOCE-V1-ISSUE", issuer.params.params_id, "sign", f["X"]), "sha256"
    )
    return data[:end] + f["X"] + f["R"] + f["z"] + f["challenge"] + mac


def test_a_request_altered_on_its_way_spends_neither_challenge_nor_quota(both):
    """Attack: the token's MAC covers neither proof nor challenge; who alters those must not cost a key."""
    issuer, token = both[0], both[0].enrol("alice", identity=b"alice")
    request = IdentityRequest(issuer.params, Usage.SIGN, b"alice", token)
    data, other = (request.to_bytes(issuer.challenge()) for _ in range(2))
    end = len(data) - 32  # the MAC
    for at in (*range(end - 112, end, 7), end - 1):
        with pytest.raises((IssueError, DecodeError)):
            issuer.issue("alice", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(IssueError, match="proof of possession"):
        issuer.issue("alice", data[: end - 32] + other[end - 32 :])
    request.finish(issuer.issue("alice", data))


def test_attack_rogue_key_without_its_secret_is_refused(both):
    """Somebody asks for a key on another's X: the proof of possession is missing."""
    issuer, _ = both
    victim = issue_identity(issuer, "victim").public_key
    token = issuer.enrol("mallory")
    request = IdentityRequest(issuer.params, Usage.SIGN, b"mallory", token)
    _forged(request, issuer)
    for changes in (
        {"X": victim.X},
        {"z": group.scalar_to_bytes(5)},
        {"R": group.P1.to_compressed_bytes()},
        {"challenge": issuer.challenge()},  # a fresh challenge that was not signed
    ):
        with pytest.raises(IssueError, match="proof of possession"):
            issuer.issue("mallory", _forged(request, issuer, **changes))
    issuer.issue("mallory", _forged(request, issuer))


def test_x_under_another_usage_is_refused(both):
    issuer, _ = both
    token = issuer.enrol("alice", quota=2)
    first = IdentityRequest(issuer.params, Usage.SIGN, b"alice", token)
    issuer.issue("alice", first.to_bytes(issuer.challenge()))
    second = IdentityRequest(issuer.params, Usage.DECRYPT, b"alice", token)
    second._x = first._x
    second.public_key = type(first.public_key)(issuer.params, Usage.DECRYPT, b"alice", first.public_key.X)
    with pytest.raises(IssueError, match="X was issued"):
        issuer.issue("alice", second.to_bytes(issuer.challenge()))


def test_attack_blind_issuing_cannot_reach_another_mode(world, both):
    """Blind issuing multiplies a point chosen by the client: the hash of alice's name in the
    identity epoch.  It gets D under the blind secret only, which fits no identity key."""
    _, blind = both
    target = world.signer("alice").public_key
    token = blind.enrol("mallory")
    request = BlindRequest(blind.params, Usage.SIGN, token)
    b = 12345
    B = group.g1_mul_vartime(target._Q_base.point, b).to_compressed_bytes()
    mac = hmac.digest(token, enc("SOTTOVOCE-V1-ISSUE", blind.params.params_id, B), "sha256")
    answer = blind.issue("mallory", request.to_bytes()[:34] + B + mac)
    C = group.g1_from_bytes(answer[2:], "C")
    D = group.g1_mul_vartime(C, pow(b, -1, group.ORDER))
    Q = target._Q_base.point
    assert group.pairing_is_one([D, -Q], [group.P2, blind.params.Y])  # it is s_blind * Q ...
    assert not group.pairing_is_one([D, -Q], [group.P2, target.params.Y])  # ... not s_identity * Q
    # With a shared secret the last line would hold: that is the attack, and Y differ for it.
    assert blind.params.Y != target.params.Y


def test_requests_for_other_parameters_are_refused(both):
    identity, blind = both
    other = World("elsewhere")
    token = blind.enrol("alice")
    with pytest.raises(IssueError, match="other parameters"):
        blind.issue("alice", BlindRequest(other.params[Mode.BLIND], Usage.SIGN, token).to_bytes())
    token = identity.enrol("alice")
    request = IdentityRequest(identity.params, Usage.SIGN, b"alice", token)
    with pytest.raises(IssueError, match="other parameters"):
        blind.issue("alice", request.to_bytes(identity.challenge()))


def test_request_bytes_are_strict(both):
    identity, blind = both
    token = identity.enrol("alice")
    good = IdentityRequest(identity.params, Usage.SIGN, b"alice", token).to_bytes(identity.challenge())
    blind_token = blind.enrol("alice")
    blind_good = BlindRequest(blind.params, Usage.SIGN, blind_token).to_bytes()
    for issuer, data in ((identity, good), (blind, blind_good)):
        for bad in (
            b"", data[:-1], data + b"\0", b"\2" + data[1:], data[:1] + b"\2" + data[2:],
            data[:1] + b"\4" + data[2:], data[:2] + b"\3" + data[2:], data[:36], bytes(10_000),
        ):  # fmt: skip
            with pytest.raises(DecodeError):
                issuer.issue("alice", bad)
        with pytest.raises(TypeError):
            issuer.issue("alice", bytearray(data))
    for usage in (b"\0", b"\3"):
        with pytest.raises(DecodeError, match="usage"):
            identity.issue("alice", good[:2] + usage + good[3:])
    params_id = blind.params.params_id
    for B in (b"\xc0" + bytes(47), bytes(48), b"\x80" + bytes(46) + b"\4"):  # identity, junk, subgroup
        mac = hmac.digest(blind_token, enc("SOTTOVOCE-V1-ISSUE", params_id, B), "sha256")
        with pytest.raises(DecodeError):
            blind.issue("alice", blind_good[:34] + B + mac)
    for z in (bytes(32), b"\xff" * 32):
        with pytest.raises(DecodeError):
            identity.issue("alice", good[:-96] + z + good[-64:])
    blind.issue("alice", blind_good)  # nothing above spent the quota


def test_answers_are_checked_by_the_client(both):
    identity, blind = both
    token = identity.enrol("alice")
    request = IdentityRequest(identity.params, Usage.SIGN, b"alice", token)
    answer = identity.issue("alice", request.to_bytes(identity.challenge()))
    token = blind.enrol("alice", quota=2)
    blind_request = BlindRequest(blind.params, Usage.SIGN, token)
    blind_answer = blind.issue("alice", blind_request.to_bytes())
    foreign = blind.issue("alice", BlindRequest(blind.params, Usage.SIGN, token).to_bytes())
    for asked, good in ((request, answer), (blind_request, blind_answer)):
        for bad in (b"", good[:-1], good + b"\0", b"\2" + good[1:], good[:1] + b"\2" + good[2:],
                    good[:2] + b"\xc0" + bytes(47) + good[50:], foreign, blind_answer + answer):  # fmt: skip
            with pytest.raises(IssueError):
                asked.finish(bad)
        with pytest.raises(TypeError):
            asked.finish(None)
        asked.finish(good)  # unchanged by the failures
    for i in (2, 60, 113):
        with pytest.raises(IssueError):
            request.finish(answer[:i] + bytes([answer[i] ^ 1]) + answer[i + 1 :])


def test_partial_key_does_not_travel_in_clear(both):
    issuer, _ = both
    token = issuer.enrol("alice")
    request = IdentityRequest(issuer.params, Usage.SIGN, b"alice", token)
    answer = issuer.issue("alice", request.to_bytes(issuer.challenge()))
    assert request.finish(answer)._d_bytes not in answer


def test_enrolment_arguments(both):
    issuer, _ = both
    issuer.enrol("alice")
    with pytest.raises(IssueError):
        issuer.enrol("alice")
    for bad in ({"party": ""}, {"party": "a" * 65}, {"party": "b", "quota": 0}, {"party": "b", "quota": True},
                {"party": "b", "identity": b""}):  # fmt: skip
        with pytest.raises(ParameterError):
            issuer.enrol(**bad)
    with pytest.raises(TypeError, match="registry"):
        Issuer(issuer._master, "registry.sqlite")
    with pytest.raises(TypeError):
        issuer.enrol(b"alice")
    with pytest.raises(TypeError):
        issuer.enrol("c", identity="c")


def test_request_arguments(world, both):
    identity, blind = both
    for params, identity_, token in (
        (blind.params, b"a", bytes(32)),
        (identity.params, b"", bytes(32)),
        (identity.params, b"a" * 65, bytes(32)),
        (identity.params, b"a", bytes(31)),
    ):
        with pytest.raises(ParameterError):
            IdentityRequest(params, Usage.SIGN, identity_, token)
    with pytest.raises(ParameterError):
        BlindRequest(identity.params, Usage.SIGN, bytes(32))
    with pytest.raises(TypeError):
        BlindRequest(blind.params, "sign", bytes(32))
    with pytest.raises(ParameterError):
        IdentityRequest(identity.params, Usage.SIGN, b"a", bytes(32)).to_bytes(bytes(31))
    with pytest.raises(ParameterError, match="tracing_key, trust: are needed"):
        Issuer(world.master[Mode.TRACEABLE])
    with pytest.raises(TypeError):
        Issuer(world.root)


def test_issuing_objects_hide_their_secrets(world, both):
    identity, blind = both
    token = bytes(range(32))
    requests = [
        IdentityRequest(identity.params, Usage.SIGN, b"a", token),
        BlindRequest(blind.params, Usage.SIGN, token),
    ]
    for thing in (*requests, identity, blind):
        text = repr(thing)
        assert token.hex() not in text
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing)
    for request in requests:
        assert str(request._x) not in repr(request)
    # The pseudonym is not in the blind request, nor in its repr.
    assert requests[1]._public_key.X not in requests[1].to_bytes()
    assert requests[1]._public_key.pid.hex() not in repr(requests[1])


def test_issuer_with_a_wrong_answer_is_noticed(world):
    """A malicious issuer that answers with another secret (to mark the client) is refused."""
    issuer = Issuer(world.master[Mode.BLIND])
    other = Issuer(World("marked").master[Mode.BLIND])
    request = BlindRequest(issuer.params, Usage.SIGN, issuer.enrol("device"))
    B = group.g1_from_bytes(request.to_bytes()[34:82], "B")
    marked = group.g1_mul_vartime(B, other._master._s).to_compressed_bytes()
    with pytest.raises(IssueError):
        request.finish(bytes([1, 3]) + marked)
