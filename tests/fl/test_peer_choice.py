"""Who does what in a round among equals: the public function, its vectors, and why nobody can bend it."""

import filecmp
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sottovoce._ext.enc import sha256_enc
from sottovoce.clsc import BlsPublicKey
from sottovoce.fl import (
    Beacon,
    BeaconServer,
    ParameterError,
    ProtocolError,
    Reason,
    RosterBook,
    choose,
    choose_peers,
    combine_beacon,
    committee_risk,
)
from sottovoce.fl.beacon import beacon_text
from sottovoce.fl.peer_choice import rank_peers
from support.clsc_vectors import ROOT, load, raw
from support.clsc_world import Drbg
from support.fl_federation import EPOCH
from support.fl_peers import peer_name

VECTORS = load(
    "fl/choice.json",
    ["comment", "flags", "epoch", "round", "key", "text", "beacon", "names", "ranked", "committee",
     "aggregators", "result"],
)["tests"]  # fmt: skip
NAMES = [peer_name(i) for i in range(7)]


def beacons(label, count):
    """What no peer can tell apart from beacons: bytes that it does not know beforehand."""
    random = Drbg(label)
    return [random(48) for _ in range(count)]


class TestVectors:
    @pytest.mark.parametrize("t", VECTORS, ids=lambda t: t["comment"])
    def test_choice(self, t):
        key, beacon = BlsPublicKey.from_bytes(raw(t["key"])), raw(t["beacon"])
        assert beacon_text(raw(t["epoch"]), t["round"]) == raw(t["text"])
        key.verify(raw(t["text"]), beacon)
        names = [raw(name) for name in t["names"]]
        assert [name.hex() for name in rank_peers(names, beacon)] == t["ranked"]
        n = len(t["committee"])
        for view, aggregator in enumerate(t["aggregators"]):
            chosen = choose_peers(names, beacon, n, view)
            assert chosen == (raw(aggregator), [raw(name) for name in t["committee"]])
        with pytest.raises(ParameterError, match="view"):
            choose_peers(names, beacon, n, len(t["aggregators"]))

    def test_the_generator_makes_this_file(self, tmp_path):
        subprocess.run([sys.executable, ROOT / "gen" / "fl_choice.py", tmp_path], check=True, timeout=120)
        assert filecmp.cmp(tmp_path / "choice.json", ROOT / "fl" / "choice.json", shallow=False)


class TestChoice:
    @given(
        names=st.sets(st.binary(min_size=1, max_size=64), min_size=5, max_size=70),
        beacon=st.binary(min_size=48, max_size=48),
        data=st.data(),
    )
    def test_views_walk_over_all_that_are_not_in_the_committee(self, names, beacon, data):
        n = data.draw(st.integers(4, min(64, len(names) - 1)))
        choices = [choose_peers(names, beacon, n, view) for view in range(len(names) - n)]
        (committee,) = {tuple(members) for _, members in choices}
        assert len(set(committee)) == n
        aggregators = [aggregator for aggregator, _ in choices]
        assert sorted([*aggregators, *committee]) == sorted(names)
        # The order in which the names are given says nothing.
        assert choose_peers(sorted(names), beacon, n) == choices[0]

    def test_everybody_comes_first_equally_often(self):
        """A sanity check of the ranking: 700 beacons, 100 expected, five standard deviations."""
        first, second = Counter(), Counter()
        for beacon in beacons("uniform", 700):
            ranked = rank_peers(NAMES, beacon)
            first[ranked[0]] += 1
            second[ranked[1]] += 1
        for counts in (first, second):
            assert len(counts) == 7
            assert all(abs(count - 100) < 5 * (700 * 6 / 49) ** 0.5 for count in counts.values())

    @pytest.mark.parametrize(("n", "view"), [(0, 0), (7, 0), (8, 0), (4, 3), (4, -1)])
    def test_impossible_choices(self, n, view):
        with pytest.raises(ParameterError):
            choose_peers(NAMES, bytes(48), n, view)
        with pytest.raises(ParameterError):
            choose_peers([*NAMES, NAMES[0]], bytes(48), 4)

    def test_with_keys(self, peer_world):
        roster, beacon = peer_world.roster(), peer_world.beacon(1)
        for view in range(roster.views):
            choice = choose(roster, beacon, view)
            name, members = choose_peers(roster.names, beacon.signature, 4, view)
            assert (choice.epoch, choice.round_number, choice.view) == (EPOCH, 1, view)
            assert choice.aggregator == roster.by_name[name]
            assert [m.name for m in choice.members] == members
        for bad in (-1, roster.views):
            with pytest.raises(ProtocolError) as caught:
                choose(roster, beacon, bad)
            assert caught.value.reason is Reason.VIEW
        for other in (peer_world.roster(epoch=b"another"), peer_world.roster(first_round=2)):
            with pytest.raises(ProtocolError) as caught:
                choose(other, beacon)
            assert caught.value.reason is Reason.BEACON


