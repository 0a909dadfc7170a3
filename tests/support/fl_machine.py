"""A round while it collects, driven by hypothesis: the network, crashes, and headers that must not be.

:class:`CollectingRound` is the first half of a state machine; the test that ends the round has the other.
Packets are sealed once; the machine decides what the network, strangers, cheating clients and the aggregator
do, in which order, and counts beside it what must have been refused.
"""

import random
import tempfile

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sottovoce._ext.errors import DecodeError
from sottovoce.fl import MemoryAggregatorStore, ProtocolError, SqliteAggregatorStore, State
from sottovoce.fl import Sealed as OneSealed

from .fl_federation import MODEL, snapshot, update_of
from .fl_ledger import Ledger
from .fl_world import CHEATS, HEADERS, JUNK


def refuses(reason, call, *args):
    """``call`` raises a ProtocolError of this reason, or a DecodeError if there is none."""
    try:
        call(*args)
    except ProtocolError as error:
        assert error.reason is reason  # noqa: PT017
    except DecodeError:
        assert reason is None
    else:
        pytest.fail("taken")


class CollectingRound(RuleBasedStateMachine):
    """Rules of everything that may come to an aggregator before it closes, or in place of closing.

    A subclass gives ``world``, a :class:`support.fl_world.World`.
    """

    world = None

    @property
    def fed(self):
        return self.world.fed

    @property
    def sealed(self):
        return self.world.sealed

    @initialize(
        seed=st.integers(0, 2**32),
        absent=st.sampled_from([None, None, 2, 5]),
        on_disk=st.booleans(),
        present=st.sampled_from([(), (0, 1, 2, 3), (0, 1, 3, 4, 5), (0, 1, 2, 3, 4, 5)]),
    )
    def start(self, seed, absent, on_disk, present):
        self.random = random.Random(seed)
        self.folder = tempfile.TemporaryDirectory() if on_disk else None
        self.store = self.new_store() if on_disk else MemoryAggregatorStore()
        self.aggregator = self.fed.aggregator(self.sealed.signed, store=self.store)
        self.members = self.sealed.members()
        self.absent, self.liar = absent, None
        self.requests = self.final = None
        self.equivocators = set()
        self.checked = set()
        self.opened = False
        self.ledger = Ledger(k=3)
        self.groups = 0
        self.said = {}  # (role, j) -> the last message of a member
        self.sets = {j: set() for j in range(1, 6)}  # what each member has answered
        for i in present:  # so that what follows is not about too few most of the time
            self.packet(i)

    def new_store(self):
        return SqliteAggregatorStore(f"{self.folder.name}/aggregator.sqlite")

    def collecting(self):
        return self.aggregator.state is State.COLLECTING

    # -- the network, while the round collects ----------------------------------------------------

    @precondition(collecting)
    @rule(i=st.integers(0, 5))
    def packet(self, i):
        self.arrives(self.sealed.packets[i], self.sealed.pids[i])

    def arrives(self, packet, pid=None, refused=None):
        self.aggregator.receive_packet(packet)
        self.ledger.packet(packet, pid, refused)

    def shard_arrives(self, i, k):
        self.aggregator.receive_shard(self.world.cut[i][k], k)
        self.ledger.shard(i, k, self.sealed.packets[i], self.sealed.pids[i])

    @precondition(collecting)
    @rule(i=st.integers(0, 5), order=st.permutations(range(5)), lost=st.integers(0, 3))
    def shards_shuffled_and_lost(self, i, order, lost):
        for k in order[lost:]:
            self.shard_arrives(i, k)

    @precondition(collecting)
    @rule(i=st.integers(0, 5), order=st.permutations(range(5)), bit=st.integers(0, 7))
    def shards_corrupted_and_doubled(self, i, order, bit):
        for k in order[:2]:
            shard = bytearray(self.world.cut[i][k])
            shard[self.random.randrange(len(shard))] ^= 1 << bit
            self.aggregator.receive_shard(bytes(shard), k)
            self.ledger.bad_shard()
        for k in (*order[2:], order[2]):
            self.shard_arrives(i, k)

    @precondition(collecting)
    @rule()
    def shards_of_another_round(self):
        for k, shard in enumerate(self.world.stale_shards):
            self.aggregator.receive_shard(shard, k)
            self.ledger.bad_shard()

    @precondition(collecting)
    @rule(which=st.sampled_from(sorted(JUNK)), as_shards=st.booleans())
    def junk_arrives(self, which, as_shards):
        packet, refused = self.world.junk[which], JUNK[which]
        if not as_shards:
            self.arrives(packet, refused=refused)
            return
        self.groups += 1
        for k, shard in enumerate(OneSealed(self.sealed.header, packet).shards()):
            self.aggregator.receive_shard(shard, "stranger")
            self.ledger.shard(("junk", self.groups), k, packet, refused=refused)

    @precondition(collecting)
    @rule(i=st.sampled_from([4, 5]))
    def equivocate(self, i):
        """Clients 4 and 5 hold two different packets each; the first that counts stays."""
        self.arrives(self.world.second[i], self.sealed.pids[i])
        self.equivocators.add(self.sealed.pids[i])

    @precondition(collecting)
    @rule(name=st.sampled_from(sorted(CHEATS)))
    def cheat(self, name):
        self.arrives(self.world.cheats[name], self.fed.pids[CHEATS[name][0]])

    @precondition(collecting)
    @rule()
    def process(self):
        receipts = self.aggregator.process()
        self.ledger.opened()
        assert [receipt.refused for receipt in receipts] == self.ledger.take_kinds()

    @rule()
    def crash(self):
        """What was accepted is spooled and every step noted; what waited is lost with the process."""

        def found():
            aggregator = self.aggregator
            agreed, heard = aggregator._settlement.agreed, (aggregator.checked, aggregator.answered)
            return aggregator.state, aggregator.accepted, agreed, heard

        before = found()
        self.ledger.crash()
        if self.folder is not None:
            self.store.close()
            self.store = self.new_store()
        self.aggregator = self.fed.aggregator(self.sealed.signed, store=self.store)
        assert found() == before
        if self.aggregator.state is State.CLOSING:
            self.requests = self.aggregator.requests()
        elif self.aggregator.state is State.ANSWERING:
            final = self.aggregator.requests()
            assert final.keys() == self.final.keys()
            self.final = final

    @rule(j=st.integers(1, 5))
    def member_crashes(self, j):
        """What it had opened is lost; what it signed and answered is in its store."""
        self.members[j] = self.fed.member(j, store=self.members[j]._store)

    # -- an aggregator that wants more than it may have ---------------------------------------------

    @rule(name=st.sampled_from(sorted(HEADERS)), j=st.integers(1, 5), i=st.integers(0, 5))
    def another_header(self, name, j, i):
        """For the round number that has one: a split view, a number used again, floors, a seed."""
        signed, (to_member, to_client, to_aggregator) = self.world.headers[name], HEADERS[name]
        before = snapshot(self.aggregator)
        self.members[j].cosign(self.world.proposal)
        refuses(to_member, self.members[j].cosign, signed)
        for ask in (self.members[j].check, self.members[j].answer):
            refuses(to_member, ask, signed, b"no request is looked at")
        refuses(to_client, self.sealed.clients[i].seal, signed, MODEL, update_of(i))
        refuses(to_aggregator, lambda: self.fed.aggregator(signed, store=self.store))
        assert snapshot(self.aggregator) == before

    @invariant()
    def refused_is_counted_by_kind(self):
        if hasattr(self, "aggregator"):
            self.ledger.check(self.aggregator)

    def teardown(self):
        if getattr(self, "folder", None) is not None:
            self.store.close()
            self.folder.cleanup()
