"""Argon2id after RFC 9106 section 3, over hashlib alone: slow, for the small costs of the test vectors."""

import hashlib
import struct

MASK = (1 << 64) - 1


def le32(n):
    return struct.pack("<I", n)


def long_hash(data, n_bytes):
    """H' of section 3.3."""
    if n_bytes <= 64:
        return hashlib.blake2b(le32(n_bytes) + data, digest_size=n_bytes).digest()
    v = hashlib.blake2b(le32(n_bytes) + data).digest()
    out = v[:32]
    while n_bytes - len(out) > 64:
        v = hashlib.blake2b(v).digest()
        out += v[:32]
    return out + hashlib.blake2b(v, digest_size=n_bytes - len(out)).digest()


def _gb(v, a, b, c, d):
    """BLAKE2b's quarter round with multiplications, section 3.6."""
    for first, second in ((32, 24), (16, 63)):
        v[a] = (v[a] + v[b] + 2 * (v[a] & 0xFFFFFFFF) * (v[b] & 0xFFFFFFFF)) & MASK
        x = v[d] ^ v[a]
        v[d] = (x >> first | x << (64 - first)) & MASK
        v[c] = (v[c] + v[d] + 2 * (v[c] & 0xFFFFFFFF) * (v[d] & 0xFFFFFFFF)) & MASK
        x = v[b] ^ v[c]
        v[b] = (x >> second | x << (64 - second)) & MASK


def _permute(v, at):
    for a, b, c, d in (
        (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
        (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
    ):  # fmt: skip
        _gb(v, at[a], at[b], at[c], at[d])


def compress(x, y):
    """G of section 3.5: two blocks of 128 words to one."""
    r = [a ^ b for a, b in zip(x, y, strict=True)]
    z = list(r)
    for row in range(8):
        _permute(z, range(16 * row, 16 * row + 16))
    for column in range(8):
        _permute(z, [2 * column + 16 * i + j for i in range(8) for j in (0, 1)])
    return [a ^ b for a, b in zip(z, r, strict=True)]


def argon2id(password, salt, n_bytes, passes, lanes, memory_kib, secret=b"", ad=b""):
    h0 = hashlib.blake2b(
        le32(lanes) + le32(n_bytes) + le32(memory_kib) + le32(passes) + le32(0x13) + le32(2)
        + b"".join(le32(len(part)) + part for part in (password, salt, secret, ad))
    ).digest()  # fmt: skip
    blocks = 4 * lanes * (memory_kib // (4 * lanes))
    columns, segment = blocks // lanes, blocks // lanes // 4
    B = [[None] * columns for _ in range(lanes)]
    for lane in range(lanes):
        for j in (0, 1):
            B[lane][j] = list(struct.unpack("<128Q", long_hash(h0 + le32(j) + le32(lane), 1024)))
    zero = [0] * 128
    for t in range(passes):
        for part in range(4):
            for lane in range(lanes):
                independent = t == 0 and part < 2
                for i in range(segment):
                    j = part * segment + i
                    if independent and i % 128 == 0:
                        seed = [t, lane, part, blocks, passes, 2, i // 128 + 1] + [0] * 121
                        addresses = compress(zero, compress(zero, seed))
                    if t == 0 and j < 2:
                        continue
                    word = addresses[i % 128] if independent else B[lane][j - 1][0]
                    j1, j2 = word & 0xFFFFFFFF, word >> 32
                    from_lane = lane if t == 0 and part == 0 else j2 % lanes
                    # Section 3.4: the blocks that are finished and may be referred to.
                    if t == 0:
                        size = j if from_lane == lane else part * segment
                        start = 0
                    else:
                        size = columns - segment + (i if from_lane == lane else 0)
                        start = (part + 1) * segment % columns
                    size -= 1 if from_lane == lane or i == 0 else 0
                    x = j1 * j1 >> 32
                    at = (start + size - 1 - (size * x >> 32)) % columns
                    new = compress(B[lane][j - 1], B[from_lane][at])
                    old = B[lane][j]
                    B[lane][j] = new if t == 0 else [a ^ b for a, b in zip(new, old, strict=True)]
    final = [0] * 128
    for lane in range(lanes):
        final = [a ^ b for a, b in zip(final, B[lane][-1], strict=True)]
    return long_hash(struct.pack("<128Q", *final), n_bytes)
