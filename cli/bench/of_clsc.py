"""Measurements of :mod:`sottovoce.clsc`, each beside the primitives that it is made of.

Aims: what an operation may cost at most, as a ratio to something measured in the same run.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ... import clsc
from ..._ext.enc import enc
from ...clsc import group, hashes, signature
from . import clsc_parts as parts
from . import clsc_plain as plain
from .areas import Area
from .clsc_world import RECEIVERS, strangers, world
from .measurement import Alternative, Operation, Parts, Peer, Work, measurement, pool

_BATCH: Final = 100
_LARGE: Final = 64 * parts.MIB
_MESSAGE: Final = bytes(parts.KIB)


def _peer(prepare: parts.Prepare) -> tuple[Peer, ...]:
    return (Peer("cryptography", prepare, note="Ed25519, certificate, HPKE", lacks=plain.LACKS),)


# -- keys -------------------------------------------------------------------------------------------


_parties: Final = itertools.count()
"""Names that the issuer has not seen: its world outlives a measurement that is prepared again."""


@measurement(
    Area.CLSC,
    "issue a blind key",
    work=Work(1, "key"),
    size={"keys": 1},
    parts=Parts(parts.ISSUE_BLIND),
    one_core=True,
)
def issue_blind() -> Operation:
    """Request, answer and check of one pseudonym key: device and issuer together."""
    issuer = world().issuer

    def fresh() -> tuple[str, bytes]:
        party = f"party-{next(_parties)}"
        return party, issuer.enrol(party)

    def call(party: str, token: bytes) -> object:
        request = clsc.BlindRequest(issuer.params, clsc.Usage.SIGN, token)
        return request.finish(issuer.issue(party, request.to_bytes()))

    return Operation(call, fresh)


# -- signatures -------------------------------------------------------------------------------------


def sign_without_tables(key: clsc.SecretKey, message: bytes) -> bytes:
    """What :func:`sottovoce.clsc.sign` does, and the same bytes on the wire, without its three tables.

    Every multiplication by a secret is the one that the package has for bases without a table.
    """
    public, transcript = key.public_key, hashes.message_transcript(message)
    info = enc(
        "SOTTOVOCE-V1-NONCE", "message", public.params.params_id, public.identity, public.X, transcript
    )
    material = hashes.hkdf(key._ikm(), os.urandom(32), info, 96)
    k = int.from_bytes(material[:48], "big") % group.ORDER
    rho = int.from_bytes(material[48:], "big") % group.ORDER
    commitment = group.g1_mul_secret(public._Q_base.point, k).to_compressed_bytes()
    commitment_x = group.g1_mul_secret(group.P1, rho).to_compressed_bytes()
    c = signature._challenge(signature.CONTEXT_MESSAGE, public, commitment, commitment_x, transcript)
    answer = group.g1_mul_secret(key._D.point, (k + c) % group.ORDER).to_compressed_bytes()
    answer_x = group.scalar_to_bytes((rho + c * key._x) % group.ORDER)
    return commitment + answer + commitment_x + answer_x


def _sign_without_tables() -> Operation:
    key = world().sender
    return Operation(lambda: sign_without_tables(key, _MESSAGE))


@measurement(
    Area.CLSC,
    "sign",
    work=Work(1, "signature"),
    size={"message_bytes": parts.KIB},
    alternatives=(Alternative("without tables", _sign_without_tables, aim=0.35),),
    parts=Parts(parts.SIGN, aim=1.4),
    one_core=True,
)
def sign() -> Operation:
    """One signature under a blind key."""
    key = world().sender
    return Operation(lambda: clsc.sign(key, _MESSAGE), n_bytes=clsc.SIGNATURE_BYTES)


def _plain_verify() -> Operation:
    authority = plain.Authority()
    sender = plain.Sender.of(authority, b"sender")
    signed = plain.sign(sender, _MESSAGE)
    return Operation(lambda: plain.verify(authority, sender.certificate, _MESSAGE, signed))


@measurement(
    Area.CLSC,
    "verify",
    work=Work(1, "signature"),
    size={"message_bytes": parts.KIB},
    peers=_peer(_plain_verify),
    parts=Parts(parts.VERIFY),
    one_core=True,
)
def verify() -> Operation:
    """One signature of a sender who is known already (its hash to the curve is cached)."""
    key = world().sender
    signed = clsc.sign(key, _MESSAGE)
    return Operation(lambda: clsc.verify(key.public_key, _MESSAGE, signed))


_Items = Sequence[tuple[clsc.PublicKey, bytes, bytes]]


def _signed(n: int) -> _Items:
    messages = (i.to_bytes(4, "big") + _MESSAGE[4:] for i in range(n))
    return [
        (key.public_key, message, clsc.sign(key, message))
        for key, message in zip(strangers(n), messages, strict=True)
    ]


def _verify_singly() -> Operation:
    items = _signed(_BATCH)

    def call() -> None:
        for key, message, signed in items:
            clsc.verify(key, message, signed)

    return Operation(call)


@measurement(
    Area.CLSC,
    "verify a batch",
    work=Work(_BATCH, "signature"),
    size={"message_bytes": parts.KIB, "signatures": _BATCH, "keys": _BATCH},
    alternatives=(Alternative("one by one", _verify_singly),),
    parts=Parts(parts.batch_verify(_BATCH)),
    threaded=True,
    quick=False,
    one_core=True,
)
def batch_verify() -> Operation:
    """Signatures under different known keys, one pairing equation for all."""
    items, executor = _signed(_BATCH), pool()
    return Operation(lambda: clsc.batch_verify(items, executor=executor))


# -- packets ----------------------------------------------------------------------------------------


def _plain_seal() -> Operation:
    sender = plain.Sender.of(plain.Authority(), b"sender")
    to = [X25519PrivateKey.generate().public_key()]
    return Operation(lambda: plain.seal(sender, to, _MESSAGE))


def _plain_open() -> Operation:
    authority, key = plain.Authority(), X25519PrivateKey.generate()
    sender = plain.Sender.of(authority, b"sender")
    packet = plain.seal(sender, [key.public_key()], _MESSAGE)
    return Operation(lambda: plain.open_one(authority, key, packet))


@measurement(
    Area.CLSC,
    "signcrypt to 1",
    work=Work(1, "packet"),
    size={"plaintext_bytes": parts.KIB, "receivers": 1},
    peers=_peer(_plain_seal),
    parts=Parts(parts.signcrypt(1), aim=1.3),
    one_core=True,
)
def signcrypt_one() -> Operation:
    """A packet for one receiver, who was written to before."""
    w = world()
    return Operation(lambda: w.packet(_MESSAGE, w.sender), n_bytes=len(w.packet(_MESSAGE, w.sender)))


@measurement(
    Area.CLSC,
    f"signcrypt to {RECEIVERS}",
    work=Work(1, "packet"),
    size={"plaintext_bytes": parts.KIB, "receivers": RECEIVERS},
    parts=Parts(parts.signcrypt(RECEIVERS)),
    one_core=True,
)
def signcrypt_many() -> Operation:
    """One packet that each of several receivers can open."""
    w = world()
    to = [receiver.public_key for receiver in w.receivers]

    def call() -> bytes:
        return clsc.signcrypt(_MESSAGE, sender=w.sender, receivers=to)

    return Operation(call, n_bytes=len(call()))


@measurement(
    Area.CLSC,
    "signcrypt large",
    work=Work(_LARGE, "byte of plaintext"),
    size={"plaintext_bytes": _LARGE, "receivers": 1},
    parts=Parts(parts.seal_body(_LARGE), aim=2.0),
    quick=False,
    one_core=True,
)
def signcrypt_large() -> Operation:
    """In memory; half the rate of AES-GCM plus SHA-256 over the same bytes is aimed at."""
    w = world()
    plaintext = os.urandom(_LARGE)
    return Operation(lambda: w.packet(plaintext, w.sender))


@measurement(
    Area.CLSC,
    "unsigncrypt",
    work=Work(1, "packet"),
    size={"plaintext_bytes": parts.KIB, "receivers": 1},
    peers=_peer(_plain_open),
    parts=Parts(parts.UNSIGNCRYPT, aim=1.3),
    one_core=True,
)
def unsigncrypt() -> Operation:
    """Open one packet and verify its sender, who was never seen before."""
    w = world()
    return Operation(
        lambda packet: clsc.unsigncrypt(packet, receiver=w.receivers[0], trust=w.trust),
        lambda: (w.packet(_MESSAGE, w.new_sender()),),
    )


def _packets(n_senders: int) -> list[bytes]:
    senders = strangers(n_senders)
    return [world().packet(_MESSAGE, senders[i % n_senders]) for i in range(_BATCH)]


def _open_singly(n_senders: int) -> parts.Prepare:
    def prepare() -> Operation:
        w, packets = world(), _packets(n_senders)

        def call() -> None:
            for packet in packets:
                clsc.unsigncrypt(packet, receiver=w.receivers[0], trust=w.trust)

        return Operation(call)

    return prepare


def _open_batch(n_senders: int) -> Operation:
    w, packets, executor = world(), _packets(n_senders), pool()
    return Operation(
        lambda: clsc.unsigncrypt_batch(packets, receiver=w.receivers[0], trust=w.trust, executor=executor)
    )


@measurement(
    Area.CLSC,
    "unsigncrypt a batch",
    work=Work(_BATCH, "packet"),
    size={"plaintext_bytes": parts.KIB, "packets": _BATCH, "senders": _BATCH},
    alternatives=(Alternative("one by one", _open_singly(_BATCH), aim=0.65),),
    parts=Parts(parts.unsigncrypt_batch(_BATCH)),
    threaded=True,
    quick=False,
    one_core=True,
)
def unsigncrypt_batch() -> Operation:
    """Open many packets of as many senders, verify them together."""
    return _open_batch(_BATCH)


@measurement(
    Area.CLSC,
    "unsigncrypt a batch of one sender",
    work=Work(_BATCH, "packet"),
    size={"plaintext_bytes": parts.KIB, "packets": _BATCH, "senders": 1},
    alternatives=(Alternative("one by one", _open_singly(1), aim=0.65),),
    threaded=True,
    quick=False,
    one_core=True,
)
def unsigncrypt_batch_of_one() -> Operation:
    """Open many packets of one sender, verify them together."""
    return _open_batch(1)
