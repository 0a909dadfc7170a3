"""Where secrets may not be: representations, pickles, errors, buffers that were given back, children."""

import ast
import copy
import inspect
import os
import pickle
import subprocess
import sys
import threading
import traceback

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, OverflowDetected, RangeError
from sottovoce.he import _rlwe_public, _rlwe_secret, rlwe
from sottovoce.he._random import Stream
from sottovoce.he._ring import Ring
from support.rlwe_world import (
    ALL_SETS,
    Q50,
    Q100,
    decrypt,
    empty_sum,
    encrypt,
    make_params,
    random_values,
    secret_key,
)


@pytest.mark.parametrize("name", ALL_SETS)
def test_fresh_keys_are_within_their_bounds_and_round_trip(name):
    secret = rlwe.keygen(name)
    assert _rlwe_secret.within_bounds(secret._secret, secret._error)
    assert set(np.unique(secret._secret)) == {-1, 0, 1}
    assert np.abs(secret._error).max() <= 21
    again = rlwe.SecretKey.from_bytes(secret.to_bytes())
    assert again == secret
    assert again.public_key == secret.public_key
    assert len(secret.to_bytes()) == 66 + len(secret._secret) * 5 // 4
    params = make_params(10, name=name)
    c = secret.public_key.encrypt(np.arange(10), params)
    assert np.array_equal(again.decrypt(c), np.arange(10))


def test_keys_beyond_a_bound_are_drawn_again(monkeypatch):
    seen = []
    real = _rlwe_secret.within_bounds

    def once_too_large(s, e):
        seen.append(s.copy())
        return len(seen) > 2 and real(s, e)

    monkeypatch.setattr(_rlwe_secret, "within_bounds", once_too_large)
    # From a seed: one key in 500 is drawn again by itself.
    secret = _rlwe_secret._keygen_derand(Q50, bytes(32))
    assert len(seen) == 3
    assert not np.array_equal(seen[0], seen[1])
    assert np.array_equal(secret._secret, seen[2])


def test_a_secret_key_is_not_copied_pickled_hashed_or_shown():
    secret = secret_key()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            attempt(secret)
    with pytest.raises(TypeError, match="unhashable"):
        hash(secret)
    assert not hasattr(secret, "__dict__")
    assert repr(secret) == str(secret) == f"<rlwe.SecretKey {Q50} of {secret.public_key.key_id[:4].hex()}>"
    assert secret != secret.to_bytes()
    assert secret == rlwe.SecretKey.from_bytes(secret.to_bytes())
    assert secret != rlwe.keygen(Q50)


def test_comparison_of_keys_takes_no_shortcut(monkeypatch):
    calls = []
    real = _rlwe_secret.hmac.compare_digest
    monkeypatch.setattr(_rlwe_secret.hmac, "compare_digest", lambda a, b: calls.append((a, b)) or real(a, b))
    other = rlwe.keygen(Q50)
    assert secret_key() != other
    assert calls == [(secret_key().to_bytes(), other.to_bytes())]


def test_errors_do_not_tell_secrets():
    params = make_params(2048 * 9)
    values = np.zeros(params.n_slots, np.int64)
    values[5] = 987654321987
    with pytest.raises(RangeError) as caught:
        secret_key().public_key.encrypt(values, params)
    assert "987654321987" not in str(caught.value)
    total = empty_sum(params)
    total.add(encrypt(params, np.zeros(params.n_slots, np.int64)))
    total._total[0, 0, 0, 0] ^= np.uint64(1 << (params.scale_bits - 1))
    with pytest.raises(OverflowDetected) as caught:
        decrypt(total)
    assert str(caught.value) == str(OverflowDetected())
    bad = bytearray(secret_key().to_bytes())
    bad[100] ^= 1
    with pytest.raises(DecodeError) as caught:
        rlwe.SecretKey.from_bytes(bytes(bad))
    for frame, _ in traceback.walk_tb(caught.tb):
        if frame.f_code.co_filename.endswith("_rlwe_secret.py"):
            assert set(frame.f_locals) <= {"cls", "data", "self"}
            assert not frame.f_locals["data"]
            assert frame.f_locals["self"] is None
    assert caught.value.__context__ is None


class Watch:
    """Keeps every array that passes as an argument or is allocated as a work space."""

    def __init__(self, monkeypatch):
        self.arrays = []
        self.contents = 0
        for owner, name, places in (
            (Stream, "fill", (1,)),
            (Ring, "multiply", (1, 2)),
            (Ring, "forward", (1,)),
            (Ring, "inverse", (1,)),
            (_rlwe_public.sampler, "ternary", (0,)),
            (_rlwe_public.sampler, "cbd", (0,)),
            (_rlwe_public.codec, "narrow", (0,)),
        ):
            real = getattr(owner, name)

            def watched(*args, real=real, places=places):
                out = real(*args)
                for place in places:
                    self.arrays.append(args[place])
                    self.contents += bool(args[place].any())
                return out

            monkeypatch.setattr(owner, name, watched)


