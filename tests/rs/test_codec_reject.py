"""What the codec refuses, one fault each."""

import numpy as np
import pytest

from sottovoce.rs import CcsdsCodec, ParameterError, ReedSolomonError, RSCodec
from sottovoce.rs._codec_batch import _rows_overlap

CODEC = RSCodec(4, 20)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"nsym": 0}, ParameterError, "nsym: 1 to 254 expected, got 0"),
        ({"nsym": -1}, ParameterError, "nsym"),
        ({"nsym": 255}, ParameterError, "nsym: 1 to 254"),
        ({"nsym": 20, "nsize": 20}, ParameterError, "nsym: 1 to 19"),
        ({"nsym": 1.5}, TypeError, "nsym: int expected, got float"),
        ({"nsym": True}, TypeError, "nsym: int expected, got bool"),
        ({"nsym": np.True_}, TypeError, "nsym: int expected, got bool"),
        ({"nsym": np.float32(4)}, TypeError, "nsym: int expected, got float32"),
        ({"nsize": "255"}, TypeError, "nsize: int expected, got str"),
        ({"nsize": 65536}, ParameterError, "c_exp: 2 to 16 expected, got 17"),
        ({"nsize": 0}, ParameterError, "nsize: at least 2 expected, got 0"),
        ({"nsize": 1}, ParameterError, "nsize: at least 2 expected, got 1"),
        ({"c_exp": 1}, ParameterError, "c_exp"),
        ({"c_exp": 17}, ParameterError, "c_exp"),
        ({"prim": 0x1D}, ParameterError, "prim: a polynomial of degree 8 expected, got 0x1d"),
        ({"prim": -5}, ParameterError, "prim"),
        ({"prim": 0x211}, ParameterError, "prim"),
        ({"prim": 0x11B}, ParameterError, "2 does not generate the field of 0x11b"),
        ({"prim": 0x101}, ParameterError, "does not generate"),
        ({"generator": 1}, ParameterError, "generator: 2 to 255"),
        ({"generator": 256}, ParameterError, "generator: 2 to 255"),
        ({"fcr": None}, TypeError, "fcr: int expected, got NoneType"),
    ],
    ids=str,
)
def test_impossible_codes(arguments, error, message):
    with pytest.raises(error, match=message):
        RSCodec(**arguments)


def test_takes_whatever_is_an_index_to_python():
    class Four:
        def __index__(self):
            return 4

    for four in (np.int64(4), np.uint8(4), Four(), np.array(4)):
        codec = RSCodec(four, np.uint16(20), fcr=np.int8(0))
        assert repr(codec) == repr(CODEC)
        assert type(codec.nsym) is int
        assert codec.decode(codec.encode(b"abc"), erase_pos=[four])[0] == b"abc"
    word = CODEC.encode_batch(np.zeros((3, 5), np.uint8), threads=Four())
    assert (CODEC.decode_batch(word, erasures=[Four()]).changed == 0).all()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("text", TypeError),
        (5, TypeError),
        (np.int64(5), TypeError),
        (None, TypeError),
        (1.5, TypeError),
        ([1, 2, 256], ParameterError),
        ([1, -1], ParameterError),
        ([1, 2**70], ParameterError),
        ([1, 2.5], TypeError),
        (["a"], TypeError),
        ([b"a"], TypeError),
        (np.zeros(5), TypeError),
        (np.zeros(5, np.int64), TypeError),
        (np.zeros(5, np.int8), TypeError),
        (np.zeros(5, np.bool_), TypeError),
        (np.zeros((2, 5), np.uint8), ParameterError),
        (np.array(3, np.uint8), ParameterError),
    ],
    ids=lambda x: repr(x)[:30],
)
@pytest.mark.parametrize("call", ["encode", "decode", "check"])
def test_data_of_another_kind(call, data, error):
    with pytest.raises(error):
        getattr(CODEC, call)(data)


