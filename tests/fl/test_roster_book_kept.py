"""The book on disk: what a restarted peer must not take, and the file's own dangers."""

import shutil
import sqlite3

import pytest

from sottovoce import clsc
from sottovoce._ext.errors import StoreError
from sottovoce.fl import (
    PeerPolicy,
    ProtocolError,
    Reason,
    RosterBook,
    SqliteMemberStore,
    SqliteRosterBook,
    sqlite_roster_book,
)
from support.fl_federation import CLIP, EPOCH, MODEL, NOW
from support.fl_peers import MIN_CONTRIBUTORS, VIEW_S, PeerNet, PeerWorld

WORLD = PeerWorld()
ROSTER = WORLD.signed_roster()
BEACON = WORLD.beacon(3).to_bytes()
LATE = WORLD.signed_roster(version=2, first_round=3)


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


@pytest.fixture
def path(tmp_path):
    return tmp_path / "book.sqlite"


def opened(path, now=NOW, trust=None):
    return SqliteRosterBook(path, trust or WORLD.trust(), clock=lambda: now)


def filled(path):
    with opened(path) as book:
        book.add_roster(ROSTER)
        book.add_beacon(BEACON)


class TestRestart:
    def test_a_book_in_memory_forgets(self):
        """Why there is one on disk: another roster passes, and the views begin anew."""
        book = RosterBook(WORLD.trust(), clock=lambda: NOW + VIEW_S)
        book.add_roster(WORLD.signed_roster(view_s=601))
        book.add_beacon(BEACON)
        assert book.view_now(EPOCH, 3) == 0

    def test_a_roster_after_its_beacon_stays_refused(self, path):
        filled(path)
        with opened(path) as book:
            assert reason(lambda: book.add_roster(LATE)) is Reason.ROSTER
            assert reason(lambda: book.add_roster(WORLD.signed_roster(view_s=601))) is Reason.ROSTER
            assert book.roster(EPOCH, 3) == WORLD.roster()
            book.add_roster(ROSTER)

    def test_the_views_go_on(self, path):
        filled(path)
        with opened(path, NOW + VIEW_S) as book:
            assert book.view_now(EPOCH, 3) == 1
            book.add_beacon(BEACON)
            assert book.view_now(EPOCH, 3) == 1
            assert book.turn(EPOCH, 3, 0) == (NOW, NOW + VIEW_S)
        with opened(path, NOW + 2 * VIEW_S) as book:
            assert book.view_now(EPOCH, 3) == 2

    def test_all_of_it_is_there_again(self, path):
        rosters = [{}, {"version": 2, "first_round": 4}, {"version": 5, "first_round": 9}, {"epoch": b"next"}]
        memory = RosterBook(WORLD.trust(), clock=lambda: NOW)
        with opened(path) as book:
            for each in (memory, book):
                for fields in reversed(rosters):
                    each.add_roster(WORLD.signed_roster(**fields))
                for beacon in (WORLD.beacon(5), WORLD.beacon(2), WORLD.beacon(4, b"next")):
                    each.add_beacon(beacon.to_bytes())
        with opened(path) as book:
            for epoch, number in ((EPOCH, 2), (EPOCH, 5), (b"next", 4)):
                assert book.choice(epoch, number) == memory.choice(epoch, number)
                assert book.turn(epoch, number, 1) == memory.turn(epoch, number, 1)
            assert [book.roster(EPOCH, r).version for r in (1, 4, 9)] == [1, 2, 5]
            assert reason(lambda: book.choice(EPOCH, 3)) is Reason.BEACON

    def test_what_was_refused_is_not_in_it(self, path):
        filled(path)
        with opened(path) as book:
            for call in (
                lambda: book.add_roster(LATE),
                lambda: book.add_beacon(WORLD.beacon(3, b"another").to_bytes()),
            ):
                with pytest.raises(ProtocolError):
                    call()
        with opened(path) as book:
            assert reason(lambda: book.roster(b"another", 3)) is Reason.BEACON
            assert book.roster(EPOCH, 3).version == 1

    def test_an_epoch_that_is_over_goes(self, path):
        filled(path)
        with opened(path) as book:
            book.add_roster(WORLD.signed_roster(epoch=b"next"))
            book.forget(EPOCH)
        with opened(path) as book:
            assert reason(lambda: book.roster(EPOCH, 3)) is Reason.BEACON
            assert book.roster(b"next", 1).version == 1

    def test_a_restarted_member_takes_no_view_that_is_over(self, path, tmp_path):
        """The whole peer: its member would sign for whoever slept through the turn."""
        net = PeerNet(WORLD)
        net.release(1)
        beacon = WORLD.beacon(1).to_bytes()
        proposal = net.aggregator_of(1).propose(MODEL, 1, clip=CLIP)
        member = next(iter(net.committee_of(1).values()))
        keys, sender = next(
            (k, s) for k, s in zip(WORLD.keys, WORLD.senders, strict=True) if k.public.name == member.name
        )
        with opened(path) as book:
            book.add_roster(ROSTER)
            book.add_beacon(beacon)
        net.next_view()
        with opened(path, net.now) as book, SqliteMemberStore(tmp_path / "member.sqlite") as store:
            book.add_beacon(beacon)
            trust = WORLD.trust(net.clock)
            policy = PeerPolicy(book=book, min_contributors=MIN_CONTRIBUTORS)
            again = type(member)(keys, sender, trust, policy, member_store=store, clock=net.clock)
            assert reason(lambda: again.member.cosign(proposal)) is Reason.VIEW


class TestFile:
    def test_one_process_at_a_time(self, path, monkeypatch):
        monkeypatch.setattr(sqlite_roster_book, "_BUSY_S", 0.1)
        with opened(path) as book:
            with pytest.raises(StoreError, match="locked"):
                opened(path)
            book.add_roster(ROSTER)
        assert path.stat().st_mode & 0o077 == 0

    def test_an_old_copy_is_refused(self, path, tmp_path):
        with opened(path) as book:
            book.add_roster(ROSTER)
        shutil.copy(path, tmp_path / "backup")
        with opened(path) as book:
            book.add_beacon(BEACON)
        shutil.copy(tmp_path / "backup", path)
        with pytest.raises(StoreError, match="1 changes are missing"):
            opened(path)

    def test_a_file_of_another_issuer(self, path):
        filled(path)
        other = clsc.TrustStore(WORLD.other_authority.root_public_key, clock=lambda: NOW)
        with pytest.raises(StoreError, match="no book of this issuer"):
            opened(path, trust=other)

    def test_parameters_that_are_not_known(self, path):
        filled(path)
        with pytest.raises(clsc.SenderError):
            opened(path, trust=clsc.TrustStore(WORLD.authority.root_public_key, clock=lambda: NOW))
        opened(path).close()

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE rosters SET signed = x'00'",
            "UPDATE beacons SET beacon = x'a0'",
            "UPDATE beacons SET epoch = x'00'",
            "DELETE FROM rosters",
        ],
    )
    def test_rows_that_were_changed(self, path, statement):
        filled(path)
        db = sqlite3.connect(path)
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        with db:
            db.execute(statement)
        db.close()
        with pytest.raises(StoreError):
            opened(path)

    def test_wrong_types(self, path):
        with pytest.raises(TypeError):
            SqliteRosterBook(path, None)
