"""Additively homomorphic encryption of gradient vectors: whole vectors in, whole vectors out.

* :class:`ModelLayout` - shapes and types of a list of arrays (a model);
* :class:`Codec` - arrays or a float vector to bounded integers and a weight; a sum of them back to the mean;
* :mod:`kahe` - key-additive RLWE: one-time keys, a t-of-n committee opens the sum;
* :mod:`rlwe` - public-key RLWE: one secret key opens sums, and single vectors;
* :mod:`paillier` - packed Paillier: one secret key opens them; keys and ciphertexts of ``phe``;
* :func:`fit` - what a scheme and a set make of given values: slots, wire bits, bytes, failure bound;
* :func:`save_key`, :func:`load_key` - secret keys in files under a passphrase;
* :data:`SETS` - the named parameter sets, each claiming its security; :data:`DEFAULT_SET`.

Start with ``codec.quantize_model(layout, arrays)``, encrypt with :class:`kahe.OneTimeKey` (or
:class:`rlwe.PublicKey`, :class:`paillier.PublicKey`).  All of it is IND-CPA only: what is encrypted here is
sent inside a signcryption.  docs/he.md, docs/he-rlwe.md and docs/he-paillier.md have the mathematics, wire
formats and honest limits.
"""

from .._ext.errors import (
    DecodeError,
    KeyFileError,
    OverflowDetected,
    ParameterError,
    ProofError,
    RangeError,
    SottovoceError,
    TooManyErasures,
)
from . import kahe, paillier, rlwe
from .codec import Codec
from .fitting import Fit, fit
from .keyfile import load_key, save_key
from .layout import ModelLayout
from .params import DEFAULT_SET, SETS, RlweSet

__all__ = [
    "DEFAULT_SET",
    "SETS",
    "Codec",
    "DecodeError",
    "Fit",
    "KeyFileError",
    "ModelLayout",
    "OverflowDetected",
    "ParameterError",
    "ProofError",
    "RangeError",
    "RlweSet",
    "SottovoceError",
    "TooManyErasures",
    "fit",
    "kahe",
    "load_key",
    "paillier",
    "rlwe",
    "save_key",
]
