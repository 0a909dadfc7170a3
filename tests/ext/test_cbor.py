"""The one reader and writer of CBOR: what it writes, what it reads, and that the two agree."""

import math

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext import cbor
from sottovoce._ext.errors import DecodeError, ParameterError
from sottovoce._ext.limits import CBOR_MAX_BYTES, CBOR_MAX_DEPTH

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=40)
    | st.text(max_size=40)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=30), inner, max_size=4),
    max_leaves=12,
)


def nested(levels):
    value = 0
    for _ in range(levels):
        value = [value]
    return value


def depth_of(value):
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


# RFC 8949 appendix A, the items that our subset has.
@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000, "1903e8"),
        (1000000, "1a000f4240"),
        (1000000000000, "1b000000e8d4a51000"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-1000, "3903e7"),
        (-18446744073709551616, "3bffffffffffffffff"),
        (0.0, "f90000"),
        (1.1, "fb3ff199999999999a"),
        (100000.0, "fa47c35000"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        (b"", "40"),
        (bytes([1, 2, 3, 4]), "4401020304"),
        ("", "60"),
        ("IETF", "6449455446"),
        ("\u6c34", "63e6b0b4"),
        ([], "80"),
        ([1, [2, 3], [4, 5]], "8301820203820405"),
        ({}, "a0"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
        (["a", {"b": "c"}], "826161a161626163"),
    ],
)
def test_known_answers_of_the_rfc(value, encoding):
    assert cbor.dumps(value).hex() == encoding
    assert cbor.loads(bytes.fromhex(encoding)) == value


def test_keys_are_sorted_by_their_encodings():
    # RFC 8949 4.2.1 sorts encodings byte by byte; for text keys that is: shorter first.
    assert cbor.dumps({"b": 0, "aa": 0, "a": 0}) == bytes.fromhex("a36161006162006261610 0".replace(" ", ""))
    long = {"x" * 24: 0, "y" * 23: 0}
    assert cbor.dumps(long)[1:2] == b"\x77"


@given(VALUES)
def test_decode_inverts_encode(value):
    if depth_of(value) > CBOR_MAX_DEPTH:
        with pytest.raises(ParameterError):
            cbor.dumps(value)
        return
    assert cbor.loads(cbor.dumps(value)) == value


@given(st.binary(max_size=60) | VALUES.map(lambda v: cbor2.dumps(v)), st.integers(0, 60), st.integers(0, 255))
def test_what_parses_has_that_one_encoding_and_the_rest_is_refused(data, position, byte):
    mutated = bytearray(data)
    if mutated:
        mutated[position % len(mutated)] = byte
    try:
        value = cbor.loads(bytes(mutated))
    except DecodeError:
        return
    assert cbor.dumps(value) == bytes(mutated)


@given(VALUES.filter(lambda v: depth_of(v) <= CBOR_MAX_DEPTH), st.binary(min_size=1, max_size=3))
def test_every_prefix_and_every_extension_is_refused(value, tail):
    data = cbor.dumps(value)
    for cut in range(len(data)):
        with pytest.raises(DecodeError):
            cbor.loads(data[:cut])
    with pytest.raises(DecodeError):
        cbor.loads(data + tail)


def test_depth_is_bounded_on_both_sides():
    assert cbor.loads(cbor.dumps(nested(CBOR_MAX_DEPTH))) == nested(CBOR_MAX_DEPTH)
    with pytest.raises(ParameterError, match="deeper"):
        cbor.dumps(nested(CBOR_MAX_DEPTH + 1))
    with pytest.raises(DecodeError, match="deeper"):
        cbor.loads(b"\x81" * (CBOR_MAX_DEPTH + 1) + b"\0")
    with pytest.raises(DecodeError, match="deeper"):
        cbor.loads(b"\x81" * 1_000_000 + b"\0")


def test_writer_refuses_what_the_reader_would():
    for value in (1 << 64, {1: 2}, {b"k": 2}, {"a": {None: 1}}, {1, 2}, "\ud800"):
        with pytest.raises(ParameterError):
            cbor.dumps(value)
    cycle = []
    cycle.append(cycle)
    with pytest.raises(ParameterError):
        cbor.dumps(cycle)
    with pytest.raises(ParameterError, match="at most"):
        cbor.dumps(bytes(CBOR_MAX_BYTES))
    with pytest.raises(TypeError):
        cbor.dumps(object())


def test_size_is_bounded_before_anything_is_read():
    with pytest.raises(DecodeError, match="at most 3 bytes, got 4"):
        cbor.loads(b"\x43abc", max_bytes=3)
    assert cbor.loads(b"\x43abc", max_bytes=4) == b"abc"


def test_nan_has_one_encoding():
    assert math.isnan(cbor.loads(bytes.fromhex("f97e00")))
    for other in ("f97e01", "fa7fc00000", "fb7ff8000000000000"):
        with pytest.raises(DecodeError):
            cbor.loads(bytes.fromhex(other))
