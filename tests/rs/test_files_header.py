"""The header of a shard: one fault at a time, and whatever parses is what would be written."""

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sottovoce import rs
from sottovoce.rs._files_header import HEADER_BYTES, MAX_STRIPE_BYTES, FileId, ShardHeader, block_digest
from support.rs_shards import seeded

GOOD = ShardHeader("cauchy", 10, 14, 3, 65536, 123_456_789, bytes(range(16)))


def checked(body):
    """With the checksum that belongs to it, so that the next rule is reached."""
    return body + hashlib.sha256(b"SOTTOVOCE-V1-RS-HEADER" + body).digest()[:16]


def replaced(offset, field):
    body = GOOD.to_bytes()[:39]
    return checked(body[:offset] + field + body[offset + len(field) :])


def test_the_table_byte_by_byte():
    assert GOOD.to_bytes()[:39].hex() == (
        "53565201" "01" "000a" "000e" "0003" "00010000" "00000000075bcd15" "000102030405060708090a0b0c0d0e0f"
    )  # fmt: skip
    assert GOOD.to_bytes() == replaced(0, b"")
    assert ShardHeader.from_bytes(GOOD.to_bytes()) == GOOD


@st.composite
def headers(draw):
    n = draw(st.integers(1, 256))
    k = draw(st.integers(1, n))
    block = 64 * draw(st.integers(1, MAX_STRIPE_BYTES // n // 64))
    size, identity = draw(st.integers(0, 1 << 60)), draw(st.binary(min_size=16, max_size=16))
    return ShardHeader("cauchy", k, n, draw(st.integers(0, n - 1)), block, size, identity)


@given(headers())
@example(ShardHeader("cauchy", 256, 256, 255, 65536, 1 << 60, bytes(16)))
def test_there_and_back(header):
    data = header.to_bytes()
    assert len(data) == HEADER_BYTES
    assert ShardHeader.from_bytes(data) == header


@given(
    st.binary(max_size=60)
    | st.tuples(st.integers(0, 38), st.binary(max_size=8)).map(lambda f: replaced(*f)[:HEADER_BYTES])
    | st.binary(min_size=38, max_size=38).map(lambda b: checked(b"SVR\x01" + b[3:])[:HEADER_BYTES])
)
def test_what_parses_is_what_would_be_written(data):
    try:
        header = ShardHeader.from_bytes(data)
    except rs.DecodeError:
        return
    assert header.to_bytes() == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a shard"),
        (GOOD.to_bytes()[:2], "not a shard"),
        (GOOD.to_bytes()[:3], "cut, or of an unknown version"),
        (GOOD.to_bytes()[:-1], "55 bytes expected, got 54"),
        (GOOD.to_bytes() + b"\0", "55 bytes expected, got 56"),
        (b"SVS\x01" + GOOD.to_bytes()[4:], "not a shard"),
        (replaced(3, b"\x00"), "unknown version"),
        (replaced(3, b"\x02"), "unknown version"),
        (replaced(4, b"\x00"), "unknown matrix"),
        (replaced(4, b"\x02"), "unknown matrix"),
        (replaced(5, b"\x00\x00"), "got k = 0, n = 14"),
        (replaced(5, b"\x00\x0f"), "got k = 15, n = 14"),
        (replaced(7, b"\x00\x09"), "got k = 10, n = 9"),
        (replaced(7, b"\x01\x01"), "got k = 10, n = 257"),
        (replaced(9, b"\x00\x0e"), "index 0 to 13 expected, got 14"),
        (replaced(9, b"\xff\xff"), "got 65535"),
        (replaced(11, bytes(4)), "blocks of 0"),
        (replaced(11, (65).to_bytes(4, "big")), "blocks of 65"),
        (replaced(11, (32).to_bytes(4, "big")), "blocks of 32"),
        (replaced(11, (64 * (MAX_STRIPE_BYTES // 14 // 64 + 1)).to_bytes(4, "big")), "blocks of 1198400"),
        (replaced(15, ((1 << 60) + 1).to_bytes(8, "big")), "more than 2"),
    ],
)
def test_one_fault_each(data, message):
    with pytest.raises(rs.DecodeError, match=message):
        ShardHeader.from_bytes(data)


def test_every_flipped_bit_is_noticed():
    data = GOOD.to_bytes()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(rs.DecodeError):
            ShardHeader.from_bytes(bytes(changed))


def test_only_bytes():
    with pytest.raises(TypeError, match="bytes expected"):
        ShardHeader.from_bytes(bytearray(GOOD.to_bytes()))


def test_a_shard_by_the_tables_alone(tmp_path):
    """The whole of a small file, from docs/rs-files.md with hashlib; parity of (2, 3) at 0x11D by hand."""
    (tmp_path / "f").write_bytes(b"\x01\x02\x03")
    done = rs.split_file(tmp_path / "f", 2, 3, block_bytes=64)
    # parity = d0 / (2 xor 0) + d1 / (2 xor 1); 1/2 = 0x8e, 1/3 = 0xf4.
    rows = [b"\x01\x02", b"\x03\x00", bytes([0x8E ^ 1, 1])]
    sha = lambda *parts: hashlib.sha256(b"".join(parts)).digest()[:16]  # noqa: E731
    digests = [sha(b"SOTTOVOCE-V1-RS-BLOCK", bytes([0, i]), bytes(8), row) for i, row in enumerate(rows)]
    identity = sha(
        b"SOTTOVOCE-V1-RS-FILE", bytes.fromhex("01 0002 0003 00000040"), *digests[:2], bytes(7) + b"\x03"
    )
    for i, path in enumerate(done.paths):
        body = bytes.fromhex(f"53565201 01 0002 0003 000{i} 00000040 0000000000000003") + identity
        with open(path, "rb") as file:
            assert file.read() == checked(body) + digests[i] + rows[i] + checked(body)


def test_shards_are_frozen(tmp_path):
    """A tripwire: other bytes are another version of the format."""
    (tmp_path / "f").write_bytes(seeded(10_000))
    hasher = hashlib.sha256()
    for path in rs.split_file(tmp_path / "f", 3, 7, block_bytes=128).paths:
        with open(path, "rb") as file:
            hasher.update(file.read())
    assert hasher.hexdigest() == "19d486988afa9287c9ab2035c92374c799c20a9645b2e7fd10dd25a46a25822d"


def test_the_id_depends_on_all_that_goes_in():
    def identity(matrix="cauchy", k=2, n=3, block=64, digests=(b"a" * 16, b"b" * 16), size=9):
        out = FileId(matrix, k, n, block)
        for digest in digests:
            out.add(digest)
        return out.finish(size)

    others = [
        identity(k=1), identity(n=4), identity(block=128), identity(digests=(b"b" * 16, b"a" * 16)),
        identity(digests=()), identity(size=10),
    ]  # fmt: skip
    assert len({identity(), *others}) == 7


def test_checksums_of_blocks_depend_on_their_place():
    import numpy as np

    row = np.arange(64, dtype=np.uint8)
    found = {
        block_digest(i, s, r) for i in (0, 1) for s in (0, 1, 256) for r in (row, row[:63], row[::-1].copy())
    }
    assert len(found) == 18
