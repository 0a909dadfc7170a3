"""Properties of ``sottovoce.clsc``: who should open a packet does, and nobody else learns why not."""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from ... import clsc
from ..bench.areas import Area
from .check import holds_for
from .expect import flipped, refused, same, show, true
from .people import DAY_S, people, span


def _sealed(st: Any) -> dict[str, Any]:
    return {
        "plaintext": st.binary(max_size=1500),
        "ad": st.binary(max_size=40),
        "sender": st.sampled_from([0, 1]),
        "n_receivers": st.integers(1, 4),
    }


def _opened(packet: bytes, receiver: clsc.SecretKey, ad: bytes) -> clsc.Opened:
    return clsc.unsigncrypt(packet, receiver=receiver, trust=people().trust, ad=ad)


def _alike(calls: list[tuple[str, Callable[[], Any]]]) -> None:
    """All are refused with the one error that says nothing."""
    texts = set()
    for what, call in calls:
        error = refused(clsc.UnsigncryptError, call, what)
        true(error.__cause__ is None, f"{what}: the error tells its cause")
        texts.add(str(error))
    true(len(texts) == 1, f"errors differ: {sorted(texts)}")


@holds_for(
    Area.CLSC,
    "every receiver opens a packet, and sees who signed it",
    lambda st: {**_sealed(st), "pad": st.booleans(), "dummies": st.integers(0, 3)},
)
def packets_open(plaintext: bytes, ad: bytes, sender: int, n_receivers: int, pad: bool, dummies: int) -> None:
    who, receivers = people().senders[sender], people().receivers[:n_receivers]
    packet = clsc.signcrypt(
        plaintext,
        sender=who,
        receivers=[key.public_key for key in receivers],
        ad=ad,
        pad=pad,
        dummy_slots=dummies,
        trust=people().trust,
    )
    slots = n_receivers + dummies
    same(len(packet), clsc.packet_bytes(len(plaintext), slots, pad=pad), "length of the packet")
    for receiver in receivers:
        opened = _opened(packet, receiver, ad)
        same(opened.plaintext, plaintext, "plaintext")
        same(opened.sender, who.public_key, "sender")
        same(opened.mode, who.public_key.params.mode, "mode")


@holds_for(
    Area.CLSC,
    "one changed bit, another reader, other data: all refused, with the same words",
    lambda st: {**_sealed(st), "bit": st.integers(0, 2**20)},
)
def refusals_are_alike(plaintext: bytes, ad: bytes, sender: int, n_receivers: int, bit: int) -> None:
    who, receivers = people().senders[sender], people().receivers[:n_receivers]
    packet = clsc.signcrypt(plaintext, sender=who, receivers=[r.public_key for r in receivers], ad=ad)
    reader = receivers[-1]
    _alike(
        [
            ("one bit changed", lambda: _opened(flipped(packet, bit), reader, ad)),
            ("one byte less", lambda: _opened(packet[:-1], reader, ad)),
            ("one byte more", lambda: _opened(packet + b"\0", reader, ad)),
            ("another receiver", lambda: _opened(packet, people().stranger, ad)),
            ("other associated data", lambda: _opened(packet, reader, ad + b"!")),
            ("no packet", lambda: _opened(plaintext, reader, ad)),
        ]
    )


@holds_for(
    Area.CLSC,
    "a packet shows no name and no key, and its length tells nothing about the people",
    _sealed,
)
def packets_are_anonymous(plaintext: bytes, ad: bytes, sender: int, n_receivers: int) -> None:
    receivers = [key.public_key for key in people().receivers[:n_receivers]]
    first, other = people().senders[sender], people().senders[1 - sender]
    packet = clsc.signcrypt(plaintext, sender=first, receivers=receivers, ad=ad)
    for secret in people().secrets:
        true(secret not in packet, f"{show(secret)} can be seen in the packet")
    twin = clsc.signcrypt(plaintext, sender=other, receivers=receivers[::-1], ad=ad)
    same(len(packet), len(twin), "length for another sender")
    again = clsc.signcrypt(plaintext, sender=first, receivers=receivers, ad=ad)
    true(packet != again, "the same packet twice: nothing in it is random")


