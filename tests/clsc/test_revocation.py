"""Signed revocation lists: what makes one, which two contradict each other, and its strict decoder."""

import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce._ext.limits import MAX_REVOKED
from sottovoce.clsc import DecodeError, ParameterError, RootKey, SenderError
from sottovoce.clsc.revocation import MAX_NUMBER, RevocationConflict, RevocationList
from support.clsc_stores import params_id
from support.clsc_world import Drbg

ROOT = RootKey._from_seed_derand(Drbg("revocation")(32))
OTHER = RootKey._from_seed_derand(Drbg("another root")(32))
NUMBERS = st.integers(1, MAX_NUMBER)
TIMES = st.integers(0, (1 << 40) - 1)
PIDS = st.sets(st.binary(min_size=16, max_size=16), max_size=8)


def pid(i):
    return bytes([i]) * 16


def listing(number=1, pids=(), *, root=ROOT, epoch=0, issued_at=7):
    return RevocationList.sign(root, params_id(epoch), number=number, issued_at=issued_at, pids=pids)


def signed(*fields, root=ROOT):
    """Whatever fields, with a good signature."""
    body = enc(*fields)
    return body + root._key.sign(body)


def read(data):
    return RevocationList.from_bytes(data, ROOT.public_key)


def test_list_says_what_was_signed():
    one = listing(3, [pid(2), pid(1), pid(2)], issued_at=1_800_000_000)
    assert one.root_public_key == ROOT.public_key
    assert (one.params_id, one.number, one.issued_at) == (params_id(), 3, 1_800_000_000)
    assert one.pids == (pid(1), pid(2))
    assert len(one.to_bytes()) == 184 + 2 * 20
    assert len(listing().to_bytes()) == 184
    again = read(one.to_bytes())
    assert again == one
    assert hash(again) == hash(one)
    assert again.to_bytes() == one.to_bytes()
    assert "number=3, 2 keys" in repr(one)
    assert repr(RevocationList.__new__(RevocationList)) == "RevocationList(not made)"


def test_bytes_are_those_of_the_table():
    one = listing(3, [pid(2), pid(1)], issued_at=9)
    body = b"\0\0\0\x14SOTTOVOCE-V1-REVOKED\0\0\0\x20" + ROOT.public_key + b"\0\0\0\x20" + params_id()
    body += b"\0\0\0\x08" + (3).to_bytes(8, "big") + b"\0\0\0\x08" + (9).to_bytes(8, "big")
    body += b"\0\0\0\x10" + pid(1) + b"\0\0\0\x10" + pid(2)
    assert one.to_bytes()[:-64] == body
    Ed25519PublicKey.from_public_bytes(ROOT.public_key).verify(one.to_bytes()[-64:], body)


def test_list_is_immutable_and_may_be_pickled():
    one = listing(3, [pid(1)])
    for change in (lambda: setattr(one, "number", 4), lambda: delattr(one, "pids")):
        with pytest.raises(AttributeError):
            change()
    assert pickle.loads(pickle.dumps(one)) == one
    assert not hasattr(one, "__dict__")


def test_only_a_root_key_signs():
    with pytest.raises(TypeError, match="RootKey"):
        RevocationList.sign(ROOT.public_key, params_id(), number=1, issued_at=7, pids=[])


def test_longest_list_and_one_more():
    pids = [i.to_bytes(16, "big") for i in range(MAX_REVOKED + 1)]
    one = listing(1, pids[:-1])
    assert read(one.to_bytes()).pids == tuple(pids[:-1])
    with pytest.raises(ParameterError, match=str(MAX_REVOKED)):
        listing(1, pids)
    with pytest.raises(DecodeError, match=str(MAX_REVOKED)):
        read(signed("SOTTOVOCE-V1-REVOKED", ROOT.public_key, params_id(), 1, 7, *pids))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"number": 0}, ParameterError),
        ({"number": MAX_NUMBER + 1}, ParameterError),
        ({"number": -1}, ParameterError),
        ({"number": True}, TypeError),
        ({"number": "1"}, TypeError),
        ({"issued_at": -1}, ParameterError),
        ({"issued_at": 1 << 40}, ParameterError),
        ({"issued_at": 1.5}, TypeError),
        ({"pids": [b"short"]}, ParameterError),
        ({"pids": [bytes(17)]}, ParameterError),
        ({"pids": ["x" * 16]}, TypeError),
        ({"pids": 5}, TypeError),
        ({"params_id": bytes(31)}, ParameterError),
        ({"params_id": "x" * 32}, TypeError),
    ],
)
def test_impossible_arguments(change, error):
    arguments = {"params_id": params_id(), "number": 1, "issued_at": 7, "pids": [pid(1)], **change}
    with pytest.raises(error):
        RevocationList.sign(ROOT, arguments.pop("params_id"), **arguments)


FIELDS = ["SOTTOVOCE-V1-REVOKED", ROOT.public_key, params_id(), 1, 7, pid(1), pid(2)]


