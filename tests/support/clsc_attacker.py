"""What dishonest insiders can do: a co-receiver who knows CEK, and a sender who lies.

They use the package's internals to build packets; the tests then hand the bytes to the public API.
"""

from dataclasses import replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sottovoce._ext.room import Room
from sottovoce.clsc import body, comb, group, hashes, kem, packet, signature


class CoReceiver:
    """Opens a packet as one of its receivers and keeps everything that it then knows."""

    def __init__(self, data, receiver, ad=b""):
        self.parsed = packet.parse(data)
        self.cek = kem.open_slot(self.parsed, receiver).cek
        self.k_body, self.k_head, self.kc = kem.content_keys(self.cek)
        self.wire = self.parsed.wire(ad)
        self.head_bytes = AESGCM(self.k_head).decrypt(bytes(12), self.parsed.head, self.wire)
        self.head = packet.parse_head(self.head_bytes)
        plain = Room(self.parsed.body_bytes)
        body.open_body(self.k_body, self.parsed.body, self.parsed.body_bytes, plain)
        self.plain = plain.value()

    def own_slot_keys(self, receiver):
        """``com, k`` of the receiver's own slot."""
        U1, U2 = group.g1_from_bytes(self.parsed.U1, "U1"), group.g2_from_bytes(self.parsed.U2, "U2")
        S = group.g1_mul_vartime(U1, receiver._x).to_compressed_bytes()
        T = group.multi_pairing([receiver._D.point], [U2])
        return kem.slot_keys(T, S, self.parsed.U1, self.parsed.U2, receiver.public_key)

    def rewrite(self, *, body=None, slots=None, ad=b"", sign_as=None, **head_changes):
        """The packet with another body, slots or head, resealed under the known keys."""
        plain = self.plain if body is None else body
        slots = self.parsed.slots if slots is None else slots
        header = self.parsed.header[:1] + bytes([len(slots)]) + self.parsed.header[2:]
        return assemble(header, slots, self.k_body, self.k_head, plain, self.head, ad, sign_as, head_changes)


def seal(k_body, plain):
    """The body, tags included."""
    sealed = Room(packet.sealed_bytes(len(plain)))
    pieces = [plain[i : i + body.CHUNK_BYTES] for i in range(0, len(plain), body.CHUNK_BYTES)]
    for _ in body.seal_body(k_body, pieces, len(plain), sealed):
        pass
    del _  # it is a view of the room
    return sealed.value()


def assemble(header, slots, k_body, k_head, plain, head, ad, sign_as, head_changes):
    sealed = seal(k_body, plain)
    parsed = packet.Packet(header, tuple(slots), body.MemoryBody(memoryview(sealed)), b"")
    wire = parsed.wire(ad)
    head = replace(head, **head_changes)
    if sign_as is not None:
        transcript = packet.transcript_hash(wire, head.plaintext_bytes)
        made = signature._sign_derand(sign_as, "packet", transcript, lambda n: bytes(n))
        head = replace(head, signature=made)
    sealed_head = AESGCM(k_head).encrypt(bytes(12), head.to_bytes(), wire)
    return b"".join([packet.MAGIC, header, *slots, len(sealed).to_bytes(8, "big"), sealed, sealed_head])


def lying_sender(
    sender, receivers, plain, *, ad=b"", ceks=None, kc=None, signer=None, plaintext_bytes=None, **head
):
    """Signcrypt by hand: own CEK for each receiver, and a head with any content, honestly signed."""
    u1, u2 = group.random_scalar(), group.random_scalar()
    U1, U2 = comb.p1_mul(u1).to_compressed_bytes(), comb.p2_mul(u2).to_compressed_bytes()
    ceks = ceks or [b"K" * 32] * len(receivers)
    k_body, k_head, honest_kc = kem.content_keys(ceks[0])
    kc = honest_kc if kc is None else kc
    header = bytes([hashes.SUITE, len(receivers)]) + U1 + U2 + kc
    slots = [
        kem.seal_slot(key, u1, u2, U1, U2, header, cek) for key, cek in zip(receivers, ceks, strict=True)
    ]
    truth = packet.Head(
        sender.params.params_id,
        packet.pad_name(sender.identity),
        sender.public_key.X,
        bytes(176),
        len(plain) if plaintext_bytes is None else plaintext_bytes,
    )
    return assemble(header, slots, k_body, k_head, plain, truth, ad, signer or sender, head)
