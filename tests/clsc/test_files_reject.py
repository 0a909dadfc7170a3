"""Files that cannot be sealed or opened: which error, in which order, and nothing is left behind."""

import errno
import gc
import io
import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.clsc import (
    ParameterError,
    PublicKey,
    SecretKey,
    SenderError,
    UnsigncryptError,
    body,
    comb,
    group,
    hashes,
    kem,
    packet,
    signature,
    signcrypt,
    signcrypt_file,
    unsigncrypt,
    unsigncrypt_batch,
    unsigncrypt_file,
    unsigncryption,
)
from support.clsc_attacker import CoReceiver, seal
from support.clsc_world import NOT_AFTER

MIB = 2**20
TEXT = b"TOPSECRET-PLAINTEXT"


@pytest.fixture(scope="module")
def cast(world):
    return world.signer(), world.receiver("bob"), world.receiver("mallory")


def open_everywhere(world, data, receiver, tmp_path, ad=b""):
    """Class and text of the error, the same for bytes, a batch, a path, a seekable file and a pipe."""

    def outcome(call):
        try:
            call()
        except (UnsigncryptError, SenderError) as error:
            return type(error), error.args, error.__cause__, error.__context__
        return None

    source, folder = tmp_path / "source", tmp_path / "target"
    folder.mkdir(exist_ok=True)
    source.write_bytes(data)
    keys = {"receiver": receiver, "trust": world.trust, "ad": ad}
    out = io.BytesIO()
    found = {
        outcome(lambda: unsigncrypt(data, **keys)),
        outcome(lambda: unsigncrypt_file(source, folder / "opened", **keys)),
        outcome(lambda: unsigncrypt_file(io.BytesIO(data), out, **keys)),
        outcome(lambda: unsigncrypt_file(NoSeek(data), out, **keys)),
    }
    (batched,) = unsigncrypt_batch([data], **keys)
    found.add((type(batched), batched.args, None, None) if isinstance(batched, Exception) else None)
    if found != {None}:
        assert os.listdir(folder) == []
        assert out.getvalue() == b""
    (only,) = found
    return only and only[0]


class NoSeek(io.BytesIO):
    def seekable(self):
        return False


# -- the order of the errors ------------------------------------------------------------------------

STEPS = ["parse", "slot", "kc", "head", "chunk", "sender", "signature"]
TRACE = ["wire", "slot", "kc", "head", "chunk", "sender", "signature"]
REACHED = {
    "parse": [], "slot": TRACE[:2], "kc": TRACE[:3], "head": TRACE[:3], "chunk": TRACE[:5],
    "sender": TRACE[:6], "signature": TRACE,
}  # fmt: skip


def faulty(sender, receiver, faults, text=b"text"):
    """A packet made by somebody who knows every key, with exactly these faults."""
    u1, u2 = group.random_scalar(), group.random_scalar()
    U1, U2 = comb.p1_mul(u1).to_compressed_bytes(), comb.p2_mul(u2).to_compressed_bytes()
    cek = os.urandom(32)
    k_body, k_head, kc = kem.content_keys(cek)
    header = bytes([hashes.SUITE, 1]) + U1 + U2 + (bytes(32) if "kc" in faults else kc)
    slot = kem.seal_slot(receiver, u1, u2, U1, U2, header, cek)
    if "slot" in faults:
        slot = slot[:-1] + bytes([slot[-1] ^ 1])
    sealed = seal(k_body, text)
    if "chunk" in faults:
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    wire = packet.Packet(header, (slot,), body.MemoryBody(memoryview(sealed)), b"").wire(b"")
    signed = packet.transcript_hash(wire, len(text) + ("signature" in faults))
    name = packet.pad_name(sender.identity)
    head = packet.Head(
        sender.params.params_id,
        name[:-1] + b"\1" if "sender" in faults else name,
        sender.public_key.X,
        signature._sign_derand(sender, "packet", signed, os.urandom),
        len(text),
    )
    sealed_head = AESGCM(k_head).encrypt(bytes(12), head.to_bytes(), b"?" if "head" in faults else wire)
    data = b"".join([packet.MAGIC, header, slot, len(sealed).to_bytes(8, "big"), sealed, sealed_head])
    return data + b"\0" if "parse" in faults else data


