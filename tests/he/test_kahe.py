"""Encrypt, share, add, open: what works, and what a one-time key refuses."""

import ast
import copy
import inspect
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from itertools import combinations

import numpy as np
import pytest

from sottovoce._ext.errors import (
    DecodeError,
    OverflowDetected,
    ParameterError,
    ProofError,
    RangeError,
    TooManyErasures,
)
from sottovoce._ext.ntt import Ntt
from sottovoce.he import SETS, Codec, _kahe_blocks, _kahe_key, _kahe_public, _kahe_shares, _shamir, kahe
from sottovoce.he._kahe_public import CACHE_BYTES, _cache, expand_planes, public_planes, seed
from sottovoce.he._random import Stream
from sottovoce.he._shamir import P
from support.he_reference import sha
from support.he_world import ALL_SETS, CONTEXT, World, extreme, make_params, random_values


@pytest.fixture(scope="module")
def world():
    return World(make_params(2500, n_members=5)).fill(6)


def test_the_sum_opens_to_the_sum(world):
    opened = world.open()
    assert opened.values.dtype == np.int64
    assert np.array_equal(opened.values, world.expected())
    assert opened.n_contributors == 6
    assert opened.wrong_members == opened.suspect_members == ()


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("n_slots", [1, 5, -1, 0, 3 + (17 << 11)])
def test_every_shape_and_set(name, n_slots):
    if n_slots <= 1:  # around a whole ring element
        n_slots += make_params(name=name)._slots
    world = World(make_params(n_slots, name=name)).fill(3)
    assert np.array_equal(world.open().values, world.expected())


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("bits", [4, 8, 16, 24])
def test_every_width_of_values(name, bits):
    world = World(make_params(50, name=name, value_bits=bits)).fill(4)
    assert np.array_equal(world.open().values, world.expected())


def test_one_summand_more_than_a_power_of_two():
    world = World(make_params(50, max_summands=5)).fill(5)
    assert np.array_equal(world.open().values, world.expected())


