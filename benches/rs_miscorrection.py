"""How often RSCodec makes a wrong codeword out of a word drawn at random: measured beside the theory.

Run: python benches/rs_miscorrection.py [words]  (default 1,000,000 a row, some seconds; memory for 1 in 20)
The table stands in docs/rs-codec.md.
"""

import sys
from math import comb

import numpy as np

from sottovoce.rs import RSCodec

N = 255
PARITY = (2, 4, 6, 8, 10, 12, 16)
PARTS = 20


def probability(nsym):
    """Balls of radius nsym / 2 around all codewords, which do not overlap, over all words."""
    return sum(comb(N, e) * 255**e for e in range(nsym // 2 + 1)) / 256**nsym


def main():
    words = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(20260701)
    print(f"| nsym | theory | measured, of {words:,} words |\n| --- | --- | --- |")
    for nsym in PARITY:
        codec, hits = RSCodec(nsym), 0
        for _ in range(PARTS):
            noise = rng.integers(0, 256, (words // PARTS, N), np.uint8)
            hits += int(np.count_nonzero(codec.decode_batch(noise, out=noise).ok))
        print(f"| {nsym} | {probability(nsym):.2g} | {hits / (words // PARTS * PARTS):.2g} ({hits:,}) |")


if __name__ == "__main__":
    main()
