"""Batches over executors: the same results on threads, processes and here, however they are cut."""

import multiprocessing
import pickle
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce.clsc import (
    MasterKey,
    Mode,
    Opened,
    ParameterError,
    SecretKey,
    SenderError,
    SignatureError,
    UnsigncryptError,
    Usage,
    batch,
    batch_verify,
    hashes,
    sign,
    signature,
    signcrypt,
    unsigncrypt,
    unsigncrypt_batch,
)
from sottovoce.clsc.pool import map_runs, runs
from support.clsc_attacker import CoReceiver
from support.clsc_pool import load_failing, load_nothing, load_receiver, load_wrong, portable_trust
from support.clsc_world import NOT_AFTER, NOT_BEFORE, Drbg, World

SEED = "executors"


class Inline(Executor):
    """Works at once; remembers what it was given, pickled as for another machine."""

    def __init__(self):
        self.tasks = []

    def submit(self, function, /, *args):
        self.tasks.append(pickle.dumps((function, args)))
        future = Future()
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="module")
def worlds():
    """Two epochs of one root."""
    first, second = World(SEED), World(SEED, b"2026-W48")
    second.master = {
        mode: MasterKey._generate_derand(
            first.root, mode, b"2026-W48", NOT_BEFORE, NOT_AFTER, Drbg(f"second {mode}")
        )
        for mode in Mode
    }
    second.params = {mode: master.params for mode, master in second.master.items()}
    return first, second


@pytest.fixture(scope="module")
def trust(worlds):
    return portable_trust(*worlds)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def threads():
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def packets(worlds):
    """Good ones of several senders, modes and epochs, and every kind of bad one."""
    first, second = worlds
    bob, carol = first.receiver("bob"), first.receiver("carol")
    to = [bob.public_key]
    good = [
        signcrypt(b"%d" % i, sender=world.signer(name, mode), receivers=to, pad=True)
        for i, (world, name, mode) in enumerate(
            [
                (first, "alice", Mode.IDENTITY), (first, "alice", Mode.IDENTITY),
                (second, "alice", Mode.IDENTITY),
                (first, "p", Mode.BLIND), (second, "q", Mode.BLIND), (first, "t", Mode.TRACEABLE),
            ]
        )
    ]  # fmt: skip
    insider = CoReceiver(good[0], bob)
    other = CoReceiver(good[1], bob).head.signature
    return [
        *good,
        insider.rewrite(signature=other),
        signcrypt(b"", sender=first.signer(), receivers=[carol.public_key]),
        b"junk",
        signcrypt(b"", sender=World("elsewhere").signer(), receivers=to),
        insider.rewrite(signature=bytes(176)),
        good[3][:-1],
    ]


def same(first, second):
    return len(first) == len(second) and all(
        a == b if isinstance(a, Opened) else (type(a), a.args) == (type(b), b.args)
        for a, b in zip(first, second, strict=True)
    )


def test_results_do_not_depend_on_the_executor(worlds, trust, packets, threads, processes):
    bob, load = worlds[0].receiver("bob"), partial(load_receiver, SEED, "bob")
    many = packets * 4
    expected = []
    for data in packets:
        try:
            expected.append(unsigncrypt(data, receiver=bob, trust=trust))
        except (UnsigncryptError, SenderError) as error:
            expected.append(error)
    assert [type(r) for r in expected] == [Opened] * 6 + [
        SenderError, UnsigncryptError, UnsigncryptError, SenderError, SenderError, UnsigncryptError,
    ]  # fmt: skip
    for receiver, executor in ((bob, None), (load, None), (bob, threads), (load, threads), (load, processes)):
        found = unsigncrypt_batch(many, receiver=receiver, trust=trust, executor=executor)
        assert same(found, expected * 4)
        assert all(r.__traceback__ is None for r in found if isinstance(r, Exception))
        assert unsigncrypt_batch([], receiver=receiver, trust=trust, executor=executor) == []


def test_a_repeated_sender_is_hashed_once_and_never_taken_for_another(worlds, trust, monkeypatch):
    """One name with two keys, one key in two epochs: each packet is checked with its own."""
    first, second = worlds
    bob = first.receiver("bob")
    senders = [first.signer(), second.signer(), first.make_key("other x", Usage.SIGN, identity=b"alice")]
    packets = [signcrypt(b"%d" % i, sender=senders[i % 3], receivers=[bob.public_key]) for i in range(9)]
    hashed = []
    real = hashes.hash_identity
    monkeypatch.setattr(hashes, "hash_identity", lambda *a: hashed.append(a) or real(*a))
    found = unsigncrypt_batch(packets, receiver=bob, trust=trust)
    assert [result.sender for result in found] == [key.public_key for key in senders] * 3
    assert [result.plaintext for result in found] == [b"%d" % i for i in range(9)]
    assert len(hashed) == len(set(hashed)) == 3


