"""Key-additive encryption with one-time keys: a committee opens the sum, nobody a summand.

Every client encrypts its vector under its own fresh key and shares that key among n members.
Ciphertexts add, and so do shares; t members' share sums give the sum of the keys, which opens the sum
of the vectors and nothing else.

* round: :class:`Params` - sizes, threshold and wire width follow from it;
* client: :class:`OneTimeKey` ``.encrypt(values)`` then ``.share(sender)``, once each;
* server: :class:`CiphertextSum` ``.add(ciphertext)``;
* member: :class:`DegreeProof` ``.verify(...)`` for every share, then :class:`ShareSum` ``.add(share)``;
* opener: :func:`open_sum`.

IND-CPA only and malleable: ciphertexts and shares travel inside signcryptions.  The construction, its
bounds and what it does not give: docs/he.md.

Source: Boneh, Lewi, Montgomery, Raghunathan (CRYPTO 2013); Bell et al., ACORN (eprint 2022/1461);
Karthikeyan, Polychroniadou (eprint 2024/723).
"""

from ._kahe_cipher import Ciphertext, CiphertextSum
from ._kahe_key import OneTimeKey
from ._kahe_open import OpenedSum, open_sum
from ._kahe_params import Params
from ._kahe_shares import DegreeProof, KeyShare, ShareSum

__all__ = [
    "Ciphertext",
    "CiphertextSum",
    "DegreeProof",
    "KeyShare",
    "OneTimeKey",
    "OpenedSum",
    "Params",
    "ShareSum",
    "open_sum",
]
