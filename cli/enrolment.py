"""The enrolment file: what a person needs to ask for keys.  SECRET, because of the token.

::

    enc("SOTTOVOCE-V1-ENROLMENT", root public key (32), party, identity, quota, token (32),
        number of params, params..., challenges (32 each)...)

armoured.  The token proves who asks, so the file goes to one person over a confidential channel, and the
root public key in it is believed because the channel is.  The challenges are the issuer's, for the proofs
of possession in mode ``identity``: one for each key, each good once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from .._ext import limits
from .._ext.enc import enc
from .._ext.errors import DecodeError
from ..clsc import EpochParams
from ..clsc.issue_wire import CHALLENGE_BYTES, TOKEN_BYTES
from ..clsc.params import split

_TAG: Final = b"SOTTOVOCE-V1-ENROLMENT"
_FIXED_FIELDS: Final = 7


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One person's enrolment.

    Attributes:
        root_public_key: 32 bytes.
        party: Name at the issuer.
        identity: The one name that it may have keys for in mode ``identity``.
        quota: Keys of each kind.
        token: 32 bytes.  SECRET.
        params: Parameters of the epochs that were open, all signed by the root key.
        challenges: 32 bytes each.
    """

    root_public_key: bytes
    party: str
    identity: bytes
    quota: int
    token: bytes = field(repr=False)
    params: tuple[EpochParams, ...]
    challenges: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Every field after its length."""
        return enc(
            _TAG, self.root_public_key, self.party.encode("utf-8"), self.identity, self.quota, self.token,
            len(self.params), *(params.to_bytes() for params in self.params), *self.challenges,
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read an enrolment; every root signature in it is checked.

        Raises:
            DecodeError: Not an enrolment.
        """
        enrolment = _read(data)
        del data  # a traceback keeps the variables of the frame that raises: the token is in it
        if isinstance(enrolment, str):
            raise DecodeError(f"enrolment: {enrolment}")
        return cls(*enrolment)


_Fields = tuple[bytes, str, bytes, int, bytes, tuple[EpochParams, ...], tuple[bytes, ...]]


def _read(data: bytes) -> _Fields | str:
    """The fields, or what is wrong; raises nothing, because the token is among them."""
    try:
        fields = split(data)
        if len(fields) < _FIXED_FIELDS or fields[0] != _TAG:
            return "not an enrolment"
        root, party, identity, quota, token, count = fields[1:_FIXED_FIELDS]
        end = _FIXED_FIELDS + int.from_bytes(count, "big")
        params = tuple(EpochParams.from_bytes(signed, root) for signed in fields[_FIXED_FIELDS:end])
        name = party.decode("utf-8")
    except (DecodeError, ValueError) as error:
        return f"a field is not valid ({error})" if "params:" in str(error) else "a field is not valid"
    challenges = tuple(fields[end:])
    sizes_hold = (
        len(count) == len(quota) == 8
        and len(fields) >= end
        and 1 <= len(party) <= 64
        and 1 <= len(identity) <= 64
        and 1 <= int.from_bytes(quota, "big") <= limits.MAX_BLIND_ISSUANCES
        and len(token) == TOKEN_BYTES
        and all(len(challenge) == CHALLENGE_BYTES for challenge in challenges)
    )
    if not sizes_hold:
        return "a field has a wrong length"
    return root, name, identity, int.from_bytes(quota, "big"), token, params, challenges
