"""Long vectors by blocks: buffers and files at both ends, nobody's memory doubled, no half-made sums."""

import array
import hashlib
import io
import json
import mmap
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sottovoce._ext.errors import DecodeError, OverflowDetected, ParameterError, RangeError
from sottovoce.he import _kahe_blocks, _kahe_public, kahe
from support.he_world import ALL_SETS, CONTEXT, Q80, World, altered, make_params, random_values

SEED = bytes(range(32))
LENGTH = 100_000  # some blocks, the last one not full


@pytest.fixture(scope="module")
def params():
    made = make_params(LENGTH)
    assert made.n_elements * made.N > 3 * _kahe_blocks.COEFFICIENTS
    assert made.n_elements * made.N % _kahe_blocks.COEFFICIENTS
    return made


@pytest.fixture(scope="module")
def values(params):
    return random_values(params, np.random.default_rng(3))


@pytest.fixture(scope="module")
def plain(params, values):
    return fresh(params).encrypt(values).to_bytes()


def fresh(params):
    return kahe.OneTimeKey._generate_derand(params, CONTEXT, SEED)


def buffers(size, folder):
    """Writable buffers of many kinds, and how to read their bytes."""
    yield bytearray(size), bytes
    yield memoryview(bytearray(size + 9))[4:-5], bytes
    yield np.zeros(size, np.uint8), lambda b: b.tobytes()
    yield array.array("H", bytes(size)), lambda b: b.tobytes()
    yield np.zeros((2, size // 2), np.int8), lambda b: b.tobytes()
    yield mmap.mmap(-1, size), lambda b: b[:]
    yield np.memmap(folder / "map", np.uint8, "w+", shape=(size,)), lambda b: b.tobytes()


class Trickle(io.BytesIO):
    """A file that takes and gives a little at a time, as raw files may."""

    def write(self, data):
        return super().write(data[:70_001])

    def readinto(self, out):
        return super().readinto(out[:70_001])


class Breaks(Trickle):
    """A file that fails when most of it is through."""

    def __init__(self, data=b"", how="raise"):
        super().__init__(data)
        self.left, self.how = 4, how

    def stop(self):
        self.left -= 1
        if self.left < 0 and self.how == "raise":
            raise OSError("no more")
        return self.left < 0

    def write(self, data):
        return 0 if self.stop() else super().write(data)

    def readinto(self, out):
        return 0 if self.stop() else super().readinto(out)


# -- encrypting into something ------------------------------------------------------------------
def test_every_buffer_gets_the_same_bytes(params, values, plain, tmp_path):
    for threads in (1, 3):
        for buffer, read in buffers(params.ciphertext_bytes, tmp_path):
            digest = fresh(params).encrypt_into(values, buffer, threads)
            assert read(buffer) == plain
            assert digest == hashlib.sha256(plain).digest()


@pytest.mark.parametrize("make", [io.BytesIO, Trickle, None])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_file_gets_the_same_bytes(params, values, plain, tmp_path, make, threads):
    file = make() if make else (tmp_path / "file").open("w+b", buffering=0)
    with file:
        file.write(b"before")
        assert fresh(params).encrypt_into(values, file, threads) == hashlib.sha256(plain).digest()
        assert file.tell() == 6 + len(plain)
        file.seek(0)
        assert file.read() == b"before" + plain


def test_sharing_afterwards_is_the_same(params, values):
    one, other = fresh(params), fresh(params)
    one.encrypt(values)
    other.encrypt_into(values, bytearray(params.ciphertext_bytes))
    (proof, shares), (proof2, shares2) = one.share(b"me"), other.share(b"me")
    assert proof == proof2
    assert [s.to_bytes() for s in shares] == [s.to_bytes() for s in shares2]


def test_what_cannot_be_written_is_refused_and_the_key_stays_usable(params, values, tmp_path):
    size = params.ciphertext_bytes
    key = fresh(params)
    for bad, error in (
        (bytes(size), ParameterError),
        (bytearray(size - 1), ParameterError),
        (bytearray(size + 1), ParameterError),
        (bytearray(0), ParameterError),
        (memoryview(bytearray(2 * size))[::2], ParameterError),
        (np.zeros((size // 8, 8), np.uint8).T, ParameterError),
        (values.view(np.uint8)[:size], ParameterError),
        (io.StringIO(), TypeError),
        ("file", TypeError),
        (None, TypeError),
        (tmp_path / "file", TypeError),
    ):
        with pytest.raises(error, match="out: "):
            key.encrypt_into(values, bad)
    (tmp_path / "file").write_bytes(b"kept")
    with (tmp_path / "file").open("rb") as file, pytest.raises(ParameterError, match="not open for writing"):
        key.encrypt_into(values, file)
    with (tmp_path / "file").open("r+") as file, pytest.raises(TypeError, match="binary file"):
        key.encrypt_into(values, file)
    assert (tmp_path / "file").read_bytes() == b"kept"
    out = bytearray(size)
    with pytest.raises(RangeError, match="index 5: "):
        key.encrypt_into(np.where(np.arange(LENGTH) == 5, 40_000, 0), out)
    assert not any(out)
    key.encrypt_into(values, out)
    for call in (lambda: key.encrypt_into(values, out), lambda: key.encrypt(values)):
        with pytest.raises(ParameterError, match="one encrypts once"):
            call()


@pytest.mark.parametrize("how", ["raise", "full"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_that_fails_closes_and_erases_the_key(params, values, how, threads):
    key = fresh(params)
    with pytest.raises(OSError, match="no more"):
        key.encrypt_into(values, Breaks(how=how), threads)
    assert not key._key.any()
    for call in (lambda: key.share(b"me"), lambda: key.encrypt(values)):
        with pytest.raises(ParameterError, match="closed"):
            call()


@pytest.mark.parametrize("answer", [None, -1, 1 << 40, "x"])
def test_a_file_that_lies_about_what_it_wrote_is_an_error(params, values, answer):
    class Liar:
        def write(self, _data):
            return answer

    with pytest.raises(OSError, match="takes no more"):
        fresh(params).encrypt_into(values, Liar())


# -- adding from something ----------------------------------------------------------------------
@pytest.fixture(scope="module")
def added(params, plain):
    total = kahe.CiphertextSum(params, CONTEXT)
    for _ in range(2):
        total.add(kahe.Ciphertext.from_bytes(plain, params))
    return total


def test_adding_bytes_is_adding_the_ciphertext(params, plain, added, tmp_path):
    total = kahe.CiphertextSum(params, CONTEXT)
    total.add_bytes(plain)
    for buffer, _ in buffers(len(plain), tmp_path):
        memoryview(buffer).cast("B")[:] = plain
        again = kahe.CiphertextSum(params, CONTEXT)
        again.merge(total)
        again.add_bytes(buffer)
        assert again.to_bytes() == added.to_bytes()
        assert again.digest == added.digest
        if isinstance(buffer, mmap.mmap):
            buffer.close()  # nothing was kept of it


@pytest.mark.parametrize("n_slots", [40, 100_000])  # one block, and several
def test_several_at_once_are_one_after_another(n_slots):
    params = make_params(n_slots, max_summands=4)
    world = World(params).fill(3)
    data = [c.to_bytes() for c in world.ciphertexts]
    one_by_one, together = kahe.CiphertextSum(params, CONTEXT), kahe.CiphertextSum(params, CONTEXT)
    for one in data:
        one_by_one.add_bytes(one)
    together.add_bytes(data[0], bytearray(data[1]), memoryview(data[2]))
    assert together.to_bytes() == one_by_one.to_bytes()
    assert together.count == 3
    for bad in ([data[0], data[1][:-1]], [data[0], "x"], data[:2]):  # the last: more than there may be
        with pytest.raises((DecodeError, TypeError, RangeError)):
            together.add_bytes(*bad)
    assert together.to_bytes() == one_by_one.to_bytes()


@pytest.mark.parametrize("make", [io.BytesIO, Trickle, None])
def test_adding_from_a_file_is_adding_the_ciphertext(params, plain, added, tmp_path, make):
    total = kahe.CiphertextSum(params, CONTEXT)
    for _ in range(2):
        (tmp_path / "file").write_bytes(b"before" + plain)
        file = make(b"before" + plain) if make else (tmp_path / "file").open("rb", buffering=0)
        with file:
            file.seek(6)
            total.add_from(file)
            assert file.read() == b""
    assert total.to_bytes() == added.to_bytes()


def test_other_lengths_and_types_are_refused_and_change_nothing(params, plain, added):
    total = kahe.CiphertextSum(params, CONTEXT)
    total.add_bytes(plain)
    before = total.digest
    for bad in (plain[:-1], plain + b"x", b"", bytearray(plain) * 2):
        with pytest.raises(DecodeError, match=f"{len(plain)} bytes expected"):
            total.add_bytes(bad)
        with pytest.raises(DecodeError, match=f"{len(plain)} bytes expected"):
            total.add_from(io.BytesIO(bad))
    moved = io.BytesIO(plain)
    moved.seek(1)
    with pytest.raises(DecodeError):
        total.add_from(moved)
    assert moved.tell() == 1
    for bad in ("x", None, 7, [1], memoryview(bytearray(2 * len(plain)))[::2]):
        with pytest.raises(TypeError):
            total.add_bytes(bad)
    for bad in ("x", None, plain, io.StringIO()):
        with pytest.raises(TypeError, match="seekable binary file"):
            total.add_from(bad)
    assert (total.digest, total.count) == (before, 1)
    total.add_bytes(plain)
    assert total.digest == added.digest


def test_no_more_summands_than_declared_by_any_way():
    params = make_params(10, max_summands=3)
    world = World(params).fill(4)
    total = world.total({0, 1, 2})
    before = total.digest
    data = world.ciphertexts[3].to_bytes()
    with pytest.raises(RangeError):
        total.add_bytes(data)
    with pytest.raises(RangeError):
        total.add_from(io.BytesIO(data))
    assert (total.digest, total.count) == (before, 3)


@pytest.mark.parametrize("how", ["raise", "end"])
def test_a_sum_that_was_read_in_part_is_of_no_use_any_more(params, plain, how):
    total, other = kahe.CiphertextSum(params, CONTEXT), kahe.CiphertextSum(params, CONTEXT)
    for _ in range(3):
        total.add_bytes(plain)
    with pytest.raises(OSError, match=r"no more|ended early"):
        total.add_from(Breaks(plain, how))
    ciphertext = kahe.Ciphertext.from_bytes(plain, params)
    world = World(params).fill(3)
    for call in (
        lambda: total.add(ciphertext),
        lambda: total.add_bytes(plain),
        lambda: total.add_from(io.BytesIO(plain)),
        lambda: total.subtract(ciphertext),
        lambda: total.merge(other),
        lambda: other.merge(total),
        lambda: total.to_bytes(),
        lambda: total.write_to(io.BytesIO()),
        lambda: total.digest,
        lambda: kahe.open_sum(params, CONTEXT, total, world.share_sums(), 3),
    ):
        with pytest.raises(ParameterError, match="of no use any more"):
            call()


# -- sums to and from files ---------------------------------------------------------------------
@pytest.mark.parametrize("name", ALL_SETS)
def test_sums_go_through_files_and_buffers(name, tmp_path):
    params = make_params(LENGTH, name=name)
    world = World(params).fill(3)
    total = world.total()
    data = total.to_bytes()
    assert len(data) == params.sum_bytes
    for buffer, read in buffers(params.sum_bytes, tmp_path):
        total.write_to(buffer)
        assert read(buffer) == data
    for make in (io.BytesIO, Trickle):
        file = make()
        total.write_to(file)
        assert file.getvalue() == data
        file.seek(0)
        again = kahe.CiphertextSum.read_from(file, params, CONTEXT)
        assert again.count == 3
        assert again.to_bytes() == data
        opened = kahe.open_sum(params, CONTEXT, again, world.share_sums(), 3)
        assert np.array_equal(opened.values, world.expected())


def test_files_that_hold_no_sum_are_refused(params, added):
    data = added.to_bytes()
    for bad in (data[:-1], data + b"x", b"", (65).to_bytes(4, "little") + data[4:]):
        with pytest.raises(DecodeError):
            kahe.CiphertextSum.read_from(io.BytesIO(bad), params, CONTEXT)
    with pytest.raises(TypeError):
        kahe.CiphertextSum.read_from(data, params, CONTEXT)
    with pytest.raises(OSError, match="no more"):
        kahe.CiphertextSum.read_from(Breaks(data), params, CONTEXT)
    for bad, error in ((bytes(len(data)), ParameterError), (bytearray(9), ParameterError), ("x", TypeError)):
        with pytest.raises(error):
            added.write_to(bad)
    with pytest.raises(OSError, match="no more"):
        added.write_to(Breaks())


# -- opening into something ---------------------------------------------------------------------
@pytest.mark.parametrize("name", ALL_SETS)
@pytest.mark.parametrize("threads", [1, 2])
def test_opening_into_the_callers_array(name, threads, tmp_path):
    params = make_params(LENGTH, name=name)
    world = World(params).fill(3)
    room = np.full(LENGTH + 2, 77)
    mapped = np.memmap(tmp_path / "out", np.int64, "w+", shape=(LENGTH,))
    for out in (room[1:-1], mapped):
        opened = world.open(out=out, threads=threads)
        assert opened.values is out
        assert np.array_equal(out, world.expected())
    assert (room[0], room[-1]) == (77, 77)  # the padding went elsewhere


def test_an_array_that_cannot_take_the_values_is_refused():
    params = make_params(50)
    world = World(params).fill(3)
    frozen = np.zeros(50, np.int64)
    frozen.flags.writeable = False
    for bad, error in (
        (np.zeros(49, np.int64), ParameterError),
        (np.zeros((50, 1), np.int64), ParameterError),
        (np.zeros(100, np.int64)[::2], ParameterError),
        (frozen, ParameterError),
        (np.zeros(50), TypeError),
        (np.zeros(50, np.int32), TypeError),
        (np.ma.zeros(50, np.int64), TypeError),
        ([0] * 50, TypeError),
    ):
        with pytest.raises(error, match="out: "):
            world.open(out=bad)


@pytest.mark.parametrize("at", [0, 1 << 16, LENGTH - 1])
def test_nothing_is_left_of_a_sum_that_does_not_open(params, values, at):
    # A change in the last block: all others were opened by then.
    world = World(params).fill(3)
    data = bytearray(world.ciphertexts[0].to_bytes())
    data[at * params.wire_bits // 8] ^= 0x55
    data[at * params.wire_bits // 8 + 1] ^= 0x55
    world.ciphertexts[0] = kahe.Ciphertext.from_bytes(bytes(data), params)
    for threads in (1, 2):
        out = np.full(LENGTH, 5)
        with pytest.raises(OverflowDetected):
            world.open(out=out, threads=threads)
        assert not out.any()


def test_a_wrong_share_sum_does_not_leave_its_numbers(params):
    # The first t give a key that passes nothing; what it wrote is written over.
    world = World(params).fill(3)
    delta = np.zeros(params.N, np.int64)
    delta[5] = 1
    sums = world.share_sums()
    sums[0] = altered(sums[0], delta, params)
    assert np.array_equal(world.open(sums).values, world.expected())


# -- memory -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [make_params().set, Q80])
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_is_that_of_a_few_blocks(name, threads, monkeypatch):
    monkeypatch.setattr(_kahe_public, "CACHE_BYTES", 0)
    params = make_params(1 << 20, name=name)
    values, out = np.ones(1 << 20, np.int64), bytearray(params.ciphertext_bytes)
    small = (3 + 6 * threads) << 20
    world = World(params)

    def extra(work):
        tracemalloc.start()
        work()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    key = kahe.OneTimeKey.generate(params, CONTEXT)
    assert extra(lambda: key.encrypt_into(values, out, threads)) < small
    key = kahe.OneTimeKey.generate(params, CONTEXT)
    assert extra(lambda: key.encrypt(values, threads)) < params.ciphertext_bytes * 1.2 + small
    for _ in range(3):
        world.join(values)
    total = world.total()
    assert extra(lambda: total.add_bytes(out)) < 1 << 20
    assert extra(lambda: total.add_from(io.BytesIO(out))) - len(out) < 1 << 20
    assert extra(lambda: total.merge(world.total({1}))) - total._sum.nbytes < 1 << 20
    total, opened, sums = world.total(), np.zeros(1 << 20, np.int64), world.share_sums()
    assert extra(lambda: kahe.open_sum(params, CONTEXT, total, sums, 3, out=opened, threads=threads)) < small
    assert np.array_equal(opened, world.expected())


@pytest.mark.slow
def test_twenty_million_parameters_in_the_memory_of_their_arrays():
    script = Path(__file__).parents[1] / "support" / "he_large.py"
    run = subprocess.run(
        [sys.executable, script, "20000000"], capture_output=True, text=True, check=True, timeout=900
    )
    result = json.loads(run.stdout)
    assert result["right"]
    assert set(result["steps"]) == {"encrypt_into", "add_from", "write_to", "open_sum"}
    assert max(step["extra"] for step in result["steps"].values()) < 48 << 20


def test_buffers_of_objects_are_refused():
    # Bytes written over pointers crash the process when the array goes.
    params = make_params(100)
    objects = np.zeros(params.ciphertext_bytes // 8, object)
    fields = np.zeros(params.ciphertext_bytes // 8, [("a", object)])
    for out in (objects, fields, memoryview(objects)):
        key = kahe.OneTimeKey.generate(params, CONTEXT)
        with pytest.raises(ParameterError, match="buffer"):
            key.encrypt_into(np.zeros(100, np.int64), out)
        key.encrypt(np.zeros(100, np.int64))  # refused before anything changed
    assert not objects.any()


def test_buffers_of_other_kinds_give_the_errors_of_the_page():
    params = make_params(100)
    total = kahe.CiphertextSum(params, CONTEXT)
    with pytest.raises(DecodeError, match="got 0"):
        total.add_bytes(np.zeros((0, 3), np.uint8))
    dates = np.zeros(params.ciphertext_bytes // 8, "M8[s]")
    with pytest.raises(TypeError, match="contiguous bytes"):
        total.add_bytes(dates)
    with pytest.raises(TypeError, match="writable buffer"):
        total.write_to(dates)


def test_an_opened_sum_needs_an_aligned_array():
    world = World(make_params(100)).fill(3)
    out = np.frombuffer(bytearray(801), np.int64, offset=1)
    with pytest.raises(ParameterError, match="aligned"):
        world.open(out=out)


@pytest.mark.parametrize("method", ["add", "add_bytes", "subtract", "merge"])
def test_a_sum_that_was_interrupted_is_of_no_use(monkeypatch, method):
    params = make_params(2048 * 40)
    world = World(params).fill(1)
    total, other = world.total(), world.total()
    argument = {"add": world.ciphertexts[0], "add_bytes": world.ciphertexts[0].to_bytes()}
    argument |= {"subtract": world.ciphertexts[0], "merge": other}
    scale, calls = params._scale, []

    class Interrupted:
        pack = scale.pack

        def accumulate(self, *arguments):
            scale.accumulate(*arguments)
            calls.append(1)
            raise KeyboardInterrupt  # after something was added, before it is counted

    with monkeypatch.context() as patch:
        patch.setattr(type(params), "_scale", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            getattr(total, method)(argument[method])
    assert calls == [1]
    for use in (lambda: total.add(world.ciphertexts[0]), total.to_bytes, lambda: other.merge(total)):
        with pytest.raises(ParameterError, match="of no use"):
            use()