@holds_for(
    Area.CLSC,
    "an opened packet of a sender who is not acceptable is refused with the same words, whatever the reason",
    lambda st: {"plaintext": st.binary(max_size=300), "sender": st.sampled_from([0, 1])},
)
def unacceptable_senders(plaintext: bytes, sender: int) -> None:
    root, who, reader = people().root, people().senders[sender], people().receivers[0]
    packet = clsc.signcrypt(plaintext, sender=who, receivers=[reader.public_key])
    params = who.public_key.params
    unknown = clsc.TrustStore(root.public_key)
    expired = clsc.TrustStore(root.public_key, clock=lambda: params.not_after + 10 * DAY_S)
    expired.add(params)
    revoking = clsc.TrustStore(root.public_key)
    revoking.add(params)
    pids = [who.public_key.pid]
    revoking.add_revocations(
        clsc.RevocationList.sign(root, params.params_id, number=1, issued_at=1, pids=pids)
    )
    stores = {"unknown parameters": unknown, "an epoch that is over": expired, "a revoked key": revoking}

    def opened(trust: clsc.TrustStore) -> clsc.Opened:
        return clsc.unsigncrypt(packet, receiver=reader, trust=trust)

    errors = [refused(clsc.SenderError, partial(opened, trust), what) for what, trust in stores.items()]
    same(len({str(error) for error in errors}), 1, "different errors")


@holds_for(
    Area.CLSC,
    "signatures hold for their message and key only",
    lambda st: {
        "message": st.binary(max_size=500),
        "sender": st.sampled_from([0, 1]),
        "bit": st.integers(0, 2**20),
    },
)
def signatures(message: bytes, sender: int, bit: int) -> None:
    who, other = people().senders[sender], people().senders[1 - sender]
    key, made = who.public_key, clsc.sign(who, message)
    same(len(made), clsc.SIGNATURE_BYTES, "length")
    clsc.verify(key, message, made)
    refused(clsc.SignatureError, lambda: clsc.verify(key, message, flipped(made, bit)), "changed signature")
    refused(clsc.SignatureError, lambda: clsc.verify(key, message + b"!", made), "changed message")
    refused(clsc.SignatureError, lambda: clsc.verify(other.public_key, message, made), "another key")


@holds_for(
    Area.CLSC,
    "a batch names exactly those of its signatures that do not hold",
    lambda st: {"bad": st.sets(st.integers(0, 5)), "message": st.binary(max_size=50)},
    most=25,
)
def batches(bad: set[int], message: bytes) -> None:
    who = people().senders[1]
    signed = [(who.public_key, message + bytes([i]), clsc.sign(who, message + bytes([i]))) for i in range(6)]
    batch = [(key, text + b"!" if i in bad else text, made) for i, (key, text, made) in enumerate(signed)]
    if not bad:
        clsc.batch_verify(batch)
        return
    error = refused(clsc.SignatureError, lambda: clsc.batch_verify(batch), "batch")
    same(getattr(error, "bad_indices", None), tuple(sorted(bad)), "bad signatures")


@holds_for(
    Area.CLSC,
    "what is read as a key, parameters or a list is written as the same bytes, or it is refused",
    lambda st: {
        "kind": st.sampled_from(["public key", "parameters", "revocation list"]),
        "changes": st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 255)), max_size=2),
        "cut": st.integers(0, 2),
    },
)
def one_encoding(kind: str, changes: list[tuple[int, int]], cut: int) -> None:
    root, trust, key = people().root, people().trust, people().senders[0].public_key
    readers: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
        "public key": (key.to_bytes(), lambda d: clsc.PublicKey.from_bytes(d, trust)),
        "parameters": (key.params.to_bytes(), lambda d: clsc.EpochParams.from_bytes(d, root.public_key)),
        "revocation list": (_revoked(), lambda d: clsc.RevocationList.from_bytes(d, root.public_key)),
    }
    good, read = readers[kind]
    same(read(good).to_bytes(), good, kind)
    data = bytearray(good)
    for place, change in changes:
        data[place % len(data)] ^= change
    altered = bytes(data[: len(data) - cut])
    try:
        made = read(altered)
    except clsc.SottovoceError:
        return
    same(made.to_bytes(), altered, f"altered {kind}")


