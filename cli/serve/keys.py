"""The keys of a server role, out of its keyring."""

from __future__ import annotations

from ...clsc import EpochParams, Mode, TrustStore
from ...fl import ParameterError, ServerKeys
from ..console import Refused
from ..user.own import OwnKeys


def server_keys(own: OwnKeys, label: str, trust: TrustStore) -> ServerKeys:
    """The newest signing key of a label, and the key for opening of the same epoch.

    Raises:
        Refused: It has not both.
        KeyFileError: Wrong passphrase.
    """
    sign = own.signer(label, trust)
    for load in own.receivers(label, trust):
        decrypt = load()
        if decrypt.public_key.params == sign.public_key.params:
            try:
                return ServerKeys(sign, decrypt)
            except ParameterError as error:
                raise Refused(f"{label}: {error}", "a server needs keys of mode identity") from None
    raise Refused(
        f"{label} has no key for opening in this epoch", "sottovoce keygen without --usage gives both"
    )


def sender_params(trust: TrustStore, mode: Mode) -> EpochParams:
    """The parameters that contributors' keys are under: of this mode, the epoch that began last.

    Raises:
        Refused: None is known.
    """
    found = [params for params in trust.epochs if params.mode is mode]
    if not found:
        raise Refused(f"no parameters of mode {mode} are known here", "sottovoce trust add FILE.params")
    return max(found, key=lambda params: (params.not_before, params.not_after))
