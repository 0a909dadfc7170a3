"""Public elements of one and two primes, and the streams that they are read from."""

import hashlib
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from sottovoce.he import _kahe_public, _random, params
from sottovoce.he._kahe_public import expand_planes, public_planes
from support import he_reference

CONTEXT = bytes(range(32))


@dataclass(frozen=True)
class Fields:
    """What the expansion asks of a round's parameters."""

    set: str
    n_elements: int

    @property
    def _set(self):
        return params.named_set(self.set)

    @property
    def N(self):
        return self._set.N


def reference(name, j, bounds, n):
    """Element j by the documented rule, with another AES stream: N of the first prime, then of the second."""
    seed = he_reference.sha("SOTTOVOCE-V1-KAHE-SEED", CONTEXT)
    stream = he_reference.Stream(he_reference.sha("SOTTOVOCE-V1-KAHE-A", seed, name), j)
    return [stream.below(bound, n) for bound in bounds]


@pytest.mark.parametrize("name", params.SETS)
def test_planes_are_those_of_the_reference(name):
    chosen = params.named_set(name)
    fields = Fields(name, 20)
    planes = expand_planes(fields, CONTEXT, 3, 18)
    assert planes.shape == (len(chosen.primes), 18, chosen.N)
    for i in (0, 15, 16, 17):
        assert planes[:, i].tolist() == reference(name, 3 + i, chosen.primes, chosen.N)
    for plane, prime in zip(planes, chosen.primes, strict=True):
        assert (plane < prime).all()


def test_planes_are_frozen():
    digests = {
        name: hashlib.sha256(
            expand_planes(Fields(name, 3), CONTEXT, 0, 3).astype("<u8").tobytes()
        ).hexdigest()[:16]
        for name in params.SETS
    }
    assert digests == {
        "RLWE_128_N2048_Q50": "5224ad6d8bde1d98",
        "RLWE_PQ128_N2048_Q40": "bb0d7359343c4b59",
        "RLWE_128_N4096_Q100": "7bdd881a14530a1e",
        "RLWE_PQ128_N4096_Q80": "275de7bdeddc9eb2",
        "RLWE_192_N4096_Q72": "c7783b3aad4efb0e",
    }


@pytest.mark.parametrize(
    "bounds",
    [((1 << 40) + 1, (1 << 30) + 3), ((1 << 50) - 27, (1 << 49) + 9), ((1 << 20) - 200, (1 << 20) - 3)],
)
def test_rejections_in_one_plane_do_not_shift_the_other(bounds):
    # Bounds just above a power of two reject nearly half of all words.  No prime is needed to see it.
    name = "RLWE_128_N4096_Q100"
    toy = params.RlweSet(name, 4096, bounds, (0, 0))

    class Toy(Fields):
        _set = toy

    planes = expand_planes(Toy(name, 20), CONTEXT, 0, 20)
    for i in (0, 7, 19):
        assert planes[:, i].tolist() == reference(name, i, bounds, 4096)


def test_planes_come_from_the_cache_read_only_and_within_its_bound():
    _kahe_public._cache.clear()
    fields = Fields("RLWE_PQ128_N4096_Q80", 5)
    planes = public_planes(fields, CONTEXT, 1, 3)
    assert np.array_equal(planes, expand_planes(fields, CONTEXT, 1, 3))
    assert np.shares_memory(planes, public_planes(fields, CONTEXT, 2, 1))
    with pytest.raises(ValueError, match="read-only"):
        planes[0, 0, 0] = 1
    for i in range(5):
        public_planes(Fields("RLWE_PQ128_N4096_Q80", 300), bytes([i]) * 32, 0, 1)  # 19 MiB each
    assert sum(a.nbytes for a, _ in _kahe_public._cache.values()) <= _kahe_public.CACHE_BYTES
    huge = Fields("RLWE_PQ128_N4096_Q80", 1100)  # with one plane it would fit
    assert _kahe_public.CACHE_BYTES > 8 * 4096 * 1100
    public_planes(huge, CONTEXT, 1099, 1)
    assert all(key[2] != 1100 for key in _kahe_public._cache)
    _kahe_public._cache.clear()


def test_threads_get_the_same_planes():
    _kahe_public._cache.clear()
    fields = Fields("RLWE_128_N4096_Q100", 40)
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(public_planes(fields, CONTEXT, 0, 40))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert all(np.array_equal(planes, expand_planes(fields, CONTEXT, 0, 40)) for planes in got)
    _kahe_public._cache.clear()


# -- streams ----------------------------------------------------------------------------------------
class Crafted(_random.Stream):
    """A stream of given words, which fails when it is read too far."""

    def __init__(self, words):
        self._words = list(words)

    def fill(self, out):
        n = len(out) // 8
        assert n <= len(self._words)
        out.view("<u8")[:] = self._words[:n]
        del self._words[:n]


def test_what_is_rejected_is_drawn_again_from_the_words_that_follow():
    q = 0x3FFFFFFFFC001
    bad, high = 0x3FFFFFFFFFFFF, 0xFFFC000000000000  # bits above the 50 do not count
    stream = Crafted([q, 5, bad, 6 | high, q + 1, q - 1, bad, 7, q | high, 8, 99])
    out = np.empty(5, np.uint64)
    stream.below_into(out, q)
    assert out.tolist() == [5, 6, q - 1, 7, 8]
    assert stream._words == [99]
    many = [bad] * 3 + list(range(100_000)) + [1, 2, 3]
    stream = Crafted([*many[:50_000], q, q, *many[50_000:]])  # more than one block, with redraws
    out = np.empty(100_000, np.uint64)
    stream.below_into(out, q)
    assert np.array_equal(out, np.arange(100_000))
    assert stream._words == [1, 2, 3]


def test_a_stream_starts_again_at_any_block():
    key = bytes(range(32))
    stream = _random.Stream(key, 7)
    for start in (0, 7, 1, (1 << 64) - 1, 7):
        out = np.empty(1000, np.uint8)
        stream.restart(start)
        stream.fill(out)
        assert out.tobytes() == he_reference.Stream(key, start).read(1000)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_words_are_little_endian(dtype):
    out = np.empty(30_000, dtype)
    _random.Stream(bytes(32)).fill_words(out)
    raw = he_reference.Stream(bytes(32)).read(out.nbytes)
    assert np.array_equal(out, np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")))


def test_reduced_tells_whether_all_words_were_below():
    q = 0xFFFFFF7001
    words = np.array([[1 << 63, q - 1], [2 | 1 << 40, 3]], np.uint64)
    assert _random.reduced(words, q)
    assert words.tolist() == [[0, q - 1], [2, 3]]
    words[1, 1] = q
    assert not _random.reduced(words, q)
