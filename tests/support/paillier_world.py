"""Keys from the committed vectors, and TOY_INSECURE parameters, for the tests of ``he.paillier``."""

import json
from functools import cache
from pathlib import Path

from gmpy2 import mpz

from sottovoce.he import paillier

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "he" / "paillier.json").read_text())
KEYS = {k["name"]: k for k in VECTORS["keys"]}
TOY, REAL, SHORT, NOT_BLUM = KEYS


@cache
def key(name=REAL):
    """A secret key without the checks of ``from_bytes``: a TOY_INSECURE one would not pass them."""
    k = KEYS[name]
    numbers = [mpz(int(k[field], 16)) for field in ("p", "q", "hs")]
    return paillier.SecretKey._of(*numbers, k["exponentBits"])


def make_params(name, n_slots, value_bits=16, max_summands=1024, slots=0):
    """Params for that key, TOY_INSECURE sizes included."""
    bits = KEYS[name]["bits"]
    if bits in (2048, 3072, 4096):
        return paillier.Params(n_slots, value_bits, max_summands, bits, slots)
    w = value_bits + (max_summands - 1).bit_length()
    params = object.__new__(paillier.Params)
    for field, value in (
        ("n_slots", n_slots),
        ("value_bits", value_bits),
        ("max_summands", max_summands),
        ("key_bits", bits),
        ("slots", slots or (bits - 2) // w),
    ):
        object.__setattr__(params, field, value)
    return params
