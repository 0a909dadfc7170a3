"""Packets in files that cannot be opened: which error, and which of two faults decides."""

import io
import itertools
import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from sottovoce.clsc import (
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
    unsigncrypt,
    unsigncrypt_file,
    unsigncryption,
)
from support.clsc_attacker import CoReceiver, seal
from support.clsc_files import TEXT, NoSeek, open_everywhere
from support.clsc_world import NOT_AFTER

MIB = 2**20


@pytest.fixture(scope="module")
def cast(world):
    return world.signer(), world.receiver("bob"), world.receiver("mallory")


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
