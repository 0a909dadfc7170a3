"""Anonymous certificateless signcryption on BLS12-381.

One packet is encrypted to named receivers and signed by a sender whom only they see; a name needs no
certificate, and a pseudonym can be one that its own issuer does not recognise.

* The issuer: :class:`RootKey` signs an epoch, :class:`MasterKey` holds its secret,
  :class:`Issuer` answers requests.
* A user asks with :class:`IdentityRequest` or :class:`BlindRequest` and gets a :class:`SecretKey`.
* A verifier pins a root key in a :class:`TrustStore` and reads a :class:`PublicKey` with it.
* Then :func:`signcrypt` and :func:`unsigncrypt` (many: :func:`unsigncrypt_batch`; files of any size:
  :func:`signcrypt_file`, :func:`unsigncrypt_file`), or only
  :func:`sign` and :func:`verify` (many: :func:`batch_verify`).

The construction, every byte of the wire, and what is NOT given: docs/clsc.md.
"""

from .._ext.errors import (
    DecodeError,
    IssueError,
    ParameterError,
    SenderError,
    SignatureError,
    SottovoceError,
    UnsigncryptError,
)
from .batch import unsigncrypt_batch
from .dealer import deal
from .issuer import Issuer
from .keys import PublicKey, SecretKey
from .master import MasterKey, MasterShare, RootKey
from .packet import packet_bytes
from .params import EpochParams, Mode, Usage
from .registry import Account, Issuance, MemoryRegistry, Registry
from .request import BlindRequest, IdentityRequest
from .signature import SIGNATURE_BYTES, batch_verify, sign, verify
from .signcryption import signcrypt
from .streaming import FileSealed, OpenedFile, signcrypt_file, unsigncrypt_file
from .trust import ParamsConflict, TrustStore
from .unsigncryption import Opened, unsigncrypt

__all__ = [
    "SIGNATURE_BYTES",
    "Account",
    "BlindRequest",
    "DecodeError",
    "EpochParams",
    "FileSealed",
    "IdentityRequest",
    "Issuance",
    "IssueError",
    "Issuer",
    "MasterKey",
    "MasterShare",
    "MemoryRegistry",
    "Mode",
    "Opened",
    "OpenedFile",
    "ParameterError",
    "ParamsConflict",
    "PublicKey",
    "Registry",
    "RootKey",
    "SecretKey",
    "SenderError",
    "SignatureError",
    "SottovoceError",
    "TrustStore",
    "UnsigncryptError",
    "Usage",
    "batch_verify",
    "deal",
    "packet_bytes",
    "sign",
    "signcrypt",
    "signcrypt_file",
    "unsigncrypt",
    "unsigncrypt_batch",
    "unsigncrypt_file",
    "verify",
]
