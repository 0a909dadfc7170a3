"""Measurements of :mod:`sottovoce.he`: the codec here, each scheme in its own module."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .areas import Area
from .he_common import SIZE, D, codec, values, vector
from .measurement import Operation, Work, measurement


@measurement(Area.HE, "quantize", work=Work(D, "parameter"), size=SIZE, one_core=True)
def quantize() -> Operation:
    """Clip, scale and round stochastically."""
    of, x = codec(), vector()
    return Operation(lambda: of.quantize(x))


@measurement(Area.HE, "dequantize", work=Work(D, "parameter"), size=SIZE, one_core=True)
def dequantize() -> Operation:
    """A sum, here of one, back to float32."""
    of, total = codec(), values()

    def call() -> NDArray[np.float32]:
        mean, _ = of.dequantize(total, 1)
        return mean.astype(np.float32)

    return Operation(call)


# The order of import is that of the table.
from . import he_kahe as he_kahe  # noqa: E402
from . import he_paillier as he_paillier  # noqa: E402
from . import he_rlwe as he_rlwe  # noqa: E402 - in this order
