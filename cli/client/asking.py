"""``client keys``: ``keygen --enrolment`` and ``keygen --answer`` with an issuer's service in between."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

from ..._ext import cbor
from ...clsc import Mode
from ...fl.http.base import read_cbor
from ...fl.http.outgoing import post, quiet_client
from .. import files
from ..armor import Label, armor
from ..console import Refused
from ..enrolment import Enrolment
from ..keyring import Keyring
from ..passphrase import Passphrase
from ..serve.roles import authorities
from ..user import keygen

_ANSWER_BYTES: Final = 1 << 16


def keys(
    ring: Keyring,
    passphrase: Passphrase,
    issuer: str,
    enrolment_file: str,
    mode: str | None,
    label: str | None,
    ca_file: Path | None,
) -> None:
    """Ask, send, finish; see the command's help."""
    found = files.of_label(files.read_blocks(enrolment_file), Label.ENROLMENT)
    if len(found) != 1:
        raise Refused(f"{enrolment_file}: an enrolment expected", "the file of kgc enrol")
    enrolment = Enrolment.from_bytes(found[0])
    if any(params.servers > 1 for params in enrolment.params):
        raise Refused("several servers issue together here", "sottovoce keygen, with a file for each")
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder, "request"), Path(folder, "answer")
        keygen.ask(
            ring, passphrase, [enrolment_file], str(request), label=label,
            mode=None if mode is None else Mode(mode), epoch=None, usage=None, signer=None, force=False,
            json_target=None,
        )  # fmt: skip
        requests = files.of_label(files.read_blocks(str(request)), Label.REQUEST)
        answers = asyncio.run(_answers(issuer, enrolment.party, requests, ca_file))
        files.write_text("".join(armor(Label.ANSWER, each) for each in answers), str(answer), private=True)
        keygen.finish(ring, passphrase, [str(answer)], None, label=label, force=False, json_target=None)


async def _answers(issuer: str, party: str, requests: list[bytes], ca_file: Path | None) -> list[bytes]:
    async with quiet_client(tls=authorities(ca_file)) as client:
        answers = []
        for request in requests:
            fields: dict[str, Any] = {"v": 1, "party": party, "request": request, "admissions": []}
            url = f"{issuer.rstrip('/')}/v1/issue"
            data = await post(client, url, cbor.dumps(fields), at_most=_ANSWER_BYTES)
            answer: bytes = read_cbor(data, {"answer": bytes})["answer"]
            answers.append(answer)
    return answers
