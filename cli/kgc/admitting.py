"""``kgc admit``, and what ``kgc issue`` is shown: the two rounds of a blind epoch of several servers."""

from __future__ import annotations

from collections.abc import Iterable

from ..._ext.errors import DecodeError, IssueError
from ...clsc import EpochParams, Issuer, verify_admission
from ...clsc.admission import ADMISSION_BYTES, needs_admission
from .. import files
from ..armor import Label, armor
from ..console import Refused
from ..passphrase import Passphrase
from .folder import Folder
from .people import answered


def admit(
    folder: Folder, party: str, source: str, passphrase: Passphrase, target: str | None, *, force: bool
) -> None:
    """Record the requests in a file and acknowledge them; see the command's help."""
    files.check_output(target, "--output", force=force)

    def answer(issuer: Issuer, request: bytes) -> bytes:
        if not needs_admission(issuer.params):
            raise Refused("requests of this epoch are answered at once", "sottovoce kgc issue")
        return issuer.admit(party, request)

    admissions = answered(folder, party, source, passphrase, answer)
    files.write_text("".join(armor(Label.ADMISSION, admission) for admission in admissions), target)


def issue(
    folder: Folder,
    party: str,
    source: str,
    passphrase: Passphrase,
    target: str | None,
    *,
    shown: Iterable[str],
    force: bool,
) -> None:
    """Answer the requests in a file, in the second round or the only one; see the command's help."""
    files.check_output(target, "--output", force=force)
    admissions = [data for name in shown for data in _read(name)]
    answers = answered(
        folder,
        party,
        source,
        passphrase,
        lambda issuer, data: issuer.issue(party, data, _of(folder, issuer.params, party, data, admissions)),
    )
    files.write_text("".join(armor(Label.ANSWER, answer) for answer in answers), target)


def _read(name: str) -> list[bytes]:
    found = files.of_label(files.read_blocks(name), Label.ADMISSION)
    if not found or any(len(data) != ADMISSION_BYTES for data in found):
        raise DecodeError(f"{name}: admissions expected, as kgc admit writes them")
    return found


def _of(
    folder: Folder, params: EpochParams, party: str, request: bytes, admissions: Iterable[bytes]
) -> dict[int, bytes] | None:
    """Those that are shown for this request, by server.

    Files may hold the admissions of several requests.  Where none of a server holds, one of them is
    handed on all the same: the issuer names the server.
    """
    if not needs_admission(params):
        return None
    keys = folder.admission_keys(params)
    found: dict[int, bytes] = {}
    for data in admissions:
        server = data[1]
        if not 1 <= server <= params.servers:
            raise Refused(
                f"an admission is of server {server}, there are {params.servers}", "is it of another epoch?"
            )
        try:
            verify_admission(params, server, keys[server - 1], party, request, data)
        except IssueError:
            found.setdefault(server, data)
        else:
            found[server] = data
    return found
