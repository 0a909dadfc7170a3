"""A folder of kgc with one epoch of each mode, and the issuer's service over it."""

import asyncio
import time

from sottovoce._ext import cbor
from sottovoce.cli.armor import Label, dearmor
from sottovoce.cli.enrolment import Enrolment
from sottovoce.cli.kgc import epochs, founding, people
from sottovoce.cli.kgc.folder import Folder
from sottovoce.cli.passphrase import Passphrase
from sottovoce.cli.serve.desk import FolderDesk
from sottovoce.clsc import Mode, TrustStore
from sottovoce.fl.http import IssuerService

from .fl_http import Net


class IssuerWorld:
    """A folder with one epoch of each mode, and its service."""

    def __init__(self, path):
        (path / "passphrase").write_text("nobody hears a word\n")
        self.path, self.folder = path, Folder(path / "kgc")
        self.secret = Passphrase(path / "passphrase", None)
        founding.init(self.folder, self.secret, None)
        now = int(time.time())
        for mode in Mode:
            plan = epochs.Plan(mode, b"today", now - 60, now + 80_000, 1, 1, 1, 0)
            epochs.epoch(self.folder, self.secret, plan, None)
        self.net = Net()
        self.desk = FolderDesk(self.folder, self.secret)
        self.net.apps["issuer"] = IssuerService(self.desk).app
        self.trust = TrustStore(self.folder.root_public_key())

    def enrol(self, party):
        target = self.path / f"{party}.enrolment"
        people.enrol(self.folder, party, None, None, str(target), again=False, force=False)
        return Enrolment.from_bytes(dearmor(Label.ENROLMENT, target.read_text()))

    def call(self, path, fields=None, method="POST"):
        async def one():
            async with self.net.client() as client:
                body = b"" if fields is None else fields if isinstance(fields, bytes) else cbor.dumps(fields)
                answer = await client.request(method, f"http://issuer{path}", content=body)
                return answer.status_code, answer.content

        return asyncio.run(one())

    def params(self):
        fields = cbor.loads(self.call("/v1/params", method="GET")[1])
        assert fields["root"] == self.trust.root_public_key
        found = [self.trust.add_bytes(data) for data in fields["params"]]
        return {params.mode: params for params in found}

    def issue(self, party, request):
        return self.call("/v1/issue", {"v": 1, "party": party, "request": request, "admissions": []})
