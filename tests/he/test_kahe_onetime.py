"""The one-time key: what it does once, refuses, erases and hides."""

import ast
import copy
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from sottovoce._ext.errors import (
    OverflowDetected,
    ParameterError,
    RangeError,
)
from sottovoce._ext.ntt import Ntt
from sottovoce.he import _kahe_blocks, _kahe_key, _kahe_public, _shamir, kahe
from sottovoce.he._random import Stream
from sottovoce.he._shamir import P
from support.he_world import ALL_SETS, CONTEXT, World, make_params, random_values


@pytest.fixture(scope="module")
def world():
    return World(make_params(2500, n_members=5)).fill(6)


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
