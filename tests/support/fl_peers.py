"""Seven equal peers in memory: an issuer with three beacon servers, and a network whose members may be dead.

Keys are made once; the peers themselves are made fresh for every test.
"""

from sottovoce import clsc
from sottovoce.clsc.bls import _deal_bls_derand
from sottovoce.fl import BeaconServer, Peer, PeerPolicy, Roster, RosterBook, combine_beacon
from sottovoce.fl.client import Client
from sottovoce.fl.simulate import Authority
from support.clsc_world import Drbg
from support.fl_federation import CLIP, EPOCH, MODEL, NOW, update_of

N_PEERS = 7
COMMITTEE = 4
MIN_CONTRIBUTORS = 5
VIEW_S = 600


def peer_name(i):
    return f"peer {i}".encode()


class _Recorded(Client):
    """A client whose encoded integers a test can add up itself."""

    def _quantize(self, header, update, examples):
        self.encoded = super()._quantize(header, update, examples)
        return self.encoded


class PeerWorld:
    """Keys of an issuer, of its beacon servers and of the peers."""

    def __init__(self, n_peers=N_PEERS, now=NOW):
        self.authority = Authority(EPOCH, now, valid_s=86_400)
        self.other_authority = Authority(EPOCH, now, valid_s=86_400)
        self.keys = [self.authority.server(peer_name(i)) for i in range(n_peers)]
        self.senders = [self.authority.pseudonym(f"device of peer {i}") for i in range(n_peers)]
        # From a seed, so that every run has the same choices.
        self.beacon_shares = _deal_bls_derand(2, 3, Drbg("beacon of the seven"))
        self.beacon_key = self.beacon_shares[0].public_key

    def trust(self, clock=lambda: NOW):
        store = clsc.TrustStore(self.authority.root_public_key, clock=clock)
        store.add(self.authority.identity)
        store.add(self.authority.blind)
        return store

    def roster(self, **fields):
        usual = {
            "epoch": EPOCH,
            "version": 1,
            "first_round": 1,
            "committee": COMMITTEE,
            "view_s": VIEW_S,
            "beacon_key": self.beacon_key,
            "peers": tuple(keys.public for keys in self.keys),
        }
        return Roster(**{**usual, **fields})

    def signed_roster(self, **fields):
        return self.authority.roster(self.roster(**fields))

    def beacon(self, round_number, epoch=EPOCH):
        """The beacon of any round, as a coalition of servers could have it."""
        parts = {}
        for share in self.beacon_shares[:2]:
            server = BeaconServer(share, epoch, first_round=round_number)
            parts[share.index] = server.end_round(round_number - 1)
        return combine_beacon(self.beacon_key, epoch, round_number, parts)[0]


class PeerNet:
    """Seven peers with one clock; who is in ``dead`` neither sends nor receives."""

    def __init__(self, world, **policy):
        self.world = world
        self.now = NOW
        self.dead = set()
        self.servers = {s.index: BeaconServer(s, EPOCH) for s in world.beacon_shares}
        self.peers = {}
        for keys, sender in zip(world.keys, world.senders, strict=True):
            self.peers[keys.public.name] = self.make_peer(keys, sender, **policy)
        roster = world.signed_roster()
        for peer in self.peers.values():
            peer.book.add_roster(roster)

    def clock(self):
        return self.now

    def make_peer(self, keys, sender, **policy):
        trust = self.world.trust(self.clock)
        fields = {"min_contributors": MIN_CONTRIBUTORS, "book": RosterBook(trust, clock=self.clock)} | policy
        policy = PeerPolicy(**fields)
        peer = Peer(keys, sender, trust, policy, clock=self.clock)
        peer.client = _Recorded(sender, trust, policy, clock=self.clock)
        return peer

    @property
    def alive(self):
        return [peer for name, peer in self.peers.items() if name not in self.dead]

    def update(self, peer, variant=0):
        """The peer's update; another training run gives another ``variant``."""
        return update_of(100 * variant + int(peer.name.split()[-1]))

    def release(self, round_number):
        """The round before has ended: the beacon comes out."""
        parts = {j: server.end_round(round_number - 1) for j, server in self.servers.items()}
        beacon, wrong = combine_beacon(self.world.beacon_key, EPOCH, round_number, parts)
        assert wrong == ()
        for peer in self.alive:
            peer.book.add_beacon(beacon.to_bytes())
        return beacon

    def next_view(self):
        self.now += VIEW_S

    def aggregator_of(self, round_number):
        """Whose turn it is, by every living peer's own book; it may be dead itself."""
        (name,) = {peer.choice(round_number).aggregator.name for peer in self.alive}
        return self.peers[name]

    def committee_of(self, round_number):
        choice = self.alive[0].choice(round_number)
        return {j: self.peers[m.name] for j, m in enumerate(choice.members, 1) if m.name not in self.dead}

    def sign_header(self, round_number, **plan):
        aggregator = self.aggregator_of(round_number)
        proposal = aggregator.propose(MODEL, round_number, clip=CLIP, **plan)
        committee = self.committee_of(round_number)
        return aggregator.begin(round_number, {j: m.member.cosign(proposal) for j, m in committee.items()})

    def contribute(self, signed, peers=None, variant=0):
        """Packets of the peers, each with its own update."""
        peers = self.alive if peers is None else peers
        return [p.client.seal(signed, MODEL, self.update(p, variant)).packet for p in peers]

    def finish(self, round_number, signed):
        """Close, check, settle, answer, open and publish; everybody alive reads the result."""
        peer, members = self.aggregator_of(round_number), self.committee_of(round_number)
        aggregator = peer.aggregator
        requests = aggregator.close()
        for j, member in members.items():
            aggregator.receive_check(j, member.member.check(signed, requests[j]))
        for j, request in aggregator.settle().items():
            if j in members:
                aggregator.receive_answer(j, members[j].member.answer(signed, request))
        published = aggregator.publish(aggregator.open())
        results = [each.client.read_result(signed, published) for each in self.alive]
        return results[0]
