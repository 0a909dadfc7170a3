"""Beacons and rosters: strict bytes, servers that release in order, a book that takes nothing too late."""

import contextlib
import hashlib
import threading

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sottovoce import clsc
from sottovoce._ext.limits import ROSTER_MAX_BYTES
from sottovoce.clsc import BlsPublicKey, DecodeError, RootKey, SenderError, SignatureError, TooFewAnswers
from sottovoce.clsc.bls import _deal_bls_derand
from sottovoce.fl import (
    Beacon,
    BeaconServer,
    ParameterError,
    ProtocolError,
    Reason,
    Roster,
    RosterBook,
    ServerIdentity,
    combine_beacon,
)
from support.clsc_world import Drbg, World
from support.fl_federation import EPOCH, NOW
from support.fl_peers import PeerWorld
from support.mutations import mutations, refused_or_canonical

WORLD = PeerWorld()
BEACON = WORLD.beacon(3)
ROSTER = WORLD.signed_roster()


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


def servers(**options):
    return {s.index: BeaconServer(s, EPOCH, **options) for s in WORLD.beacon_shares}


class TestBeaconServer:
    def test_any_two_of_three_make_the_beacon(self):
        parts = {j: server.end_round(0) for j, server in servers().items()}
        beacon, wrong = combine_beacon(WORLD.beacon_key, EPOCH, 1, parts)
        assert wrong == ()
        assert Beacon.from_bytes(beacon.to_bytes(), WORLD.beacon_key) == beacon == WORLD.beacon(1)

    def test_nothing_before_its_time(self):
        server = servers(first_round=5)[1]
        for early in (5, 6, 100):
            assert reason(lambda n=early: server.end_round(n)) is Reason.STATE
        first = server.end_round(4)
        assert server.released == 5
        assert reason(lambda: server.end_round(6)) is Reason.STATE
        server.end_round(5)
        assert server.end_round(4) == first  # asked again
        assert reason(lambda: server.end_round(3)) is Reason.STATE
        assert server.released == 6

    def test_a_restarted_server_goes_on_where_it_was(self):
        server = servers()[1]
        parts = [server.end_round(r) for r in range(4)]
        again = servers(released=server.released)[1]
        assert again.end_round(3) == parts[3]
        assert reason(lambda: again.end_round(5)) is Reason.STATE
        again.end_round(4)
        with pytest.raises(ParameterError, match="released"):
            servers(first_round=5, released=4)

    def test_a_part_of_another_round_epoch_or_server_is_wrong(self):
        made = servers()
        parts = {j: server.end_round(0) for j, server in made.items()}
        later = made[2].end_round(1)
        elsewhere = BeaconServer(WORLD.beacon_shares[1], b"another epoch").end_round(0)
        for bad in (later, elsewhere, parts[1], b"", b"\xa0", parts[2] + b"\0"):
            beacon, wrong = combine_beacon(WORLD.beacon_key, EPOCH, 1, parts | {2: bad})
            assert (beacon, wrong) == (WORLD.beacon(1), (2,))
            with pytest.raises(TooFewAnswers) as caught:
                combine_beacon(WORLD.beacon_key, EPOCH, 1, {1: parts[1], 2: bad})
            assert caught.value.wrong == (2,)

    def test_one_of_three_knows_nothing(self):
        with pytest.raises(TooFewAnswers):
            combine_beacon(WORLD.beacon_key, EPOCH, 1, {1: servers()[1].end_round(0)})

    def test_of_many_threads_none_gets_ahead(self):
        server = servers()[1]
        refused = []

        def ask(number):
            try:
                server.end_round(number)
            except ProtocolError:
                refused.append(number)

        threads = [threading.Thread(target=ask, args=(n,)) for n in (0, 0, 0, 7, 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.released == 1
        assert sorted(refused) == [7, 8]

    def test_impossible_servers(self):
        share = WORLD.beacon_shares[0]
        for epoch, first in ((b"", 1), (b"e" * 65, 1), (EPOCH, 0), (EPOCH, 1 << 63)):
            with pytest.raises(ParameterError):
                BeaconServer(share, epoch, first_round=first)
        for call in (
            lambda: BeaconServer(None, EPOCH),
            lambda: BeaconServer(share, "epoch"),
            lambda: BeaconServer(share, EPOCH, first_round=True),
            lambda: BeaconServer(share, EPOCH).end_round("0"),
            lambda: combine_beacon(None, EPOCH, 1, {}),
            lambda: combine_beacon(WORLD.beacon_key, EPOCH, 1, [b""]),
            lambda: combine_beacon(WORLD.beacon_key, EPOCH, 1, {1: None}),
        ):
            with pytest.raises(TypeError):
                call()


class TestBeaconBytes:
    @pytest.mark.parametrize(
        ("field", "value", "error"),
        [
            ("v", 2, DecodeError),
            ("epoch", b"", DecodeError),
            ("epoch", b"e" * 65, DecodeError),
            ("epoch", b"2027-W03", SignatureError),
            ("round", 0, DecodeError),
            ("round", -1, DecodeError),
            ("round", 1 << 63, DecodeError),
            ("round", 4, SignatureError),
            ("signature", b"", DecodeError),
            ("signature", bytes(48), SignatureError),
            ("signature", b"\xc0" + bytes(47), SignatureError),  # the identity
            ("signature", b"\x80" + bytes(46) + b"\4", SignatureError),  # outside the subgroup
            ("more", 1, DecodeError),
        ],
    )
    def test_one_fault(self, field, value, error):
        fields = cbor2.loads(BEACON.to_bytes()) | {field: value}
        with pytest.raises(error):
            Beacon.from_bytes(cbor2.dumps(fields, canonical=True), WORLD.beacon_key)

    def test_of_another_key(self):
        other = _deal_bls_derand(1, 1, Drbg("another"))[0].public_key
        with pytest.raises(SignatureError):
            Beacon.from_bytes(BEACON.to_bytes(), other)
        with pytest.raises(TypeError):
            Beacon.from_bytes(BEACON.to_bytes(), other.to_bytes())

    @given(mutations(BEACON.to_bytes()))
    def test_is_not_malleable(self, data):
        refused_or_canonical(
            lambda d: Beacon.from_bytes(d, WORLD.beacon_key),
            Beacon.to_bytes,
            data,
            DecodeError,
            SignatureError,
        )


def resigned(**changes):
    """A roster of any fields, which the root key has signed without looking."""
    fields = cbor2.loads(WORLD.roster()._body) | changes
    body = cbor2.dumps({k: v for k, v in fields.items() if v is not None}, canonical=True)
    return clsc.sign_notice(WORLD.authority._root, "roster", body)


IMPOSSIBLE = {
    "v": [0, 2, True],
    "epoch": [b"", b"e" * 65, "text"],
    "version": [0, -1, 1 << 32, True],
    "first_round": [0, -1, 1 << 63, 1.0],
    "committee": [3, 7, 65, None],
    "view_s": [0, -1, 86_401],
    "beacon": [b"", bytes(236), None],
    "peers": [[], [[]], b"", None],
    "more": [1],
}


class TestRoster:
    def test_comes_back(self):
        roster = Roster.from_bytes(ROSTER, WORLD.trust())
        assert roster == WORLD.roster()
        assert roster.digest == WORLD.roster().digest
        assert roster.views == 3
        assert roster.names == tuple(sorted(keys.public.name for keys in WORLD.keys))
        assert resigned() == ROSTER

    def test_the_digest_changes_with_every_field(self):
        other_key = _deal_bls_derand(1, 1, Drbg("another"))[0].public_key
        others = [
            {"epoch": b"another"}, {"version": 2}, {"first_round": 2}, {"committee": 5}, {"view_s": 601},
            {"beacon_key": other_key}, {"peers": WORLD.roster().peers[1:]},
        ]  # fmt: skip
        digests = {WORLD.roster().digest, *(WORLD.roster(**fields).digest for fields in others)}
        assert len(digests) == 1 + len(others)

    @pytest.mark.parametrize(
        ("field", "value"), [(f, v) for f, vs in IMPOSSIBLE.items() for v in vs], ids=lambda v: str(v)[:20]
    )
    def test_impossible_field(self, field, value):
        with pytest.raises(DecodeError):
            Roster.from_bytes(resigned(**{field: value}), WORLD.trust())

    def test_peers_are_distinct_and_in_order(self):
        peers = [keys.public for keys in WORLD.keys]
        mixed = ServerIdentity(peers[0].sign, peers[0].decrypt)
        for bad in (peers[::-1], [*peers[:6], peers[5]], [peers[1], peers[0], *peers[2:]], [mixed, *peers]):
            with pytest.raises(ParameterError):
                WORLD.roster(peers=tuple(bad))
            with pytest.raises(DecodeError):
                Roster.from_bytes(resigned(peers=[p.to_list() for p in bad]), WORLD.trust())

    def test_keys_under_one_set_of_parameters(self):
        stranger = WORLD.other_authority.server(b"zz stranger").public
        with pytest.raises(ParameterError, match="one set of parameters"):
            WORLD.roster(peers=(*WORLD.roster().peers, stranger))
        with pytest.raises(SenderError):
            Roster.from_bytes(resigned(peers=[stranger.to_list()] * 6), WORLD.trust())

    def test_only_the_root_signs_it(self):
        roster = WORLD.roster()
        other = RootKey.generate()
        for data in (
            roster.sign(other),
            clsc.sign_notice(WORLD.authority._root, "beacon", roster._body),
            roster._body,
        ):
            with pytest.raises(DecodeError):
                Roster.from_bytes(data, WORLD.trust())
        with pytest.raises(TypeError):
            roster.sign(None)

    def test_a_very_long_one_is_refused_unread(self):
        data = clsc.sign_notice(WORLD.authority._root, "roster", bytes(ROSTER_MAX_BYTES + 300))
        with pytest.raises(DecodeError, match="at most"):
            Roster.from_bytes(data, WORLD.trust())

    @pytest.mark.parametrize(
        ("field", "value"),
        [("epoch", "text"), ("version", True), ("beacon_key", b""), ("peers", 5), ("peers", [None] * 7)],
    )
    def test_wrong_types(self, field, value):
        with pytest.raises(TypeError):
            WORLD.roster(**{field: value})

    @given(mutations(ROSTER))
    @settings(max_examples=50)
    def test_is_not_malleable(self, data):
        if data != ROSTER:
            with pytest.raises(DecodeError):
                Roster.from_bytes(data, WORLD.trust())

    @given(mutations(WORLD.roster()._body))
    @settings(max_examples=50)
    def test_nor_is_its_body(self, data):
        signed = clsc.sign_notice(WORLD.authority._root, "roster", data)
        refused_or_canonical(
            lambda d: Roster.from_bytes(d, WORLD.trust()),
            lambda roster: roster.sign(WORLD.authority._root),
            signed,
            DecodeError,
            SenderError,
        )


class TestBook:
    def book(self, *rosters, now=lambda: NOW):
        book = RosterBook(WORLD.trust(), clock=now)
        for fields in rosters:
            book.add_roster(WORLD.signed_roster(**fields))
        return book

    def test_a_roster_after_its_first_beacon_is_refused(self):
        book = self.book({})
        book.add_beacon(BEACON.to_bytes())
        for first_round in (1, 2, 3):
            late = WORLD.signed_roster(version=2, first_round=first_round)
            assert reason(lambda d=late: book.add_roster(d)) is Reason.ROSTER
        assert book.roster(EPOCH, 3) == WORLD.roster()
        book.add_roster(WORLD.signed_roster(version=2, first_round=4))
        book.add_roster(ROSTER)  # one that it knows already is not late

    def test_a_second_one_of_a_version_is_refused(self):
        book = self.book({})
        two = WORLD.signed_roster(view_s=601)
        assert reason(lambda: book.add_roster(two)) is Reason.ROSTER
        assert book.roster(EPOCH, 1).view_s == 600

    def test_each_round_has_the_latest_roster_that_had_begun(self):
        book = self.book(
            {"version": 7, "first_round": 20}, {}, {"version": 3, "first_round": 10, "view_s": 60}
        )
        assert [book.roster(EPOCH, r).version for r in (1, 9, 10, 19, 20, 1000)] == [1, 1, 3, 3, 7, 7]
        for version, first in ((2, 10), (2, 11), (4, 10), (8, 20), (8, 3)):
            data = WORLD.signed_roster(version=version, first_round=first)
            assert reason(lambda d=data: book.add_roster(d)) is Reason.ROSTER
        assert reason(lambda: book.roster(EPOCH, 0)) is Reason.BEACON
        assert reason(lambda: book.roster(b"another", 1)) is Reason.BEACON

    def test_the_beacon_key_stays(self):
        other = _deal_bls_derand(1, 1, Drbg("another"))[0].public_key
        book = self.book({})
        data = WORLD.signed_roster(version=2, first_round=9, beacon_key=other)
        assert reason(lambda: book.add_roster(data)) is Reason.ROSTER

    def test_beacons_without_a_roster(self):
        assert reason(lambda: self.book().add_beacon(BEACON.to_bytes())) is Reason.BEACON
        later = self.book({"first_round": 4})
        assert reason(lambda: later.add_beacon(BEACON.to_bytes())) is Reason.BEACON
        assert reason(lambda: later.choice(EPOCH, 3)) is Reason.BEACON
        later.add_beacon(WORLD.beacon(4).to_bytes())

    def test_a_forged_beacon_changes_nothing(self):
        book = self.book({})
        forged = Beacon(EPOCH, 9, BEACON.signature).to_bytes()
        with pytest.raises(SignatureError):
            book.add_beacon(forged)
        book.add_roster(WORLD.signed_roster(version=2, first_round=2))

    def test_views_follow_the_clock_from_the_first_sight_of_the_beacon(self):
        now = [1000.0]
        book = self.book({}, now=lambda: now[0])
        book.add_beacon(BEACON.to_bytes())
        seen = {}
        for passed in (0, 599, 600, 1199, 1200, 1799, 1800):
            now[0] = 1000.0 + passed
            book.add_beacon(BEACON.to_bytes())  # again: the views go on
            seen[passed] = book.view_now(EPOCH, 3)
        assert seen == {0: 0, 599: 0, 600: 1, 1199: 1, 1200: 2, 1799: 2, 1800: 3}
        assert book.turn(EPOCH, 3, 1) == (1600, 2200)
        assert len({book.choice(EPOCH, 3, view).aggregator for view in range(3)}) == 3
        assert reason(lambda: book.choice(EPOCH, 3, 3)) is Reason.VIEW
        now[0] = 0.0  # a clock that was set back
        assert book.view_now(EPOCH, 3) == 0

    def test_forgets_an_epoch_and_only_that(self):
        book = self.book({}, {"epoch": b"another"})
        book.add_beacon(BEACON.to_bytes())
        book.forget(EPOCH)
        assert reason(lambda: book.choice(EPOCH, 3)) is Reason.BEACON
        assert book.roster(b"another", 1).version == 1

    def test_wrong_types(self):
        for call in (
            lambda: RosterBook(None),
            lambda: self.book().add_roster("text"),
            lambda: self.book({}).add_beacon("text"),
        ):
            with pytest.raises(TypeError):
                call()

    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 6), st.integers(1, 6)), max_size=8))
    @settings(max_examples=15)
    def test_in_any_order_no_roster_in_force_came_after_its_beacon(self, steps):
        """Rosters and beacons come as they like: what decides a round was here before its beacon."""
        book, released, had = self.book({}), 0, {1: 0}
        for is_beacon, version, number in steps:
            if is_beacon:
                book.add_beacon(BEACONS[number])
                released = max(released, number)
            else:
                data = ROSTERS[version + 1, number]
                with contextlib.suppress(ProtocolError):
                    had.setdefault(book.add_roster(data).version, released)
        for number in range(1, 8):
            roster = book.roster(EPOCH, number)
            assert had[roster.version] < roster.first_round <= number