# Bits a value and summands: the default, one slot to many, and 24 bits, where Q80 and Q72 scale by one less.
@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize(("bits", "summands"), [(16, 64), (4, 5), (24, 20)])
@pytest.mark.parametrize("pattern", ["plus", "minus", "alternating", "pairs"])
def test_extremes_open_exactly(name, bits, summands, pattern):
    params = make_params(2 * SETS[name].N - 1, name=name, value_bits=bits, max_summands=summands)
    world = World(params)
    at = np.arange(params.n_slots)
    signs = {"plus": 1, "minus": -1, "alternating": (-1) ** at, "pairs": (-1) ** (at // 2)}[pattern]
    for _ in range(params.max_summands):
        world.join(np.full(params.n_slots, extreme(params)) * signs)
    assert np.array_equal(world.open().values, summands * extreme(params) * signs * np.ones_like(at))


def test_alternating_clients_cancel():
    params = make_params(2048)
    world = World(params)
    for i in range(params.max_summands):
        world.join(np.full(2048, extreme(params) * (-1) ** i))
    assert not world.open().values.any()


@pytest.mark.parametrize("n", [3, 4, 5, 7])
def test_every_committee_of_t_opens(n):
    world = World(make_params(60, n_members=n)).fill(3)
    t = world.params.threshold
    for members in combinations(range(1, n + 1), t):
        assert np.array_equal(world.open(world.share_sums(members[::-1])).values, world.expected())
    for members in combinations(range(1, n + 1), t - 1):
        with pytest.raises(TooManyErasures) as caught:
            world.open(world.share_sums(members))
        assert (caught.value.needed, caught.value.present) == (t, t - 1)


def test_codec_to_mean():
    codec = Codec(0.1, max_summands=64)
    world = World(make_params(301, max_summands=64))
    rng = np.random.default_rng(7)
    xs = [rng.normal(scale=0.05, size=300) for _ in range(5)]
    for x in xs:
        world.join(codec.quantize(x))
    mean, weights = codec.dequantize(world.open().values, 5)
    assert weights == 5 * codec.max_weight
    assert np.abs(mean - np.mean(np.clip(xs, -0.1, 0.1), axis=0)).max() < 0.1 / codec.max_weight


# -- the one-time key ---------------------------------------------------------------------------
def used_key(params):
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    key.encrypt(np.zeros(params.n_slots, np.int64))
    return key


def test_refuses_a_second_vector_and_stays_usable_for_sharing():
    params = make_params(10)
    key = used_key(params)
    with pytest.raises(ParameterError, match="one encrypts once"):
        key.encrypt(np.zeros(10, np.int64))
    assert len(key.share(b"me")[1]) == 4


def test_refuses_sharing_before_encryption():
    key = kahe.OneTimeKey.generate(make_params(10), CONTEXT)
    with pytest.raises(ParameterError, match="encrypt before sharing"):
        key.share(b"me")
    key.encrypt(np.zeros(10, np.int64))  # unchanged by the refusal


def test_is_erased_and_closed_after_sharing():
    key = used_key(make_params(10))
    key.share(b"me")
    assert not key._key.any()
    for call in (lambda: key.share(b"me"), lambda: key.encrypt(np.zeros(10, np.int64))):
        with pytest.raises(ParameterError, match="closed"):
            call()


def test_close_erases_and_is_final():
    key = used_key(make_params(10))
    key.close()
    key.close()
    assert not key._key.any()
    with pytest.raises(ParameterError, match="closed"):
        key.share(b"me")


def test_wrong_arguments_leave_the_key_usable():
    params = make_params(10)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    for bad in ([0] * 10, np.zeros(10), np.zeros(10, np.int32), None):
        with pytest.raises(TypeError):
            key.encrypt(bad)
    for bad in (np.zeros(9, np.int64), np.zeros(11, np.int64), np.zeros((10, 1), np.int64)):
        with pytest.raises(ParameterError):
            key.encrypt(bad)
    for index, value in ((3, 32768), (9, -32768), (0, -(2**63)), (5, 2**62)):
        bad = np.zeros(10, np.int64)
        bad[index] = value
        with pytest.raises(RangeError, match=f"index {index}: ") as caught:
            key.encrypt(bad)
        assert str(value) not in str(caught.value)
    key.encrypt(np.zeros(10, np.int64))
    for bad in ("me", None, 3):
        with pytest.raises(TypeError):
            key.share(bad)
    for bad in (b"", bytes(1025)):
        with pytest.raises(ParameterError):
            key.share(bad)
    key.share(b"me")


def test_a_failure_inside_closes_the_key(monkeypatch):
    params = make_params(10)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    monkeypatch.setattr(kahe.OneTimeKey, "_stream_key", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        key.encrypt(np.zeros(10, np.int64))
    monkeypatch.undo()
    assert not key._key.any()
    with pytest.raises(ParameterError, match="closed"):
        key.encrypt(np.zeros(10, np.int64))


@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("threads", [1, 2])
def test_arrays_with_secrets_are_overwritten(monkeypatch, name, threads):
    filled, keys, products, rows, narrowed = [], [], [], [], []
    fill, multiply, evaluate = Stream.fill, Ntt.multiply, _kahe_key.evaluate
    narrow = _kahe_key.codec.narrow
    monkeypatch.setattr(Stream, "fill", lambda self, out: filled.append(out) or fill(self, out))

    def watched(self, out, a, b):
        keys.append(b)
        products.append(out)
        multiply(self, out, a, b)
        assert b.any()

    def watched_narrow(out, *rest):
        narrowed.append(out)
        return narrow(out, *rest)

    monkeypatch.setattr(Ntt, "multiply", watched)
    monkeypatch.setattr(_kahe_key, "evaluate", lambda c, j: rows.append(c) or evaluate(c, j))
    monkeypatch.setattr(_kahe_key.codec, "narrow", watched_narrow)
    params = make_params(350_000, name=name)  # some blocks
    assert params.n_elements * params.N > 2 * _kahe_blocks.COEFFICIENTS
    monkeypatch.setattr(_kahe_key, "public_planes", lambda p, _, __, count: p._ring.empty(count) * 0 + 1)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    assert len(filled) == 1
    assert not filled[0].any()
    key.encrypt(np.ones(params.n_slots, np.int64), threads)
    assert len(filled) == 1 + len(narrowed)
    assert len(narrowed) == -(-params.n_elements * params.N // _kahe_blocks.COEFFICIENTS) > 2
    for out in (*filled, *keys, *products, *narrowed):
        assert out.size
        assert not out.any()
    key.share(b"me")
    assert len(rows) == 4
    assert all(c.shape == (3, params.N + 4) and not c.any() for c in rows)


def test_arrays_with_secrets_are_overwritten_after_a_failure(monkeypatch):
    keys, filled, narrowed = [], [], []
    fill, narrow = Stream.fill, _kahe_key.codec.narrow

    def stop(_self, _out, _a, b):
        keys.append(b)
        raise KeyboardInterrupt

    params = make_params(10)
    key, other = kahe.OneTimeKey.generate(params, CONTEXT), used_key(params)
    monkeypatch.setattr(Ntt, "multiply", stop)
    monkeypatch.setattr(
        _kahe_key.codec, "narrow", lambda out, *rest: narrowed.append(out) or narrow(out, *rest)
    )
    with pytest.raises(KeyboardInterrupt):
        key.encrypt(np.ones(10, np.int64))
    assert not keys[0].any()
    assert not narrowed[0].any()
    rows = []

    def stop_sharing(c, _j):
        rows.append(c)
        raise KeyboardInterrupt

    monkeypatch.setattr(_kahe_key, "evaluate", stop_sharing)
    with pytest.raises(KeyboardInterrupt):
        other.share(b"me")
    assert not rows[0].any()

    def stop_sampling(_out, _random, _eta):
        raise KeyboardInterrupt

    monkeypatch.setattr(Stream, "fill", lambda self, out: filled.append(out) or fill(self, out))
    monkeypatch.setattr(_kahe_key.sampler, "cbd", stop_sampling)
    with pytest.raises(KeyboardInterrupt):
        kahe.OneTimeKey.generate(params, CONTEXT)
    assert not filled[0].any()


def test_masked_values_are_refused():
    # The check would skip what the mask hides, and the encryption would not.
    params = make_params(10)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    for values in (np.full(10, 10**9), np.zeros(10, np.int64)):
        with pytest.raises(TypeError, match="mask"):
            key.encrypt(np.ma.masked_array(values, mask=True))
    key.encrypt(np.zeros(10, np.int64))


@pytest.mark.parametrize("into", [False, True])
def test_values_are_checked_again_when_they_are_copied(monkeypatch, into):
    # Another thread may write to the caller's array after it was looked at.
    params = make_params(3000)
    values = np.zeros(3000, np.int64)
    extremes = _kahe_key.codec.extremes

    def and_changed(array):
        found = extremes(array)
        values[2900] = 1 << 20
        return found

    monkeypatch.setattr(_kahe_key.codec, "extremes", and_changed)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    with pytest.raises(RangeError, match="index 2900: "):
        key.encrypt_into(values, bytearray(params.ciphertext_bytes)) if into else key.encrypt(values)
    assert not key._key.any()
    with pytest.raises(ParameterError, match="closed"):
        key.encrypt(np.zeros(3000, np.int64))


def test_any_stride_and_subclass_of_values_is_read():
    params = make_params(3000)
    wide = random_values(make_params(9000), np.random.default_rng(5))
    plain = _derived(params, wide[::3].copy())
    assert _derived(params, wide[::3]) == plain
    assert _derived(params, wide[::-3]) == _derived(params, wide[::-3].copy())
    frozen = wide[::3].copy()
    frozen.flags.writeable = False
    assert _derived(params, frozen) == plain
    odd = np.frombuffer(b"x" + frozen.tobytes(), np.uint8)[1:].view(np.int64)
    assert not odd.flags.aligned
    assert _derived(params, odd) == plain
    with pytest.raises(TypeError):
        _derived(params, frozen.astype(">i8"))


def _derived(params, values, threads=1):
    return kahe.OneTimeKey._generate_derand(params, CONTEXT, bytes(32)).encrypt(values, threads)


@pytest.mark.parametrize("name", ALL_SETS)
def test_threads_change_nothing(name):
    params = make_params(150_000, name=name, max_summands=5)
    values = random_values(params, np.random.default_rng(1))
    plain = _derived(params, values)
    for threads in (2, 3, 16):
        assert _derived(params, values, threads) == plain
    world = World(params).fill(3)
    for threads in (1, 2, 3, 16):
        assert np.array_equal(world.open(threads=threads).values, world.expected())
    world.ciphertexts[0] = plain  # of another key
    for threads in (1, 2, 3):
        with pytest.raises(OverflowDetected):
            world.open(threads=threads)


def test_threads_out_of_range_are_refused(world):
    key = kahe.OneTimeKey.generate(world.params, CONTEXT)
    values = np.zeros(world.params.n_slots, np.int64)
    for bad, error in ((0, ParameterError), (-1, ParameterError), (257, ParameterError), (1.0, TypeError)):
        with pytest.raises(error, match="threads: "):
            key.encrypt(values, bad)
        with pytest.raises(error, match="threads: "):
            world.open(threads=bad)
    key.encrypt(values, 256)


def test_arithmetic_on_secrets_has_no_selecting_function():
    # numpy's where, select, choose and their like branch for every element.
    banned = {"where", "select", "choose", "piecewise", "compress", "extract", "nonzero", "mod", "remainder"}
    for module in (_kahe_key, _shamir):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np":
                assert node.attr not in banned, f"{module.__name__}, line {node.lineno}"


def test_reduction_modulo_p():
    x = np.array([0, 1, P - 1, P, P + 1, 2 * P, P * P, 2**62, 2**63 - 1], np.uint64)
    assert _shamir.reduce(x).tolist() == [int(v) % P for v in x]


def test_only_one_thread_gets_a_ciphertext():
    params = make_params(4000)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    done, refused = [], []
    gate = threading.Barrier(8)

    def work():
        gate.wait()
        try:
            done.append(key.encrypt(np.ones(4000, np.int64)))
        except ParameterError:
            refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert (len(done), len(refused)) == (1, 7)


def test_secrets_are_not_copied_pickled_or_shown(world):
    key = used_key(world.params)
    secrets = [key, world.shares[0][0], world.share_sum(1)]
    for secret in secrets:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="secret"):
                attempt(secret)
        assert not hasattr(secret, "__dict__")
        assert len(repr(secret)) < 70
    assert repr(key) == "<kahe.OneTimeKey encrypted>"
    for cls in (kahe.OneTimeKey, kahe.KeyShare, kahe.DegreeProof, kahe.Ciphertext):
        with pytest.raises(TypeError):
            cls()


FORK = """
import os, numpy as np
from sottovoce.he import kahe
from sottovoce._ext.errors import ParameterError
params = kahe.Params("RLWE_128_N2048_Q50", 10, 16, 64, 4)
shared = kahe.OneTimeKey.generate(params, bytes(32))
read, write = os.pipe()
zero = np.zeros(10, np.int64)
if os.fork() == 0:
    try:
        shared.encrypt(zero)
        os.write(write, b"used")
    except ParameterError:
        os.write(write, kahe.OneTimeKey.generate(params, bytes(32)).encrypt(zero).digest)
    os._exit(0)
os.wait()
child = os.read(read, 100)
print(len(child), child != kahe.OneTimeKey.generate(params, bytes(32)).encrypt(zero).digest)
shared.encrypt(zero)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_neither_uses_the_parents_key_nor_repeats_its_randomness():
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["32", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads, which is the point
@pytest.mark.parametrize("held", ["key", "cache"])
def test_a_fork_while_a_lock_is_held_does_not_wait_for_ever(held):
    params = make_params(10)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    zero = np.zeros(10, np.int64)
    lock = key._lock if held == "key" else _kahe_public._lock
    reader, writer = os.pipe()
    with lock:
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(20)
                kahe.OneTimeKey.generate(params, CONTEXT).encrypt(zero)
                for use in (lambda: key.encrypt(zero), lambda: key.share(b"me")):
                    with pytest.raises(ParameterError, match="another process"):
                        use()
                key.close()
                os.write(writer, bytes([not key._key.any()]))
            finally:
                os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    assert answer == b"\x01"
    assert key._key.any()  # that of this process
    key.encrypt(zero)


@pytest.mark.parametrize("call", ["encrypt", "share", "close"])
def test_a_key_is_not_used_by_what_it_calls(call):
    # It would wait for itself; erased in between, it would share zeros.
    params = make_params(10)
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    zero = np.zeros(10, np.int64)
    use = {"encrypt": lambda: key.encrypt(zero), "share": lambda: key.share(b"me"), "close": key.close}[call]

    class File:
        def write(self, data):
            use()
            return len(data)

    with pytest.raises(ParameterError, match="in use"):
        key.encrypt_into(zero, File())
    assert repr(key) == "<kahe.OneTimeKey closed>"
    assert not key._key.any()


def test_equal_vectors_give_different_ciphertexts_and_shares():
    world = World(make_params(10))
    for _ in range(2):
        world.join(np.zeros(10, np.int64))
    assert world.ciphertexts[0] != world.ciphertexts[1]
    assert world.shares[0][0].to_bytes() != world.shares[1][0].to_bytes()
    assert world.shares[0][0].to_bytes()[:32] != world.shares[0][1].to_bytes()[:32]


# -- public elements ----------------------------------------------------------------------------
def test_the_seed_is_the_hash_of_the_context_and_nobodys_choice():
    # attack: who chooses the seed of a chooses one that reveals keys.
    assert seed(CONTEXT) == sha("SOTTOVOCE-V1-KAHE-SEED", CONTEXT)
    fields = set(inspect.signature(kahe.Params).parameters)
    assert fields == {"set", "n_slots", "value_bits", "max_summands", "n_members", "wire_bits"}
    assert list(inspect.signature(kahe.OneTimeKey.generate).parameters) == ["params", "context"]


def test_another_context_or_set_has_other_elements_and_does_not_open(world):
    other = bytes(31) + b"\1"
    assert not np.array_equal(
        expand_planes(world.params, CONTEXT, 0, 1), expand_planes(world.params, other, 0, 1)
    )
    total = kahe.CiphertextSum(world.params, other)
    for c in world.ciphertexts:
        total.add(c)
    with pytest.raises(OverflowDetected):
        kahe.open_sum(world.params, other, total, world.share_sums(), 6)
    for bad in (bytes(31), bytes(33), b""):
        with pytest.raises(ParameterError):
            kahe.OneTimeKey.generate(world.params, bad)
    with pytest.raises(TypeError):
        kahe.OneTimeKey.generate(world.params, "x" * 32)


@pytest.mark.parametrize("name", ALL_SETS)
def test_cached_elements_are_those_expanded_and_read_only(name):
    params = make_params(5 * make_params(name=name)._slots, name=name)
    primes = SETS[name].primes
    cached = public_planes(params, CONTEXT, 1, 3)
    assert cached.shape == (len(primes), 3, params.N)
    assert np.array_equal(cached, expand_planes(params, CONTEXT, 1, 3))
    assert np.array_equal(expand_planes(params, CONTEXT, 0, 5)[:, 1:4], cached)
    with pytest.raises(ValueError, match="read-only"):
        cached[0, 0, 0] = 1
    for plane, q in zip(cached, primes, strict=True):
        assert (plane < q).all()


def test_the_cache_is_bounded():
    params = make_params(2048 * 1000)  # 16 MiB a round
    for i in range(6):
        public_planes(params, bytes([i]) * 32, 0, 1)
    assert sum(a.nbytes for a, _ in _cache.values()) <= CACHE_BYTES
    huge = make_params(2048 * 5000)
    public_planes(huge, CONTEXT, 4990, 2)
    assert all(key[2] != huge.n_elements for key in _cache)
    _cache.clear()


# -- sums ---------------------------------------------------------------------------------------
def test_sums_do_not_depend_on_order_or_grouping(world):
    p, c = world.params, world.ciphertexts
    whole = world.total()
    left, right = kahe.CiphertextSum(p, CONTEXT), kahe.CiphertextSum(p, CONTEXT)
    for x in (c[5], c[0], c[3]):
        left.add(x)
    for x in (c[4], c[1], c[2]):
        right.add(x)
    before = right.digest
    left.merge(right)
    assert right.digest == before
    assert left.digest == whole.digest
    assert left.count == 6
    left.subtract(c[2])
    assert left.digest == world.total({0, 1, 3, 4, 5}).digest
    left.add(c[2])
    assert left.to_bytes() == whole.to_bytes()


def test_sum_bytes_and_pickle(world):
    total = world.total()
    data = total.to_bytes()
    assert len(data) == world.params.sum_bytes
    assert data[:4] == (6).to_bytes(4, "little")
    for again in (
        kahe.CiphertextSum.from_bytes(data, world.params, CONTEXT),
        pickle.loads(pickle.dumps(total)),
    ):
        assert again.to_bytes() == data
        assert again.count == 6
        opened = kahe.open_sum(world.params, CONTEXT, again, world.share_sums(), 6)
        assert np.array_equal(opened.values, world.expected())


def test_public_objects_are_values(world):
    for made in (world.ciphertexts[0], world.proofs[0]):
        again = pickle.loads(pickle.dumps(made))
        assert again == made
        assert hash(again) == hash(made)
        assert made != world.ciphertexts[1]
        assert made != 3
        with pytest.raises(AttributeError):
            made.params = None
        with pytest.raises(AttributeError):
            del made.params
    with pytest.raises(AttributeError):
        world.shares[0][0].index = 2


def test_sums_refuse_more_than_declared():
    params = make_params(10, max_summands=3)
    world = World(params).fill(4)
    total = world.total({0, 1, 2})
    before = total.digest
    with pytest.raises(RangeError):
        total.add(world.ciphertexts[3])
    other = world.total({3})
    with pytest.raises(RangeError):
        total.merge(other)
    assert (total.digest, total.count) == (before, 3)
    shares = world.share_sum(1, {0, 1, 2})
    with pytest.raises(RangeError):
        shares.add(world.shares[3][0])
    assert shares.count == 3


def test_sums_refuse_what_is_not_theirs(world):
    p = world.params
    other = World(make_params(2501, n_members=5)).fill(1)
    total = world.total()
    before = total.digest
    with pytest.raises(ParameterError):
        total.add(other.ciphertexts[0])
    with pytest.raises(ParameterError):
        total.subtract(other.ciphertexts[0])
    with pytest.raises(ParameterError):
        total.merge(other.total())
    with pytest.raises(ParameterError):
        total.merge(kahe.CiphertextSum(p, bytes(32)))
    for bad in (None, b"x", world.shares[0][0]):
        with pytest.raises(TypeError):
            total.add(bad)
        with pytest.raises(TypeError):
            total.merge(bad)
    assert total.digest == before
    with pytest.raises(ParameterError):
        kahe.CiphertextSum(p, CONTEXT).subtract(world.ciphertexts[0])
    shares = world.share_sum(1)
    for bad in (world.shares[0][1], other.shares[0][0]):
        with pytest.raises(ParameterError):
            shares.add(bad)
    with pytest.raises(TypeError):
        shares.add(b"x")
    with pytest.raises(ParameterError):
        kahe.ShareSum(p, 0)
    with pytest.raises(ParameterError):
        kahe.ShareSum(p, 6)
    with pytest.raises(TypeError):
        kahe.ShareSum(p, True)


def test_a_contributor_counts_once_in_a_share_sum(world):
    # Three times the same share would be three contributors, and open one client's vector.
    share, other = world.shares[0][0], world.shares[1][0]
    again = kahe.KeyShare.from_bytes(share.to_bytes(), world.params, 1)
    total = kahe.ShareSum(world.params, 1)
    total.add(share)
    for repeated in (share, again):
        with pytest.raises(ParameterError, match="already"):
            total.add(repeated)
    assert total.count == 1
    named = kahe.ShareSum(world.params, 1)
    named.add(share, b"one")
    with pytest.raises(ParameterError, match="already"):
        named.add(other, b"one")
    for mixed, sender in ((named, None), (total, b"one")):
        with pytest.raises(ParameterError, match="of all contributors or of none"):
            mixed.add(share, sender)
        assert mixed.count == 1
    # Clients that conspire can make equal shares: with their names that stops nobody.
    named.add(again, b"two")
    named.add(other, b"three")
    assert named.count == 3
    for bad, error in ((b"", ParameterError), ("one", TypeError), (bytes(1025), ParameterError)):
        with pytest.raises(error):
            named.add(world.shares[2][0], bad)
    assert named.count == 3
    expected = (2 * share._share + other._share) % P
    assert np.array_equal(named._total, expected)


def test_a_share_sum_that_was_handed_out_takes_no_more(world):
    # The difference of two sums is the share that was added between them.
    total = world.share_sum(1, {0, 1, 2})
    data = total.to_bytes()
    for closed in (total, kahe.ShareSum.from_bytes(data, world.params, 1)):
        with pytest.raises(ParameterError, match="handed out"):
            closed.add(world.shares[3][0])
        assert closed.to_bytes() == data
    few = world.share_sum(1, {0, 1})
    with pytest.raises(ParameterError, match="at least 3"):
        few.to_bytes()
    few.add(world.shares[2][0])  # nothing was handed out
    assert few.to_bytes() == data


def test_a_share_sum_takes_no_share_while_it_is_handed_out(world, monkeypatch):
    # One thread is about to add when another asks for the sum: what it gets is what everybody gets later.
    total = world.share_sum(1, {0, 1, 2})
    adding, handed = threading.Event(), []
    reduce = _kahe_shares.reduce

    def slow(x):
        adding.set()
        asker.join(0.5)
        return reduce(x)

    monkeypatch.setattr(_kahe_shares, "reduce", slow)
    asker = threading.Thread(target=lambda: adding.wait(20) and handed.append(total.to_bytes()))
    asker.start()
    total.add(world.shares[3][0])
    asker.join()
    assert handed == [total.to_bytes()]


def test_too_few_contributors_are_refused_by_member_and_opener():
    world = World(make_params(10)).fill(2)
    with pytest.raises(ParameterError, match="at least 3"):
        world.share_sum(1).to_bytes()
    with pytest.raises(ParameterError, match="n_contributors"):
        world.open()
    with pytest.raises(ParameterError, match="at least 3"):
        kahe.ShareSum(world.params, 1).to_bytes()


def test_opener_checks_its_arguments(world):
    p, total, sums = world.params, world.total(), world.share_sums()
    for arguments, error in (
        ((p, CONTEXT, total, sums, 5), ParameterError),
        ((p, CONTEXT, total, sums, 65), ParameterError),
        ((p, CONTEXT, total, sums, 6.0), TypeError),
        ((p, bytes(32), total, sums, 6), ParameterError),
        ((make_params(2501, n_members=5), CONTEXT, total, sums, 6), ParameterError),
        ((p, CONTEXT, total, [*sums, sums[0]], 6), ParameterError),
        ((p, CONTEXT, total, [b"x"], 6), TypeError),
        ((p, CONTEXT, b"x", sums, 6), TypeError),
        ((None, CONTEXT, total, sums, 6), TypeError),
        ((p, CONTEXT, total, [], 6), TooManyErasures),
    ):
        with pytest.raises(error):
            kahe.open_sum(*arguments)
    other = World(make_params(10, n_members=5)).fill(6)
    with pytest.raises(ParameterError):
        kahe.open_sum(p, CONTEXT, total, other.share_sums(), 6)


# -- degree proof -------------------------------------------------------------------------------
def test_every_member_accepts_an_honest_proof(world):
    for i, (c, proof, shares) in enumerate(zip(world.ciphertexts, world.proofs, world.shares, strict=True)):
        for share in shares:
            again = kahe.KeyShare.from_bytes(share.to_bytes(), world.params, share.index)
            kahe.DegreeProof.from_bytes(proof.to_bytes(), world.params).verify(
                CONTEXT, world.sender(i), c.digest, again
            )


def test_proof_binds_context_sender_ciphertext_index_and_client(world):
    proof, share, digest = world.proofs[0], world.shares[0][0], world.ciphertexts[0].digest
    me = world.sender(0)
    wrong_index = kahe.KeyShare.from_bytes(share.to_bytes(), world.params, 2)
    for arguments in (
        (bytes(32), me, digest, share),
        (CONTEXT, b"somebody else", digest, share),
        (CONTEXT, me, world.ciphertexts[1].digest, share),
        (CONTEXT, me, digest, wrong_index),
        (CONTEXT, me, digest, world.shares[1][0]),
    ):
        with pytest.raises(ProofError, match="does not match the degree proof"):
            proof.verify(*arguments)
    for arguments, error in (
        ((bytes(31), me, digest, share), ParameterError),
        ((CONTEXT, b"", digest, share), ParameterError),
        ((CONTEXT, me, digest[:31], share), ParameterError),
        ((CONTEXT, me, "x", share), TypeError),
        ((CONTEXT, me, digest, b"x"), TypeError),
    ):
        with pytest.raises(error):
            proof.verify(*arguments)
    with pytest.raises(ParameterError):
        proof.verify(CONTEXT, me, digest, World(make_params(10, n_members=5)).fill(1).shares[0][0])


@pytest.mark.parametrize("at", [0, 31, 32, 47, 48, 48 + 4 * 2047])
def test_any_altered_byte_of_a_share_is_found(world, at):
    data = bytearray(world.shares[0][2].to_bytes())
    data[at] ^= 1
    share = kahe.KeyShare.from_bytes(bytes(data), world.params, 3)
    with pytest.raises(ProofError):
        world.proofs[0].verify(CONTEXT, world.sender(0), world.ciphertexts[0].digest, share)


@pytest.mark.parametrize("at", [0, 32 * 2, 32 * 4 + 31, 32 * 5, 32 * 5 + 63])
def test_any_altered_byte_of_a_proof_is_found(world, at):
    data = bytearray(world.proofs[0].to_bytes())
    data[at] ^= 1
    proof = kahe.DegreeProof.from_bytes(bytes(data), world.params)
    with pytest.raises(ProofError):
        # Every byte is hashed into gamma or compared, so it fails for a member other than the one hit.
        proof.verify(CONTEXT, world.sender(0), world.ciphertexts[0].digest, world.shares[0][3])


# -- honest limits ------------------------------------------------------------------------------
def test_a_member_below_the_threshold_learns_nothing_from_its_sum():
    # t - 1 shares are uniform whatever the key: 64 equal bins, and every pair of members jointly.
    params = make_params(10, n_members=4)
    world = World(params)
    for i in range(40):
        world.join(np.zeros(10, np.int64), seed=bytes([i]) * 32)
    shares = [[np.frombuffer(s.to_bytes(), "<u4", offset=48) for s in client] for client in world.shares]
    for members in combinations(range(4), params.threshold - 1):
        columns = [np.concatenate([client[j] for client in shares]) >> np.uint32(28) for j in members]
        joint = columns[0] * 8 + columns[1]
        counts = np.bincount(joint.astype(int), minlength=64)
        expected = len(joint) / 64
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert 20 < chi2 < 130  # 63 degrees of freedom: beyond 6 standard deviations otherwise


def test_random_values_cover_the_extremes():
    params = make_params(100_000, value_bits=4)
    values = random_values(params, np.random.default_rng(1))
    assert (values.min(), values.max()) == (-7, 7)


def test_a_sum_of_nothing_is_zero(world):
    empty = kahe.CiphertextSum(world.params, CONTEXT).to_bytes()
    assert kahe.CiphertextSum.from_bytes(empty, world.params, CONTEXT).to_bytes() == empty
    for at in (4, len(empty) // 2, len(empty) - 1):
        data = bytearray(empty)
        data[at] ^= 1
        with pytest.raises(DecodeError, match="nothing was added"):
            kahe.CiphertextSum.from_bytes(bytes(data), world.params, CONTEXT)
        with pytest.raises(DecodeError, match="nothing was added"):
            kahe.CiphertextSum.read_from(io.BytesIO(data), world.params, CONTEXT)
