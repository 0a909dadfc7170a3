"""Framing that all messages share: the strict inverse of ``enc``, signed envelopes, associated data."""

import hashlib

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce import clsc
from sottovoce._ext.enc import enc
from sottovoce.fl.wire import associated_data, open_body, read_int, set_root, sign_body, split, split_exactly

FIELDS = st.lists(st.binary(max_size=30), max_size=6)


class TestSplit:
    @given(FIELDS)
    def test_undoes_enc(self, fields):
        assert split(enc(*fields), max_fields=6) == fields
        assert split_exactly(enc(*fields), len(fields)) == fields

    @given(st.binary(max_size=40))
    def test_what_it_reads_has_no_other_form(self, data):
        try:
            fields = split(data, max_fields=20)
        except clsc.DecodeError:
            return
        assert enc(*fields) == data

    @given(st.lists(st.binary(max_size=9), min_size=1, max_size=4), st.data())
    def test_refuses_every_cut_inside_a_field(self, fields, data):
        whole = enc(*fields)
        borders = {len(enc(*fields[:i])) for i in range(len(fields) + 1)}
        at = data.draw(st.integers(0, len(whole)).filter(lambda n: n not in borders))
        with pytest.raises(clsc.DecodeError, match="truncated"):
            split(whole[:at], max_fields=10)

    def test_counts_fields(self):
        data = enc(b"a", b"b", b"c")
        assert split(data, max_fields=3) == [b"a", b"b", b"c"]
        with pytest.raises(clsc.DecodeError, match="more than 2"):
            split(data, max_fields=2)
        for n in (0, 1, 2, 4):
            with pytest.raises(clsc.DecodeError):
                split_exactly(data, n)

    def test_integers_have_eight_bytes(self):
        assert read_int((7).to_bytes(8, "big")) == 7
        for bad in (b"", bytes(7), bytes(9)):
            with pytest.raises(clsc.DecodeError):
                read_int(bad)


class TestEnvelope:
    def test_opens_for_its_key_tag_and_context_only(self, fed):
        a, b = fed.member_keys[0].sign, fed.member_keys[1].sign
        data = sign_body(a, "SOTTOVOCE-V1-TEST", b"body", 3)
        assert open_body(data, a.public_key, "SOTTOVOCE-V1-TEST", 3) == b"body"
        for key, tag, context in (
            (b, "SOTTOVOCE-V1-TEST", (3,)),
            (a, "SOTTOVOCE-V1-OTHER", (3,)),
            (a, "SOTTOVOCE-V1-TEST", (4,)),
            (a, "SOTTOVOCE-V1-TEST", ()),
        ):
            with pytest.raises(clsc.SignatureError):
                open_body(data, key.public_key, tag, *context)

    def test_refuses_another_body_or_a_short_signature(self, fed):
        key = fed.member_keys[0].sign
        fields = cbor2.loads(sign_body(key, "SOTTOVOCE-V1-TEST", b"body"))
        for changed in ({"body": b"bodz"}, {"signature": b""}, {"signature": fields["signature"][:-1]}):
            data = cbor2.dumps({**fields, **changed}, canonical=True)
            with pytest.raises(clsc.SignatureError):
                open_body(data, key.public_key, "SOTTOVOCE-V1-TEST")

    def test_is_not_read_beyond_what_any_message_needs(self, fed):
        """The scanner's time grows with the items claimed, and nobody has signed anything yet."""
        key = fed.member_keys[0].sign
        longest = 16_384 - len(sign_body(key, "SOTTOVOCE-V1-TEST", bytes(1000))) + 1000
        data = sign_body(key, "SOTTOVOCE-V1-TEST", bytes(longest))
        assert len(data) == 16_384
        assert open_body(data, key.public_key, "SOTTOVOCE-V1-TEST") == bytes(longest)
        with pytest.raises(clsc.DecodeError, match="at most 16384 bytes"):
            open_body(
                sign_body(key, "SOTTOVOCE-V1-TEST", bytes(longest + 1)), key.public_key, "SOTTOVOCE-V1-TEST"
            )
        items = b"\x9a" + (1 << 22).to_bytes(4, "big") + bytes(1 << 22)
        with pytest.raises(clsc.DecodeError, match="at most 16384 bytes"):
            open_body(items, key.public_key, "SOTTOVOCE-V1-TEST")


def test_associated_data_tells_rounds_roles_and_members_apart():
    seen = {
        associated_data(h, role, j)
        for h in (bytes(32), b"\1" * 32)
        for role in ("packet", "share", "check", "answer")
        for j in range(5)
    }
    assert len(seen) == 40


def test_set_root_is_what_the_documents_say():
    entries = [(b"a" * 16, b"x" * 32), (b"b" * 16, b"y" * 32)]
    flat = b"".join(
        len(f).to_bytes(4, "big") + f
        for f in (
            b"SOTTOVOCE-V1-SET",
            b"h" * 32,
            (2).to_bytes(8, "big"),
            b"a" * 16,
            b"x" * 32,
            b"b" * 16,
            b"y" * 32,
        )
    )
    assert set_root(b"h" * 32, entries) == hashlib.sha256(flat).digest()
    assert set_root(b"h" * 32, entries[:1]) != set_root(b"h" * 32, entries)
    assert set_root(b"g" * 32, entries) != set_root(b"h" * 32, entries)
