"""he.paillier: what its objects do and refuse."""

import copy
import gc
import os
import pickle
import threading

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, OverflowDetected, ParameterError, RangeError
from sottovoce.he import Codec, _paillier_power, _paillier_primes, paillier
from support.paillier_world import KEYS, NOT_BLUM, REAL, SHORT, TOY, key, make_params

PARAMS = make_params(REAL, 100)


def values_of(params, seed=1):
    bound = params.max_value
    return np.random.default_rng(seed).integers(-bound, bound, params.n_slots, endpoint=True)


# -- keys ----------------------------------------------------------------------------------------


def test_keygen_makes_a_blum_key_of_the_asked_size():
    secret = paillier.keygen(2048)
    public = secret.public_key
    p, q = secret._p.prime, secret._q.prime
    assert public.n == p * q
    assert public.n.bit_length() == public.bits == 2048
    assert p.bit_length() == q.bit_length() == 1024
    assert p % 4 == q % 4 == 3
    assert p < q
    assert (q - p).bit_length() > 1024 - 100
    assert public.exponent_bits == 1024
    # hs = h^n with Jacobi symbol 1 and no square root: an element -x^2.
    for r in (p, q):
        assert pow(public._hs, r - 1, r * r) == 1
        assert pow(public._hs, (r - 1) // 2, r) == r - 1
    again = paillier.SecretKey.from_bytes(secret.to_bytes())
    assert again.public_key == public
    values = values_of(PARAMS)
    assert np.array_equal(again.decrypt(public.encrypt(values, PARAMS)), values)


def test_sizes_of_keys():
    params = {bits: paillier.Params(1, key_bits=bits) for bits in (2048, 3072, 4096)}
    assert [p.slots for p in params.values()] == [78, 118, 157]
    assert [p.slot_bits for p in params.values()] == [26] * 3
    assert paillier.Params(10**6 + 1, 16, 1024, 2048).ciphertext_bytes == 53 + 12821 * 512  # 6.6 bytes each
    assert paillier.Params(5).key_bits == 3072
    assert len(key().public_key.to_bytes()) == 772
    assert len(key().to_bytes()) == 772


@pytest.mark.parametrize("bits", [0, 1024, 2047, 3071, -2048])
def test_keygen_refuses_other_sizes(bits):
    with pytest.raises(ParameterError, match="2048, 3072, 4096"):
        paillier.keygen(bits)


def test_keygen_refuses_other_types():
    with pytest.raises(TypeError, match="bits: int"):
        paillier.keygen(2048.0)
    with pytest.raises(TypeError, match="short: bool"):
        paillier.keygen(2048, short=448)
    with pytest.raises(ParameterError, match="short"):
        paillier.keygen(4096, short=True)


def test_short_exponents_are_short_and_only_by_request():
    for name, n_bytes in ((REAL, 128), (SHORT, 56)):
        drawn = key(name).public_key._draw(50)
        assert drawn.shape == (50, n_bytes)
        assert len({bytes(row) for row in drawn}) == 50
        assert (drawn.max(axis=0) > 127).all()  # no byte of the exponent stands still


def test_primes_are_told_from_products_of_primes_without_small_factors():
    for p in (2003, 4099, 10007):
        assert _paillier_primes.is_prime(p)
        assert not _paillier_primes.is_prime(p * 2003)


def test_random_numbers_below_a_bound_reach_all_of_it():
    drawn = {int(_paillier_primes.below(5)) for _ in range(500)}
    assert drawn == {0, 1, 2, 3, 4}
    assert all(0 <= _paillier_primes.below(257) < 257 for _ in range(500))
    assert {int(_paillier_primes.unit(15)) for _ in range(500)} == {1, 2, 4, 7, 8, 11, 13, 14}


def test_public_key_is_a_value():
    public = key().public_key
    assert pickle.loads(pickle.dumps(public)) == copy.deepcopy(public) == public
    assert hash(pickle.loads(pickle.dumps(public))) == hash(public)
    assert public != key(NOT_BLUM).public_key
    assert public != 3
    with pytest.raises(AttributeError):
        public.bits = 1
    with pytest.raises(AttributeError):
        del public.bits
    for cls in (paillier.PublicKey, paillier.SecretKey, paillier.Ciphertext):
        with pytest.raises(TypeError, match="made by"):
            cls()


# -- encrypting and adding -----------------------------------------------------------------------


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("n_slots", [1, 2, 77, 78, 79, 200])
def test_round_trip(name, n_slots):
    value_bits, max_summands = (4, 2) if name == TOY else (16, 1024)
    params = make_params(name, n_slots, value_bits, max_summands)
    values = values_of(params, n_slots)
    c = key(name).public_key.encrypt(values, params)
    assert np.array_equal(key(name).decrypt(c), values)
    assert c.weight_sum == 1


@pytest.mark.parametrize("pattern", ["most", "least", "alternating", "zero", "one low", "one high"])
def test_extreme_sums_are_exact(pattern):
    # max_summands at the extreme value in every slot: nothing carries.
    params = make_params(REAL, 2 * 78, 16, 1024)
    G = params.max_value
    i = np.arange(params.n_slots)
    values = {
        "most": np.full(len(i), G),
        "least": np.full(len(i), -G),
        "alternating": np.where(i % 2, G, -G),
        "zero": np.zeros(len(i), np.int64),
        "one low": np.where(i % 78 == 0, -G, 0),
        "one high": np.where(i % 78 == 77, -1, 0),
    }[pattern].astype(np.int64)
    c = key().public_key.encrypt(values, params).multiply(params.max_summands)
    assert c.weight_sum == 1024
    assert np.array_equal(key().decrypt(c), 1024 * values)


def test_sum_of_max_summands_one_by_one():
    params = make_params(TOY, 40, 4, 16)
    rng, total, expected = np.random.default_rng(5), None, 0
    total = paillier.CiphertextSum(key(TOY).public_key, params)
    for _ in range(16):
        values = rng.choice([-7, 7], 40).astype(np.int64)
        expected = expected + values
        total.add(key(TOY).public_key.encrypt(values, params))
    assert total.weight_sum == 16
    assert np.array_equal(key(TOY).decrypt(total.to_ciphertext()), expected)
    before = total.to_ciphertext()
    with pytest.raises(RangeError, match="at most 16"):
        total.add(key(TOY).public_key.encrypt(values, params))
    assert total.to_ciphertext() == before


def test_weights_are_tracked_and_bounded():
    public = key().public_key
    values = values_of(PARAMS)
    c = public.encrypt(values, PARAMS)
    a, b = c.multiply(1000), c.multiply(-24)
    assert (a.weight_sum, b.weight_sum) == (1000, 24)
    both = paillier.add([a, b])
    assert both.weight_sum == 1024
    assert np.array_equal(key().decrypt(both), 976 * values)
    with pytest.raises(RangeError, match="1024"):
        paillier.add([both, c])
    with pytest.raises(RangeError, match="1024"):
        c.multiply(1025)
    with pytest.raises(RangeError, match="1024"):
        b.multiply(-43)
    with pytest.raises(ParameterError, match="weight: not 0"):
        c.multiply(0)
    for wrong in (1.0, True, "1", None):
        with pytest.raises(TypeError, match="weight: int"):
            c.multiply(wrong)


def test_sums_of_many_ways_are_equal():
    public = key().public_key
    vectors = [values_of(PARAMS, i) for i in range(6)]
    made = [public.encrypt(v, PARAMS) for v in vectors]
    at_once = paillier.add(iter(made))
    left, right = paillier.CiphertextSum(public, PARAMS), paillier.CiphertextSum(public, PARAMS)
    for c in made[:2]:
        left.add(c)
    for c in made[2:]:
        right.add(c)
    right.merge(left)
    right.merge(paillier.CiphertextSum(public, PARAMS))
    assert right.to_ciphertext() == at_once
    assert right.to_ciphertext().digest == at_once.digest
    assert left.weight_sum == 2
    assert np.array_equal(key().decrypt(at_once), sum(vectors))


def test_a_sum_needs_the_memory_of_one():
    public = key(TOY).public_key
    params = make_params(TOY, 20, 4, 1024)
    alive = []

    def stream():
        for _ in range(20):
            alive.append(sum(isinstance(thing, paillier.Ciphertext) for thing in gc.get_objects()))
            yield public.encrypt(np.ones(20, np.int64), params)

    total = paillier.add(stream())
    assert max(alive) <= alive[0] + 1
    assert key(TOY).decrypt(total).tolist() == [20] * 20


def test_a_weighted_sum_at_one_go():
    public = key(TOY).public_key
    params = make_params(TOY, 3, 4, 1024)
    made = [public.encrypt(np.full(3, i), params) for i in (1, 2, 3)]
    total = paillier.add(made, iter([5, -7, 2]))
    assert key(TOY).decrypt(total).tolist() == [5 - 14 + 6] * 3
    assert total.weight_sum == 14
    for weights, what in (([1, 2], "fewer"), ([1, 2, 3, 4], "more"), ([], "fewer")):
        with pytest.raises(ParameterError, match=f"as many as ciphertexts expected, got {what}"):
            paillier.add(made, weights)
    with pytest.raises(ParameterError, match="not 0"):
        paillier.add(made, [1, 0, 1])


def test_what_does_not_fit_together_is_refused():
    public = key().public_key
    c = public.encrypt(values_of(PARAMS), PARAMS)
    other_key = key(NOT_BLUM).public_key.encrypt(values_of(PARAMS), PARAMS)
    wider = make_params(REAL, 100, 17)
    other_packing = public.encrypt(values_of(PARAMS), wider)
    with pytest.raises(ParameterError, match="another key"):
        paillier.add([c, other_key])
    with pytest.raises(ParameterError, match="another packing"):
        paillier.add([c, other_packing])
    with pytest.raises(ParameterError, match="another key"):
        key().decrypt(other_key)
    with pytest.raises(ParameterError, match="2048 bits expected, got 3072"):
        public.encrypt(values_of(PARAMS), paillier.Params(100))
    with pytest.raises(ParameterError, match="2048 bits expected, got 3072"):
        paillier.CiphertextSum(public, paillier.Params(100))
    with pytest.raises(ParameterError, match="another packing"):
        paillier.CiphertextSum(public, PARAMS).merge(paillier.CiphertextSum(public, wider))
    with pytest.raises(ParameterError, match="at least one"):
        paillier.add([])
    with pytest.raises(ParameterError, match="nothing was added"):
        paillier.CiphertextSum(public, PARAMS).to_ciphertext()
    total = paillier.CiphertextSum(public, PARAMS)
    for call in (
        lambda: paillier.add([c, 1]),
        lambda: paillier.add([1]),
        lambda: total.add(1),
        lambda: total.merge(1),
        lambda: key().decrypt(b""),
        lambda: public.encrypt(values_of(PARAMS), 1),
        lambda: paillier.CiphertextSum(1, PARAMS),
        lambda: paillier.Ciphertext.from_bytes(c.to_bytes(), 1, PARAMS),
        lambda: paillier.Ciphertext.from_bytes(bytearray(c.to_bytes()), public, PARAMS),
        lambda: paillier.PublicKey.from_bytes(None),
        lambda: paillier.SecretKey.from_bytes("x"),
        lambda: paillier.Params.from_bytes(bytearray(17)),
        lambda: pickle.dumps(total),
    ):
        with pytest.raises(TypeError):
            call()


def test_ciphertexts_under_another_hs_of_the_same_n_add():
    # Whoever imports a modulus makes an hs of its own.
    secret = key()
    n, n2 = secret.public_key._n, secret.public_key._n2
    other = paillier.PublicKey._of(n, pow(4, n, n2), 1024)
    assert other != secret.public_key
    assert other.key_id == secret.public_key.key_id
    a, b = values_of(PARAMS, 1), values_of(PARAMS, 2)
    both = paillier.add([secret.public_key.encrypt(a, PARAMS), other.encrypt(b, PARAMS)])
    assert np.array_equal(secret.decrypt(both), a + b)


def test_rerandomized_differs_everywhere_and_opens_to_the_same():
    values = values_of(PARAMS)
    c = key().public_key.encrypt(values, PARAMS)
    fresh = c.rerandomize()
    assert all(x != y for x, y in zip(c._c, fresh._c, strict=True))
    assert (fresh.weight_sum, fresh.params) == (c.weight_sum, c.params)
    assert np.array_equal(key().decrypt(fresh), values)
    assert key().public_key.encrypt(values, PARAMS) != c


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda v: v.tolist(), TypeError, "int64"),
        (lambda v: v.astype(np.int32), TypeError, "int64"),
        (lambda v: v.astype(np.float64), TypeError, "int64"),
        (lambda v: np.ma.masked_array(v, v > 0), TypeError, "mask"),
        (lambda v: v[:-1], ParameterError, r"\(100,\) expected, got \(99,\)"),
        (lambda v: v.reshape(10, 10), ParameterError, "shape"),
        (lambda v: np.where(np.arange(100) == 42, 32768, v), RangeError, r"index 42: not within \+-32767"),
        (lambda v: np.where(np.arange(100) == 99, -32768, v), RangeError, "index 99"),
        (lambda v: np.where(np.arange(100) == 0, np.iinfo(np.int64).min, v), RangeError, "index 0"),
    ],
)
def test_values_are_checked(change, error, message):
    with pytest.raises(error, match=message):
        key().public_key.encrypt(change(values_of(PARAMS)), PARAMS)


