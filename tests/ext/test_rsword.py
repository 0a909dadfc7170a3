"""The kernel of Reed-Solomon words: all back ends equal the portable one, and that one its twin."""

import numpy as np
import pytest

from sottovoce._ext import kernel, rsword
from sottovoce._ext.errors import KernelUnavailable, ParameterError
from support import rs_codec_twin

USABLE = kernel.usable(rsword.BACKENDS)
PORTABLE = rsword.BACKENDS[0]
VECTORISED = [b for b in USABLE if b is not PORTABLE]
GUARD = 0xA5
# bits, prim, generator
NARROW = [
    (8, 0x11D, 2),
    (8, 0x12D, 2),
    (8, 0x187, 0xAD),
    (8, 0x11B, 3),
    (7, 0x83, 2),
    (4, 0x13, 2),
    (3, 0xB, 2),
]
WIDE = [(9, 0x22D, 2), (12, 0x1069, 2), (16, 0x1100B, 2)]

each_backend = pytest.mark.parametrize("backend", USABLE, ids=lambda b: b.name)
vectorised = pytest.mark.parametrize("backend", VECTORISED, ids=lambda b: b.name)


def make(field, nsym, fcr=0, backend=PORTABLE):
    return rsword.code(*field, fcr, nsym, backend=backend)


def dtype_of(field):
    return np.uint8 if field[0] <= 8 else np.uint16


def encoded(code, field, words, n, rng):
    messages = rng.integers(0, 1 << field[0], (words, n - code.nsym)).astype(dtype_of(field))
    out = np.zeros((words, n), dtype_of(field))
    code.encode(out, messages)
    return out


