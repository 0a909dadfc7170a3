"""Signcrypted packets and signatures: nothing changed is opened or believed."""

import io
from functools import cache

from fuzz import world
from fuzz.core import Target, taken
from sottovoce import clsc
from sottovoce._ext.errors import DecodeError, SenderError, SignatureError, UnsigncryptError
from sottovoce.clsc import packet
from support.clsc_attacker import CoReceiver

AD = b"fuzz"
MESSAGE = b"what was signed"


def read_packet(data: bytes) -> bytes:
    p = packet.parse(data)
    body = b"".join(p.body.chunks())
    return b"".join([packet.MAGIC, p.header, *p.slots, p.body_bytes.to_bytes(8, "big"), body, p.head])


def read_head(data: bytes) -> bytes | None:
    head = packet.parse_head(data)
    if head is None:
        return None
    _ = head.identity
    return head.to_bytes()


def open_packet(data: bytes) -> bytes | None:
    """By all three ways: they agree, and open what was sealed and nothing else."""
    people = world.people()
    bob, opened = people.receiver(), []
    for way in (whole, batched, filed):
        try:
            opened.append(way(data, bob))
        except (UnsigncryptError, SenderError) as error:
            opened.append(type(error))
    assert opened[0] == opened[1] == opened[2], f"ways of opening differ: {opened}"
    if isinstance(opened[0], type):
        return None
    assert data in BY_NAME["clsc/packet"].stored(), "a changed packet opens"
    return data


def whole(data: bytes, bob: clsc.SecretKey) -> bytes:
    return clsc.unsigncrypt(data, receiver=bob, trust=world.people().trust, ad=AD).plaintext


def batched(data: bytes, bob: clsc.SecretKey) -> bytes:
    (found,) = clsc.unsigncrypt_batch([data], receiver=bob, trust=world.people().trust, ad=AD)
    if isinstance(found, Exception):
        raise found
    return found.plaintext


def filed(data: bytes, bob: clsc.SecretKey) -> bytes:
    out = io.BytesIO()
    clsc.unsigncrypt_file(io.BytesIO(data), out, receiver=bob, trust=world.people().trust, ad=AD)
    return out.getvalue()


@cache
def insider() -> CoReceiver:
    return CoReceiver(BY_NAME["clsc/packet"].stored()[0], world.people().receiver(), AD)


def open_head(data: bytes) -> None:
    """A head of any content in a packet that opens: what a receiver who turns on another can make."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    inside = insider()
    sealed = AESGCM(inside.k_head).encrypt(bytes(12), data, inside.wire)
    whole_packet = BY_NAME["clsc/packet"].stored()[0][: -len(inside.parsed.head)] + sealed
    whole(whole_packet, world.people().receiver())
    assert data == inside.head_bytes


def verify(data: bytes) -> None:
    alice = world.people().signer().public_key
    clsc.verify(alice, MESSAGE, data)
    assert data in BY_NAME["clsc/signature"].stored(), "another signature is taken"
    clsc.batch_verify([(alice, MESSAGE, data)])


def verify_bls(data: bytes) -> None:
    world.beacon_shares()[0].public_key.verify(MESSAGE, data)
    assert data in BY_NAME["clsc/bls-signature"].stored(), "there is one BLS signature of a message"


TARGETS = [
    Target("clsc/packet", read_packet, of=("clsc.packet.parse", "clsc.packet.parse_start")),
    Target("clsc/head", read_head, of=("clsc.packet.parse_head",), made=lambda: [insider().head_bytes]),
    Target(
        "clsc/unsigncrypt",
        open_packet,
        (),
        made=lambda: BY_NAME["clsc/packet"].stored(),
        tries=30,
        of=(
            "clsc.unsigncryption.unsigncrypt",
            "clsc.batch.unsigncrypt_batch",
            "clsc.streaming.unsigncrypt_file",
        ),
    ),
    Target(
        "clsc/unsigncrypt-head",
        taken(open_head),
        (UnsigncryptError, SenderError),
        made=lambda: [insider().head_bytes],
        tries=30,
    ),
    Target(
        "clsc/signature",
        taken(verify),
        (SignatureError,),
        tries=30,
        of=("clsc.signature.verify", "clsc.signature.batch_verify"),
    ),
    Target("clsc/bls-signature", taken(verify_bls), (DecodeError, SignatureError), tries=30),
]
BY_NAME = {target.name: target for target in TARGETS}
