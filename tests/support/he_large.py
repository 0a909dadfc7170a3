"""A whole round over a long vector, ciphertexts in files, in a process of its own: memory and time by step.

Run: python tests/support/he_large.py PARAMETERS [SET]   (prints JSON)

Memory is what the largest resident set so far has above the arrays that the caller made: the input and
whatever the step is to fill.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sottovoce.he import kahe

CONTEXT = bytes(range(32))
CLIENTS = 3
MIB = 1 << 20


def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(count, name="RLWE_128_N2048_Q50"):
    params = kahe.Params(name, count, 16, 1024, 4)
    steps, arrays = {}, 0
    values = np.arange(count, dtype=np.int64)
    values %= 65535
    values -= 32767
    base = peak() - values.nbytes

    def step(name, size, work, times=1):
        nonlocal arrays
        arrays += size
        start = time.perf_counter()
        out = work()
        seconds = time.perf_counter() - start
        steps[name] = {
            "extra": peak() - base - values.nbytes - arrays,
            "ns": seconds / count / times * 1e9,
        }
        return out

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"client{i}" for i in range(CLIENTS)]
        shares = []

        def encrypt():
            for path in paths:
                key = kahe.OneTimeKey.generate(params, CONTEXT)
                with path.open("wb") as file:
                    key.encrypt_into(values, file)
                shares.append(key.share(path.name.encode())[1])

        def add():
            total = kahe.CiphertextSum(params, CONTEXT)
            for path in paths:
                with path.open("rb") as file:
                    total.add_from(file)
                path.unlink()
            return total

        def write():
            with (Path(folder) / "sum").open("wb") as file:
                total.write_to(file)

        step("encrypt_into", 0, encrypt, CLIENTS)
        total = step("add_from", 0, add, CLIENTS)
        arrays += total._sum.nbytes
        steps["add_from"]["extra"] -= total._sum.nbytes
        step("write_to", 0, write)
        sums = []
        for j in range(1, params.threshold + 1):
            share_sum = kahe.ShareSum(params, j)
            for own in shares:
                share_sum.add(own[j - 1])
            sums.append(share_sum)
        out = np.zeros(count, np.int64)
        out += 1  # touched: in memory before the step
        step("open_sum", out.nbytes, lambda: kahe.open_sum(params, CONTEXT, total, sums, CLIENTS, out=out))
        right = all(
            np.array_equal(out[i : i + MIB], CLIENTS * values[i : i + MIB]) for i in range(0, count, MIB)
        )
    print(
        json.dumps(
            {
                "parameters": count,
                "ciphertext": params.ciphertext_bytes,
                "sum": total._sum.nbytes,
                "peak": peak(),
                "right": right,
                "steps": steps,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
