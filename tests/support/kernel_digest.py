"""A script that puts seeded inputs through the chosen kernels, and says which those are and what came out."""

SCRIPT = """
import hashlib, json
import numpy as np
from sottovoce._ext import codec, gf256, kahe, kernel, ntt, rlwe, rsword, sampler
rng = np.random.default_rng(7)
digest = hashlib.sha256()
for rows, cols, length in ((1, 1, 1), (4, 10, 4099), (7, 3, 130), (2, 3, 63), (13, 20, 9000)):
    matrix = rng.integers(0, 256, (rows, cols), np.uint8)
    data = rng.integers(0, 256, (cols, length), np.uint8)
    out = np.zeros((rows, length), np.uint8)
    gf256.multiply(matrix, list(data), list(out))
    digest.update(out.tobytes())
for n, q, psi in (
    (2048, 0x3FFFFFFFFC001, 0x2B86CE7575F16), (4096, 0xFFFFC4001, 0x98CED3375), (8, 97, 8),
    (64, 12289, 12149),
):
    ring = ntt.ring(n, q, psi)
    x = rng.integers(0, q, (3, n), np.uint64)
    for step in (ring.forward, lambda x: ring.multiply(x, x, x[0].copy()), ring.inverse):
        step(x)
        digest.update(x.tobytes())
said = {
    "features": sorted(kernel.cpu_features()), "ceiling": kernel.ceiling(), **kernel.chosen(),
    "digest": digest.hexdigest(),
}
print(json.dumps(said))
"""

DIGEST = "7fed06a11460961c5b52bf35396cbc34acb895f16723f9ce959408f367c26783"
"""Of the products and transforms: what the portable back ends gave when this was written."""
