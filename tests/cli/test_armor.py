"""Text armour and enrolment files: one text for each object, and nothing else is read."""

import base64
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sottovoce._ext.enc import enc
from sottovoce._ext.errors import DecodeError
from sottovoce.cli.armor import MAX_BYTES, Label, armor, dearmor, dearmor_any
from sottovoce.cli.enrolment import Enrolment
from sottovoce.clsc import Mode
from support.clsc_world import World

WORLD = World("enrolments")
ENROLMENT = Enrolment(
    WORLD.root.public_key,
    "alice",
    b"alice",
    2,
    b"t" * 32,
    tuple(WORLD.params.values()),
    (b"c" * 32, b"d" * 32),
)
TEXT = armor(Label.REQUEST, bytes(range(100)))


# -- armour -------------------------------------------------------------------------------------------


@given(label=st.sampled_from(Label), data=st.binary(max_size=300))
@example(Label.ROOT, b"")
@example(Label.ROOT, bytes(48))  # a full line
@example(Label.ROOT, bytes(49))
def test_armour_and_back(label, data):
    text = armor(label, data)
    assert dearmor(label, text) == dearmor(label, text.encode()) == data
    assert dearmor_any(text) == (label, data)
    assert text.isascii()
    assert text.endswith("-----\n")
    assert max(map(len, text.splitlines()[1:-1]), default=0) <= 64


def test_the_form_is_the_documented_one():
    assert armor(Label.PARAMS, b"\0\xff" * 40) == (
        "-----BEGIN SOTTOVOCE EPOCH PARAMETERS-----\n"
        + base64.b64encode(b"\0\xff" * 40).decode()[:64]
        + "\n"
        + base64.b64encode(b"\0\xff" * 40).decode()[64:]
        + "\n-----END SOTTOVOCE EPOCH PARAMETERS-----\n"
    )


def test_mail_may_change_the_line_ends_and_the_space_around():
    for text in (TEXT.replace("\n", "\r\n"), "\n \n" + TEXT + "\t\n", TEXT.rstrip("\n")):
        assert dearmor(Label.REQUEST, text) == bytes(range(100))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        TEXT.replace("SOTTOVOCE ", ""),
        TEXT.replace("REQUEST", "REQUESTS"),
        TEXT.replace("END SOTTOVOCE REQUEST", "END SOTTOVOCE ANSWER"),
        TEXT.replace("BEGIN SOTTOVOCE REQUEST", "BEGIN SOTTOVOCE ANSWER"),
        TEXT.replace("=", "", 1),
        TEXT.replace("\n", "", 1),
        TEXT + TEXT,
        TEXT + "more",
        "more\n" + TEXT,
        TEXT.replace("\n", "\n\n"),
        TEXT.replace("AAECAwQF", "AAECAwQF "),
        TEXT.replace("AAECAwQF", "AAEC\nAwQF"),
        TEXT.replace("AAECAwQF", "AAEC-_QF"),
        TEXT.splitlines()[0] + "\n",
        TEXT.replace("AAECAwQF", "AAECAwQ\u0660"),
    ],
)
def test_other_texts_are_refused(text):
    for given_text in (text, text.encode()):
        with pytest.raises(DecodeError, match="armour"):
            dearmor(Label.REQUEST, given_text)


def test_trailing_bits_are_refused():
    """``Yh==`` decodes to the byte of ``Yg==`` in a lenient reader: a second text for one object."""
    text = armor(Label.REQUEST, b"b")
    assert "Yg==" in text
    with pytest.raises(DecodeError):
        dearmor(Label.REQUEST, text.replace("Yg==", "Yh=="))


def test_an_endless_text_is_refused():
    with pytest.raises(DecodeError, match="longer"):
        dearmor_any("-----BEGIN SOTTOVOCE REQUEST-----\n" + "A" * (2 * MAX_BYTES))


@given(data=st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_comes_is_refused_or_canonical(data):
    try:
        label, found = dearmor_any(data)
    except DecodeError:
        return
    text = data if isinstance(data, str) else data.decode("ascii")
    assert armor(label, found).strip() == text.strip().replace("\r\n", "\n")


# -- enrolments ---------------------------------------------------------------------------------------


def fields_of(enrolment):
    data, fields = enrolment.to_bytes(), []
    while data:
        n = int.from_bytes(data[:4], "big")
        fields.append(data[4 : 4 + n])
        data = data[4 + n :]
    return fields


def test_an_enrolment_and_back():
    assert Enrolment.from_bytes(ENROLMENT.to_bytes()) == ENROLMENT
    assert [params.mode for params in Enrolment.from_bytes(ENROLMENT.to_bytes()).params] == list(Mode)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"SOTTOVOCE-V1-ENROLMENTS"),
        (1, World("another").root.public_key),
        (1, b"short"),
        (2, b""),
        (2, b"p" * 65),
        (2, b"\xff"),
        (3, b""),
        (3, b"i" * 65),
        (4, bytes(8)),
        (4, (1 << 40).to_bytes(8, "big")),
        (4, b"\1"),
        (5, b"t" * 31),
        (6, (2).to_bytes(8, "big")),
        (6, (4).to_bytes(8, "big")),
        (6, (1 << 63).to_bytes(8, "big")),
        (6, b"\3"),
        (7, b""),
        (9, b"c" * 33),
        (11, b"c" * 31),
    ],
)
def test_an_enrolment_with_one_fault_is_refused(at, value):
    fields = fields_of(ENROLMENT)
    fields[at] = value
    with pytest.raises(DecodeError, match="enrolment") as caught:
        Enrolment.from_bytes(enc(*fields))
    assert_no_token(caught.value)


@pytest.mark.parametrize("data", [b"", b"\0", ENROLMENT.to_bytes()[:-1], ENROLMENT.to_bytes() + b"\0"])
def test_truncated_and_extended_enrolments_are_refused(data):
    with pytest.raises(DecodeError) as caught:
        Enrolment.from_bytes(data)
    assert_no_token(caught.value)


def assert_no_token(error):
    assert error.__cause__ is None
    assert error.__context__ is None
    tb = error.__traceback__.tb_next  # below the test's own frame
    while tb:
        for name, value in tb.tb_frame.f_locals.items():
            assert ENROLMENT.token not in (value if isinstance(value, bytes) else b""), name
        tb = tb.tb_next


@given(at=st.integers(0, len(ENROLMENT.to_bytes()) - 1), value=st.integers(0, 255))
def test_what_is_read_re_encodes_to_the_same_bytes(at, value):
    data = bytearray(ENROLMENT.to_bytes())
    data[at] = value
    with contextlib.suppress(DecodeError):
        assert Enrolment.from_bytes(bytes(data)).to_bytes() == bytes(data)


def test_an_enrolment_shows_no_token():
    assert "tttt" not in repr(ENROLMENT)