def _revoked() -> bytes:
    params = people().senders[0].public_key.params
    one = clsc.RevocationList.sign(
        people().root, params.params_id, number=1, pids=[bytes(16), bytes([1] * 16)], issued_at=1
    )
    return one.to_bytes()


@holds_for(
    Area.CLSC,
    "any t of n servers issue a key that works; t - 1 are too few, and a wrong answer is named",
    lambda st: {
        "servers": st.sampled_from([(2, 3), (3, 4)]),
        "seed": st.integers(0, 2**32),
        "bit": st.integers(0, 2**10),
    },
    most=10,
)
def threshold_issuing(servers: tuple[int, int], seed: int, bit: int) -> None:
    t, n = servers
    root = clsc.RootKey.generate()
    shares = clsc.deal(root, clsc.Mode.IDENTITY, b"selftest", threshold=t, servers=n, **span())
    issuers = {share.index: clsc.Issuer(share) for share in shares}
    params = shares[0].params
    tokens = {j: issuer.enrol("device") for j, issuer in issuers.items()}
    request = clsc.IdentityRequest(params, clsc.Usage.SIGN, b"device", tokens)
    answers = {
        j: issuer.issue("device", request.to_bytes(issuer.challenge(), j)) for j, issuer in issuers.items()
    }
    made = [
        request.combine({j: answers[j] for j in chosen}).key
        for chosen in itertools.combinations(sorted(answers), t)
    ]
    for key in made:
        clsc.verify(made[0].public_key, b"text", clsc.sign(key, b"text"))
    order = random.Random(seed).sample(sorted(answers), n)  # noqa: S311 - which servers answer
    few = {j: answers[j] for j in order[: t - 1]}
    refused(clsc.TooFewAnswers, lambda: request.combine(few), "t - 1 answers")
    wrong = order[0]
    combined = request.combine({**answers, wrong: flipped(answers[wrong], bit)})
    same(combined.wrong, (wrong,), "servers whose answer is wrong")


@holds_for(
    Area.CLSC,
    "a file in chunks comes back; one that was cut, extended or altered leaves nothing",
    lambda st: {
        "length": st.sampled_from([0, 1, 2**20 - 1, 2**20, 2**20 + 1]),
        "bit": st.integers(0, 2**24),
        "damage": st.sampled_from(["cut", "extended", "altered"]),
    },
    most=10,
)
def files(length: int, bit: int, damage: str) -> None:
    content = random.Random(bit).randbytes(length)  # noqa: S311 - content of a file
    who, reader, sealed = people().senders[1], people().receivers[0], io.BytesIO()
    clsc.signcrypt_file(io.BytesIO(content), sealed, sender=who, receivers=[reader.public_key])

    def opened(packet: bytes, out: io.BytesIO) -> None:
        clsc.unsigncrypt_file(io.BytesIO(packet), out, receiver=reader, trust=people().trust)

    packet, out, nothing = sealed.getvalue(), io.BytesIO(), io.BytesIO()
    opened(packet, out)
    true(out.getvalue() == content, "another file came back")
    wrong = {"cut": packet[:-1], "extended": packet + b"\0", "altered": flipped(packet, bit)}[damage]
    refused(clsc.UnsigncryptError, lambda: opened(wrong, nothing), f"{damage} file")
    same(nothing.getvalue(), b"", "what was written of it")