@pytest.fixture
def trace(monkeypatch):
    """What opening has come to, step by step."""
    steps = []

    def spy(holder, name, step):
        real = getattr(holder, name)
        monkeypatch.setattr(holder, name, lambda *a, **k: steps.append(step) or real(*a, **k))

    spy(packet.Packet, "wire", "wire")
    spy(kem, "open_slot", "slot")
    spy(kem, "content_keys", "kc")
    spy(unsigncryption, "open_body", "chunk")
    spy(unsigncryption, "_check_sender", "sender")
    spy(signature._Claim, "holds", "signature")
    real = packet.parse_head

    def parse_head(data):
        if "sender" not in steps:
            steps.append("head")
        return real(data)

    monkeypatch.setattr(packet, "parse_head", parse_head)
    return steps


def test_the_earlier_of_any_faults_decides(world, cast, tmp_path, trace):
    """Every set of faults: the class is that of the first, and nothing behind it was looked at."""
    alice, bob, _ = cast
    for choice in itertools.product([False, True], repeat=len(STEPS)):
        faults = [step for step, chosen in zip(STEPS, choice, strict=True) if chosen]
        data = faulty(alice, bob.public_key, faults)
        keys = {"receiver": bob, "trust": world.trust}
        path = tmp_path / "packet"
        path.write_bytes(data)
        for call in (
            lambda data=data, keys=keys: unsigncrypt(data, **keys),
            lambda path=path, keys=keys: unsigncrypt_file(path, io.BytesIO(), **keys),
        ):
            trace.clear()
            if not faults:
                call()
                assert trace == TRACE
                continue
            early = STEPS.index(faults[0]) < STEPS.index("sender")
            with pytest.raises(UnsigncryptError if early else SenderError):
                call()
            assert trace == REACHED[faults[0]], faults


def test_every_way_of_opening_gives_the_equal_error(world, cast, tmp_path):
    alice, bob, mallory = cast
    for step in STEPS:
        data = faulty(alice, bob.public_key, [step], TEXT * 100)
        expected = UnsigncryptError if STEPS.index(step) < 5 else SenderError
        assert open_everywhere(world, data, bob, tmp_path) is expected, step
    good = signcrypt(TEXT, sender=alice, receivers=[bob.public_key], ad=b"right")
    assert open_everywhere(world, good, bob, tmp_path, b"wrong") is UnsigncryptError
    assert open_everywhere(world, good, mallory, tmp_path, b"right") is UnsigncryptError
    for data in (
        b"",
        b"S",
        good[:-1],
        good + b"\0",
        good[:100],
        good[:300],
        b"x" * 30_000,
        good[:262] + b"\xff" * 8,
    ):
        assert open_everywhere(world, data, bob, tmp_path, b"right") is UnsigncryptError


def test_pipe_is_read_as_far_as_the_packet_says(world, cast, tmp_path):
    """One byte more is an error; what is no packet, or never ends, does not fill the disk."""
    alice, bob, _ = cast
    good = signcrypt(bytes(50_000), sender=alice, receivers=[bob.public_key])
    assert open_everywhere(world, good, bob, tmp_path) is None
    os.unlink(tmp_path / "target" / "opened")
    assert open_everywhere(world, good + b"\0", bob, tmp_path) is UnsigncryptError

    class Endless(NoSeek):
        def readinto(self, buffer):
            n = super().readinto(buffer)
            buffer[n:] = bytes(len(buffer) - n)
            self.total = getattr(self, "total", 0) + len(buffer)
            assert self.total < 2**21
            return len(buffer)

    for data, expected in ((good, len(good) + 1), (b"no packet", packet.start_bytes(255))):
        source = Endless(data)
        with pytest.raises(UnsigncryptError):
            unsigncrypt_file(source, io.BytesIO(), receiver=bob, trust=world.trust)
        assert source.total == expected


def test_chunks_cannot_be_moved_cut_or_repeated(world, cast, tmp_path):
    alice, bob, _ = cast
    text = b"".join(bytes([i]) * MIB for i in range(2)) + b"end"
    data = signcrypt(text, sender=alice, receivers=[bob.public_key])
    parsed = packet.parse(data)
    c = [bytes(chunk) for chunk in parsed.body.chunks()]
    assert len(c) == 3
    for chunks in ([c[1], c[0], c[2]], [c[0], c[2]], c[:2], [*c[:2], b""], [c[0], c[0], c[2]]):
        joined = b"".join(chunks)
        moved = data[:262] + len(joined).to_bytes(8, "big") + joined + parsed.head
        assert open_everywhere(world, moved, bob, tmp_path) is UnsigncryptError


