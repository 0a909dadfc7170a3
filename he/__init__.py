"""Additively homomorphic encryption of gradient vectors: whole vectors in, whole vectors out.

* :class:`ModelLayout` - a list of arrays (a model) as one float vector, and back;
* :class:`Codec` - float vector to bounded integers and a weight; a sum of them back to the mean;
* :mod:`kahe` - key-additive RLWE: one-time keys, a t-of-n committee opens the sum;
* :data:`SETS` - the named parameter sets, each claiming its security; :data:`DEFAULT_SET`.

Start with ``codec.quantize(layout.flatten(arrays))``, encrypt with :class:`kahe.OneTimeKey`.  All of it
is IND-CPA only: what is encrypted here is sent inside a signcryption.  docs/he.md has the mathematics,
wire formats and honest limits.
"""

from .._ext.errors import (
    DecodeError,
    OverflowDetected,
    ParameterError,
    ProofError,
    RangeError,
    SottovoceError,
    TooManyErasures,
)
from . import kahe
from .codec import Codec
from .layout import ModelLayout
from .params import DEFAULT_SET, SETS, RlweSet

__all__ = [
    "DEFAULT_SET",
    "SETS",
    "Codec",
    "DecodeError",
    "ModelLayout",
    "OverflowDetected",
    "ParameterError",
    "ProofError",
    "RangeError",
    "RlweSet",
    "SottovoceError",
    "TooManyErasures",
    "kahe",
]
