"""Files that somebody changes while they are read, and the attack that this could be."""

import io
import os

import pytest

from sottovoce._ext.room import Through
from sottovoce.clsc import (
    ParameterError,
    UnsigncryptError,
    body,
    packet,
    signcrypt,
    signcrypt_file,
    unsigncrypt_file,
)
from support.clsc_attacker import CoReceiver, seal

MIB = 2**20


@pytest.fixture(scope="module")
def cast(world):
    return world.signer(), world.receiver("bob"), world.receiver("mallory")


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
    body.open_body(insider.k_body, body.MemoryBody(memoryview(other)), len(evil), Through(out.write))
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
