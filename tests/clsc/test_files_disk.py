"""A disk that fails, a callback that raises, Ctrl-C: handed on, and nothing is left behind."""

import errno
import gc
import io
import itertools
import os
import signal
import subprocess
import sys

import pytest

from sottovoce.clsc import (
    PublicKey,
    SecretKey,
    UnsigncryptError,
    body,
    packet,
    signcrypt,
    signcrypt_file,
    unsigncrypt_file,
)
from support.clsc_files import TEXT, NoSeek

MIB = 2**20


@pytest.fixture(scope="module")
def cast(world):
    return world.signer(), world.receiver("bob"), world.receiver("mallory")


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
