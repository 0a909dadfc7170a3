"""Tables at every width: spare columns go in their order, words wrap, no cell is cut off."""

import io

import pytest
from rich.console import Console

from sottovoce.cli.tables import Column, print_table

COLUMNS = [
    Column("stage", least=12),
    Column("ms"),
    Column("of the\ntime", spare=2),
    Column("bytes", spare=1),
]
ROWS = [
    ("signcrypt to aggregator", "[dim]31.25[/]", "12%", "14,336"),
    ("quantize", "0.50", "1%"),
    None,
    ("[bold]together[/]", "31.75", "13%"),
]


def printed(width, encoding="utf-8", columns=COLUMNS, rows=ROWS):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    headings = print_table(Console(file=stream, width=width), columns, rows, title="Title")
    stream.flush()
    return headings, raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("width", "kept"),
    [
        # 23 + 5 + 6 + 6 of content, 2 between columns, 1 at either edge.
        (48, ["stage", "ms", "of the\ntime", "bytes"]),
        (37, ["stage", "ms", "of the\ntime", "bytes"]),
        (36, ["stage", "ms", "bytes"]),
        (29, ["stage", "ms", "bytes"]),
        (28, ["stage", "ms"]),
        (12, ["stage", "ms"]),
    ],
)
def test_spare_columns_go_in_order(width, kept):
    headings, text = printed(width)
    assert list(headings) == kept
    assert all(len(line) <= width for line in text.splitlines())
    assert text.splitlines()[0].strip() == "Title"


@pytest.mark.parametrize("width", range(19, 60))
def test_no_word_and_no_number_is_broken(width):
    _, text = printed(width)
    words = text.split()
    assert {"signcrypt", "to", "aggregator", "quantize", "together", "31.25", "0.50", "31.75"} <= {*words}
    assert "…" not in text
    assert "14,336" in words or "14" not in text


@pytest.mark.parametrize("width", range(8, 19))
def test_what_is_too_narrow_for_everything_is_folded_and_not_cut(width):
    _, text = printed(width)
    assert "…" not in text
    letters = "".join(text.split())
    for part in ("aggre", "31."):
        assert part[0] in letters
    assert sum(letters.count(digit) for digit in "0123456789") >= len("312505031" + "75")


def test_wide_tables_are_not_padded_and_short_rows_are_filled():
    _, text = printed(200)
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) == 23 + 5 + 6 + 6 + 3 * 2 + 1
    assert " quantize                  0.50      1%" in lines


def test_a_plain_stream_gets_a_plain_rule_in_the_same_place():
    _, fine = printed(80)
    _, plain = printed(80, encoding="ascii")
    assert plain == fine.replace("─", "-")
    assert "─" in fine


def test_a_wide_sign_counts_twice():
    rows = [("量" * 8, "1", "2", "3")]
    needed = 12 + 2 + 6 + 5 + 3 * 2 + 2
    assert len(printed(needed + 4, rows=rows)[0]) == 4
    assert len(printed(needed + 3, rows=rows)[0]) == 3