class TestGrinding:
    """Attack: a peer that may choose its id, or knows the choice, sits where it wants to.

    The naive rule ranks by a hash of epoch, round and id.  It is public, too, and everybody knows it years
    ahead: whoever enrols tries ids until one comes first in the rounds that it wants.
    """

    ROUNDS = (10, 11, 12)
    HONEST = NAMES[:6]

    @staticmethod
    def naive_hash(round_number):
        return lambda name: sha256_enc("naive", EPOCH, round_number, name)

    def naive(self, round_number, names):
        return sorted(names, key=self.naive_hash(round_number))

    def ours(self, peer_world, round_number, names):
        return rank_peers(names, peer_world.beacon(round_number).signature)

    def grind(self, wins):
        """The first of 100,000 candidate ids that wins everything by what its owner can compute."""
        candidates = (b"an innocent name %d" % i for i in range(100_000))
        return next((name for name in candidates if wins(name)), None)

    def ground_for_naive(self):
        best = {r: min(map(self.naive_hash(r), self.HONEST)) for r in self.ROUNDS}
        return self.grind(lambda name: all(self.naive_hash(r)(name) < best[r] for r in self.ROUNDS))

    def test_works_against_a_hash_of_epoch_and_round(self):
        chosen = self.ground_for_naive()
        assert chosen is not None
        assert all(self.naive(r, [*self.HONEST, chosen])[0] == chosen for r in self.ROUNDS)

    def test_what_was_ground_before_the_beacon_is_worth_nothing(self, peer_world):
        """By every rule that an attacker can compute it comes first; under the beacon as often as others."""
        chosen = self.ground_for_naive()
        names = [*self.HONEST, chosen]
        wins = sum(self.ours(peer_world, r, names)[0] == chosen for r in range(1, 141))
        assert abs(wins - 20) < 4 * (140 * 6 / 49) ** 0.5
        assert not all(self.ours(peer_world, r, names)[0] == chosen for r in self.ROUNDS)

    def test_after_the_beacon_it_works_again_and_such_a_roster_is_refused(self, peer_world):
        """Why the roster is frozen first: whoever may add an id after the beacon grinds as before."""
        beacon = peer_world.beacon(10).signature
        chosen = self.grind(lambda name: rank_peers([*self.HONEST, name], beacon)[0] == name)
        assert chosen is not None
        ground = peer_world.authority.server(chosen).public
        peers = sorted([*(k.public for k in peer_world.keys[:6]), ground], key=lambda p: p.name)
        late = peer_world.authority.roster(peer_world.roster(version=2, first_round=10, peers=tuple(peers)))
        book = book_of(peer_world)
        book.add_beacon(peer_world.beacon(10).to_bytes())
        with pytest.raises(ProtocolError) as caught:
            book.add_roster(late)
        assert caught.value.reason is Reason.ROSTER
        assert chosen not in book.roster(EPOCH, 10).by_name
        # Whoever had it before the beacon takes it.
        book_of(peer_world).add_roster(late)

    def test_a_key_of_the_peers_own_decides_nothing(self, peer_world):
        """Ids come from the issuer: any number of keys under one name have one rank."""
        again = peer_world.other_authority.server(peer_name(3)).public
        assert again.to_list() != peer_world.keys[3].public.to_list()
        beacon = peer_world.beacon(1)
        ranked = rank_peers(peer_world.roster().names, beacon.signature)
        assert ranked == rank_peers([k.public.name for k in peer_world.keys[:3]]
                                    + [again.name] + [k.public.name for k in peer_world.keys[4:]],
                                    beacon.signature)  # fmt: skip

    def test_the_signers_have_one_beacon_a_round(self, peer_world):
        """Whoever combines, from whichever parts, gets the same bytes: there is nothing to try."""
        parts = {s.index: BeaconServer(s, EPOCH).end_round(0) for s in peer_world.beacon_shares}
        found = set()
        for chosen in [*combinations(parts, 2), tuple(parts)]:
            beacon, wrong = combine_beacon(peer_world.beacon_key, EPOCH, 1, {j: parts[j] for j in chosen})
            assert wrong == ()
            found.add(beacon)
        assert found == {peer_world.beacon(1)}


def book_of(peer_world):
    book = RosterBook(peer_world.trust(), clock=lambda: 0)
    book.add_roster(peer_world.signed_roster())
    return book


class TestRisk:
    def test_small_cases_by_enumeration(self):
        for n_peers, n_bad, n in ((7, 2, 4), (9, 3, 5), (10, 4, 7)):
            f = (n - 1) // 3
            drawn = list(combinations(range(n_peers), n))
            worse = sum(sum(i < n_bad for i in committee) > f for committee in drawn)
            assert committee_risk(n_peers, n_bad, n) == Fraction(worse, len(drawn))

    def test_the_numbers_of_the_design(self):
        assert float(committee_risk(1000, 100, 10)) == pytest.approx(0.012, abs=5e-4)
        assert float(committee_risk(1000, 100, 31)) < 2**-13
        assert float(committee_risk(1_000_000, 100_000, 31)) == pytest.approx(2**-13, rel=0.05)

    def test_seven_peers_and_a_committee_of_four(self):
        """The honest limit of the small round: one bad peer is safe, two are not."""
        assert committee_risk(7, 1, 4) == 0
        assert committee_risk(7, 2, 4) == Fraction(2, 7)

    @pytest.mark.parametrize("args", [(7, 8, 4), (7, -1, 4), (7, 1, 3), (7, 1, 8), (100, 1, 65)])
    def test_impossible(self, args):
        with pytest.raises(ParameterError):
            committee_risk(*args)
        with pytest.raises(TypeError):
            committee_risk(7.0, 1, 4)


def test_a_beacon_shows_no_bytes_in_its_repr(peer_world):
    assert "signature" not in repr(peer_world.beacon(1))
    assert isinstance(peer_world.beacon(1), Beacon)