def test_values_are_neither_kept_nor_written():
    values = values_of(PARAMS)
    strided = np.repeat(values, 2)[::2]
    strided.flags.writeable = False
    c = key().public_key.encrypt(strided, PARAMS)
    assert np.array_equal(key().decrypt(c), values)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ((0,), ParameterError),
        ((2**32 + 1,), ParameterError),
        ((1, 3), ParameterError),
        ((1, 33), ParameterError),
        ((1, 16, 0), ParameterError),
        ((1, 16, 2**24 + 1), ParameterError),
        ((1, 16, 1024, 1024), ParameterError),
        ((1, 16, 1024, 2048, 79), ParameterError),
        ((1, 16, 1024, 2048, -1), ParameterError),
        ((1.0,), TypeError),
        ((True,), TypeError),
        ((1, "16"), TypeError),
        ((1, 16, None), TypeError),
        ((1, 16, 1024, 2048.0), TypeError),
        ((1, 16, 1024, 2048, 1.0), TypeError),
    ],
)
def test_params_are_checked(fields, error):
    with pytest.raises(error):
        paillier.Params(*fields)


def test_codec_and_back():
    codec = Codec(1.0, 16, 1024)
    params = paillier.Params(1001, codec.value_bits, codec.max_summands, 2048)
    rng = np.random.default_rng(9)
    vectors, weights = [rng.uniform(-1, 1, 1000) for _ in range(3)], [32767, 100, 20000]
    total = paillier.CiphertextSum(key().public_key, params)
    for x, g in zip(vectors, weights, strict=True):
        total.add(key().public_key.encrypt(codec.quantize(x, g), params))
    mean, weight = codec.dequantize(key().decrypt(total.to_ciphertext().rerandomize()), 3)
    assert weight == sum(weights)
    assert np.abs(mean - np.average(vectors, axis=0, weights=weights)).max() < 3 / weight


