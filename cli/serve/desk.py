"""A KGC folder behind the issuer's service: what ``kgc issue`` does at a prompt, asked over HTTP.

The folder is locked for each answer and not for as long as the service runs, so that ``kgc enrol``,
``kgc revoke`` and the others go on working beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..._ext.errors import DecodeError, IssueError
from ...clsc import EpochParams, Issuer, Mode, SqliteRegistry
from ...clsc.admission import needs_admission
from ...clsc.issue_wire import parse_request
from ...fl.http.challenges import Challenges
from ..kgc.epochs import is_open
from ..kgc.folder import Folder
from ..passphrase import Passphrase


class _Registry(SqliteRegistry):
    """The folder's, and challenges that strangers may ask for: in its own table they could take the place of
    those that stand in enrolment files."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.challenges = Challenges()

    def use_challenge(self, value: bytes) -> bool:
        """See :meth:`Registry.use_challenge`."""
        return self.challenges.use(value) or super().use_challenge(value)


class FolderDesk:
    """See :class:`sottovoce.fl.http.IssuerDesk`.

    Args:
        folder: The issuer's, or a server's.
        passphrase: Of the folder; it is used until the service ends, for epochs that begin meanwhile.

    Raises:
        Refused: Not an issuer's folder.
        KeyFileError: Wrong passphrase.
    """

    def __init__(self, folder: Folder, passphrase: Passphrase) -> None:
        self._folder = folder
        self._passphrase = passphrase
        folder.require()
        folder.require_registry()
        folder.passphrase(passphrase)
        self._registry = _Registry(folder.registry_path)
        self._issuers: dict[bytes, Issuer] = {}
        with folder.locked():
            for params in self._open_epochs():
                if folder.file("epochs", params).exists():
                    self._issuer(params)  # a wrong passphrase is told now

    def close(self) -> None:
        """Close the registry."""
        self._registry.close()

    def root_public_key(self) -> bytes:
        """See :class:`sottovoce.fl.http.IssuerDesk`."""
        return self._folder.root_public_key()

    def params(self) -> list[bytes]:
        """See :class:`sottovoce.fl.http.IssuerDesk`."""
        return [params.to_bytes() for params in self._open_epochs()]

    def revocations(self) -> list[bytes]:
        """See :class:`sottovoce.fl.http.IssuerDesk`."""
        return [each.to_bytes() for each in self._folder.published_revocations()]

    def challenge(self) -> bytes:
        """See :class:`sottovoce.fl.http.IssuerDesk`."""
        with self._folder.locked():
            if not any(params.mode is Mode.IDENTITY for params in self._open_epochs()):
                raise IssueError("no epoch of mode identity is open")
            return self._registry.challenges.new()

    def admit(self, party: str, request: bytes) -> bytes:
        """See :class:`sottovoce.fl.http.IssuerDesk`."""
        with self._folder.locked():
            params = self._params_of(request)
            if not needs_admission(params):
                raise IssueError("requests of this epoch are answered at once")
            return self._issuer(params).admit(party, request)

    def issue(self, party: str, request: bytes, admissions: list[bytes]) -> bytes:
        """See :class:`sottovoce.fl.http.IssuerDesk`."""
        with self._folder.locked():
            params = self._params_of(request)
            shown = _by_server(params, admissions) if needs_admission(params) else None
            return self._issuer(params).issue(party, request, shown)

    def _open_epochs(self) -> Iterable[EpochParams]:
        return [params for params in self._registry.epochs() if is_open(params)]

    def _params_of(self, request: bytes) -> EpochParams:
        params_id = parse_request(request).params_id
        for params in self._open_epochs():
            if params.params_id == params_id:
                return params
        raise IssueError("request: of no open epoch")

    def _issuer(self, params: EpochParams) -> Issuer:
        if not self._folder.file("epochs", params).exists():
            raise IssueError("request: this server has no key of the epoch")
        if params.mode is Mode.TRACEABLE:
            # Made anew: it believes the identity keys that are good now, without those revoked since.
            return self._folder.issuer(self._registry, params, self._passphrase)
        if params.params_id not in self._issuers:
            self._issuers[params.params_id] = self._folder.issuer(self._registry, params, self._passphrase)
        return self._issuers[params.params_id]


def _by_server(params: EpochParams, admissions: list[bytes]) -> dict[int, bytes]:
    """Admissions by the server that each names; the issuer verifies them."""
    found: dict[int, bytes] = {}
    for data in admissions:
        if len(data) < 2 or not 1 <= data[1] <= params.servers:
            raise DecodeError("admission: of no server of this epoch")
        found[data[1]] = data
    return found
