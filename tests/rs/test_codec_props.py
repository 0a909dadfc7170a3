"""Laws of the codec: round trips within capacity, linearity, and never anything but the documented errors."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.rs import ParameterError, ReedSolomonError, RSCodec

FIELDS = st.sampled_from([(3, 2), (4, 2), (5, 2), (8, 2), (8, 0x53), (9, 2), (10, 2), (12, 2), (16, 2)])


@st.composite
def codecs(draw):
    c_exp, generator = draw(FIELDS)
    order = (1 << c_exp) - 1
    nsize = draw(st.integers(2, min(order, 80)))
    nsym = draw(st.integers(1, nsize - 1))
    try:
        return RSCodec(nsym, nsize, fcr=draw(st.integers(-5, 70000)), generator=generator, c_exp=c_exp)
    except ParameterError:
        return RSCodec(nsym, nsize, generator=2, c_exp=c_exp)


@given(codec=codecs(), data=st.data())
def test_what_is_within_capacity_is_repaired(codec, data):
    order = (1 << codec.c_exp) - 1
    message = data.draw(st.lists(st.integers(0, order), min_size=1, max_size=100))
    words = codec.encode(message)
    received, erased = words[:], []
    for start in range(0, len(words), codec.nsize):
        n = min(codec.nsize, len(words) - start)
        v = data.draw(st.integers(0, codec.nsym))
        e = data.draw(st.integers(0, min((codec.nsym - v) // 2, n - v)))
        places = data.draw(st.permutations(range(n)))[: v + e]
        for p in places:
            received[start + p] ^= data.draw(st.integers(1, order))
        erased += [start + p for p in places[:v]]
    got, full, places = codec.decode(received, erase_pos=erased)
    assert list(got) == message
    assert full == words
    assert all(codec.check(full))
    assert codec.check(received) == [
        received[s : s + codec.nsize] == words[s : s + codec.nsize] for s in range(0, len(words), codec.nsize)
    ]
    assert len(places) >= sum(a != b for a, b in zip(received, words, strict=True))


@given(codec=codecs(), length=st.integers(1, 60), seed=st.integers(0, 2**32))
def test_the_code_is_linear(codec, length, seed):
    rng, order = np.random.default_rng(seed), (1 << codec.c_exp) - 1
    a, b = rng.integers(0, order + 1, (2, length)).tolist()
    both = [x ^ y for x, y in zip(a, b, strict=True)]
    together = [x ^ y for x, y in zip(codec.encode(a), codec.encode(b), strict=True)]
    assert list(codec.encode(both)) == together


@given(
    codec=codecs(),
    data=st.binary(max_size=200),
    erased=st.lists(st.integers(-2, 210), max_size=12),
    only=st.booleans(),
)
def test_noise_gives_a_codeword_or_a_documented_error(codec, data, erased, only):
    try:
        message, full, places = codec.decode(data, erase_pos=erased, only_erasures=only)
    except (ParameterError, ReedSolomonError):
        return
    assert all(codec.check(full))
    assert len(full) == len(data)
    wrong = [p for p, (a, b) in enumerate(zip(data, full, strict=True)) if a != b]
    assert len(wrong) <= len(places) + len(erased)
    words = -(-len(data) // codec.nsize)
    assert len(message) == len(data) - words * codec.nsym
    if only:
        assert set(wrong) <= set(erased)


@given(
    seed=st.integers(0, 2**32), nsym=st.integers(1, 30), extra=st.integers(1, 60), words=st.integers(1, 90)
)
def test_a_batch_of_noise_agrees_with_single_words(seed, nsym, extra, words):
    rng, codec = np.random.default_rng(seed), RSCodec(nsym)
    noise = rng.integers(0, 256, (words, nsym + extra), np.uint8)
    flags = rng.random(noise.shape) < rng.random() * nsym / (nsym + extra)
    result = codec.decode_batch(noise, flags)
    for word, erased, got, ok in list(zip(noise, flags, result.words, result.ok, strict=True))[:12]:
        try:
            single = codec.decode(word, erase_pos=np.flatnonzero(erased).tolist())[1]
        except ReedSolomonError:
            assert not ok
            assert np.array_equal(got, word)
        else:
            assert ok
            assert single == got.tobytes()
