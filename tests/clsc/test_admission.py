"""Admission: the two rounds of a blind threshold issuer, its keys, and what it refuses."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce.clsc import (
    AdmissionKey,
    DecodeError,
    IssueError,
    Issuer,
    MemoryRegistry,
    Mode,
    ParameterError,
    RootKey,
    SqliteRegistry,
    TooFewAdmissions,
    TooFewAnswers,
    group,
    read_admission_keys,
    sign_admission_keys,
    verify_admission,
)
from support.clsc_servers import Servers
from support.clsc_traceback import assert_no_secret_in
from support.clsc_world import Drbg

INFINITY = b"\xc0" + bytes(47)


@pytest.fixture
def servers(world):
    """2 of 3."""
    return Servers(world, Mode.BLIND, 2, 3)


# -- what works ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "n", "q"), [(2, 2, 1), (2, 3, 1), (3, 4, 1), (3, 3, 2)])
def test_two_rounds_make_a_key(world, t, n, q):
    servers = Servers(world, Mode.BLIND, t, n, q=q)
    servers.enrol(quota=q)
    for _ in range(q):
        asked = servers.request(None)
        admissions = servers.admit(asked, range(n - t + 1, n + 1))
        assert {len(admission) for admission in admissions.values()} == {66}
        answers = {
            j: issuer.issue("alice", asked.to_bytes(j), admissions) for j, issuer in servers.issuers.items()
        }
        assert asked.combine(answers).wrong == ()
    with pytest.raises(IssueError, match="quota"):
        servers.admit(servers.request(None), [1])


def test_wrong_admissions_do_no_harm_beside_enough_good_ones(servers):
    asked = servers.request(None)
    good = servers.admit(asked)
    for wrong in (b"", bytes(66), good[1]):
        for j in (3, 9):
            assert servers.issuers[1].issue("alice", asked.to_bytes(1), {**good, j: wrong})


def test_lost_acknowledgement_and_lost_answer_come_again(servers):
    asked = servers.request(None)
    first = servers.admit(asked)
    assert servers.admit(asked) == first
    answer = servers.issuers[1].issue("alice", asked.to_bytes(1), first)
    assert servers.admit(asked) == first
    assert servers.issuers[1].issue("alice", asked.to_bytes(1), first) == answer
    # Refused without admissions although the answer left before: whoever asks must show them.
    with pytest.raises(TooFewAdmissions):
        servers.issuers[1].issue("alice", asked.to_bytes(1))


def test_restarted_servers_keep_what_they_admitted(world, tmp_path):
    paths = iter(range(3))
    servers = Servers(
        world, Mode.BLIND, 2, 3, registry=lambda: SqliteRegistry(tmp_path / f"{next(paths)}.sqlite")
    )
    asked = servers.request(None)
    admissions = servers.admit(asked)
    for j, issuer in servers.issuers.items():
        path = issuer._registry.path
        issuer._registry.close()
        servers.issuers[j] = servers.issuer(j, SqliteRegistry(path))
    assert servers.admit(asked) == admissions
    with pytest.raises(IssueError, match="quota"):
        servers.admit(servers.request(None), [1])
    answers = {j: servers.issuers[j].issue("alice", asked.to_bytes(j), admissions) for j in (1, 2, 3)}
    assert asked.combine(answers).wrong == ()
    for j, issuer in servers.issuers.items():
        path = issuer._registry.path
        issuer._registry.close()
        servers.issuers[j] = servers.issuer(j, SqliteRegistry(path))
        assert servers.issuers[j].issue("alice", asked.to_bytes(j), admissions) == answers[j]


def test_restored_server_admits_nothing_that_it_may_have_forgotten(world, tmp_path):
    paths = iter(range(3))
    servers = Servers(
        world, Mode.BLIND, 2, 3, registry=lambda: SqliteRegistry(tmp_path / f"{next(paths)}.sqlite")
    )
    servers.enrol(quota=5)
    asked = servers.request(None)
    admissions = servers.admit(asked)
    path = servers.issuers[1]._registry.path
    servers.issuers[1]._registry.close()
    servers.issuers[1] = servers.issuer(1, SqliteRegistry.restore(path))
    assert servers.admit(asked, [1])[1] == admissions[1]
    fresh = servers.request(None)
    with pytest.raises(IssueError):
        servers.admit(fresh, [1])
    # Nor does it answer what others admitted.
    with pytest.raises(IssueError):
        servers.issuers[1].issue("alice", fresh.to_bytes(1), admissions)


def test_record_is_durable_before_the_acknowledgement_leaves(world):
    class Full(MemoryRegistry):
        def record(self, issuance, *, at_most=None):
            raise OSError("disk full")

    servers = Servers(world, Mode.BLIND, 2, 3, registry=Full)
    asked = servers.request(None)
    with pytest.raises(OSError, match="disk full"):
        servers.admit(asked, [1])


def test_race_for_the_last_unit_gives_one_acknowledgement(world):
    class Raced(MemoryRegistry):
        def check(self, issuance, *, at_most=None):
            pass

    servers = Servers(world, Mode.BLIND, 2, 3, registry=Raced)
    servers.enrol(quota=5)
    servers.admit(servers.request(None), [1])
    with pytest.raises(IssueError, match="quota"):
        servers.admit(servers.request(None), [1])


def test_server_that_did_not_admit_answers_and_records(servers):
    """It was down in the first round; the acknowledgements of t others are enough."""
    asked = servers.request(None)
    admissions = servers.admit(asked, [1, 2])
    servers.issuers[3].issue("alice", asked.to_bytes(3), admissions)
    with pytest.raises(IssueError, match="quota"):
        servers.admit(servers.request(None), [3])


def test_server_whose_quota_went_elsewhere_answers_nothing(servers):
    first, second = servers.request(None), servers.request(None)
    admissions = servers.admit(first, [1, 2])
    servers.admit(second, [3])
    with pytest.raises(IssueError, match="quota"):
        servers.issuers[3].issue("alice", first.to_bytes(3), admissions)


# -- what is refused ----------------------------------------------------------------------------


def test_admit_authenticates_as_issue_does(world, servers):
    asked = servers.request(None)
    data = asked.to_bytes(1)
    issuer = servers.issuers[1]
    servers.enrol("bob")
    for party, request, reason in (
        ("alice", asked.to_bytes(2), "not authenticated"),  # MAC under the token of server 2
        ("bob", data, "not authenticated"),
        ("nobody", data, "not authenticated"),
        ("alice", data[:2] + bytes(32) + data[34:], "other parameters"),
    ):
        with pytest.raises(IssueError, match=reason):
            issuer.admit(party, request)
    for request in (b"", data[:-1], data + b"\0", b"\2" + data[1:]):
        with pytest.raises(DecodeError):
            issuer.admit("alice", request)
    with pytest.raises(TypeError):
        issuer.admit("alice", None)
    issuer.disable("alice")
    with pytest.raises(IssueError, match="not authenticated"):
        issuer.admit("alice", data)
    assert not issuer._registry._records


def test_invalid_point_is_not_admitted(servers):
    asked = servers.request(None)
    for B in (INFINITY, b"\x80" + bytes(46) + b"\4", bytes(48)):
        asked._B = B
        with pytest.raises(DecodeError, match="request: B"):
            servers.admit(asked, [1])
    assert not servers.issuers[1]._registry._records


def test_party_that_was_disabled_since_gets_no_answer(servers):
    asked = servers.request(None)
    admissions = servers.admit(asked)
    servers.issuers[1].disable("alice")
    with pytest.raises(IssueError, match="not authenticated"):
        servers.issuers[1].issue("alice", asked.to_bytes(1), admissions)


def test_admissions_have_no_use_elsewhere(world, both):
    for issuer in (*both, Servers(world, Mode.IDENTITY, 2, 3).issuers[1]):
        with pytest.raises(ParameterError, match="several servers"):
            issuer.admit("a", b"")
        for given_ in ({}, {1: bytes(66)}):
            with pytest.raises(ParameterError, match="several servers"):
                issuer.issue("a", b"", given_)


def test_admissions_of_other_types(servers):
    asked = servers.request(None)
    admissions = servers.admit(asked)
    for bad in (list(admissions.values()), b"", 7, {True: admissions[1]}, {"1": admissions[1]}, {1: None}):
        with pytest.raises(TypeError, match="mapping"):
            servers.issuers[1].issue("alice", asked.to_bytes(1), bad)


def test_error_says_what_is_missing(servers):
    asked = servers.request(None)
    admissions = servers.admit(asked, [1])
    with pytest.raises(TooFewAdmissions) as caught:
        servers.issuers[2].issue("alice", asked.to_bytes(2), {**admissions, 3: admissions[1]})
    error = caught.value
    assert str(error) == "2 valid admissions needed, 1 present; wrong from servers 3"
    assert isinstance(error, IssueError)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.__dict__, str(again)) == (TooFewAdmissions, error.__dict__, str(error))
    assert str(TooFewAnswers(1, 0, ())) == "1 valid answers needed, 0 present"


def test_keys_are_needed_exactly_in_blind_epochs_of_several_servers(world, servers):
    key, public = servers.admission_keys[1], [k.public_key for k in servers.admission_keys.values()]
    share = servers.shares[0]
    both_ = {"admission_key": key, "admission_public_keys": public}
    for some in ({}, {"admission_key": key}, {"admission_public_keys": public}):
        with pytest.raises(ParameterError, match="are needed"):
            Issuer(share, **some)
    for master in (world.master[Mode.BLIND], world.master[Mode.IDENTITY],
                   Servers(world, Mode.IDENTITY, 2, 3).shares[0]):  # fmt: skip
        for some in (both_, {"admission_key": key}, {"admission_public_keys": public}):
            with pytest.raises(ParameterError, match="have no use"):
                Issuer(master, **some)
    for bad, reason in (
        (public[:2], "3 keys"), ([*public, bytes(32)], "3 keys"), ([*public[:2], bytes(31)], "3 keys"),
        ([public[0], public[1], public[1]], "one key"), ([public[1], public[0], public[2]], "number 1"),
        ([], "3 keys"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=reason):
            Issuer(share, admission_key=key, admission_public_keys=bad)
    for bad in ({**both_, "admission_key": b""}, {**both_, "admission_public_keys": b"".join(public)},
                {**both_, "admission_public_keys": set(public)},
                {**both_, "admission_public_keys": [*public[:2], None]}):  # fmt: skip
        with pytest.raises(TypeError):
            Issuer(share, **bad)
    Issuer(share, admission_key=key, admission_public_keys=tuple(public))


# -- for everybody ------------------------------------------------------------------------------


def test_anybody_verifies_an_acknowledgement(servers):
    asked, other = servers.request(None), servers.request(None)
    params, keys = servers.params, {j: k.public_key for j, k in servers.admission_keys.items()}
    for j, admission in servers.admit(asked).items():
        verify_admission(params, j, keys[j], "alice", asked.to_bytes(j), admission)
        verify_admission(
            params, j, keys[j], "alice", asked.to_bytes(1), admission
        )  # its MAC is not looked at
        for index, key, party, request, data in (
            (j % 3 + 1, keys[j], "alice", asked, admission),
            (j, keys[j % 3 + 1], "alice", asked, admission),
            (j, keys[j], "bob", asked, admission),
            (j, keys[j], "alice", other, admission),
            (j, keys[j], "alice", asked, admission[:-1]),
            (j, bytes(32), "alice", asked, admission),
            (j, b"\xff" * 32, "alice", asked, admission),
        ):
            with pytest.raises(IssueError, match=f"server {index}"):
                verify_admission(params, index, key, party, request.to_bytes(1), data)


def test_verify_admission_refuses_impossible_arguments(world, servers):
    asked = servers.request(None)
    request, key = asked.to_bytes(1), servers.admission_keys[1].public_key
    good = (servers.params, 1, key, "alice", request, servers.admit(asked)[1])

    def having(**changed):
        names = ("params", "index", "public_key", "party", "request", "admission")
        verify_admission(*(changed.get(name, value) for name, value in zip(names, good, strict=True)))

    having()
    for bad in ({"params": b""}, {"index": "1"}, {"index": True}, {"public_key": None}, {"party": b"alice"},
                {"request": None}, {"admission": None}):  # fmt: skip
        with pytest.raises(TypeError):
            having(**bad)
    for bad in ({"params": world.params[Mode.BLIND]}, {"params": Servers(world, Mode.IDENTITY, 2, 3).params},
                {"index": 0}, {"index": 4}, {"public_key": key[:-1]}, {"party": ""}, {"party": "a" * 65},
                {"party": "\ud800"}):  # fmt: skip
        with pytest.raises(ParameterError):
            having(**bad)
    with pytest.raises(DecodeError):
        having(request=request[:-1])
    with pytest.raises(IssueError, match="other parameters"):
        having(request=request[:2] + bytes(32) + request[34:])


def test_list_of_keys_is_signed_by_the_root(world, servers):
    public = [k.public_key for k in servers.admission_keys.values()]
    root = RootKey._from_seed_derand(Drbg(f"{world.seed}/root")(32))
    data = sign_admission_keys(root, servers.params, public)
    assert len(data) == 167 + 36 * 3
    assert read_admission_keys(data, servers.params) == tuple(public)
    stranger = RootKey.generate()
    body = data[:-64]
    one_key = enc(b"SOTTOVOCE-V1-ADMISSION-KEYS", root.public_key, servers.params.params_id, *[public[0]] * 3)
    few = enc(b"SOTTOVOCE-V1-ADMISSION-KEYS", root.public_key, servers.params.params_id, *public[:2])
    keys = [public[0], public[1] + public[2] + bytes(4)]  # as long as three
    two = enc(b"SOTTOVOCE-V1-ADMISSION-KEYS", root.public_key, servers.params.params_id, *keys)
    for bad, reason in (
        (b"", "275 bytes"), (data[:-1], "275 bytes"), (data + b"\0", "275 bytes"),
        (body + stranger._key.sign(body), "signature"), (data[:-1] + bytes([data[-1] ^ 1]), "signature"),
        (servers.params.to_bytes(), "bytes expected"), (b"\1" + data[1:], "truncated"),
        (data[:5] + b"?" + data[6:], "not those"), (one_key + root._key.sign(one_key), "one key"),
        (few + root._key.sign(few), "275 bytes"), (two + root._key.sign(two), "3 keys"),
    ):  # fmt: skip
        with pytest.raises(DecodeError, match=reason):
            read_admission_keys(bad, servers.params)
    with pytest.raises(DecodeError, match="not those"):
        read_admission_keys(data, Servers(world, Mode.BLIND, 3, 3).params)  # other parameters
    with pytest.raises(ParameterError, match="root"):
        sign_admission_keys(stranger, servers.params, public)
    with pytest.raises(ParameterError, match="3 keys"):
        sign_admission_keys(root, servers.params, public[:2])
    for params in (world.params[Mode.BLIND], Servers(world, Mode.IDENTITY, 2, 3).params):
        with pytest.raises(ParameterError, match="several servers"):
            sign_admission_keys(root, params, public)
        with pytest.raises(ParameterError, match="several servers"):
            read_admission_keys(data, params)
    for call in (lambda: sign_admission_keys(None, servers.params, public),
                 lambda: sign_admission_keys(root, None, public),
                 lambda: sign_admission_keys(root, servers.params, 7),
                 lambda: read_admission_keys(None, servers.params),
                 lambda: read_admission_keys(data, None)):  # fmt: skip
        with pytest.raises(TypeError):
            call()


@pytest.fixture(scope="module")
def signed(world):
    servers = Servers(world, Mode.BLIND, 2, 3)
    root = RootKey._from_seed_derand(Drbg(f"{world.seed}/root")(32))
    public = [k.public_key for k in servers.admission_keys.values()]
    asked = servers.request(None)
    return servers, asked, servers.admit(asked)[1], sign_admission_keys(root, servers.params, public)


@given(at=st.integers(0, 1 << 12), bit=st.integers(0, 7), cut=st.integers(0, 3), more=st.binary(max_size=3))
def test_any_other_bytes_are_refused(signed, at, bit, cut, more):
    servers, asked, admission, listed = signed
    for data, check, error in (
        (listed, lambda bad: read_admission_keys(bad, servers.params), DecodeError),
        (
            admission,
            lambda bad: verify_admission(
                servers.params, 1, servers.admission_keys[1].public_key, "alice", asked.to_bytes(1), bad
            ),
            IssueError,
        ),
    ):
        i = at % len(data)
        bad = (data[:i] + bytes([data[i] ^ 1 << bit]) + data[i + 1 :])[: len(data) - cut] + more
        with pytest.raises(error):
            check(bad)
        check(data)


# -- the key ------------------------------------------------------------------------------------


def test_admission_key_hides_itself():
    seed = Drbg("admission")(32)
    key = AdmissionKey(seed)
    assert len(key.public_key) == 32
    assert AdmissionKey(seed).public_key == key.public_key != AdmissionKey.generate().public_key
    assert repr(key) == f"AdmissionKey(public_key={key.public_key.hex()})"
    assert seed.hex() not in repr(key)
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            way(key)
    with pytest.raises(AttributeError):
        key.public_key = b""
    with pytest.raises(AttributeError):
        del key._key
    assert "AdmissionKey" in repr(AdmissionKey.__new__(AdmissionKey))
    assert not hasattr(key, "__dict__")


def test_admission_key_of_a_wrong_length_is_not_in_the_error():
    seed = Drbg("admission")(33)
    for bad in (seed, seed[:31], list(seed), bytearray(seed[:32])):
        with pytest.raises((ParameterError, TypeError)) as caught:
            AdmissionKey(bad)
        assert_no_secret_in(caught.value, [seed[:31]], [])


def test_refusals_carry_no_secret(servers):
    """Neither token nor admission seed, share or the answer that is recorded but may not leave."""
    asked = servers.request(None)
    admissions = servers.admit(asked, [1])
    answer = servers.issuers[1]._registry.find("alice", servers.params.params_id, "", asked._B).answer
    C = group.g1_from_bytes(answer[2:], "C")
    secrets_ = [
        *servers.tokens["alice"].values(),
        answer,
        *(Drbg(f"servers/admission {j}")(32) for j in (1, 2)),
    ]
    shares = [share._s for share in servers.shares]
    for call in (
        lambda: servers.issuers[1].issue("alice", asked.to_bytes(1), admissions),
        lambda: servers.issuers[1].issue("alice", asked.to_bytes(1)),
        lambda: servers.issuers[1].admit("alice", servers.request(None).to_bytes(1)),
        lambda: servers.issuers[1].admit("alice", asked.to_bytes(2)),
    ):
        with pytest.raises(IssueError) as caught:
            call()
        assert caught.value.__context__ is None
        assert_no_secret_in(caught.value, secrets_, shares, [C])
    for bad in ({"admission_public_keys": []}, {"admission_public_keys": None}, {"admission_key": None}):
        arguments = {
            "admission_key": servers.admission_keys[1],
            "admission_public_keys": [k.public_key for k in servers.admission_keys.values()], **bad,
        }  # fmt: skip
        with pytest.raises(ParameterError) as caught:
            Issuer(servers.shares[0], **arguments)
        assert_no_secret_in(caught.value, secrets_, shares)