def test_symbols_outside_small_and_large_fields():
    for codec, symbol in ((RSCodec(2, c_exp=4), 16), (RSCodec(2, c_exp=10), 1024)):
        for data in ([0, symbol], np.array([0, symbol], np.uint8 if symbol < 256 else np.uint16)):
            with pytest.raises(
                ParameterError, match=f"symbols from 0 to {symbol - 1} expected, got {symbol} at 1"
            ):
                codec.encode(data)
        batch = np.full((3, 8), symbol, np.uint8 if symbol < 256 else np.uint16)
        with pytest.raises(ParameterError, match="at 0"):
            codec.encode_batch(batch)
        with pytest.raises(ParameterError, match="at 0"):
            codec.decode_batch(batch)


def test_words_longer_than_the_field():
    codec = RSCodec(4, 30, prim=0x13, c_exp=4)
    assert len(codec.encode(bytes(11))) == 15
    for call in (
        lambda: codec.encode(bytes(12)),
        lambda: codec.decode(bytes(16)),
        lambda: codec.check(bytes(16)),
    ):
        with pytest.raises(ParameterError, match="at most 15 symbols"):
            call()


@pytest.mark.parametrize("length", [1, 3, 4, 21, 24])
def test_a_last_word_that_is_too_short(length):
    with pytest.raises(ReedSolomonError, match="more than 4 symbols needed"):
        CODEC.decode(bytes(length))


@pytest.mark.parametrize(
    ("place", "error"), [(20, ParameterError), (-1, ParameterError), (1.0, TypeError), ("1", TypeError)]
)
def test_places_that_are_none(place, error):
    with pytest.raises(error):
        CODEC.decode(bytes(20), erase_pos=[place])
    with pytest.raises(error):
        CODEC.decode_batch(np.zeros((2, 20), np.uint8), [place])


@pytest.mark.parametrize("nsym", [-1, 20, 300])
def test_other_parity_out_of_range(nsym):
    for call in (CODEC.encode, CODEC.decode, CODEC.check):
        with pytest.raises(ParameterError, match="nsym: 1 to 19"):
            call(bytes(20), nsym=nsym)


