"""An issuer for the tests of the user's commands: it reads and writes the files that ``kgc`` would.

The issuer's own commands have tests of their own; here the whole issuer is one object in memory.
"""

import time

from sottovoce.cli.armor import Label, armor
from sottovoce.cli.enrolment import Enrolment
from sottovoce.cli.files import of_label, read_blocks
from sottovoce.clsc import Issuer, MasterKey, MemoryRegistry, Mode, RootKey, TracingKey

DAY = 86_400


class CliIssuer:
    """One root key, one epoch of each mode that is asked for, everybody enrolled by name."""

    def __init__(self, *modes, epoch=b"2026-W47", root=None, begins=None, ends=None):
        self.root = root or RootKey.generate()
        self.registry = MemoryRegistry()
        self.issuers = {}
        self.tokens = {}
        for mode in modes or (Mode.IDENTITY,):
            self.open_epoch(mode, epoch, begins=begins, ends=ends)

    def open_epoch(self, mode, epoch, *, begins=None, ends=None):
        now = int(time.time())
        master = MasterKey.generate(
            self.root, mode, epoch, not_before=begins or now - DAY, not_after=ends or now + 7 * DAY
        )
        tracing = {"tracing_key": TracingKey.generate()} if mode is Mode.TRACEABLE else {}
        self.issuers[mode] = Issuer(master, self.registry, **tracing)
        return master.params

    @property
    def params(self):
        return {mode: issuer.params for mode, issuer in self.issuers.items()}

    def enrol(self, party, path, *, quota=2):
        """Write the enrolment file of a party; the same token again for somebody enrolled."""
        issuer = next(iter(self.issuers.values()))
        if party not in self.tokens:
            self.tokens[party] = issuer.enrol(party, quota=quota)
        challenges = (issuer.challenge(), issuer.challenge())
        enrolment = Enrolment(
            self.root.public_key, party, party.encode(), quota, self.tokens[party],
            tuple(self.params.values()), challenges,
        )  # fmt: skip
        path.write_text(armor(Label.ENROLMENT, enrolment.to_bytes()))

    def answer(self, party, request, path, mode=Mode.IDENTITY):
        """Answer a file of requests."""
        answers = [
            armor(Label.ANSWER, self.issuers[mode].issue(party, data))
            for data in of_label(read_blocks(str(request)), Label.REQUEST)
        ]
        path.write_text("".join(answers))

    def root_file(self, path):
        path.write_text(armor(Label.ROOT, self.root.public_key))