# -- opening what nobody honest made --------------------------------------------------------------


def forged(plain, weight=1, params=None):
    """A ciphertext of any integers, as a malicious client makes it."""
    params = params or make_params(REAL, 100)
    public = key().public_key
    powers = _paillier_power.powers(public._n, public._hs, public._draw(len(plain)), plain)
    return paillier.Ciphertext._of(public, params, weight, tuple(powers))


@pytest.mark.parametrize(
    ("plain", "weight"),
    [
        ([32768, 0], 1),  # one above the largest value
        ([-32768, 0], 1),
        ([32767 * 3 + 1, 0], 3),
        ([1 << (26 * 77 + 20), 0], 1),  # in the last slot
        ([0, 1 << (26 * 22)], 1),  # in the padding
        ([0, -(1 << (26 * 77))], 1024),
        ([1 << (26 * 78), 0], 1024),  # beyond all slots
        ([-(1 << (26 * 78)), 0], 1024),
        ([1 << 2046, 0], 1024),
        ([(1 << 2047) // 2, 5], 1024),
    ],
)
def test_sums_that_nobody_honest_reaches_are_refused(plain, weight):
    with pytest.raises(OverflowDetected) as caught:
        key().decrypt(forged(plain, weight))
    assert str(caught.value) == str(OverflowDetected())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_bounds_themselves_open():
    assert key().decrypt(forged([32767 * 3, -32767 * 3], 3)).tolist()[::78] == [32767 * 3, -32767 * 3]


def test_a_malicious_client_moves_a_neighbour_and_nobody_sees():
    """The documented limit: within the bounds any integer is a vector."""
    honest = key().public_key.encrypt(np.zeros(100, np.int64), make_params(REAL, 100))
    moved = paillier.add([honest, forged([1 << 26, 0])])
    assert key().decrypt(moved).tolist()[:3] == [0, 1, 0]


# -- threads and forks ---------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_threads_give_the_same(threads):
    params = make_params(REAL, 500)
    values = values_of(params)
    c = key().public_key.encrypt(values, params)
    assert np.array_equal(key().decrypt(c, threads), values)


def test_threads_are_checked():
    c = key().public_key.encrypt(values_of(PARAMS), PARAMS)
    with pytest.raises(ParameterError, match="threads"):
        key().decrypt(c, 0)
    for wrong in (1.0, True, None):
        with pytest.raises(TypeError, match="threads"):
            key().decrypt(c, wrong)


def test_one_key_in_many_threads(monkeypatch):
    monkeypatch.setattr(_paillier_power, "_cache", _paillier_power._Cache())
    monkeypatch.setattr(_paillier_power, "MIN_FOR_TABLE", 8)
    params = make_params(TOY, 60, 4, 4)
    right, lock = [], threading.Lock()

    def work(seed):
        values = values_of(params, seed)
        for _ in range(20):
            c = key(TOY).public_key.encrypt(values, params)
            ok = np.array_equal(key(TOY).decrypt(c), values)
            with lock:
                right.append(ok)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert right == [True] * 160
    assert len(_paillier_power._cache._tables) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads, which is the point
def test_a_fork_while_the_cache_is_locked_can_encrypt_and_draws_other_numbers():
    params = make_params(TOY, 300, 4, 4)
    values = values_of(params)
    key(TOY).decrypt(key(TOY).public_key.encrypt(values, params))
    reader, writer = os.pipe()
    with _paillier_power._cache._lock:
        pid = os.fork()
        if pid == 0:
            try:
                c = key(TOY).public_key.encrypt(values, params)
                ok = np.array_equal(key(TOY).decrypt(c), values)
                os.write(writer, bytes([ok]) + c.digest)
            finally:
                os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    assert answer[:1] == b"\x01"
    assert answer[1:] != key(TOY).public_key.encrypt(values, params).digest
    assert key(TOY)._p._blind[0] == os.getpid()


def test_cache_is_bounded_and_forgets_the_oldest(monkeypatch):
    cache = _paillier_power._Cache()
    toys = [(key(TOY).public_key._n, key(TOY).public_key._hs, 8 * i) for i in range(1, 7)]
    size = sum(map(_paillier_power._table_bytes, toys[1:4]))
    monkeypatch.setattr(_paillier_power, "CACHE_BYTES", size)
    for toy in toys[:3]:
        cache.get(toy, 100)
    assert list(cache._tables) == toys[:3]
    assert cache.get(toys[0], 1) is cache.get(toys[0], 1)
    cache.get(toys[3], 100)
    assert list(cache._tables) == [toys[2], toys[0], toys[3]]
    cache.get(toys[5], 100)
    assert sum(map(_paillier_power._table_bytes, cache._tables)) <= size
    monkeypatch.setattr(_paillier_power, "CACHE_BYTES", 0)
    cache.get(toys[4], 100)
    assert list(cache._tables) == [toys[4]]  # the one in use stays


def test_a_table_is_made_when_it_pays(monkeypatch):
    cache = _paillier_power._Cache()
    toy = (key(TOY).public_key._n, key(TOY).public_key._hs, 64)
    for _ in range(5):
        assert cache.get(toy, 3) is None
    assert cache.get(toy, 3) is not None  # 18 powers together
    assert cache._demand == {}


def test_blinds_are_renewed_and_undone(monkeypatch):
    half = key(TOY)._p
    monkeypatch.setattr(type(half), "MAX_USES", 5)
    blinds = half._blinds(7)
    assert len(set(blinds)) == 7
    assert all(pow(b, half.prime - 1, half.square) == 1 for b in blinds)
    assert half._blind[2] <= 5


# -- bytes ---------------------------------------------------------------------------------------


def test_a_ciphertext_is_a_value():
    c = key().public_key.encrypt(values_of(PARAMS), PARAMS).multiply(3)
    again = paillier.Ciphertext.from_bytes(c.to_bytes(), key().public_key, PARAMS)
    assert again == c == pickle.loads(pickle.dumps(c)) == copy.copy(c)
    assert hash(again) == hash(c)
    assert again.weight_sum == 3
    assert c != 1
    with pytest.raises(AttributeError):
        c.weight_sum = 1
    with pytest.raises(AttributeError):
        del c.weight_sum


def test_another_header_is_refused():
    c = key().public_key.encrypt(values_of(PARAMS), PARAMS).to_bytes()
    with pytest.raises(DecodeError, match="another key"):
        paillier.Ciphertext.from_bytes(c, key(NOT_BLUM).public_key, PARAMS)
    with pytest.raises(DecodeError, match="another packing"):
        paillier.Ciphertext.from_bytes(c, key().public_key, make_params(REAL, 100, 16, 1023))
    with pytest.raises(ParameterError, match="2048"):
        paillier.Ciphertext.from_bytes(c, key().public_key, paillier.Params(100))
