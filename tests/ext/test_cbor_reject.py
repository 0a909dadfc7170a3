"""One fault a case: bytes that a lenient reader takes and ours must not."""

import cbor2
import pytest

from sottovoce._ext import cbor
from sottovoce._ext.errors import DecodeError

FAULTS = {
    "empty": "",
    "trailing byte": "0000",
    "trailing item": "a1616100f6",
    "duplicate key": "a2616100616101",
    "duplicate key, nested": "81a2616100616101",
    "keys out of order": "a2616200616100",
    "longer key first": "a262616100616100",
    "key is an integer": "a10000",
    "key is a byte string": "a1416100",
    "key is null": "a1f600",
    "key is an array": "a18000",
    "key is an integer, nested": "a16161a10000",
    "integer 0 in two bytes": "1800",
    "integer 23 in two bytes": "1817",
    "integer 255 in three bytes": "1900ff",
    "integer in five bytes": "1a0000ffff",
    "integer in nine bytes": "1b00000000ffffffff",
    "negative integer in two bytes": "3800",
    "byte string length not minimal": "580100",
    "text length not minimal": "780161",
    "array length not minimal": "980100",
    "map length not minimal": "b801616100",
    "float that fits 16 bits": "fa3f800000",
    "float that fits 32 bits": "fb3ff0000000000000",
    "indefinite byte string": "5f4100ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9f00ff",
    "indefinite map": "bf616100ff",
    "lone break": "ff",
    "reserved length 28": "1c",
    "reserved length 29 of bytes": "5d",
    "reserved length 30 of an array": "9e",
    "tag 0, a date": "c06161",
    "tag 2, a big number": "c24101",
    "tag 258, a set": "d9010280",
    "tag 28, shared value": "d81c80",
    "tag inside an array": "81c24101",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 32": "f820",
    "simple value false in two bytes": "f814",
    "text that is not UTF-8": "61ff",
    "text with a surrogate": "63eda080",
    "text, overlong UTF-8": "62c080",
    "head cut off": "19ff",
    "byte string cut off": "4261",
    "array cut off": "8200",
    "map without its last value": "a16161",
    "claims 2**64 - 1 bytes": "5bffffffffffffffff",
    "claims 2**64 - 1 characters": "7bffffffffffffffff",
    "claims 2**64 - 1 items": "9bffffffffffffffff",
    "claims 2**64 - 1 pairs": "bbffffffffffffffff",
    "claims 2**31 items inside": "819a80000000",
    "nine levels of arrays": "81" * 9 + "00",
    "nine levels of maps": "a16161" * 9 + "00",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rejects(fault):
    with pytest.raises(DecodeError) as caught:
        cbor.loads(bytes.fromhex(FAULTS[fault]))
    assert caught.value.__cause__ is None


# Several faults would be noticed twice; the scanner has to be first, before anything is decoded.
SCANNED = {
    "trailing byte": "1 trailing bytes",
    "trailing item": "1 trailing bytes",
    "key is an integer": "a key that is not text",
    "key is an array": "a key that is not text",
    "indefinite array": "indefinite or reserved",
    "reserved length 28": "indefinite or reserved",
    "tag 0, a date": "tags are not used",
    "tag 2, a big number": "tags are not used",
    "tag inside an array": "tags are not used",
    "undefined": "unknown simple value",
    "head cut off": "truncated",
    "byte string cut off": "truncated",
    "array cut off": "truncated",
    "claims 2**64 - 1 bytes": "truncated",
    "claims 2**64 - 1 items": "truncated",
    "claims 2**64 - 1 pairs": "truncated",
    "nine levels of arrays": "nested deeper than 8",
}


@pytest.mark.parametrize("fault", SCANNED)
def test_rejects_before_decoding(fault, monkeypatch):
    def never(*_args, **_options):
        raise AssertionError("decoded before it was checked")

    monkeypatch.setattr(cbor.cbor2, "loads", never)
    with pytest.raises(DecodeError, match=SCANNED[fault]):
        cbor.loads(bytes.fromhex(FAULTS[fault]))


def test_a_claimed_length_costs_nothing():
    # A million items claimed and a million bytes there, but the items are longer than one byte: work
    # stays proportional to the bytes that came.
    data = b"\x9a\x00\x0f\x42\x40" + b"\x43abc" * 250_000
    with pytest.raises(DecodeError, match="truncated"):
        cbor.loads(data)


def test_the_lenient_reader_below_takes_several_of_them():
    # Else this file would prove nothing about our own checks.
    taken = 0
    for data in FAULTS.values():
        try:
            cbor2.loads(bytes.fromhex(data))
        except Exception:
            continue
        taken += 1
    assert taken >= 20


@pytest.mark.parametrize("wrong", [None, 7, "00", bytearray(b"\0"), memoryview(b"\0")])
def test_rejects_what_is_not_bytes(wrong):
    with pytest.raises(TypeError):
        cbor.loads(wrong)


SCHEMA = {"id": bytes, "count": int, "name": (str, type(None))}
GOOD = {"id": b"x", "count": 3, "name": None}


def test_map_with_exactly_the_fields_is_taken():
    assert cbor.loads_map(cbor.dumps(GOOD), SCHEMA) == GOOD


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "a map expected"),
        (b"", "a map expected"),
        ({"id": b"x", "count": 3}, "'name' is missing"),
        ({**GOOD, "more": 0}, "'more' is unknown"),
        ({**GOOD, "id": "x"}, "'id' has the wrong type"),
        ({**GOOD, "count": True}, "'count' has the wrong type"),
        ({**GOOD, "count": 3.0}, "'count' has the wrong type"),
        ({**GOOD, "count": None}, "'count' has the wrong type"),
        ({**GOOD, "name": b""}, "'name' has the wrong type"),
        ({**GOOD, "k" * 500: 0}, "'kkk"),
    ],
)
def test_map_with_another_field_or_type_is_refused(value, says):
    with pytest.raises(DecodeError, match=says) as caught:
        cbor.loads_map(cbor.dumps(value), SCHEMA)
    assert len(str(caught.value)) < 100
