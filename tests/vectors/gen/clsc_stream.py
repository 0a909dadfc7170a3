"""Write tests/vectors/clsc/stream.json: packets of more than one chunk, without their bytes.

    python tests/vectors/gen/clsc_stream.py [FOLDER [N_VALID]]

The plaintext of ``n`` bytes is expanded from a seed: the first ``n`` bytes of ``SHA-256(seed || 0) ||
SHA-256(seed || 1) || ...``, the counter in 8 bytes big-endian.  The packet is ``start || body || head``:
``start`` (magic, header, slots, body length) and ``head`` are given, the body follows from CEK and the
plaintext, and ``packet_sha256`` says whether it came out right.

An invalid case is a valid one (``base``, a tcId) changed by ``splices``, applied from the last to the
first: at ``offset`` of the packet, ``delete`` bytes are taken away and ``insert`` put there.

``N_VALID`` writes only the first valid cases: on py_ecc each takes seconds.
"""

import hashlib
import io
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from clsc_vectors import invalid, valid, write
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sottovoce._ext.room import Through
from sottovoce.clsc import body, packet, signature
from sottovoce.clsc import signcryption as sc
from support.clsc_attacker import CoReceiver
from support.clsc_world import NOW, Drbg, World

MIB = 2**20
CASES = [
    ("two chunks, the second of one byte", MIB + 1, False),
    ("empty, padding asked for", 0, True),
    ("exactly one chunk", MIB, False),
    ("two full chunks", 2 * MIB, False),
    ("padding in the last chunk", MIB + 1, True),
    ("three chunks", 2 * MIB + 333, False),
]


def expand(seed, n):
    return b"".join(hashlib.sha256(seed + i.to_bytes(8, "big")).digest() for i in range(-(-n // 32)))[:n]


def receiver_fields(key):
    return {
        "public_key": key.public_key.to_bytes().hex(),
        "x": f"{key._x:064x}",
        "D": key._d_bytes.hex(),
    }


def valid_case(world, bob, comment, size, pad):
    seed = f"stream {comment}".encode()
    text = expand(seed, size)
    out = io.BytesIO()
    pieces = [text[i : i + MIB] for i in range(0, size, MIB)]
    # The hedge is what a broken random source needs, and no part of the format: any 32 bytes will do.
    hedge = hashlib.sha256(seed).digest()
    sc._seal_derand(
        pieces, size, hedge, Through(out.write), world.signer(), [bob.public_key], b"ad", pad, 1, Drbg(seed)
    )
    data = out.getvalue()
    parsed = packet.parse(data)
    hashes = bytearray()
    wire = parsed.wire(b"ad", hashes)
    insider = CoReceiver(data, bob, b"ad")
    transcript = packet.transcript_hash(wire, size)
    fields = {
        "receiver": receiver_fields(bob), "ad": b"ad".hex(), "seed": seed.hex(), "plaintext_bytes": size,
        "plaintext_sha256": hashlib.sha256(text).hexdigest(),
        "sender": world.signer().public_key.to_bytes().hex(),
        "start": data[: packet.start_bytes(2)].hex(), "head": parsed.head.hex(),
        "CEK": insider.cek.hex(), "chunk_hashes": hashes.hex(), "wire": wire.hex(),
        "packet_id": packet.packet_id(world.signer().public_key, transcript).hex(),
        "packet_sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    return valid(comment, **fields), data


def splice(data, splices):
    for offset, delete, insert in reversed(splices):
        data = data[:offset] + insert + data[offset + delete :]
    return data


def invalid_cases(world, bob, data, padded):
    """Of the two packets of one MiB and a byte: the first case, and the padded one."""
    start = packet.start_bytes(2)
    last, head = start + MIB + 16, start + MIB + 16 + 17
    insider = CoReceiver(data, bob, b"ad")
    length = start - 8

    def case(comment, flag, splices, error="UnsigncryptError", base=1):
        shown = [{"offset": at, "delete": n, "insert": put.hex()} for at, n, put in splices]
        return invalid(comment, flag, error, base=base, splices=shown)

    def flip(at):
        return [(at, 1, bytes([data[at] ^ 1]))]

    def other_last_chunk(nonce, plain, *, signed=True):
        """By who knows CEK: another last chunk, everything behind it made to fit; signed by the sender."""
        chunk = AESGCM(insider.k_body).encrypt(nonce, plain, None)
        changed = body.MemoryBody(memoryview(data[start:last] + chunk))
        wire = packet.Packet(insider.parsed.header, insider.parsed.slots, changed, b"").wire(b"ad")
        transcript = packet.transcript_hash(wire, MIB + 1)
        sign = signature._sign_derand(world.signer(), "packet", transcript, Drbg("insider"))
        made = packet.Head(
            insider.head.params_id, insider.head.name, insider.head.X,
            sign if signed else insider.head.signature, MIB + 1,
        )  # fmt: skip
        sealed = AESGCM(insider.k_head).encrypt(bytes(12), made.to_bytes(), wire)
        return [(last, 17, chunk), (head, packet.HEAD_BYTES, sealed)]

    right = body.stream_nonce(1, True)
    full = (MIB + 16).to_bytes(8, "big")
    longer = CoReceiver(padded, bob, b"ad").rewrite(ad=b"ad", plaintext_bytes=MIB + 2)[-packet.HEAD_BYTES :]
    return [
        case("bit of the first chunk", "Wire", flip(start)),
        case("bit of the tag of the first chunk", "Wire", flip(last - 1)),
        case("bit of the last chunk", "Wire", flip(last)),
        case("bit of the tag of the last chunk", "Wire", flip(head - 1)),
        case("last chunk left out", "Wire", [(length, 8, full), (last, 17, b"")]),
        case("last chunk left out, length not changed", "Length", [(last, 17, b"")]),
        case("length of a body whose last chunk is empty", "Length", [
            (length, 8, (MIB + 32).to_bytes(8, "big")), (last, 17, bytes(16))]),
        case("truncated by 1", "Length", [(head + packet.HEAD_BYTES - 1, 1, b"")]),
        case("extended by 1", "Length", [(head + packet.HEAD_BYTES, 0, b"\0")]),
        case("last chunk not marked as the last", "Stream", other_last_chunk(right[:11] + b"\0", b"x")),
        case("last chunk counted as the first", "Stream", other_last_chunk(bytes(11) + b"\1", b"x")),
        case("co-receiver puts in another last chunk", "Insider", other_last_chunk(right, b"x", signed=False),
             "SenderError"),
        case("plaintext longer than it was signed, by a byte of padding", "Insider",
             [(len(padded) - packet.HEAD_BYTES, packet.HEAD_BYTES, longer)], "SenderError", base=5),
    ]  # fmt: skip


def main(folder, n_valid):
    folder.mkdir(exist_ok=True)
    world = World("stream")
    bob = world.receiver("bob")
    made = [valid_case(world, bob, *case) for case in CASES[:n_valid]]
    tests = [test for test, _ in made]
    if n_valid >= len(CASES):
        tests += invalid_cases(world, bob, made[0][1], made[4][1])
    write(
        folder, "stream", tests, now=NOW, root=world.root.public_key.hex(),
        params=[p.to_bytes().hex() for p in world.params.values()],
    )  # fmt: skip


if __name__ == "__main__":
    main(
        pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "clsc",
        int(sys.argv[2]) if len(sys.argv) > 2 else len(CASES),
    )
