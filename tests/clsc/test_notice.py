"""What a root key says about other things than keys."""

import pytest
from hypothesis import given

from sottovoce.clsc import DecodeError, ParameterError, RevocationList, RootKey, read_notice, sign_notice
from support.mutations import mutations

ROOT = RootKey._from_seed_derand(bytes(range(32)))
NOTICE = sign_notice(ROOT, "roster", b"body")


def test_comes_back():
    assert read_notice(NOTICE, "roster", ROOT.public_key) == b"body"
    assert read_notice(NOTICE, "roster", ROOT.public_key, max_bytes=len(b"body")) == b"body"
    assert len(NOTICE) == len(b"body") + len("roster") + 131
    assert read_notice(sign_notice(ROOT, "x" * 32, b""), "x" * 32, ROOT.public_key) == b""


def test_of_another_topic_root_or_length_is_refused():
    other = RootKey.generate()
    for call in (
        lambda: read_notice(NOTICE, "beacon", ROOT.public_key),
        lambda: read_notice(NOTICE, "roster", other.public_key),
        lambda: read_notice(NOTICE + bytes(400), "roster", ROOT.public_key, max_bytes=100),
        lambda: read_notice(NOTICE, "roster", ROOT.public_key, max_bytes=len(b"body") - 1),
        lambda: read_notice(NOTICE[:-1], "roster", ROOT.public_key),
        lambda: read_notice(NOTICE + b"\0", "roster", ROOT.public_key),
        lambda: read_notice(b"", "roster", ROOT.public_key),
    ):
        with pytest.raises(DecodeError):
            call()


def test_nothing_else_that_the_root_signs_is_a_notice():
    listing = RevocationList.sign(ROOT, bytes(32), number=1, issued_at=0, pids=[]).to_bytes()
    with pytest.raises(DecodeError):
        read_notice(listing, "roster", ROOT.public_key)
    with pytest.raises(DecodeError):
        RevocationList.from_bytes(NOTICE, ROOT.public_key)


@given(mutations(NOTICE))
def test_is_not_malleable(data):
    if data != NOTICE:
        with pytest.raises(DecodeError):
            read_notice(data, "roster", ROOT.public_key)


def test_wrong_arguments():
    for call in (
        lambda: sign_notice(None, "roster", b""),
        lambda: sign_notice(ROOT, b"roster", b""),
        lambda: sign_notice(ROOT, "roster", "text"),
        lambda: read_notice("text", "roster", ROOT.public_key),
    ):
        with pytest.raises(TypeError):
            call()
    for call in (
        lambda: sign_notice(ROOT, "", b""),
        lambda: sign_notice(ROOT, "x" * 33, b""),
        lambda: sign_notice(ROOT, "röster", b""),
        lambda: sign_notice(ROOT, "roster", bytes((1 << 24) + 1)),
        lambda: read_notice(NOTICE, "roster", bytes(31)),
    ):
        with pytest.raises(ParameterError):
            call()
