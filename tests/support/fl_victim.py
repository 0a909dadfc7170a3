"""The roles of a round, killed: ``fl_victim.py ROLE FOLDER JOB ...``, JSON on its output.

How it is done: :mod:`support.killing`.  ROLE is ``client`` or ``servers``, a JOB ``HOW`` or
``HOW:FIRST:STRIDE``.

In its second life everybody is tempted first: the client by another update for the same round, the member by
another header of the round number and by another set, the aggregator by another packet of client 0 and by
client 4, who comes late.  What left in the first life must be what leaves in the second.
"""

import functools
import hashlib
import itertools
import json
import os
import sys

import numpy as np

from sottovoce import clsc
from sottovoce.fl import (
    Client,
    CloseRequest,
    ProtocolError,
    Reason,
    SignedHeader,
    SqliteAggregatorStore,
    SqliteMemberStore,
    SqliteOutbox,
    State,
    StepKind,
)
from sottovoce.fl.wire import associated_data
from support.fl_federation import MODEL, NOW, Federation, Sealed, craft, update_of
from support.killing import kill_everywhere, leave, read_left

N_CLIENTS = 5
VICTIM = 4
"""The member whose store is on disk, of four; the other three are enough."""


def refused(call, *reasons):
    """What the call returned, or None if it was refused for one of these reasons."""
    try:
        return call()
    except ProtocolError as error:
        assert error.reason in reasons, error  # noqa: PT017
        return None


class ClientScenario:
    """A round, sent and discarded, and another round on the same model."""

    def __init__(self):
        self.fed = Federation(1)
        headers = [self.fed.header(4), self.fed.header(4, round_number=2)]
        self.first, self.same_model = (self.fed.sign(header) for header in headers)
        self.hashes = [header.hash for header in headers]

    def run(self, folder, place):
        life = len(read_left(folder).get("life", ()))
        leave(folder, place, "life", b"%d" % life)
        with SqliteOutbox(f"{folder}/outbox.sqlite") as outbox:
            client = Client(
                self.fed.client_keys[0], self.fed.trust(), self.fed.policy(), outbox=outbox, clock=lambda: NOW
            )
            # The device trained again meanwhile: the packet is the first one all the same.
            sealed = refused(lambda: client.seal(self.first, MODEL, update_of(life)), Reason.SEALED)
            if sealed is None:
                assert "first" in read_left(folder), "discarded before it left"
            else:
                leave(folder, place, "first", sealed.packet)
                assert client.resend(self.first).packet == sealed.packet
            other = refused(
                lambda: client.seal(self.same_model, MODEL, update_of(7 + life)), Reason.MODEL_REUSED
            )
            assert other is None
            outbox.discard(self.hashes[0])

    def examine(self, folder, *, complete, finish=False):
        left = read_left(folder)
        with SqliteOutbox(f"{folder}/outbox.sqlite") as outbox:
            with outbox._file.reading() as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            sent = outbox.find(self.hashes[0])
            assert outbox.find(self.hashes[1]) is None
            packets = left.get("first", set())
            assert len(packets) <= 1, "sealed twice for one round"
            if packets:
                assert sent is not None, "the packet left before it was kept"
                assert {sent.packet} <= packets | {b""}
                assert len(sent.update_digests) == 2
            if complete:
                assert packets
                assert sent.packet == b""
            if finish:
                opened = clsc.unsigncrypt(
                    *packets,
                    receiver=self.fed.aggregator_keys.decrypt,
                    trust=self.fed.trust(),
                    ad=associated_data(self.hashes[0], "packet"),
                )
                assert opened.sender.pid == sent.pid