def test_sender_that_the_trust_store_refuses_leaves_no_plaintext(world, cast, tmp_path):
    alice, bob, _ = cast
    (tmp_path / "sealed").write_bytes(signcrypt(TEXT, sender=alice, receivers=[bob.public_key]))
    with pytest.raises(SenderError):
        unsigncrypt_file(
            tmp_path / "sealed", tmp_path / "opened", receiver=bob, trust=world.new_trust(NOT_AFTER + 10_000)
        )
    assert os.listdir(tmp_path) == ["sealed"]


# -- files that change ------------------------------------------------------------------------------


def test_attack_co_receiver_changes_the_file_between_the_two_readings(world, cast, tmp_path):
    """Whoever knows the key can make chunks that decrypt well: they must be those that were hashed."""
    alice, bob, mallory = cast
    text = b"pay mallory    1".ljust(2 * MIB + 100)
    evil = b"pay mallory 1000".ljust(2 * MIB + 100, b"!")
    data = signcrypt(text, sender=alice, receivers=[bob.public_key, mallory.public_key])
    insider = CoReceiver(data, mallory)
    other = seal(insider.k_body, evil)
    path, start = tmp_path / "packet", packet.start_bytes(2)
    full = MIB + 16

    def swap(chunks, when):
        """Overwrite these chunks in place when so much is done."""

        def progress(done, total):
            if done == when(total):
                with path.open("r+b") as file:
                    for i in chunks:
                        file.seek(start + i * full)
                        file.write(other[i * full : (i + 1) * full])

        return progress

    def attack(progress):
        path.write_bytes(data)
        with pytest.raises(UnsigncryptError):
            unsigncrypt_file(path, tmp_path / "opened", receiver=bob, trust=world.trust, progress=progress)
        assert os.listdir(tmp_path) == ["packet"]

    attack(swap([0, 1, 2], lambda total: total // 2))
    attack(swap([2], lambda total: total // 2 + full))
    attack(swap([0], lambda total: full))  # behind the first reading, before the second
    # The chunks are good ones for who looks at the tags only; and what was there is let through.
    path.write_bytes(data)
    unsigncrypt_file(path, tmp_path / "opened", receiver=bob, trust=world.trust, progress=lambda *a: None)
    assert (tmp_path / "opened").read_bytes() == text
    out = io.BytesIO()
    body.open_body(insider.k_body, body.MemoryBody(memoryview(other)), len(evil), out.write)
    assert out.getvalue() == evil


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("change", [-1, 1, -MIB])
def test_packet_that_shrinks_or_grows_is_altered(world, cast, tmp_path, half, change):
    alice, bob, _ = cast
    path = tmp_path / "packet"
    data = signcrypt(bytes(2 * MIB), sender=alice, receivers=[bob.public_key])
    path.write_bytes(data)

    def progress(done, total):
        if done == (total // 2 if half else MIB + 16):
            os.truncate(path, len(data) + change)

    with pytest.raises(UnsigncryptError):
        unsigncrypt_file(path, tmp_path / "opened", receiver=bob, trust=world.trust, progress=progress)
    assert os.listdir(tmp_path) == ["packet"]


@pytest.mark.parametrize("change", ["shorter", "longer", "changed"])
@pytest.mark.parametrize("pad", [False, True])
def test_plaintext_that_changes_while_it_is_sealed_is_refused(world, cast, tmp_path, change, pad):
    alice, bob, _ = cast
    path = tmp_path / "plain"
    path.write_bytes(bytes(2 * MIB + 9))

    def progress(done, total):
        if MIB < done < 2 * MIB:
            if change == "changed":
                with path.open("r+b") as file:
                    file.write(b"x")
                os.utime(path, ns=(1, 1))
            else:
                os.truncate(path, 2 * MIB + (8 if change == "shorter" else 10))

    with pytest.raises(ParameterError, match=change):
        signcrypt_file(
            path, tmp_path / "sealed", sender=alice, receivers=[bob.public_key], progress=progress, pad=pad
        )
    assert os.listdir(tmp_path) == ["plain"]


def test_file_object_that_grows_is_refused(cast):
    class Growing(io.BytesIO):
        def seek(self, *args):
            where = super().seek(*args)
            if args[-1] == os.SEEK_END:
                self.getbuffer().release()
                super().write(b"more")
                super().seek(where)
            return where

    with pytest.raises(ParameterError, match="longer"):
        signcrypt_file(Growing(b"text"), io.BytesIO(), sender=cast[0], receivers=[cast[1].public_key])


# -- the disk ---------------------------------------------------------------------------------------


class Failing(io.BytesIO):
    """Reads or writes so many bytes, and then the disk is full, or broken."""

    def __init__(self, data=b"", n_bytes=MIB + 5):
        super().__init__(data)
        self.left = n_bytes

    def _spend(self, n):
        self.left -= n
        if self.left < 0:
            raise OSError(errno.EIO, "broken")

    def readinto(self, buffer):
        self._spend(len(buffer))
        return super().readinto(buffer)

    def write(self, data):
        self._spend(len(data))
        return super().write(data)


def assert_nothing_of_ours(error, *needles):
    """No frame of the package but the public function's has any variable left."""
    n_frames = 0
    while error is not None:
        tb = error.__traceback__
        while tb:
            frame = tb.tb_frame
            if frame.f_globals["__name__"].startswith("sottovoce"):
                n_frames += 1
                for value in frame.f_locals.values():
                    assert (
                        isinstance(
                            value,
                            (
                                SecretKey,
                                PublicKey,
                                io.IOBase,
                                str,
                                os.PathLike,
                                BaseException,
                                int,
                                type(None),
                            ),
                        )
                        or value in (b"", [])
                        or callable(value)
                        or not any(n in repr(value) for n in needles)
                    ), value
                    assert not isinstance(value, (bytearray, memoryview, packet.Packet, body.FileBody))
                if frame.f_code.co_name not in ("signcrypt_file", "unsigncrypt_file"):
                    assert not frame.f_locals
            tb = tb.tb_next
        error = error.__context__
    assert n_frames > 1


def test_errors_of_the_disk_are_handed_on_and_leave_nothing(world, cast, tmp_path):
    alice, bob, _ = cast
    text = TEXT * 130_000
    data = signcrypt(text, sender=alice, receivers=[bob.public_key])
    sealing = {"sender": alice, "receivers": [bob.public_key]}
    opening = {"receiver": bob, "trust": world.trust}
    target = tmp_path / "target"
    for call in (
        lambda: signcrypt_file(Failing(text), target, **sealing),
        lambda: signcrypt_file(io.BytesIO(text), Failing(), **sealing),
        lambda: unsigncrypt_file(Failing(data), target, **opening),
        lambda: unsigncrypt_file(Failing(data, 4 * MIB), target, **opening),  # in the second reading
        lambda: unsigncrypt_file(io.BytesIO(data), Failing(), **opening),
    ):
        with pytest.raises(OSError, match="broken") as caught:
            call()
        assert caught.value.errno == errno.EIO
        assert_nothing_of_ours(caught.value, "TOPSECRET")
        assert os.listdir(tmp_path) == []
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="space"):
        signcrypt_file(io.BytesIO(text), full, **sealing)


def test_files_that_do_not_block_are_refused(world, cast):
    """They would give None for "nothing yet", which is not the end."""
    alice, bob, _ = cast

    class Later(NoSeek):
        def readinto(self, buffer):
            return None

        def write(self, data):
            return None

    for source, target in ((Later(), io.BytesIO()), (io.BytesIO(b"text"), Later())):
        with pytest.raises(BlockingIOError, match=r"source|target"):
            signcrypt_file(source, target, sender=alice, receivers=[bob.public_key])


def test_text_from_a_file_object_is_refused(cast):
    class Text:
        def read(self, n):
            return "text"

    with pytest.raises(TypeError, match="bytes"):
        signcrypt_file(Text(), io.BytesIO(), sender=cast[0], receivers=[cast[1].public_key])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_interruption_and_failing_callbacks_leave_nothing(world, cast, tmp_path, error):
    alice, bob, _ = cast
    data = signcrypt(TEXT * 130_000, sender=alice, receivers=[bob.public_key])
    for when in range(6):
        calls = itertools.count()

        def progress(done, total, calls=calls, when=when):
            if next(calls) == when:
                raise error

        for call in (
            lambda progress=progress: signcrypt_file(
                io.BytesIO(TEXT * 130_000), tmp_path / "t", sender=alice, receivers=[bob.public_key],
                progress=progress,
            ),
            lambda progress=progress: unsigncrypt_file(
                io.BytesIO(data), tmp_path / "t", receiver=bob, trust=world.trust, progress=progress
            ),
        ):  # fmt: skip
            calls = itertools.count()
            progress.__defaults__ = (calls, when)
            with pytest.raises(error) as caught:
                call()
            assert_nothing_of_ours(caught.value, "TOPSECRET")
            assert os.listdir(tmp_path) == []


SCRIPT = """
import io, os, resource, signal, sys
from support.clsc_world import World
from sottovoce.clsc import signcrypt, signcrypt_file, unsigncrypt_file
world = World()
alice, bob = world.signer(), world.receiver()
"""


def run(script, folder, **options):
    env = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + script, str(folder)], env=env, timeout=120, **options
    )


def test_full_disk_under_a_path(tmp_path):
    script = """
data = signcrypt(bytes(2**22), sender=alice, receivers=[bob.public_key])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
target = os.path.join(sys.argv[1], "target")
for call in (
    lambda: signcrypt_file(io.BytesIO(bytes(2**22)), target, sender=alice, receivers=[bob.public_key]),
    lambda: unsigncrypt_file(io.BytesIO(data), target, receiver=bob, trust=world.trust),
    lambda: unsigncrypt_file(io.BytesIO(data), io.BytesIO(), receiver=bob, trust=world.trust),
):
    try:
        call()
    except OSError as error:
        assert error.errno == 27, error
    else:
        raise AssertionError
"""
    run(script, tmp_path, check=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are Linux's")
def test_killed_process_leaves_nothing(tmp_path):
    script = """
def progress(done, total):
    if done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)
signcrypt_file(io.BytesIO(bytes(2**22)), os.path.join(sys.argv[1], "t"), sender=alice,
               receivers=[bob.public_key], progress=progress)
"""
    assert run(script, tmp_path).returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


def test_descriptors_are_closed(world, cast, tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    alice, bob, _ = cast
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    plain, sealed = tmp_path / "plain", tmp_path / "sealed"
    plain.write_bytes(b"text")
    for _ in range(3):
        signcrypt_file(plain, sealed, sender=alice, receivers=[bob.public_key], overwrite=True)
        unsigncrypt_file(sealed, tmp_path / "opened", receiver=bob, trust=world.trust, overwrite=True)
        unsigncrypt_file(NoSeek(sealed.read_bytes()), io.BytesIO(), receiver=bob, trust=world.trust)
        with pytest.raises(UnsigncryptError):
            unsigncrypt_file(plain, tmp_path / "none", receiver=bob, trust=world.trust)
    assert len(os.listdir("/proc/self/fd")) == before


def test_head_that_lies_about_the_length(world, cast, tmp_path):
    """What is written while it is not verified follows the head; the target never sees it."""
    _, bob, mallory = cast
    data = signcrypt(TEXT, sender=cast[0], receivers=[bob.public_key, mallory.public_key])
    insider = CoReceiver(data, mallory)
    for n in (0, 1, len(TEXT) - 1, len(TEXT) + 1, 2**63, 2**64 - 1):
        lying = insider.rewrite(plaintext_bytes=n)
        assert open_everywhere(world, lying, bob, tmp_path) is SenderError
    broken = replace(insider.head, name=b"\xff" * 65)
    sealed = AESGCM(insider.k_head).encrypt(bytes(12), broken.to_bytes()[:-9] + bytes(9), insider.wire)
    assert open_everywhere(world, data[:-365] + sealed, bob, tmp_path) is SenderError


@given(
    at=st.integers(0, 20_000),
    delete=st.integers(0, 3000),
    insert=st.binary(max_size=300),
    piped=st.booleans(),
)
def test_whatever_is_cut_or_put_in_gives_what_memory_gives(world, at, delete, insert, piped):
    alice, bob = world.signer(), world.receiver("bob")
    if not hasattr(world, "_fuzzed"):
        world._fuzzed = signcrypt(TEXT * 600, sender=alice, receivers=[bob.public_key], dummy_slots=3)
    good = world._fuzzed
    data = good[:at] + insert + good[at + delete :]
    keys = {"receiver": bob, "trust": world.trust}
    out = io.BytesIO()
    source = NoSeek(data) if piped else io.BytesIO(data)
    if data == good:
        assert unsigncrypt_file(source, out, **keys).plaintext_bytes == len(TEXT) * 600
        return
    for call in (lambda: unsigncrypt(data, **keys), lambda: unsigncrypt_file(source, out, **keys)):
        with pytest.raises(UnsigncryptError):
            call()
    assert out.getvalue() == b""
