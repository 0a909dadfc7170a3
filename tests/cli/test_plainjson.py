"""JSON within a depth, whatever the interpreter's limit of recursion is."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.cli.plainjson import MAX_DEPTH, loads

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(documents, st.booleans())
def test_reads_what_the_standard_library_reads(document, ascii_only):
    assert loads(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@given(st.text(alphabet='[]{}"\\:,a1 ', max_size=30))
def test_refuses_what_the_standard_library_refuses(text):
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            loads(text.encode())
    else:
        assert loads(text.encode()) == expected


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"]]]]":'])
def test_depth_is_bounded_where_recursion_is_not(opening):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)  # as py_ecc does
    try:
        with pytest.raises(ValueError, match="deeper than 64"):
            loads((opening * 90_000).encode())
    finally:
        sys.setrecursionlimit(limit)


def test_as_deep_as_may_be():
    for depth, good in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        data = b"[" * depth + b'"[[["' + b"]" * depth
        if good:
            assert loads(data)
        else:
            with pytest.raises(ValueError):
                loads(data)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ValueError):
        loads(b'"\xff"')