WORDS = np.zeros((4, 20), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: CODEC.encode_batch(b"abc"), TypeError, "messages: numpy array expected, got bytes"),
        (
            lambda: CODEC.encode_batch(WORDS.astype(np.int64)),
            TypeError,
            "messages: uint8 expected, got int64",
        ),
        (lambda: CODEC.encode_batch(WORDS[0]), ParameterError, "messages: two dimensions expected, got 1"),
        (lambda: CODEC.encode_batch(WORDS[:, :0]), ParameterError, "at least 1 symbol"),
        (lambda: CODEC.encode_batch(WORDS[:, ::2]), ParameterError, "contiguous rows"),
        (lambda: CODEC.encode_batch(np.zeros((2, 252), np.uint8)), ParameterError, "at most 255 symbols"),
        (lambda: CODEC.encode_batch(WORDS, out=WORDS), ParameterError, r"out: shape \(4, 24\) expected"),
        (lambda: CODEC.encode_batch(WORDS, out=bytearray(96)), TypeError, "out: numpy array expected"),
        (lambda: CODEC.encode_batch(WORDS, out=np.zeros((4, 24))), TypeError, "out: uint8 expected"),
        (
            lambda: CODEC.decode_batch(WORDS[:, :4]),
            ParameterError,
            "more than 4 symbols a word expected, got 4",
        ),
        (lambda: CODEC.decode_batch(WORDS, np.zeros((4, 19), bool)), ParameterError, "erasures: shape"),
        (lambda: CODEC.decode_batch(WORDS, np.zeros((3, 20), bool)), ParameterError, "erasures: shape"),
        (lambda: CODEC.decode_batch(WORDS, 3), TypeError, "erasures: flags or a sequence"),
        (lambda: CODEC.decode_batch(WORDS, "3"), TypeError, "erasures: flags or a sequence"),
        (lambda: CODEC.decode_batch(WORDS, np.zeros((4, 20))), TypeError, "erasure: int expected"),
        (lambda: CODEC.decode_batch(WORDS, threads=0), ParameterError, "threads: 1 to 256"),
        (lambda: CODEC.decode_batch(WORDS, threads=1.0), TypeError, "threads: int expected"),
    ],
)
def test_batches_that_are_none(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("threads", [1, 2])
def test_overlaps_are_refused_before_anything_is_written(threads):
    memory = np.random.default_rng(1).integers(0, 256, (9, 24), np.uint8)
    before = memory.copy()
    with pytest.raises(ParameterError, match="overlaps"):
        CODEC.encode_batch(memory[:8, :20], out=memory[1:], threads=threads)
    with pytest.raises(ParameterError, match="overlaps"):
        CODEC.decode_batch(memory[:8], out=memory[1:], threads=threads)
    locked = np.zeros((8, 24), np.uint8)
    locked.flags.writeable = False
    with pytest.raises(ParameterError, match="read-only"):
        CODEC.decode_batch(memory[:8], out=locked, threads=threads)
    assert np.array_equal(memory, before)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("c_exp", [8, 9])
def test_tables_side_by_side_in_one_array_do_not_overlap(threads, c_exp):
    codec, dtype = RSCodec(4, 20, c_exp=c_exp), np.uint8 if c_exp == 8 else np.uint16
    memory = np.random.default_rng(2).integers(0, 256, (64, 60)).astype(dtype)
    expected = codec.encode_batch(memory[:, :16].copy())
    for first in (16, 40):
        words = memory[:, first : first + 20]
        assert codec.encode_batch(memory[:, :16], out=words, threads=threads) is words
        assert np.array_equal(words, expected)
    words[:, 3] ^= 1
    assert (codec.decode_batch(words, out=memory[:, 16:36], threads=threads).changed == 1).all()
    assert np.array_equal(memory[:, 16:36], expected)
    before = memory.copy()
    for out in (memory[:, 21:41], memory[:, 39:59], memory[::-1][:, 30:50]):
        with pytest.raises(ParameterError, match="overlaps"):
            codec.decode_batch(words, out=out, threads=threads)
    assert np.array_equal(memory, before)


def test_overlap_is_found_whatever_the_strides():
    """Against the bytes themselves."""
    memory, rng = np.zeros(300, np.uint8), np.random.default_rng(3)
    seen = {True: 0, False: 0}
    for _ in range(2000):
        (n, m), count = rng.integers(1, 9, 2), int(rng.integers(1, 6))
        tables = []
        for width in (n, m):
            stride = int(rng.integers(width, 25))
            start = int(rng.integers(0, 300 - stride * count))
            tables.append(np.lib.stride_tricks.as_strided(memory[start:], (count, width), (stride, 1)))
        memory[:] = 0
        tables[0][:] = 1
        truth = bool(tables[1].any())
        assert _rows_overlap(tables[0], tables[1]) == truth
        seen[truth] += 1
    assert min(seen.values()) > 300


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("aztec",), ParameterError), ((7,), TypeError), (("qr",), ParameterError),
        (("datamatrix",), ParameterError), (("dvb", 15), ParameterError), (("ccsds", 31), ParameterError),
        (("qr", "10"), TypeError), (("qr", 0), ParameterError),
    ],
)  # fmt: skip
def test_presets_that_are_none(arguments, error):
    with pytest.raises(error):
        RSCodec.preset(*arguments)


def test_ccsds_blocks_that_are_none():
    for arguments in ((31,), (32, 6), (32, 0)):
        with pytest.raises(ParameterError):
            CcsdsCodec(*arguments)
    with pytest.raises(TypeError):
        CcsdsCodec(32, 2.0)
    codec = CcsdsCodec(32, 5)
    for length in (0, 1, 223, 5 * 224):
        with pytest.raises(ParameterError):
            codec.encode(bytes(length))
    for length in (0, 1, 254, 5 * 32, 5 * 256):
        with pytest.raises(ParameterError):
            codec.decode(bytes(length))
    with pytest.raises(ParameterError):
        codec.decode(bytes(500), [500])


@pytest.mark.parametrize("data", [{1, 2}, frozenset({3}), {1: 2}])
def test_collections_without_an_order_are_refused(data):
    for work in (RSCodec(4).encode, RSCodec(4).decode, RSCodec(4).check):
        with pytest.raises(TypeError, match="a sequence of symbols expected"):
            work(data)


def test_the_smallest_field_works_by_default():
    codec = RSCodec(2, nsize=3, c_exp=2)
    word = codec.encode([3])
    assert codec.prim == 7
    for at in range(3):
        for error in (1, 2, 3):
            received = list(word)
            received[at] ^= error
            assert list(codec.decode(received)[0]) == [3]
