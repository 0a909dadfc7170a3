"""``enc`` is injective, and its bytes are those of docs/wire-format.md."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.enc import enc, sha256_enc
from sottovoce._ext.errors import ParameterError

FIELDS = st.lists(st.binary(max_size=9), max_size=6)


def decode(data):
    fields = []
    while data:
        length = int.from_bytes(data[:4], "big")
        assert len(data) >= 4 + length
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return fields


def test_known_answer():
    assert enc("TAG", b"\xff\x00", 258).hex() == "0000000354414700000002ff00000000080000000000000102"
    assert enc() == b""
    assert enc(b"") == bytes(4)


@given(FIELDS)
def test_fields_can_be_read_back(fields):
    assert decode(enc(*fields)) == fields


@given(FIELDS, FIELDS)
def test_two_lists_never_give_the_same_bytes(a, b):
    assert (enc(*a) == enc(*b)) == (a == b)


@given(st.integers(0, 2**64 - 1))
def test_integers_are_eight_bytes(value):
    assert enc(value) == enc(value.to_bytes(8, "big"))


def test_moving_a_boundary_changes_the_bytes():
    assert len({enc(b"ab", b"c"), enc(b"a", b"bc"), enc(b"abc"), enc(b"abc", b""), enc(b"", b"abc")}) == 5


@pytest.mark.parametrize("wrong", [True, False, None, 1.0, ["a"], bytearray(b"a"), memoryview(b"a")])
def test_rejects_other_types(wrong):
    with pytest.raises(TypeError):
        enc("TAG", wrong)


@pytest.mark.parametrize("wrong", [-1, 2**64, "\u00e9", "\u6c34"])
def test_rejects_values_without_an_encoding(wrong):
    with pytest.raises(ParameterError):
        enc("TAG", wrong)


def test_rejects_a_field_whose_length_has_no_encoding():
    class Long(bytes):
        def __len__(self):
            return 1 << 32

    with pytest.raises(ParameterError, match="4 GiB"):
        enc("TAG", Long())


def test_hash_is_that_of_the_encoding():
    assert sha256_enc("TAG", 1) == hashlib.sha256(enc("TAG", 1)).digest()
