"""``disperse`` and ``gather``: one packet as n sealed shards, any k of which give it back.

Computational secret sharing (Krawczyk, CRYPTO 1993)::

    K      = 32 random bytes
    C      = AES-256-GCM(K, nonce 0, packet || zeros) || SHA-256(enc("SOTTOVOCE-V1-SHARD-COMMIT", K))
    pieces = Erasure(k, n) of C in k rows;  C fills them exactly, the zeros see to that
    shares = Shamir(k, n) of K
    shard i = HPKE to the recipient of  group id, i, k, n, packet length, share i, piece i

K is used for one message only, so the nonce is constant.  The commitment is there because AES-GCM
alone opens one ciphertext under two keys: without it a sender could make a C that gives different
packets to different sets of shards.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .._ext import gf256
from .._ext.enc import sha256_enc
from .._ext.errors import ParameterError, TooManyErasures
from .._ext.padme import padme
from . import sharing
from ._erasure_rows import Shards
from .erasure import Erasure
from .matrix import check_shape, parity_matrix
from .shard import (
    DIGEST_BYTES,
    GROUP_ID_BYTES,
    HEADER_BYTES,
    PACKET_OVERHEAD,
    Body,
    MalformedError,
    UnopenableError,
    check_context,
    check_packet_bytes,
    header,
    open_shard,
    piece_bytes,
    seal,
    share_hasher,
)
from .shardkey import ShardKey
from .suites import recipient_key

_NONCE = bytes(12)
_COMMITMENT_BYTES = 32

# What re-encoding may cost: as many rows as a code of rate 1/8 has, or 64 KiB, which is less work than
# opening the seal; and the memory it runs in (at n = 255 the blocks are still 4 KiB wide).
_REENCODED_PER_PIECE = 8
_REENCODED_BYTES = 1 << 16
_SCRATCH_BYTES = 1 << 20


def disperse(
    packet: bytes,
    k: int,
    n: int,
    recipient: bytes,
    *,
    context: bytes = b"",
    packet_bytes: int | None = None,
) -> list[bytes]:
    """Cut a packet into n sealed shards for one recipient.

    Fewer than k shards tell the *recipient* nothing about the packet but its length; k tell it all.
    Anyone else sees n strings of one length, without group, sender or recipient in them, of which
    nobody but the recipient can tell that they belong together, as far as their bytes go.  It hides
    neither who sent them nor when.  With k = 1 each shard is the packet.

    Dispersal says nothing about who sent: anyone can seal a shard to a public key.  Sign inside.

    Args:
        packet: 0 to 2**30 bytes; read, never kept.
        k: Shards needed, at least 1.
        n: Shards made, ``k <= n <= 255``.
        recipient: :attr:`ShardKey.public_key`, 32 bytes, or 1216 for the suite ``MLKEM768X25519``.
        context: Bound to every shard; :func:`gather` must name the same.
        packet_bytes: Length to pad to, from that of the packet to 2**30, for instance that of the largest
            packet of a round; None pads by Padme, which still shows the size class.

    Returns:
        n shards of ``shard_bytes(packet_bytes, k, n, suite)`` bytes each, shard i first to last.

    Raises:
        TypeError: A wrong Python type.
        ParameterError: k, n or packet_bytes out of range, or the packet is longer; ``recipient`` is of
            another length, not reduced, of small order, or of a suite that this build of ``cryptography``
            lacks.

    Timing: depends on lengths, k and n only (as far as ``cryptography`` keeps it so).
    Source: Krawczyk, "Secret sharing made short", CRYPTO 1993; Shamir, CACM 1979, for the key; RFC 9180,
        section 6.1, for the seal; Padme: PETS 2019, section 4; docs/rs.md, "Dispersal".
    """
    k, n = check_shape(k, n, sharing.MAX_SHARES)
    info = check_context(context)
    key = recipient_key(recipient)
    if not isinstance(packet, bytes):
        raise TypeError(f"packet: bytes expected, got {type(packet).__name__}")
    check_packet_bytes("packet", len(packet))
    if packet_bytes is None:
        packet_bytes = padme(len(packet))
    packet_bytes = check_packet_bytes("packet_bytes", packet_bytes)
    if len(packet) > packet_bytes:
        raise ParameterError(
            f"packet: at most packet_bytes = {packet_bytes} bytes expected, got {len(packet)}"
        )
    packet_key = secrets.token_bytes(sharing.KEY_BYTES)
    shares = sharing.split(packet_key, k, n)
    group_id = secrets.token_bytes(GROUP_ID_BYTES)
    bodies = np.empty((n, HEADER_BYTES + piece_bytes(packet_bytes, k)), np.uint8)
    for index, (body, share) in enumerate(zip(bodies, shares, strict=True)):
        head = header(group_id, index, k, n, len(packet), share.tobytes())
        body[:HEADER_BYTES] = np.frombuffer(head, np.uint8)
    _fill(bodies[:, HEADER_BYTES:], packet, packet_key, k)
    return [seal(key, info, body.data) for body in bodies]


def _fill(pieces: Shards, packet: bytes, packet_key: bytes, k: int) -> None:
    """Write the n pieces of a packet, each where it is sealed from: no copy of the packet is made."""
    length = pieces.shape[1]
    padded = k * length - PACKET_OVERHEAD
    encryptor = Cipher(algorithms.AES(packet_key), modes.GCM(_NONCE)).encryptor()
    source = memoryview(packet)
    for start, row in zip(range(0, padded, length), pieces, strict=False):
        part = source[start : start + length]
        # Zeros up to the last byte of the last row: nothing outside the tag, one reading of a length.
        zeros = min(length, padded - start) - len(part)
        encryptor.update_into(part, row[: len(part)].data)
        encryptor.update_into(bytes(zeros), row[len(part) : len(part) + zeros].data)
    encryptor.finalize()
    # Pieces may be shorter than tag and commitment, so these may go over several.
    end = np.frombuffer(encryptor.tag + _commitment(packet_key), np.uint8)
    at = padded
    while len(end):
        index, column = divmod(at, length)
        count = min(length - column, len(end))
        pieces[index, column : column + count] = end[:count]
        at, end = at + count, end[count:]
    Erasure(k, len(pieces)).encode(pieces[:k], out=pieces[k:])


def _commitment(packet_key: bytes) -> bytes:
    return sha256_enc("SOTTOVOCE-V1-SHARD-COMMIT", packet_key)


class InconsistentError(Exception):
    """The shards of one group do not come from one packet: their sender is at fault, for only it
    and the recipient know the group id.  Says nothing more, because a key was used."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A group that has been opened: its packet, and what else it takes to compare further shards."""

    packet: bytes = field(repr=False)
    n: int
    _encrypted: Shards = field(repr=False)
    _shares: Mapping[int, bytes] = field(repr=False)

    def digests(self) -> bytes:
        """What the digests of shards 0, 1, ... must be, 16 bytes each, for the first shards only.

        All n of them if ``n <= 8 * k`` or the pieces are small; without that limit anyone could have
        us code and hash 255 times what was sent.
        """
        k, length = self._encrypted.shape
        count = min(self.n, max(_REENCODED_PER_PIECE * k, _REENCODED_BYTES // length))
        shares = sharing.shares_at(self._shares, range(count))
        hashers = [share_hasher(index, share) for index, share in enumerate(shares)]
        for hasher, row in zip(hashers, self._encrypted, strict=False):
            hasher.update(row.data)
        for _, block in _parity_blocks(self._encrypted, self.n, range(k, count)):
            for hasher, row in zip(hashers[k:], block, strict=True):
                hasher.update(row.data)
        return b"".join(hasher.digest()[:DIGEST_BYTES] for hasher in hashers)


def _parity_blocks(encrypted: Shards, n: int, indices: Sequence[int]) -> Iterator[tuple[slice, Shards]]:
    """Some parity rows, block of columns by block of columns: all at once may be 255 times what came."""
    if not indices:
        return
    k, length = encrypted.shape
    rows = parity_matrix(k, n)[[i - k for i in indices]]
    width = min(length, _SCRATCH_BYTES // len(indices))
    scratch = np.empty((len(indices), width + 64), np.uint8)  # 64: see Erasure.encode
    for start in range(0, length, width):
        columns = slice(start, min(start + width, length))
        block = scratch[:, : columns.stop - start]
        gf256.multiply(rows, [row[columns] for row in encrypted], list(block))
        yield columns, block


def decode_group(bodies: Mapping[int, Body]) -> Decoded:
    """Open a group, and compare the shards beyond k with what the packet re-encodes to.

    Memory: some four times k pieces, whatever n is.

    Args:
        bodies: At least k shards of one group, by index.

    Raises:
        InconsistentError: Key commitment, tag, padding, or a shard that the packet does not re-encode to.
    """
    some = next(iter(bodies.values()))
    k, n, packet_length = some.k, some.n, some.packet_length
    indices = sorted(bodies)
    used, spare = indices[:k], indices[k:]  # what is spare is parity: k others come before it
    encrypted = np.empty((k, len(some.piece)), np.uint8)
    Erasure(k, n).reconstruct({i: bodies[i].piece for i in used}, encrypted)
    shares = {i: bodies[i].key_share for i in used}
    packet_key = sharing.combine(shares)
    flat = encrypted.data.cast("B")
    if not hmac.compare_digest(flat[-_COMMITMENT_BYTES:], _commitment(packet_key)):
        raise InconsistentError
    try:
        padded = AESGCM(packet_key).decrypt(_NONCE, flat[:-_COMMITMENT_BYTES], None)
    except InvalidTag:
        raise InconsistentError from None
    if padded.count(0, packet_length) != len(padded) - packet_length:
        raise InconsistentError
    if spare:
        expected = b"".join(sharing.shares_at(shares, spare))
        if not hmac.compare_digest(expected, b"".join(bodies[i].key_share for i in spare)):
            raise InconsistentError
    pieces = [np.frombuffer(bodies[i].piece, np.uint8) for i in spare]
    for columns, block in _parity_blocks(encrypted, n, spare):
        if not all(np.array_equal(row, piece[columns]) for row, piece in zip(block, pieces, strict=True)):
            raise InconsistentError
    return Decoded(padded[:packet_length], n, encrypted, shares)


def gather(shards: Iterable[bytes], secret_key: ShardKey, *, context: bytes = b"") -> list[bytes]:
    """Give back every packet of which at least k shards are there.

    Order, copies, and shards that are altered, foreign or of another context do no harm; they count
    as missing.  All shards of a group are compared with what its packet re-encodes to; a group whose
    shards contradict each other is dropped as a whole.  For shards that arrive one by one, or from
    people who are not trusted with memory, use :class:`Collector`.  Here memory is what all shards
    take, and some three times as much as the largest group has in its first k.

    Args:
        shards: Sealed shards of any number of packets, each as it came.
        secret_key: The recipient's; used, not kept.
        context: As given to :func:`disperse`.

    Returns:
        The packets, at least one, in the order in which their groups were first seen.

    Raises:
        TypeError: A wrong Python type.
        TooManyErasures: No packet came out.  ``needed`` and ``present`` are those of the group that
            misses fewest; a dropped group counts as ``present = 0``; without any group ``needed`` is 1.

    Timing: shows how many shards opened and whether a packet came out, and nothing of key, packet or key
        shares; docs/rs.md, "What it does not give".
    Source: Krawczyk, CRYPTO 1993; RFC 9180, section 6.1; docs/rs.md, "Opening".
    """
    info = check_context(context)
    if not isinstance(secret_key, ShardKey):
        raise TypeError(f"secret_key: ShardKey expected, got {type(secret_key).__name__}")
    if isinstance(shards, bytes | bytearray | memoryview | str):
        raise TypeError("shards: an iterable of bytes expected, got one buffer")
    groups: dict[tuple[bytes, int, int, int, int], dict[int, Body]] = {}
    broken: set[tuple[bytes, int, int, int, int]] = set()
    for position, shard in enumerate(shards):
        if not isinstance(shard, bytes):
            raise TypeError(f"shard {position}: bytes expected, got {type(shard).__name__}")
        try:
            body = open_shard(shard, secret_key, info)
        except (UnopenableError, MalformedError):
            continue
        first = groups.setdefault(body.group, {}).setdefault(body.index, body)
        if not first.same_as(body):
            broken.add(body.group)
    packets: list[bytes] = []
    best: tuple[int, int] | None = None
    for group, bodies in groups.items():
        needed, present = group[1], len(bodies)
        if present >= needed or group in broken:
            try:
                if group in broken:
                    raise InconsistentError
                packets.append(decode_group(bodies).packet)
                continue
            except InconsistentError:
                present = 0
        if best is None or needed - present < best[0] - best[1]:
            best = (needed, present)
    if not packets:
        raise TooManyErasures(*(best or (1, 0)))
    return packets