def test_arrays_with_secrets_are_overwritten(monkeypatch):
    params = make_params(2048 * 9, name=Q50)
    values = random_values(params)
    watch = Watch(monkeypatch)
    c = secret_key().public_key.encrypt(values, params, threads=2)
    assert watch.contents > 10
    assert not any(a.any() for a in watch.arrays)
    watch.arrays.clear()
    secret_key().decrypt(c)
    assert watch.arrays
    assert not any(a.any() for a in watch.arrays)


def test_arrays_of_key_generation_are_overwritten(monkeypatch):
    watch = Watch(monkeypatch)
    secret = rlwe.keygen(Q100)
    kept = (secret._secret, secret._error, secret._hat)
    public = (secret.public_key._a, secret.public_key._b)
    left = [
        a for a in watch.arrays
        if a.any() and not any(np.shares_memory(a, b) for b in (*kept, *public))
    ]  # fmt: skip
    # What is left is public: the seed of a before it is hashed, and the words of a's expansion.
    words = [a for a in left if a.dtype == np.uint8]
    assert all(len(a) in (32, 8 * 4096) or len(a) < 8 * 100 for a in words)
    assert len(left) == len(words)


def test_arrays_with_secrets_are_overwritten_after_a_failure(monkeypatch):
    params = make_params(2048 * 9)
    secret, values = secret_key(), random_values(params)
    c = encrypt(params, values)
    for name in ("multiply", "inverse"):
        for act in (lambda: secret.public_key.encrypt(values, params), lambda: secret.decrypt(c)):
            with monkeypatch.context() as patch:
                watch = Watch(patch)

                def stop(_self, x, *_more, watch=watch):
                    watch.arrays.append(x)
                    raise KeyboardInterrupt

                patch.setattr(Ring, name, stop)
                with pytest.raises(KeyboardInterrupt):
                    act()
                assert watch.contents
                assert not any(a.any() for a in watch.arrays if a.base is not secret._hat)


def test_an_interrupted_sum_is_of_no_use(monkeypatch):
    params = make_params(2048 * 9)
    c, total = encrypt(params, random_values(params)), empty_sum(params)
    accumulate = rlwe.CiphertextSum._accumulate

    def stop(self, blocks, block, packed, weight):
        if block.index:
            raise KeyboardInterrupt
        accumulate(self, blocks, block, packed, weight)

    with monkeypatch.context() as patch:
        patch.setattr(rlwe.CiphertextSum, "_accumulate", stop)
        with pytest.raises(KeyboardInterrupt):
            total.add(c)
    with pytest.raises(ValueError, match="of no use"):
        total.add(c)


def test_arithmetic_on_secrets_has_no_selecting_function():
    # numpy's where, select, choose and their like branch for every element.  draw_ternary looks for the
    # places of rejected words, which tell nothing about the values.
    banned = {"where", "select", "choose", "piecewise", "compress", "extract", "nonzero", "mod", "remainder"}
    for module in (_rlwe_public, _rlwe_secret):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np":
                assert node.attr not in banned, f"{module.__name__}, line {node.lineno}"


FORK = """
import hashlib, os, numpy as np
from sottovoce.he import rlwe
params = rlwe.Params("RLWE_128_N2048_Q50", 10, 16, 64)
secret = rlwe.keygen("RLWE_128_N2048_Q50")
zero = np.zeros(10, np.int64)
def show():
    c = secret.public_key.encrypt(zero, params)
    assert not secret.decrypt(c).any()
    key = hashlib.sha256(rlwe.keygen("RLWE_128_N2048_Q50").to_bytes())
    os.write(1, f"{c.digest.hex()} {key.hexdigest()}\\n".encode())  # a line at once: children write too
show()
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        show()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
show()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_repeat_randomness():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    assert len(lines) == 5
    assert len({word for line in lines for word in line}) == 10


def test_one_key_serves_many_threads():
    params = make_params(3000)
    xs = [random_values(params, i) for i in range(8)]
    cs, opened = [None] * 8, [None] * 8
    gate = threading.Barrier(8)

    def work(i):
        gate.wait()
        cs[i] = secret_key().public_key.encrypt(xs[i], params)
        opened[i] = secret_key().decrypt(cs[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(np.array_equal(x, y) for x, y in zip(xs, opened, strict=True))
    assert len(set(cs)) == 8