def test_no_secret_key_is_sent_anywhere(worlds, trust, packets, processes):
    bob, load = worlds[0].receiver("bob"), partial(load_receiver, SEED, "bob")
    with pytest.raises(TypeError, match="secret"):
        unsigncrypt_batch(packets, receiver=bob, trust=trust, executor=processes)
    seen = Inline()
    unsigncrypt_batch(packets * 2, receiver=load, trust=trust, executor=seen)
    assert len(seen.tasks) == 2
    secrets = [bob._x.to_bytes(32, "big"), bob._x.to_bytes(32, "little"), bob._d_bytes]
    for task in seen.tasks:
        assert not any(secret in task for secret in secrets)


@settings(max_examples=10)
@given(st.data())
def test_results_do_not_depend_on_how_it_is_cut(worlds, trust, packets, threads, data):
    chosen = data.draw(st.lists(st.integers(0, len(packets) - 1), max_size=12))
    run = data.draw(st.integers(1, 13))
    bob = worlds[0].receiver("bob")
    many = [packets[i] for i in chosen]
    expected = unsigncrypt_batch(many, receiver=bob, trust=trust)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "_PACKETS_PER_TASK", run)
        found = unsigncrypt_batch(many, receiver=lambda: bob, trust=trust, executor=threads)
    assert same(found, expected)


@pytest.fixture(scope="module")
def signed(worlds):
    """Signatures of three epochs and modes; the second list says which hold."""
    items, good = [], []
    for i in range(9):
        world, mode = worlds[i % 2], [Mode.IDENTITY, Mode.BLIND, Mode.TRACEABLE][i % 3]
        key = world.signer("signer", mode)
        text = b"message %d" % i
        value = sign(key, text)
        if i in (2, 7):
            text += b"!"
        if i == 5:
            value = value[:-1]
        items.append((key.public_key, text, value))
        good.append(i not in (2, 5, 7))
    return items, good


def bad_indices(items, executor):
    try:
        batch_verify(items, executor=executor)
    except SignatureError as error:
        return error.bad_indices
    return ()


@settings(max_examples=15)
@given(st.data())
def test_bad_signatures_are_named_exactly(signed, threads, data):
    items, good = signed
    chosen = data.draw(st.lists(st.integers(0, len(items) - 1), max_size=12))
    run = data.draw(st.integers(1, 13))
    many = [items[i] for i in chosen]
    expected = tuple(at for at, i in enumerate(chosen) if not good[i])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signature, "_SIGNATURES_PER_TASK", run)
        assert bad_indices(many, threads) == expected
    assert bad_indices(many, None) == expected


def test_signatures_on_processes(signed, processes):
    items, good = signed
    many = [item for item, holds in zip(items, good, strict=True) if holds] * 12 + items
    assert len(many) > signature._SIGNATURES_PER_TASK
    assert bad_indices(many, processes) == tuple(72 + i for i in (2, 5, 7))
    assert bad_indices(many[:70], processes) == ()
    for executor in (None, processes):
        with pytest.raises(TypeError, match="bytes"):
            batch_verify([*items, (items[0][0], "text", b"")], executor=executor)


def test_wrong_receivers_and_loaders(worlds, trust, packets, threads, processes):
    def attempt(receiver, executor):
        return unsigncrypt_batch(packets, receiver=receiver, trust=trust, executor=executor)

    for executor in (None, threads, processes):
        for receiver, error, match in (
            (worlds[0].signer(), ParameterError, "decrypt"),
            (partial(load_wrong, SEED), ParameterError, "decrypt"),
            (load_nothing, TypeError, "SecretKey"),
            (worlds[0].receiver("bob").public_key, TypeError, "SecretKey"),
            (partial(load_failing, b"TOPSECRET"), RuntimeError, "18 bytes"),
        ):
            with pytest.raises(error, match=match) as caught:
                attempt(receiver, executor)
            for frame in frames(caught.value):
                loaded = [
                    v for v in frame.f_locals.values() if isinstance(v, SecretKey) and v is not receiver
                ]
                assert not loaded
                assert b"TOPSECRETTOPSECRET" not in frame.f_locals.values()


def frames(error):
    """Of the workers; what the caller gave, the caller's own frames keep."""
    while error is not None:
        tb = error.__traceback__
        while tb:
            name = tb.tb_frame.f_globals["__name__"]
            if name.startswith("sottovoce.clsc") and tb.tb_frame.f_code.co_name != "unsigncrypt_batch":
                yield tb.tb_frame
            if name == "support.clsc_pool":
                yield tb.tb_frame
            tb = tb.tb_next
        error = error.__context__


def test_runs_cover_everything_in_order():
    for n in range(40):
        for size in range(1, 12):
            cut = runs(range(n), size)
            assert [i for run in cut for i in run] == list(range(n))
            assert all(1 <= len(run) <= size for run in cut)
            assert len(cut) == -(-n // size)
    assert map_runs(Inline(), sum, range(10), 4, 1) == [4, 13, 31]


def test_a_failing_task_takes_back_the_others():
    class Lazy(Executor):
        def __init__(self):
            self.futures = []

        def submit(self, function, /, *args):
            self.futures.append(Future())
            if len(self.futures) == 1:
                self.futures[0].set_exception(ValueError("first"))
            return self.futures[-1]

    executor = Lazy()
    with pytest.raises(ValueError, match="first"):
        map_runs(executor, sum, range(10), 4)
    assert [future.cancelled() for future in executor.futures] == [False, True, True]
