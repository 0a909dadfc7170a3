"""Packed Paillier encryption: whoever has the public key encrypts, ciphertexts add, one key opens.

Slower and larger than the lattice schemes, and what it rests on is older: that n is hard to factor and
n-th powers modulo n^2 are hard to tell.  A malformed ciphertext tells its maker nothing about the key, and
keys and ciphertexts go to and from ``phe``.

* once: :func:`keygen` - 3072 bits by default; ``.public_key`` goes to the clients;
* all: :class:`Params` - how many numbers, of how many bits, added up how often;
* client: :meth:`PublicKey.encrypt`;
* server: :class:`CiphertextSum` ``.add(ciphertext, weight)``, then :meth:`Ciphertext.rerandomize`;
* key holder: :meth:`SecretKey.decrypt`.

IND-CPA only and malleable: ciphertexts travel inside signcryptions.  Construction, byte tables and what
it does not give: docs/he-paillier.md.

Source: Paillier, EUROCRYPT 1999; Damgard, Jurik, Nielsen, Int. J. Inf. Secur. 9 (2010).
"""

from ._paillier_cipher import Ciphertext, CiphertextSum, add
from ._paillier_params import Params
from ._paillier_public import PublicKey
from ._paillier_secret import SecretKey, keygen

__all__ = [
    "Ciphertext",
    "CiphertextSum",
    "Params",
    "PublicKey",
    "SecretKey",
    "add",
    "keygen",
]
