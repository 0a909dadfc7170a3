"""Whatever is read as a key file: a documented exception, or exactly the key that was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext import sealed
from sottovoce._ext.errors import DecodeError, KeyFileError
from sottovoce.clsc import (
    AdmissionKey,
    BlindRequest,
    IdentityRequest,
    Mode,
    TraceableRequest,
    TracingKey,
    Usage,
    keybody,
    keyfile,
)
from support.clsc_world import Drbg, World

CHEAP = sealed.Cost(memory_kib=16, passes=1, lanes=1)
PASSPHRASE = b"correct horse"
WORLD = World("props of key files")
PARAMS, TOKEN = WORLD.params, bytes(32)
KEYS = [
    WORLD.root,
    WORLD.master[Mode.BLIND],
    WORLD.signer(),
    WORLD.receiver("pseudonym", Mode.TRACEABLE),
    IdentityRequest(PARAMS[Mode.IDENTITY], Usage.SIGN, b"alice", TOKEN),
    TraceableRequest(PARAMS[Mode.TRACEABLE], Usage.SIGN, WORLD.signer()),
    TracingKey.generate(),
    AdmissionKey.generate(),
    BlindRequest(PARAMS[Mode.BLIND], Usage.DECRYPT, TOKEN),
]
BODIES = [keybody.encode(key) for key in KEYS]
FILES = [keyfile._dump_key_derand(key, PASSPHRASE, Drbg("salt"), CHEAP) for key in KEYS]
START = bytes([*b"SVK\x01", 1, 1, 0, 1, 0, 0, 0, 16])


def altered(data, at, value, cut, more):
    """One byte set, some cut off, some added."""
    changed = bytearray(data)
    changed[at % len(data)] = value
    return bytes(changed[: len(changed) - cut]) + more


ALTERATIONS = {
    "at": st.integers(0, 10_000),
    "value": st.integers(0, 255),
    "cut": st.one_of(st.just(0), st.integers(0, 1200)),
    "more": st.one_of(st.just(b""), st.binary(max_size=40)),
}


@given(data=st.one_of(st.binary(max_size=2200), st.binary(max_size=2200).map(lambda tail: START + tail)))
def test_any_bytes(data):
    with pytest.raises((DecodeError, KeyFileError)):
        keyfile.load_key_bytes(data, PASSPHRASE)


@given(which=st.sampled_from(FILES), **ALTERATIONS)
def test_an_altered_file(which, at, value, cut, more):
    # The cost stays: a larger one is valid too, and only slow.
    at = at if not 5 <= at % len(which) < 12 else 12
    data = altered(which, at, value, cut, more)
    if data == which:
        assert keybody.encode(keyfile.load_key_bytes(data, PASSPHRASE)) in BODIES
    else:
        with pytest.raises((DecodeError, KeyFileError)):
            keyfile.load_key_bytes(data, PASSPHRASE)


@given(which=st.sampled_from(BODIES), **ALTERATIONS)
def test_what_is_inside_has_one_encoding(which, at, value, cut, more):
    """Past the encryption: nothing but a None, and what is read re-encodes to the same bytes."""
    data = altered(which, at, value, cut, more)
    key = keybody.decode(data)
    assert key is None or keybody.encode(key) == data


@given(fields=st.lists(st.binary(max_size=70), max_size=8), kind=st.sampled_from(sorted(keybody._READERS)))
def test_any_fields_of_a_kind(fields, kind):
    """No exception leaves: it would carry the fields."""
    body = keybody.enc(b"SOTTOVOCE-V1-KEY", kind, *fields)
    key = keybody.decode(body)
    raw = {b"root": [32], b"tracing": [64], b"admission": [32]}  # all other kinds hold a signature
    assert key is None or [len(field) for field in fields] == raw[kind]


@given(passphrase=st.binary(min_size=1, max_size=64), other=st.binary(min_size=1, max_size=64))
def test_one_passphrase_opens(passphrase, other):
    data = keyfile._dump_key_derand(WORLD.root, passphrase, Drbg("salt"), CHEAP)
    assert keyfile.load_key_bytes(data, passphrase).public_key == WORLD.root.public_key
    if other != passphrase:
        with pytest.raises(KeyFileError):
            keyfile.load_key_bytes(data, other)