BEACONS = {r: WORLD.beacon(r).to_bytes() for r in range(1, 7)}
ROSTERS = {(v, r): WORLD.signed_roster(version=v, first_round=r) for v in range(2, 8) for r in range(1, 7)}


class TestFrozen:
    """The tripwire: bytes that other versions must read (see test_wire_frozen.py)."""

    def test_beacon(self):
        key = _deal_bls_derand(2, 3, Drbg("beacon of the seven"))[0].public_key
        assert BlsPublicKey.from_bytes(key.to_bytes()) == WORLD.beacon_key
        assert (
            hashlib.sha256(key.to_bytes()).hexdigest()
            == "33787cb712b7affa95ca1d70b0cd2553561c2826c11e413a767fe7c16f670722"
        )
        assert (
            hashlib.sha256(BEACON.to_bytes()).hexdigest()
            == "966d396d61d733881bedc9ca0de4ea438584cbc095f2cd3f671c02d46aabefb2"
        )
        part = servers()[2].end_round(0)
        assert (
            hashlib.sha256(part).hexdigest()
            == "83d0e9c6d0d0d6f31ed4d052be27338390fd53ad5e8d92c96288285439e6b0b6"
        )

    def test_roster(self):
        world = World("frozen fl", epoch=EPOCH)
        peers = [
            ServerIdentity(world.signer(f"peer-{i}").public_key, world.receiver(f"peer-{i}").public_key)
            for i in range(5)
        ]
        roster = WORLD.roster(peers=tuple(peers))
        assert (
            hashlib.sha256(roster.sign(world.root)).hexdigest()
            == "7a52d20e1e6e62a60f1645a560f0e859f33c7d373b07695c7d44bc5e99914f6e"
        )
        assert roster.digest.hex() == "5fbb8d1fd5de17f8d19ff44cb82abfe653b59b4b112db835bbc4831b45ae434b"
