"""Signcrypt and unsigncrypt from files to files: the same packets, whole or not at all."""

import hashlib
import io
import os
import stat
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.fingerprint import Fingerprint
from sottovoce._ext.padme import padme
from sottovoce._ext.room import Through
from sottovoce.clsc import (
    FileSealed,
    Mode,
    OpenedFile,
    ParameterError,
    packet,
    signcrypt,
    signcrypt_file,
    signcryption,
    streaming,
    unsigncrypt,
    unsigncrypt_file,
)
from support.clsc_world import Drbg

MIB = 2**20
SIZES = [0, 1, 4096, MIB - 1, MIB, MIB + 1, 3 * MIB, 3 * MIB + 5]


class Pipe(io.RawIOBase):
    """Bytes that can only be read, or only written, front to back, and never many at once."""

    def __init__(self, data=b""):
        self.data = data
        self.written = b""

    def readable(self):
        return True

    def writable(self):
        return True

    def readinto(self, buffer):
        n = min(len(buffer), 70_001, len(self.data))
        buffer[:n], self.data = self.data[:n], self.data[n:]
        return n

    def write(self, data):
        self.written += bytes(data[:99_999])
        return min(len(data), 99_999)


def content(n):
    return Drbg(f"content {n}")(min(n, 1000)) * (n // 1000 + 1)


def text_of(n):
    return content(n)[:n] if n else b""


@pytest.fixture
def people(world):
    return world.signer(), world.receiver()


def seal(people, source, target, **options):
    sender, receiver = people
    return signcrypt_file(source, target, sender=sender, receivers=[receiver.public_key], **options)


def unseal(world, people, source, target, **options):
    return unsigncrypt_file(source, target, receiver=people[1], trust=world.trust, **options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pad", [False, True])
def test_files_and_memory_understand_each_other(world, people, tmp_path, size, pad):
    text = text_of(size)
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    plain.write_bytes(text)
    done = seal(people, plain, sealed, ad=b"ad", pad=pad, dummy_slots=2)
    data = sealed.read_bytes()
    assert done == FileSealed(len(data), size, done.packet_id)
    assert len(data) == packet.packet_bytes(size, 3, pad=pad)
    in_memory = unsigncrypt(data, receiver=people[1], trust=world.trust, ad=b"ad")
    assert (in_memory.plaintext, in_memory.packet_id) == (text, done.packet_id)
    found = unseal(world, people, sealed, opened, ad=b"ad")
    assert found == OpenedFile(people[0].public_key, done.packet_id, Mode.IDENTITY, size)
    assert opened.read_bytes() == text
    sealed.write_bytes(signcrypt(text, sender=people[0], receivers=[people[1].public_key], pad=pad))
    unseal(world, people, str(sealed), str(opened), overwrite=True)
    assert opened.read_bytes() == text
    assert sorted(os.listdir(tmp_path)) == ["opened", "plain", "sealed"]


@given(
    size=st.one_of(st.integers(0, 3000), st.sampled_from([MIB - 1, MIB, MIB + 1, 2 * MIB])),
    pad=st.booleans(),
    dummies=st.integers(0, 3),
    ad=st.binary(max_size=40),
    seed=st.binary(min_size=1, max_size=8),
    hedge=st.binary(min_size=32, max_size=32),
)
def test_equal_randomness_gives_equal_bytes(world, size, pad, dummies, ad, seed, hedge):
    """One construction, whatever the bytes come from and go to."""
    sender, receivers = world.signer(), [world.receiver().public_key]
    text = text_of(size)
    rest = (sender, receivers, ad, pad, dummies)
    out, file = io.BytesIO(), io.BytesIO(text)
    done = streaming._seal_file_derand(file, out.write, *rest, None, Drbg(seed))
    if size <= MIB:
        assert out.getvalue() == signcryption._signcrypt_derand(text, *rest, Drbg(seed))
    made = []
    for pieces in (
        [text[i : i + MIB] for i in range(0, size, MIB)],
        streaming._pieces(io.BytesIO(text), size, ()),
    ):
        target = io.BytesIO()
        packet_id = signcryption._seal_derand(pieces, size, hedge, Through(target.write), *rest, Drbg(seed))
        made.append((target.getvalue(), packet_id))
    assert made[0] == made[1]
    opened = unsigncrypt(out.getvalue(), receiver=world.receiver(), trust=world.trust, ad=ad)
    assert (opened.plaintext, opened.packet_id) == (text, done.packet_id)


@pytest.mark.parametrize("size", [0, 5, MIB + 7])
def test_pipes_and_seekable_files(world, people, size):
    text = text_of(size)
    sealed = Pipe()
    assert seal(people, Pipe(text), sealed, pad=True).n_bytes == len(sealed.written)
    opened = Pipe()
    assert unseal(world, people, Pipe(sealed.written), opened).plaintext_bytes == size
    assert opened.written == text
    # A seekable file is taken from where it stands, and written from where it stands.
    source, target = io.BytesIO(b"skip" + text), io.BytesIO(b"keep")
    source.seek(4)
    target.seek(4)
    seal(people, source, target)
    assert target.getvalue()[:4] == b"keep"
    target.seek(4)
    opened = io.BytesIO()
    unseal(world, people, target, opened)
    assert opened.getvalue() == text


def test_real_pipes(world, people, tmp_path):
    """From one end of a pipe of the system to another, both sides at once."""
    text = text_of(3 * MIB + 1)
    reading, writing = os.pipe()
    plain = tmp_path / "plain"
    plain.write_bytes(text)

    def send():
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            seal(people, plain, pipe)

    thread = threading.Thread(target=send)
    thread.start()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        unseal(world, people, pipe, tmp_path / "opened")
    thread.join()
    assert (tmp_path / "opened").read_bytes() == text


def test_file_objects_with_nothing_but_read_or_write(world, people):
    class OnlyRead:
        def __init__(self, data):
            self.read = io.BytesIO(data).read

    class OnlyWrite:
        """Keeps what it is given, and does not say how much that was."""

        def __init__(self):
            self.pieces = []

        def write(self, data):
            self.pieces.append(data)

    text = text_of(2 * MIB + 3)
    sealed, opened = OnlyWrite(), OnlyWrite()
    seal(people, OnlyRead(text), sealed)
    unseal(world, people, OnlyRead(b"".join(sealed.pieces)), opened)
    assert b"".join(opened.pieces) == text


def test_targets_are_private_and_never_replaced_unasked(world, people, tmp_path):
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    plain.write_bytes(b"text")
    old_mask = os.umask(0)
    try:
        seal(people, plain, sealed)
        unseal(world, people, sealed, opened)
    finally:
        os.umask(old_mask)
    for path in (sealed, opened):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = path.read_bytes()
        with pytest.raises(FileExistsError):
            seal(people, plain, path)
        with pytest.raises(FileExistsError):
            unseal(world, people, sealed, path)
        assert path.read_bytes() == before
    for call in (lambda s: seal(people, s, sealed), lambda s: unseal(world, people, s, opened)):
        pipe = Pipe(b"text")
        with pytest.raises(FileExistsError):
            call(pipe)
        assert pipe.data == b"text"  # nothing was read in vain
    with pytest.raises(FileNotFoundError):
        seal(people, plain, tmp_path / "no folder" / "sealed")
    with pytest.raises(FileNotFoundError):
        seal(people, tmp_path / "nothing", tmp_path / "new")
    with pytest.raises(IsADirectoryError):
        seal(people, tmp_path, tmp_path / "new")
    seal(people, plain, plain, overwrite=True)  # in place: read to its end before it is replaced
    unseal(world, people, plain, plain, overwrite=True)
    assert plain.read_bytes() == b"text"
    assert sorted(os.listdir(tmp_path)) == ["opened", "plain", "sealed"]


def test_progress_goes_to_the_end(world, people):
    text = text_of(2 * MIB + 1)
    calls, sealed = [], io.BytesIO()
    done = seal(people, io.BytesIO(text), sealed, progress=lambda *a: calls.append(a))
    assert calls[0] == (0, done.n_bytes)
    assert calls[-1] == (done.n_bytes, done.n_bytes)
    assert len(calls) == 1 + 1 + 3 + 1  # nothing, start, chunks, head
    body = done.n_bytes - packet.start_bytes(1) - packet.HEAD_BYTES
    calls.clear()
    sealed.seek(0)
    unseal(world, people, sealed, io.BytesIO(), progress=lambda *a: calls.append(a))
    assert [calls[0], calls[3], calls[-1]] == [(0, 2 * body), (body, 2 * body), (2 * body, 2 * body)]
    assert len(calls) == 7
    assert calls == sorted(calls)


def test_more_than_a_tebibyte_is_refused_before_work(world, people, tmp_path):
    huge, target = tmp_path / "huge", tmp_path / "sealed"
    with huge.open("wb") as file:
        file.truncate(2**40 + 1)
    calls = []
    with pytest.raises(ParameterError, match=r"2\*\*40"):
        seal(people, huge, target, progress=lambda *a: calls.append(a))
    assert not calls
    assert not target.exists()


def test_wrong_types_and_arguments(world, people, tmp_path):
    sender, receiver = people
    plain = tmp_path / "plain"
    plain.write_bytes(b"text")
    good = {"sender": sender, "receivers": [receiver.public_key]}
    for source, target in (
        (5, io.BytesIO()),
        (plain, 5),
        (b"bytes", io.BytesIO()),
        (io.StringIO("t"), io.BytesIO()),
    ):
        with pytest.raises(TypeError, match=r"source|target"):
            signcrypt_file(source, target, **good)
        with pytest.raises(TypeError, match=r"source|target"):
            unsigncrypt_file(source, target, receiver=receiver, trust=world.trust)
    with pytest.raises(TypeError, match="binary"):
        signcrypt_file(plain, io.StringIO(), **good)
    target = tmp_path / "new"
    for wrong, error in (
        ({"sender": sender.public_key}, TypeError), ({"ad": "ad"}, TypeError),
        ({"receivers": []}, ParameterError),
        ({"dummy_slots": 255}, ParameterError), ({"sender": receiver}, ParameterError),
    ):  # fmt: skip
        with pytest.raises(error):
            signcrypt_file(plain, target, **{**good, **wrong})
    for wrong, error in (
        ({"receiver": sender}, ParameterError),
        ({"trust": None}, TypeError),
        ({"ad": 1}, TypeError),
    ):
        with pytest.raises(error):
            unsigncrypt_file(plain, target, **{"receiver": receiver, "trust": world.trust, **wrong})
    assert os.listdir(tmp_path) == ["plain"]


def test_hedge_of_a_long_file_tells_files_apart(world, people, tmp_path):
    """A dead random source, two files with one beginning and one length: no key in common."""
    headers = set()
    for i in range(2):
        path = tmp_path / str(i)
        path.write_bytes(bytes(MIB) + bytes([i]))
        with path.open("rb") as file:
            out = io.BytesIO()
            rest = (people[0], [people[1].public_key], b"", False, 0)
            streaming._seal_file_derand(file, out.write, *rest, None, bytes)
            headers.add(packet.parse(out.getvalue()).header)
    in_memory = {
        packet.parse(signcryption._signcrypt_derand(bytes(MIB) + bytes([i]), *rest, bytes)).header
        for i in range(2)
    }
    assert len(headers | in_memory) == 4


def test_fingerprint_is_what_the_page_says():
    key, chunks = bytes(range(32)), [b"one", b"", b"one" * 9]
    made = Fingerprint(key)
    for chunk in chunks:
        made.add(chunk)
    tags = [AESGCM(key).encrypt(i.to_bytes(12, "big"), b"", chunk) for i, chunk in enumerate(chunks)]
    tag = b"SOTTOVOCE-V1-FINGERPRINT"
    assert made.digest() == hashlib.sha256(len(tag).to_bytes(4, "big") + tag + b"".join(tags)).digest()


def test_hedge_of_a_long_object_without_times_is_that_of_its_content(world, people):
    """A dead random source, and what no operating system knows: nothing but the content tells two apart."""
    rest = (people[0], [people[1].public_key], b"", False, 0)
    packets = []
    for end in (b"a", b"b"):
        text, out = bytes(2 * MIB) + end, io.BytesIO()
        source = io.BytesIO(b"before" + text)
        source.seek(6)
        streaming._seal_file_derand(source, out.write, *rest, None, bytes)
        assert out.getvalue() == signcryption._signcrypt_derand(text, *rest, bytes)
        packets.append(packet.parse(out.getvalue()).header)
    assert packets[0] != packets[1]


def test_hedge_of_a_long_plaintext_sees_every_chunk_and_depends_on_the_sender(world):
    sender, other = world.signer(), world.signer("someone else")
    base = bytes(3 * MIB)
    hedges = {signcryption.content_hedge(base, key) for key in (sender, other)}
    for at in (0, MIB - 1, MIB, 3 * MIB - 1):
        changed = base[:at] + b"\1" + base[at + 1 :]
        hedges.add(signcryption.content_hedge(changed, sender))
    hedges.add(signcryption.content_hedge(base + b"\0", sender))
    swapped = base[:MIB] + b"\1" * MIB + base[2 * MIB :]
    hedges.add(signcryption.content_hedge(swapped, sender))
    hedges.add(signcryption.content_hedge(swapped[MIB:] + swapped[:MIB], sender))
    assert len(hedges) == 9


def test_padding_over_several_chunks(world, people, tmp_path):
    """Padme of a length just above a power of two reaches into a chunk that holds no plaintext at all."""
    size = 2**27 + 1
    assert padme(size) - size > 3 * MIB
    plain, sealed, opened = (tmp_path / name for name in ("plain", "sealed", "opened"))
    with plain.open("wb") as file:
        file.truncate(size)
    done = seal(people, plain, sealed, pad=True)
    assert done.n_bytes == packet.packet_bytes(size, pad=True)
    assert unseal(world, people, sealed, opened).plaintext_bytes == size == opened.stat().st_size
