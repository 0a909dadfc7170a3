"""Anonymous certificateless signcryption on BLS12-381.

One packet is encrypted to named receivers and signed by a sender whom only they see; a name needs no
certificate, and a pseudonym can be one that its own issuer does not recognise.

* The issuer: :class:`RootKey` signs an epoch, :class:`MasterKey` holds its secret,
  :class:`Issuer` answers requests and remembers them in a :class:`SqliteRegistry`.
* Several servers share the secret of an epoch, each with a :class:`MasterShare`: :func:`deal` makes them, or
  the servers themselves as :class:`DkgParticipant`, and nobody ever holds the secret.  In mode ``blind`` they
  admit a request before they answer it, each with an :class:`AdmissionKey`.
* A user asks with :class:`IdentityRequest`, :class:`TraceableRequest` or :class:`BlindRequest` and gets a
  :class:`SecretKey`.
* A verifier pins a root key in a :class:`TrustStore`, gives it every :class:`RevocationList`, and reads a
  :class:`PublicKey` with it.
* Then :func:`signcrypt` and :func:`unsigncrypt` (many: :func:`unsigncrypt_batch`; files of any size:
  :func:`signcrypt_file`, :func:`unsigncrypt_file`), or only
  :func:`sign` and :func:`verify` (many: :func:`batch_verify`).
* :func:`make_evidence` shows a packet to somebody without any key, who asks :func:`judge`;
  :func:`judge_issuer` and :func:`judge_params` convict an issuer.
* Several servers sign one message in the only way there is with a :class:`BlsShare` each (:func:`deal_bls`);
  :func:`sign_notice` is the root key's word about anything else.
* Secrets outlive the process in files under a passphrase: :func:`save_key`, :func:`load_key`.

The construction, every byte of the wire, and what is NOT given: docs/clsc.md.
"""

from .._ext.errors import (
    DecodeError,
    DkgError,
    EvidenceError,
    IssueError,
    KeyFileError,
    ParameterError,
    RegistryError,
    SenderError,
    SignatureError,
    SottovoceError,
    TooFewAdmissions,
    TooFewAnswers,
    UnsigncryptError,
)
from .admission import AdmissionKey, read_admission_keys, sign_admission_keys, verify_admission
from .batch import unsigncrypt_batch
from .bls import BLS_SIGNATURE_BYTES, BlsPublicKey, BlsShare, CombinedSignature, deal_bls
from .conflict import KeyConflict, SignedStatement, judge_issuer, judge_params
from .dealer import deal
from .dkg import DkgParticipant
from .dkg_board import DkgRound
from .dkg_session import DkgFault, DkgPublic, DkgResult, DkgSession
from .evidence import Evidence, Strength
from .issuer import Issuer
from .judge import Verdict, judge
from .keyfile import dump_key, load_key, load_key_bytes, save_key
from .keys import PublicKey, SecretKey
from .master import MasterKey, MasterShare, RootKey
from .message import sign_file, verify_file
from .notice import read_notice, sign_notice
from .packet import packet_bytes
from .params import EpochParams, Mode, Usage
from .registry import Account, Issuance, MemoryRegistry, Registry
from .request import BlindRequest, IdentityRequest
from .revocation import RevocationConflict, RevocationList
from .signature import SIGNATURE_BYTES, batch_verify, sign, verify
from .signcryption import signcrypt
from .sqlite_registry import SqliteRegistry
from .streaming import FileSealed, OpenedFile, signcrypt_file, unsigncrypt_file
from .threshold import Combined, verify_answer
from .traceable import TraceableRequest
from .tracing import Trace, TracingKey
from .trust import ParamsConflict, TrustStore
from .unsigncryption import Opened, unsigncrypt
from .witness import make_evidence

__all__ = [
    "BLS_SIGNATURE_BYTES",
    "SIGNATURE_BYTES",
    "Account",
    "AdmissionKey",
    "BlindRequest",
    "BlsPublicKey",
    "BlsShare",
    "Combined",
    "CombinedSignature",
    "DecodeError",
    "DkgError",
    "DkgFault",
    "DkgParticipant",
    "DkgPublic",
    "DkgResult",
    "DkgRound",
    "DkgSession",
    "EpochParams",
    "Evidence",
    "EvidenceError",
    "FileSealed",
    "IdentityRequest",
    "Issuance",
    "IssueError",
    "Issuer",
    "KeyConflict",
    "KeyFileError",
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
    "RegistryError",
    "RevocationConflict",
    "RevocationList",
    "RootKey",
    "SecretKey",
    "SenderError",
    "SignatureError",
    "SignedStatement",
    "SottovoceError",
    "SqliteRegistry",
    "Strength",
    "TooFewAdmissions",
    "TooFewAnswers",
    "Trace",
    "TraceableRequest",
    "TracingKey",
    "TrustStore",
    "UnsigncryptError",
    "Usage",
    "Verdict",
    "batch_verify",
    "deal",
    "deal_bls",
    "dump_key",
    "judge",
    "judge_issuer",
    "judge_params",
    "load_key",
    "load_key_bytes",
    "make_evidence",
    "packet_bytes",
    "read_admission_keys",
    "read_notice",
    "save_key",
    "sign",
    "sign_admission_keys",
    "sign_file",
    "sign_notice",
    "signcrypt",
    "signcrypt_file",
    "unsigncrypt",
    "unsigncrypt_batch",
    "unsigncrypt_file",
    "verify",
    "verify_admission",
    "verify_answer",
    "verify_file",
]
