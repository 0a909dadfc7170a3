"""Reports of progress: values done and values in all, from the calling thread, the last one complete."""

import threading

import numpy as np
import pytest

from sottovoce._ext.errors import OverflowDetected
from sottovoce.he import _paillier_power as power
from sottovoce.he import paillier, rlwe
from support import paillier_world as world
from support.rlwe_world import encrypt, make_params, secret_key


class Reports:
    def __init__(self):
        self.seen = []

    def __call__(self, done, total):
        assert threading.current_thread() is threading.main_thread()
        self.seen.append((done, total))

    def check(self, total, at_least):
        assert len(self.seen) >= at_least
        assert {of for _, of in self.seen} == {total}
        done = [so_far for so_far, _ in self.seen]
        assert done == sorted(done)
        assert done[0] >= 0
        assert done[-1] == total


@pytest.mark.parametrize("threads", [1, 3])
def test_paillier(threads):
    key = world.key()
    params = paillier.Params(200 * 78 + 1, key_bits=2048)
    values = np.arange(params.n_slots, dtype=np.int64) % 1000
    reports = [Reports() for _ in range(3)]
    ciphertext = key.public_key.encrypt(values, params, progress=reports[0])
    again = ciphertext.rerandomize(progress=reports[1])
    opened = key.decrypt(again, threads, progress=reports[2])
    assert np.array_equal(opened, values)
    for each, at_least in zip(reports, (30, 30, 4), strict=True):
        each.check(params.n_slots, at_least)


def test_paillier_of_few_and_of_many(monkeypatch):
    key = world.key()
    for n_ciphertexts, many in ((2, power.MANY), (20, 10)):
        monkeypatch.setattr(power, "MANY", many)
        params = paillier.Params(n_ciphertexts, key_bits=2048, slots=1)
        reports = Reports()
        ciphertext = key.public_key.encrypt(np.ones(n_ciphertexts, np.int64), params, progress=reports)
        reports.check(n_ciphertexts, 1)
        assert key.decrypt(ciphertext).tolist() == [1] * n_ciphertexts


@pytest.mark.parametrize("threads", [1, 3])
def test_rlwe(threads):
    params = make_params(100 * 2048 + 5)
    values = np.arange(params.n_slots, dtype=np.int64) % 1000
    ciphertext = encrypt(params, values)
    reports = Reports()
    opened = secret_key().decrypt(ciphertext, threads=threads, progress=reports)
    assert np.array_equal(opened, values)
    reports.check(params.n_slots, 3)
    into, reports = np.empty(params.n_slots, np.int64), Reports()
    secret_key().decrypt_into(ciphertext, into, threads=threads, progress=reports)
    assert np.array_equal(into, values)
    reports.check(params.n_slots, 3)


def test_a_report_that_raises_ends_the_work_and_leaves_nothing():
    class EnoughError(Exception):
        pass

    def enough(done, total):
        raise EnoughError

    params = make_params(100 * 2048)
    ciphertext = encrypt(params, np.ones(params.n_slots, np.int64))
    out = np.ones(params.n_slots, np.int64)
    for threads in (1, 3):
        with pytest.raises(EnoughError):
            secret_key().decrypt_into(ciphertext, out, threads=threads, progress=enough)
        assert not out.any()
    assert secret_key().decrypt(ciphertext).all()
    key = world.key()
    packed = paillier.Params(500, key_bits=2048)
    for threads in (1, 3):
        with pytest.raises(EnoughError):
            key.public_key.encrypt(np.ones(500, np.int64), packed, progress=enough)
        with pytest.raises(EnoughError):
            key.decrypt(key.public_key.encrypt(np.ones(500, np.int64), packed), threads, progress=enough)


def test_refused_sums_are_reported_like_others():
    params = make_params(100 * 2048)
    packed = bytearray(encrypt(params, np.ones(params.n_slots, np.int64)).to_bytes())
    packed[-3000] ^= 0x10
    reports = Reports()
    with pytest.raises(OverflowDetected):
        secret_key().decrypt(rlwe.Ciphertext.from_bytes(bytes(packed), params), progress=reports)
    reports.check(params.n_slots, 3)