def damaged(rng, words, nsym, order, *, beyond):
    """Words with up to nsym errors and erasures each, some beyond reach; flags; which are within."""
    received, flags = words.copy(), np.zeros(words.shape, np.uint8)
    good = np.zeros(len(words), np.bool_)
    for w, word in enumerate(received):
        v = int(rng.integers(0, nsym + 1)) if rng.random() < 0.6 else 0
        e = int(rng.integers(0, (nsym - v) // 2 + 1 + beyond * (rng.random() < 0.3) * 3))
        if rng.random() < 0.2:
            e = v = 0
        e = min(e, len(word) - v)
        places = rng.permutation(len(word))[: v + e]
        word[places[:v]] = rng.integers(0, order + 1, v)
        word[places[v:]] ^= rng.integers(1, order + 1, e).astype(word.dtype)
        flags[w, places[:v]] = 1
        good[w] = 2 * e + v <= nsym
    return received, flags, good


def decode(code, words, flags=None):
    out, status = np.full_like(words, GUARD % 8), np.full(len(words), 99, np.int32)
    code.decode(out, status, words, flags)
    return out, status


@each_backend
@pytest.mark.parametrize("field", [*NARROW, *WIDE], ids=str)
def test_parity_and_generator_are_those_of_the_second_implementation(backend, field):
    rng = np.random.default_rng(field)
    order = (1 << field[0]) - 1
    for nsym in (1, 2, min(5, order - 1)):
        fcr = int(rng.integers(0, order))
        code, twin = make(field, nsym, fcr, backend), rs_codec_twin.Twin(nsym, fcr, *field[1:], field[0])
        n = min(order, nsym + 9)
        words = encoded(code, field, 20, n, rng)
        assert code.generator_polynomial() == twin.gen
        assert [twin.encode(word[: n - nsym].tolist()) for word in words[:3]] == words[:3].tolist()
        assert not np.any([twin.syndromes(word.tolist()) for word in words])


@pytest.mark.parametrize("field", [*NARROW, *WIDE], ids=str)
def test_the_generator_is_zero_at_its_roots_and_nowhere_beside_them(field):
    """Whatever its degree: 40,000 factors one by one would be 800 million products."""
    bits, prim, generator = field
    order = (1 << bits) - 1
    twin = rs_codec_twin.Field(bits, prim)
    log = np.zeros(order + 1, np.int64)
    exp = [1]
    for _ in range(order - 1):
        exp.append(twin.times(exp[-1], generator))
    exp = np.array(exp)
    log[exp] = np.arange(order)
    rng = np.random.default_rng(field)
    for nsym in {1, order // 2, min(40_000, order - 2), order - 1}:
        fcr = int(rng.integers(0, order))
        gen = np.array(make(field, nsym, fcr).generator_polynomial())
        assert gen[0] == 1
        assert (gen > 0).all(), "as many parity symbols as the code can have"

        def value(exponent, gen=gen):
            powers = (log[gen] + exponent * np.arange(len(gen) - 1, -1, -1)) % order
            return np.bitwise_xor.reduce(exp[powers])

        inside = {0, nsym - 1, nsym // 2, *rng.integers(0, nsym, 20).tolist()}
        assert [value(fcr + i) for i in inside] == [0] * len(inside)
        outside = {nsym, order - 1, (nsym + order - 1) // 2} - set(range(nsym))
        assert all(value(fcr + i) for i in outside)


def test_words_of_a_code_with_tens_of_thousands_of_parity_symbols():
    code = make((16, 0x1100B, 2), 40_000, 5)
    word = np.zeros((1, 40_003), np.uint16)
    code.encode(word, np.array([[7, 8, 65535]], np.uint16))
    status = np.zeros(1, np.int32)
    code.check(status, word)
    assert status[0] == 1


@each_backend
def test_decodes_to_what_trying_every_set_of_places_finds(backend):
    # GF(8): words of 6 with 3 parity symbols, all sorts of words, 8 at once so that lanes are used.
    rng = np.random.default_rng(5)
    for nsym in (2, 3, 4):
        code, twin = make((3, 0xB, 2), nsym, 1, backend), rs_codec_twin.Twin(nsym, 1, 0xB, 2, 3)
        words = rng.integers(0, 8, (40, 6)).astype(np.uint8)
        flags = (rng.random(words.shape) < 0.15).astype(np.uint8)
        out, status = decode(code, words, flags)
        for word, erased, got, changed in zip(words, flags, out, status, strict=True):
            places = np.flatnonzero(erased).tolist()
            near = twin.nearest(word.tolist(), places) if len(places) <= nsym else []
            if changed < 0:
                assert not near
                assert np.array_equal(got, word)
            else:
                assert near == [got.tolist()]
                assert changed == np.count_nonzero(got != word)


@vectorised
@pytest.mark.parametrize("field", NARROW, ids=str)
def test_equals_portable(backend, field):
    rng = np.random.default_rng([*field, 1])
    order = (1 << field[0]) - 1
    for trial in range(25):
        nsym = int(rng.integers(1, min(order, 40 if trial % 4 else 254)))
        fcr, n = int(rng.integers(0, order)), int(rng.integers(nsym + 1, order + 1))
        words = int(rng.integers(1, 200))
        reference, code = make(field, nsym, fcr), make(field, nsym, fcr, backend)
        right = encoded(reference, field, words, n, np.random.default_rng(trial))
        assert np.array_equal(right, encoded(code, field, words, n, np.random.default_rng(trial)))
        received, flags, good = damaged(rng, right, nsym, order, beyond=True)
        for erased in (flags, None, flags[:1]):
            want, want_status = decode(reference, received, erased)
            got, got_status = decode(code, received, erased)
            assert np.array_equal(want, got)
            assert np.array_equal(want_status, got_status)
            if erased is flags:
                assert np.array_equal(got[good], right[good])
                assert (got_status[good] >= 0).all()
            assert np.array_equal(got[got_status < 0], received[got_status < 0])
            checked = np.zeros((2, words), np.int32)
            reference.check(checked[0], got)
            code.check(checked[1], got)
            assert np.array_equal(*checked)
            assert checked[0][got_status >= 0].all()


@vectorised
def test_every_number_of_words_of_a_tile_and_every_length(backend):
    # What is left of a tile, of a block of 16 symbols, and words at fault that do not fill the lanes.
    field, rng = (8, 0x11D, 2), np.random.default_rng(3)
    reference, code = make(field, 6), make(field, 6, backend=backend)
    for words in [*range(1, 140), 255, 256, 257]:
        n = 7 + words % 60
        right = encoded(reference, field, words, n, np.random.default_rng(words))
        assert np.array_equal(right, encoded(code, field, words, n, np.random.default_rng(words)))
        received, flags, _ = damaged(rng, right, 6, 255, beyond=True)
        for a, b in zip(decode(reference, received, flags), decode(code, received, flags), strict=True):
            assert np.array_equal(a, b)


@each_backend
@pytest.mark.parametrize("field", WIDE, ids=str)
def test_wide_symbols_are_corrected_to_capacity(backend, field):
    rng = np.random.default_rng(field)
    code = make(field, 10, 3, backend)
    right = encoded(code, field, 30, 60, rng)
    received, flags, good = damaged(rng, right, 10, (1 << field[0]) - 1, beyond=False)
    got, status = decode(code, received, flags)
    assert good.all()
    assert np.array_equal(got, right)
    assert np.array_equal(status, np.count_nonzero(received != right, axis=1))


@each_backend
def test_rows_apart_guards_and_working_in_place(backend):
    field, rng = (8, 0x11D, 2), np.random.default_rng(4)
    code = make(field, 8, backend=backend)
    for words in (1, 7, 70):
        memory = np.full((words, 64), GUARD, np.uint8)
        area = memory[:, 3:50]
        area[:, :39] = rng.integers(0, 256, (words, 39))
        expected = np.zeros((words, 47), np.uint8)
        code.encode(expected, np.ascontiguousarray(area[:, :39]))
        code.encode(area, area[:, :39])
        assert np.array_equal(area, expected)
        area[:, 5] ^= 1
        area[::2, 40] ^= 7
        status = np.zeros(words, np.int32)
        code.decode(area, status, area)
        assert np.array_equal(area, expected)
        assert status.tolist() == [2 - w % 2 for w in range(words)]
        assert (memory[:, :3] == GUARD).all()
        assert (memory[:, 50:] == GUARD).all()


@each_backend
def test_more_erasures_than_parity_fail_even_on_a_codeword(backend):
    field = (8, 0x11D, 2)
    code = make(field, 4, backend=backend)
    words = encoded(code, field, 20, 30, np.random.default_rng(1))
    for count, want in ((4, 0), (5, -1)):
        flags = np.zeros((1, 30), np.uint8)
        flags[0, :count] = 1
        out, status = decode(code, words, flags)
        assert np.array_equal(out, words)
        assert (status == want).all()


@each_backend
def test_symbols_beyond_the_field_are_no_crash(backend):
    # The front refuses them; the core must still stay inside its tables.
    code = make((4, 0x13, 2), 4, backend=backend)
    decode(code, np.full((50, 15), 255, np.uint8))
    decode(make((9, 0x22D, 2), 4, backend=backend), np.full((10, 20), 65535, np.uint16))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 3, 2, 0, 1), "no such field"),
        ((17, 1 << 17 | 9, 2, 0, 1), "no such field"),
        ((8, 0x1D, 2, 0, 4), "no such field"),
        ((8, 0x11D, 1, 0, 4), "no such field"),
        ((8, 0x11D, 256, 0, 4), "no such field"),
        ((8, 0x11D, 2, 0, 0), "nsym: 1 to 254"),
        ((8, 0x11D, 2, 0, 255), "nsym: 1 to 254"),
        ((8, 0x11B, 2, 0, 4), "does not generate"),
        ((8, 0x101, 2, 0, 4), "does not generate"),
    ],
)
def test_refuses_what_is_no_code(arguments, message):
    with pytest.raises(ParameterError, match=message):
        rsword.code(*arguments)


def test_unknown_back_end_is_refused():
    with pytest.raises(KernelUnavailable):
        make((8, 0x11D, 2), 4, backend=kernel.Backend("no", "portable", frozenset(), 99))


def test_the_best_usable_back_end_is_in_use():
    assert kernel.chosen()["rsword"] == USABLE[-1].name


def test_refuses_buffers_that_do_not_fit():
    code = make((8, 0x11D, 2), 4)
    words, status = np.zeros((3, 20), np.uint8), np.zeros(3, np.int32)
    refused = [
        lambda: code.encode(words, np.zeros((3, 15), np.uint8)),
        lambda: code.encode(words, np.zeros((2, 16), np.uint8)),
        lambda: code.encode(np.zeros((3, 4), np.uint8), np.zeros((3, 0), np.uint8)),
        lambda: code.encode(np.zeros((1, 256), np.uint8), np.zeros((1, 252), np.uint8)),
        lambda: code.encode(words, words[:, 1:17]),
        lambda: code.encode(words.astype(np.uint16), np.zeros((3, 16), np.uint16)),
        lambda: code.decode(words, status[:2], words),
        lambda: code.decode(words[:, :19], status, words),
        lambda: code.decode(np.zeros((3, 40), np.uint8)[:, ::2], status, words),
        lambda: code.decode(words, status, words, np.zeros((2, 20), np.uint8)),
        lambda: code.decode(words, status, words, np.zeros((3, 19), np.uint8)),
        lambda: code.decode(words[::-1], status, words),
        lambda: code.check(status[:1], words),
        lambda: code.check(status, np.zeros((3, 4), np.uint8)),
    ]
    for number, call in enumerate(refused):
        with pytest.raises(ParameterError):
            pytest.fail(f"accepted: {number}, {call()}")
    locked = words.copy()
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        code.decode(locked, status, words)


def test_no_words_are_fine():
    code = make((8, 0x11D, 2), 4)
    none, status = np.zeros((0, 20), np.uint8), np.zeros(0, np.int32)
    code.encode(none, np.zeros((0, 16), np.uint8))
    code.decode(none, status, none)
    code.check(status, none)
