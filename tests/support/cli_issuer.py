"""An issuer for the tests of the user's commands: it reads and writes the files that ``kgc`` would.

The issuer's own commands have tests of their own; here the whole issuer is one object in memory.
"""

import time

from sottovoce.cli.armor import Label, armor
from sottovoce.cli.enrolment import Enrolment
from sottovoce.cli.files import of_label, read_blocks
from sottovoce.clsc import (
    Issuer,
    MasterKey,
    MemoryRegistry,
    Mode,
    PublicKey,
    RootKey,
    TracingKey,
    TrustStore,
    deal,
)
from sottovoce.clsc.revocation import RevocationList

DAY = 86_400


class CliIssuer:
    """One root key, epochs as they are opened, everybody enrolled by name at every server."""

    def __init__(self, root=None):
        self.root = root or RootKey.generate()
        self.registries = {}
        self.params = {}
        self.issuers = {}
        self.tokens = {}
        self.trust = TrustStore(self.root.public_key)

    def open(self, mode, epoch, *, begins=-1, ends=7, threshold=1, servers=1):
        """A new epoch; ``begins`` and ``ends`` are days from now."""
        now = int(time.time())
        times = {"not_before": now + begins * DAY, "not_after": now + ends * DAY}
        if servers == 1:
            shares = [MasterKey.generate(self.root, mode, epoch.encode(), **times)]
        else:
            shares = deal(self.root, mode, epoch.encode(), threshold=threshold, servers=servers, **times)
        self.params[mode, epoch] = shares[0].params
        self.trust.add(shares[0].params)
        extra = {}
        if mode is Mode.TRACEABLE:
            extra = {"tracing_key": TracingKey.generate(), "trust": self.trust}
        for server, share in enumerate(shares, 1):
            registry = self.registries.setdefault(server, MemoryRegistry())
            self.issuers[server, share.params.params_id] = Issuer(share, registry, **extra)

    def twin(self):
        """The same root key, which has forgotten what it signed: a dishonest issuer."""
        return CliIssuer(RootKey(self.root._key))

    def forget(self):
        """Lose all records: the issuer can now make a second key for every name."""
        self.tokens.clear()
        for (server, _), issuer in self.issuers.items():
            issuer._registry = self.registries[server] = MemoryRegistry()

    def enrol(self, party, path, *, server=1, quota=2, challenges=2):
        """Write an enrolment file; the same token again for somebody enrolled."""
        issuer = next(i for (j, _), i in self.issuers.items() if j == server)
        if (server, party) not in self.tokens:
            self.tokens[server, party] = issuer.enrol(party, quota=quota)
        fresh = tuple(issuer.challenge() for _ in range(challenges))
        enrolment = Enrolment(
            self.root.public_key, party, party.encode(), quota, self.tokens[server, party],
            tuple(self.params.values()), fresh,
        )  # fmt: skip
        path.write_text(armor(Label.ENROLMENT, enrolment.to_bytes()))

    def answer(self, party, request, path, *, server=1):
        """Answer a file of requests, each by the issuer of its epoch."""
        answers = []
        for data in of_label(read_blocks(str(request)), Label.REQUEST):
            at = 2 if data[1] == 3 else 3  # a blind request has no usage before its params_id
            answers.append(armor(Label.ANSWER, self.issuers[server, data[at : at + 32]].issue(party, data)))
        path.write_text("".join(answers))

    def write_root(self, path):
        path.write_text(armor(Label.ROOT, self.root.public_key))

    def write_params(self, path):
        path.write_text("".join(armor(Label.PARAMS, p.to_bytes()) for p in self.params.values()))

    def revoke(self, keys, path, *, number=1):
        """Write a list of the keys in a text; all are of one epoch."""
        found = [
            PublicKey.from_bytes(d, self.trust) for d in of_label(read_blocks(str(keys)), Label.PUBLIC_KEY)
        ]
        signed = RevocationList.sign(
            self.root,
            found[0].params.params_id,
            number=number,
            issued_at=int(time.time()),
            pids=[key.pid for key in found],
        )
        path.write_text(armor(Label.REVOCATIONS, signed.to_bytes()))