class ServersScenario:
    """Aggregator and one member on disk; three more members, whose messages were made before.

    Client 0 equivocates.  Which of its two packets counts, and whether client 4 does, depends on when the
    aggregator died.
    """

    def __init__(self):
        self.fed = fed = Federation(N_CLIENTS)
        self.sealed = sealed = Sealed(fed, n_clients=N_CLIENTS, n=4)
        self.header = sealed.header
        self.second, _ = craft(fed, self.header, fed.client_keys[0])
        proposals = [self.header, fed.header(4, clip=0.25)]
        self.proposals = [SignedHeader.propose(h, fed.aggregator_keys).to_bytes() for h in proposals]
        self.header_hashes = [h.hash for h in proposals]
        self.other_set = sealed.request(VICTIM, [1, 2, 3])
        self.other_root = CloseRequest.from_bytes(self.other_set, self.header, VICTIM).agreed.root
        ones = np.zeros(51, np.int64)
        ones[-1] = 1
        # By what came of clients 0 and 4: the messages of members 1 to 3, and what the opened sum must be.
        self.messages, self.sums = {}, {}
        for (packet, own), n in itertools.product(
            ((sealed.packets[0], sealed.encoded[0]), (self.second, ones)), (N_CLIENTS - 1, N_CLIENTS)
        ):
            aggregator = sealed.aggregator([packet, *sealed.packets[1:n]])
            members = {j: fed.member(j) for j in range(1, VICTIM)}
            requests = aggregator.close()
            root = aggregator._settlement.agreed.root
            self.messages[root] = {
                j: (m.check(sealed.signed, requests[j]), m.answer(sealed.signed, requests[j]))
                for j, m in members.items()
            }
            self.sums[root] = np.sum([own, *sealed.encoded[1:n]], axis=0, dtype=np.int64)

    def run(self, folder, place):
        life = len(read_left(folder).get("life", ()))
        leave(folder, place, "life", b"%d" % life)
        with (
            SqliteMemberStore(f"{folder}/member.sqlite") as member_store,
            SqliteAggregatorStore(f"{folder}/aggregator.sqlite") as store,
        ):
            member = self.fed.member(VICTIM, store=member_store)
            proposals = list(zip(self.proposals, self.header_hashes, strict=True))
            for proposal, header_hash in proposals if life == 0 else proposals[::-1]:
                if refused(functools.partial(member.cosign, proposal), Reason.OTHER_HEADER):
                    leave(folder, place, "header", header_hash)
            if life > 0:
                self.answer(folder, place, member, self.other_set, self.other_root)
            now = [NOW]
            aggregator = self.fed.aggregator(self.sealed.signed, store=store, clock=lambda: now[0])
            if aggregator.state is State.COLLECTING:
                self.collect(folder, place, aggregator, life)
                aggregator.close()
            if aggregator.state is State.CLOSING:
                self.check(folder, place, aggregator, member)
                aggregator.settle()
            if aggregator.state is State.ANSWERING:
                self.ask(folder, place, aggregator, member)
                aggregator.open()
            if aggregator.state is State.DONE:
                result = aggregator.open()
                leave(folder, place, "result", result.agreed.root + aggregator.opened_sum.tobytes())
                now[0] = self.header.audit_deadline + 1
                aggregator.erase()
            assert aggregator.state is State.ERASED
            leave(folder, place, "erased", b"yes")

    def collect(self, folder, place, aggregator, life):
        packets = self.sealed.packets
        packets = [*packets[:-1], self.second] if life == 0 else [self.second, *packets]
        for packet in packets:
            aggregator.receive_packet(packet)
        for packet, receipt in zip(packets, aggregator.process(), strict=True):
            if receipt.refused is None:
                leave(folder, place, f"accepted {receipt.pid.hex()}", hashlib.sha256(packet).digest())
            else:
                assert receipt.refused is Reason.EQUIVOCATION

    def fixed(self, folder, place, aggregator):
        agreed = aggregator._settlement.agreed
        leave(folder, place, "fixed", agreed.root + agreed.sum_digest)
        return self.messages[agreed.root]

    def check(self, folder, place, aggregator, member):
        messages, requests = self.fixed(folder, place, aggregator), aggregator.requests()
        for j in set(messages) - set(aggregator.checked):
            aggregator.receive_check(j, messages[j][0])
        ours = refused(lambda: member.check(self.sealed.signed, requests[VICTIM]), Reason.OTHER_HEADER)
        if ours is not None:
            aggregator.receive_check(VICTIM, ours)

    def ask(self, folder, place, aggregator, member):
        messages, requests = self.fixed(folder, place, aggregator), aggregator.requests()
        root = aggregator._settlement.agreed.root
        ours = self.answer(folder, place, member, requests[VICTIM], root)
        if ours is not None:
            aggregator.receive_answer(VICTIM, ours)
        for j in set(messages) - set(aggregator.answered):
            aggregator.receive_answer(j, messages[j][1])

    def answer(self, folder, place, member, request, root):
        answer = refused(
            lambda: member.answer(self.sealed.signed, request), Reason.BOUND, Reason.OTHER_HEADER
        )
        if answer is not None:
            leave(folder, place, "set", root)
            leave(folder, place, "answer", answer)
        return answer

    def examine(self, folder, *, complete, finish=False):
        left = read_left(folder)
        for name, values in left.items():
            assert len(values) == 1 or name == "life", f"{name}: not the same in both lives"
        header = self.header
        with SqliteMemberStore(f"{folder}/member.sqlite") as store:
            bound = store.last_binding(header.epoch, header.round_number)
            if "set" in left:
                assert left["set"] == {bound.root}
            if "answer" in left:
                assert left["answer"] == {store.find_answer(header.epoch, header.round_number, bound)}
            if "header" in left:
                store.sign_header(header.aggregator.name, header.epoch, header.round_number, *left["header"])
        with SqliteAggregatorStore(f"{folder}/aggregator.sqlite") as store:
            with store._file.reading() as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            kept = {a.pid: a.packet for a in store.accepted(header.hash)}
            evidence = store.evidence(header.hash)
            erased = any(step.kind is StepKind.ERASED for step in store.steps(header.hash))
            # Opening has removed what a crash left.
            assert len(os.listdir(f"{store.path}.spool")) == len(kept) + len(evidence)
        assert set(evidence) <= {self.sealed.pids[0]}
        if not erased:
            for name, digests in left.items():
                if name.startswith("accepted "):
                    packet = kept[bytes.fromhex(name.removeprefix("accepted "))]
                    assert digests == {hashlib.sha256(packet).digest()}, "accepted, and lost"
        if "result" in left:
            (result,) = left["result"]
            assert np.array_equal(np.frombuffer(result[32:], np.int64), self.sums[result[:32]])
            assert left["fixed"].pop()[:32] == result[:32]
        if complete:
            assert erased
            assert {"result", "erased"} <= left.keys()
            assert not kept
            assert not evidence


SCENARIOS = {"client": ClientScenario, "servers": ServersScenario}

if __name__ == "__main__":
    scenario, results = SCENARIOS[sys.argv[1]](), {}
    for job in sys.argv[3:]:
        how, *numbers = job.split(":")
        folder = f"{sys.argv[2]}/{how}"
        os.mkdir(folder)
        results[how] = kill_everywhere(scenario, how, folder, *map(int, numbers))
    print(json.dumps(results))