def changed(at, *values):
    return signed(*FIELDS[:at], *values, *FIELDS[at + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        signed(*FIELDS)[:-1],
        signed(*FIELDS) + b"\0",
        signed(*FIELDS)[:-64],
        signed(*FIELDS[:4]),
        changed(0, "SOTTOVOCE-V2-REVOKED"),
        changed(0, "SOTTOVOCE-V1-PARAMS!"),
        changed(1, OTHER.public_key),
        changed(1, ROOT.public_key[:-1]),
        changed(2, params_id()[:-1], b""),
        changed(3, 0),
        changed(3, MAX_NUMBER + 1),
        changed(3, bytes(7)),
        changed(3, (1 << 64) - 1),
        changed(4, 1 << 40),
        changed(5, pid(2)),
        changed(5, pid(3)),
        changed(5, pid(1), pid(1)),
        changed(5, pid(1)[:-1]),
        changed(5, pid(1) + pid(2)),
        changed(6, pid(2)[:-1]),
        changed(6, pid(2) + b"\0"),
        signed(*FIELDS, b""),
        changed(5, pid(1) + b"\0\0\0\x10" + pid(3)),
        signed(*FIELDS, root=OTHER),
        signed(*FIELDS[:1], OTHER.public_key, *FIELDS[2:], root=OTHER),
        signed(*FIELDS)[:-64] + listing(2).to_bytes()[-64:],
    ],
)
def test_rejects(data):
    with pytest.raises(DecodeError, match="revocations:"):
        read(data)


def test_rejects_wrong_types_and_keys():
    good = listing().to_bytes()
    for arguments in ((bytearray(good), ROOT.public_key), (good, "key"), (None, ROOT.public_key)):
        with pytest.raises(TypeError):
            RevocationList.from_bytes(*arguments)
    with pytest.raises(ParameterError):
        RevocationList.from_bytes(good, ROOT.public_key[:-1])
    with pytest.raises(DecodeError):
        RevocationList.from_bytes(good, OTHER.public_key)
    with pytest.raises(DecodeError):
        RevocationList.from_bytes(signed("SOTTOVOCE-V1-REVOKED", bytes(32), params_id(), 1, 7), bytes(32))


def test_root_signature_of_parameters_is_none_of_a_list(world):
    with pytest.raises(DecodeError):
        RevocationList.from_bytes(next(iter(world.params.values())).to_bytes(), world.root.public_key)


# -- properties ------------------------------------------------------------------------------------


@given(NUMBERS, TIMES, PIDS)
def test_decode_undoes_encode(number, issued_at, pids):
    one = listing(number, pids, issued_at=issued_at)
    again = read(one.to_bytes())
    assert again == one
    assert (again.number, again.issued_at, again.pids) == (number, issued_at, tuple(sorted(pids)))
    assert again.to_bytes() == one.to_bytes()


@given(NUMBERS, PIDS, st.data())
def test_every_change_of_a_byte_is_refused(number, pids, data):
    good = listing(number, pids).to_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DecodeError):
        read(bytes(bad))


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 9)), max_size=8), st.booleans())
@example([pid(1), pid(2)], True)
@example([pid(2), pid(1)], True)
def test_whatever_parses_encodes_to_the_same_bytes(fields, whole):
    """Signed by the root, so only the rules of the format are between it and us."""
    head = FIELDS[:5] if whole else []
    data = signed(*head, *fields)
    try:
        one = read(data)
    except DecodeError:
        return
    assert listing(one.number, one.pids, issued_at=one.issued_at).to_bytes()[:-64] == data[:-64]


@given(st.binary(max_size=400))
def test_fuzz_raises_nothing_but_the_documented_error(data):
    with pytest.raises(DecodeError):
        read(data)


# -- which lists contradict each other -------------------------------------------------------------

A, B, C = pid(1), pid(2), pid(3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (listing(1, [A]), listing(1, [A])),
        (listing(1, []), listing(2, [])),
        (listing(1, [A]), listing(2, [A], issued_at=1)),
        (listing(1, [A]), listing(9, [A, B])),
    ],
)
def test_lists_that_agree(one, other):
    one.check_agrees(other)
    other.check_agrees(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (listing(1, [A]), listing(1, [B])),
        (listing(1, [A]), listing(1, [A, B])),
        (listing(1, [A]), listing(1, [A], issued_at=8)),
        (listing(1, [A, B]), listing(2, [A])),
        (listing(1, [A]), listing(2, [])),
        (listing(1, [A]), listing(9, [B, C])),
    ],
)
def test_attack_lists_that_contradict_each_other_are_evidence(one, other):
    """An issuer that tells some that a key is revoked and others that it is not."""
    for known, seen in ((one, other), (other, one)):
        with pytest.raises(RevocationConflict, match="contradict") as caught:
            seen.check_agrees(known)
        assert (caught.value.first, caught.value.second) == (known.to_bytes(), seen.to_bytes())
        assert isinstance(caught.value, SenderError)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.first, again.second) == (
            str(caught.value),
            caught.value.first,
            caught.value.second,
        )


def test_lists_of_other_parameters_are_not_compared():
    for other in (listing(1, [B], epoch=1), listing(1, [B], root=OTHER)):
        with pytest.raises(ParameterError):
            listing(1, [A]).check_agrees(other)


def test_second_signature_of_the_same_content_is_the_same_list():
    """Ed25519 signers may be randomised; the issuer said nothing else."""
    one = listing(1, [A])
    other = RevocationList.__new__(RevocationList)
    for name in ("root_public_key", "params_id", "number", "issued_at", "pids"):
        object.__setattr__(other, name, getattr(one, name))
    object.__setattr__(other, "_bytes", one.to_bytes()[:-64] + bytes(64))
    assert other == one
    other.check_agrees(one)
