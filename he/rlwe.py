"""Public-key additive encryption: whoever holds the secret key opens sums of vectors, and single ones.

A BFV-style scheme over ring-LWE without multiplication: encrypt under a public key, add with integer
weights, decrypt with one secret key.  For rounds in which nobody shall be able to open a single vector
there is :mod:`kahe`.

* key holder: :func:`keygen` ``.public_key``, later ``.decrypt(total)``;
* client: :class:`PublicKey` ``.encrypt(values, params)``;
* server: :class:`CiphertextSum` ``.add(ciphertext, weight)``;
* all: :class:`Params` - slots, scale and rounding follow from the set and what will be added.

IND-CPA only and malleable: ciphertexts travel inside signcryptions, and nobody is offered a decryption
oracle.  **A malicious client can have the secret key decrypted into a sum**: docs/he-rlwe.md, which has the
construction, its bounds and what it does not give.

Source: Lyubashevsky, Peikert, Regev (EUROCRYPT 2010, encryption from ring-LWE); Fan, Vercauteren (eprint
2012/144) without the multiplication; rounding of ciphertexts as in Brakerski, Vaikuntanathan (FOCS 2011).
"""

from ._rlwe_cipher import Ciphertext, params_of
from ._rlwe_params import Params
from ._rlwe_public import PublicKey
from ._rlwe_secret import SecretKey, keygen
from ._rlwe_sum import CiphertextSum, add

__all__ = [
    "Ciphertext",
    "CiphertextSum",
    "Params",
    "PublicKey",
    "SecretKey",
    "add",
    "keygen",
    "params_of",
]
