"""RSCodec against reedsolo: the same bytes, types, errata and refusals, and the deliberate differences."""

import array
import contextlib
import io
import random

import numpy as np
import pytest

from sottovoce.rs import ParameterError, ReedSolomonError, RSCodec

reedsolo = pytest.importorskip("reedsolo")

# (c_exp, prim, generator): given, or left to the default.
FIELDS = [
    (3, 0x11D, 2), (4, 0x11D, 2), (4, 0x19, 2), (5, 0x11D, 2), (6, 0x11D, 2), (7, 0x11D, 2), (8, 0x11D, 2),
    (8, 0x12D, 2), (8, 0x187, 0xAD), (8, 0x11B, 3), (9, 0x11D, 2), (10, 0x11D, 2), (12, 0x11D, 2),
]  # fmt: skip


def pair(*args, **kwargs):
    theirs = reedsolo.RSCodec(*args, **kwargs)
    ours = RSCodec(*args, **kwargs)
    for name in ("nsym", "nsize", "fcr", "prim", "generator", "c_exp"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert dict(ours.gen) == theirs.gen
    return ours, theirs


def restore(theirs):
    # reedsolo keeps its tables in the module, and check() uses those of whichever codec came last.
    reedsolo.gf_log, reedsolo.gf_exp, reedsolo.field_charac = (
        theirs.gf_log,
        theirs.gf_exp,
        theirs.field_charac,
    )


def damaged(rng, words, nsize, nsym, order):
    """Words with errors and erasures that can be corrected, and the places that are erased."""
    received, erased = words[:], []
    for start in range(0, len(words), nsize):
        n = min(nsize, len(words) - start)
        v = rng.randint(0, nsym)
        e = rng.randint(0, min((nsym - v) // 2, n - v))
        places = rng.sample(range(n), v + e)
        for p in places[:v]:
            received[start + p] = rng.randint(0, order)
        for p in places[v:]:
            received[start + p] ^= rng.randint(1, order)
        erased += [start + p for p in places[:v]]
    rng.shuffle(erased)
    return received, sorted(erased, key=lambda p: p // nsize)


@pytest.mark.parametrize("field", FIELDS, ids=str)
@pytest.mark.parametrize("seed", range(6))
def test_encodes_decodes_and_checks_alike(field, seed):
    c_exp, prim, generator = field
    rng = random.Random(f"{field} {seed}")
    order = (1 << c_exp) - 1
    nsize = rng.randint(3, min(order, 60))
    nsym = rng.randint(1, min(nsize - 1, 20))
    fcr = rng.randint(0, order + 5)
    ours, theirs = pair(nsym, nsize, fcr=fcr, prim=prim, generator=generator, c_exp=c_exp)
    for length in (1, nsize - nsym, 2 * (nsize - nsym) + 1):
        message = [rng.randint(0, order) for _ in range(length)]
        words = ours.encode(message)
        assert words == theirs.encode(message)
        assert type(words) is type(theirs.encode(message))
        received, erased = damaged(rng, words, nsize, nsym, order)
        restore(theirs)
        assert ours.check(received) == theirs.check(received)
        got, want = ours.decode(received, erase_pos=erased), theirs.decode(received, erase_pos=erased)
        assert [type(x) for x in got] == [type(x) for x in want]
        assert got == want
        assert list(got[0]) == message
        assert got[1] == words


@pytest.mark.parametrize("nsym", [1, 2, 5, 8, 10, 13])
def test_only_erasures_is_alike(nsym):
    rng = random.Random(nsym)
    ours, theirs = pair(nsym)
    for _ in range(20):
        words = ours.encode(rng.randbytes(30))
        erased = rng.sample(range(len(words)), rng.randint(0, nsym))
        for p in erased:
            words[p] ^= 85
        got = ours.decode(words, erase_pos=erased, only_erasures=True)
        assert got == theirs.decode(words, erase_pos=erased, only_erasures=True)
        if len(erased) + 2 <= nsym:
            free = next(p for p in range(len(words)) if p not in erased)
            words[free] ^= 1
            for codec, error in ((ours, ReedSolomonError), (theirs, reedsolo.ReedSolomonError)):
                with pytest.raises(error):
                    codec.decode(words, erase_pos=erased, only_erasures=True)


@pytest.mark.parametrize(
    "make", [bytes, bytearray, list, tuple, memoryview, lambda b: np.frombuffer(b, np.uint8)]
)
def test_takes_what_reedsolo_takes(make):
    ours, theirs = pair(6)
    data = make(bytes(range(40)))
    assert ours.encode(data) == theirs.encode(data)
    word = make(bytes(theirs.encode(data)))
    assert ours.decode(word) == theirs.decode(word)
    assert ours.check(word) == [True]


@pytest.mark.parametrize("make", [list, lambda x: array.array("i", x), lambda x: np.array(x, np.uint16)])
def test_takes_what_reedsolo_takes_in_large_fields(make):
    ours, theirs = pair(6, c_exp=10)
    data = make([0, 1, 2, 1023, 700])
    assert ours.encode(data) == theirs.encode(data)
    text = "latin ÿ"
    assert ours.encode(text) == theirs.encode(text)


@pytest.mark.parametrize("make", [RSCodec, reedsolo.RSCodec])
def test_text_needs_an_encoding(make):
    codec = make(5)
    with pytest.raises(TypeError):
        codec.encode("text")
    with pytest.raises(TypeError):
        codec.decode("text")


def test_nothing_in_gives_nothing_out():
    ours, theirs = pair(5)
    assert ours.encode(b"") == theirs.encode(b"") == bytearray()
    assert ours.decode(b"") == theirs.decode(b"") == (bytearray(), bytearray(), bytearray())
    assert ours.check(b"") == theirs.check(b"") == []


def test_other_parity_for_a_call_is_alike_within_one_word():
    ours, theirs = pair(10, nsize=60, single_gen=False)
    for nsym in (2, 7, 10):
        words = ours.encode(b"some words", nsym=nsym)
        assert words == theirs.encode(b"some words", nsym=nsym)
        words[3] ^= 1
        assert ours.decode(words, nsym=nsym) == theirs.decode(words, nsym=nsym)
        assert ours.check(words, nsym=nsym) == [False]


@pytest.mark.parametrize(
    "args",
    [
        {}, {"errors": 3}, {"erasures": 4}, {"errors": 0}, {"erasures": 0}, {"errors": 2, "erasures": 1},
        {"errors": -1}, {"erasures": 11}, {"errors": 6},
    ],
    ids=str,
)  # fmt: skip
def test_maxerrata_is_alike(args):
    said = []
    for codec, error in ((RSCodec(10), ReedSolomonError), (reedsolo.RSCodec(10), reedsolo.ReedSolomonError)):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                result = codec.maxerrata(**args, verbose=True)
            except error:
                result = "refused"
        said.append((result, out.getvalue()))
    assert said[0] == said[1]


def test_completes_its_arguments_alike():
    for nsize in (255, 256, 400, 511, 512, 1023, 4095):
        pair(4, nsize)
    for c_exp in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
        pair(2, c_exp=c_exp)
    for args in ((255,), (10, 10), (300, 299)):
        with pytest.raises(ValueError):
            reedsolo.RSCodec(*args)
        with pytest.raises(ValueError):
            RSCodec(*args)


def test_words_far_beyond_capacity_are_refused_or_alike():
    # What both find must be the one codeword near; one may refuse where the other's rule makes it lucky.
    rng = random.Random(1)
    ours, theirs = pair(4, nsize=40)
    alike = 0
    for _ in range(300):
        word = rng.randbytes(40)
        try:
            want = theirs.decode(word)
        except reedsolo.ReedSolomonError:
            with pytest.raises(ReedSolomonError):
                ours.decode(word)
        else:
            assert ours.decode(word) == want
            alike += 1
    assert alike > 0


# ---- deliberate differences ----


def test_two_codecs_do_not_disturb_each_other():
    ours, _ = pair(10)
    word = ours.encode(b"hello")
    RSCodec(10, prim=0x187)
    assert ours.check(word) == [True]
    theirs = reedsolo.RSCodec(10)
    reedsolo.RSCodec(10, prim=0x187)
    assert theirs.check(word) == [False]  # the tables of the other one


def test_arrays_of_wide_integers_are_refused_not_taken_for_memory():
    numbers = np.arange(5, dtype=np.int64)
    assert len(reedsolo.RSCodec(4).encode(numbers)) == 5 * 8 + 4
    with pytest.raises(TypeError, match="uint8 expected, got int64"):
        RSCodec(4).encode(numbers)


def test_an_error_too_many_beside_erasures_is_refused():
    # reedsolo asks for 2 (errors - erasures) + erasures <= nsym and now and then returns a wrong word.
    rng = random.Random(2)
    ours, theirs = pair(10)
    word, wrong = ours.encode(bytes(50)), 0
    for _ in range(300):
        received = bytearray(word)
        places = rng.sample(range(60), 10)
        for p in places:
            received[p] ^= rng.randint(1, 255)
        with contextlib.suppress(reedsolo.ReedSolomonError):
            wrong += theirs.decode(received, erase_pos=places[:9])[1] != word
        with pytest.raises(ReedSolomonError):
            ours.decode(received, erase_pos=places[:9])
    assert wrong > 0


def test_words_not_longer_than_their_parity_are_refused():
    ours, theirs = pair(4)
    assert theirs.decode(bytes(4))[0] == bytearray()
    for length in range(1, 5):
        with pytest.raises(ReedSolomonError, match=f"more than 4 symbols needed, {length} present"):
            ours.decode(bytes(length))
        assert ours.check(bytes(length)) == [False]
    assert ours.decode(bytes(5))[0] == bytearray(1)


def test_places_outside_of_the_data_are_refused():
    ours, theirs = pair(4)
    word = ours.encode(b"abc")
    assert theirs.decode(word, erase_pos=[300])[0] == b"abc"  # ignored
    for place in (300, 7, -1):
        with pytest.raises(ParameterError):
            ours.decode(word, erase_pos=[place])


def test_an_erasure_given_twice_counts_once():
    ours, theirs = pair(4)
    word = ours.encode(b"abc")
    word[1] ^= 9
    with pytest.raises(reedsolo.ReedSolomonError):
        theirs.decode(word, erase_pos=[1, 1])
    assert ours.decode(word, erase_pos=[1, 1])[2] == bytearray([1])


def test_other_parity_for_a_call_cuts_chunks_to_match():
    # reedsolo cuts by its own nsym, so that decode looks for words in other places.
    ours, _ = pair(10, nsize=30, single_gen=False)
    message = bytes(range(100))
    assert ours.decode(ours.encode(message, nsym=4), nsym=4)[0] == message


@pytest.mark.parametrize(
    ("data", "theirs", "ours"),
    [
        (np.array(3, np.uint8), TypeError, ParameterError),
        (np.array(3), TypeError, ParameterError),
        (np.zeros((2, 3), np.uint8), None, ParameterError),
        (np.ones(3, np.bool_), None, TypeError),
        (memoryview(array.array("H", [1, 2])), None, TypeError),
        ({1, 2}, TypeError, TypeError),
        (None, TypeError, TypeError),
    ],
    ids=["0-d bytes", "0-d", "matrix", "bools", "memoryview of 16 bits", "set", "None"],
)
def test_other_kinds_of_data_differ_as_the_page_says(data, theirs, ours):
    for codec, error in ((reedsolo.RSCodec(4), theirs), (RSCodec(4), ours)):
        with pytest.raises(error) if error else contextlib.nullcontext():
            codec.encode(data)


def test_iterators_and_attributes_differ_as_the_page_says():
    theirs, ours = reedsolo.RSCodec(4, c_exp=8), RSCodec(4, c_exp=8)
    with pytest.raises(TypeError):
        theirs.encode(iter([1, 2]))
    assert ours.encode(iter([1, 2])) == ours.encode([1, 2])
    for name in ("gf_exp", "gf_log", "field_charac"):
        assert hasattr(theirs, name)
        assert not hasattr(ours, name)
    assert theirs.field_charac == 2**ours.c_exp - 1
    assert (type(theirs.gen), dict(ours.gen)) == (dict, theirs.gen)
    with pytest.raises(TypeError):
        ours.gen[4] = b""
    theirs.nsym = 5
    with pytest.raises(AttributeError):
        ours.nsym = 5


def test_a_bool_is_no_number_here():
    assert len(reedsolo.RSCodec(True).encode(b"a")) == 2
    with pytest.raises(TypeError, match="nsym: int expected, got bool"):
        RSCodec(True)
    assert RSCodec(np.int64(4)).encode(b"a") == reedsolo.RSCodec(np.int64(4)).encode(b"a")


@pytest.mark.parametrize("c_exp", [9, 12])
def test_text_in_large_fields_is_alike(c_exp):
    codecs = [make(4, c_exp=c_exp) for make in (RSCodec, reedsolo.RSCodec)]
    assert len({tuple(codec.encode("h\xe9llo")) for codec in codecs}) == 1
    for codec in codecs:
        with pytest.raises(UnicodeEncodeError):
            codec.encode("h\u20acllo")
