"""The files of the stores: versions, other people's files, damage, a second process, backups, erasing."""

import errno
import os
import pathlib
import pickle
import shutil
import sqlite3
import stat

import pytest

from sottovoce._ext import sqlite_file
from sottovoce._ext.errors import ParameterError, StoreError
from sottovoce.fl import (
    Accepted,
    Binding,
    ProtocolError,
    Reason,
    Sent,
    SqliteAggregatorStore,
    SqliteMemberStore,
    SqliteOutbox,
    Step,
    StepKind,
    sqlite_aggregator,
    sqlite_outbox,
)

H = [bytes([i]) * 32 for i in range(8)]
PID = bytes(range(16))
STORES = [SqliteOutbox, SqliteMemberStore, SqliteAggregatorStore]
MARKED = STORES[:2]


def fill(store, i=0):
    """One record; an equal call for another ``i`` makes another one."""
    if isinstance(store, SqliteOutbox):
        store.put(Sent(H[i], PID, H[i], frozenset({H[i]}), H[i], b"the packet that leaves"))
    elif isinstance(store, SqliteMemberStore):
        store.sign_header(b"aggregator", b"epoch", i, H[i])
        store.bind(b"epoch", i, Binding(H[i], H[1], H[2]))
        store.keep_answer(b"epoch", i, Binding(H[i], H[1], H[2]), b"the answer that leaves")
    else:
        store.open_round(b"epoch", i, H[i])
        store.accept(H[i], Accepted(PID, H[1], b"a packet", b"the update of a packet"))
        store.note(H[i], Step(StepKind.ANSWER, 1, b"the answer that came"))


def reason(call):
    with pytest.raises(ProtocolError) as caught:
        call()
    return caught.value.reason


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


@pytest.fixture(params=STORES, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def filled(kind, path, *numbers):
    with kind(path) as store:
        for i in numbers or (0,):
            fill(store, i)


# -- the file ---------------------------------------------------------------------------------------


def test_everything_survives_the_process(path):
    filled(SqliteOutbox, path.with_name("o"), 0, 3)
    with SqliteOutbox(path.with_name("o")) as outbox:
        assert outbox.find(H[0]) == Sent(H[0], PID, H[0], frozenset({H[0]}), H[0], b"the packet that leaves")
        assert outbox.find(H[3]).model == H[3]
    filled(SqliteMemberStore, path.with_name("m"))
    with SqliteMemberStore(path.with_name("m")) as member:
        assert member.bind(b"epoch", 0, Binding(H[0], H[1], H[2])) == b"the answer that leaves"
        assert reason(lambda: member.bind(b"epoch", 0, Binding(H[0], H[1], H[3]))) is Reason.BOUND
        assert reason(lambda: member.sign_header(b"aggregator", b"epoch", 0, H[1])) is Reason.OTHER_HEADER
    filled(SqliteAggregatorStore, path)
    with SqliteAggregatorStore(path) as store:
        store.equivocated(H[0], PID, b"another")
        store.convict(H[0], PID, b"conviction")
    with SqliteAggregatorStore(path) as store:
        assert list(store.accepted(H[0])) == [Accepted(PID, H[1], b"a packet", b"the update of a packet")]
        assert store.update(H[0], PID) == b"the update of a packet"
        assert (store.evidence(H[0]), store.convictions(H[0])) == ({PID: b"another"}, {PID: b"conviction"})
        assert store.steps(H[0]) == (Step(StepKind.ANSWER, 1, b"the answer that came"),)
        assert reason(lambda: store.open_round(b"epoch", 0, H[1])) is Reason.OTHER_HEADER


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_only_the_owner_may_read(kind, path):
    old = os.umask(0)
    try:
        filled(kind, path)
    finally:
        os.umask(old)
    for found in path.parent.rglob("*"):
        assert stat.S_IMODE(found.stat().st_mode) == (0o700 if found.is_dir() else 0o600), found
    path.chmod(0o640)
    with pytest.raises(StoreError, match="0600 expected, got 0640"):
        kind(path)
    path.chmod(0o600)
    if kind is not SqliteMemberStore:
        spool = path.with_name(f"{path.name}.spool")
        spool.chmod(0o750)
        with pytest.raises(StoreError, match="0700 expected, got 0750"):
            kind(path)
        spool.chmod(0o700)
    kind(path).close()


def test_newer_versions_and_other_files_are_refused_and_left_alone(kind, path):
    filled(kind, path)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    db.execute("PRAGMA user_version = 2")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema version 2; this release knows up to 1"):
        kind(path)
    assert path.read_bytes() == before
    for other in STORES:
        if other is not kind:
            with pytest.raises(StoreError, match="another program"):
                other(path)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError):
        kind(path)


def test_durability_is_what_the_docs_say(kind, path):
    with kind(path) as store, store._file.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        if kind is SqliteAggregatorStore:  # the others delete nothing
            assert db.execute("PRAGMA secure_delete").fetchone()[0] == 1
        locking = "exclusive" if kind is SqliteAggregatorStore else "normal"
        assert db.execute("PRAGMA locking_mode").fetchone()[0] == locking


def test_closed_forked_and_pickled_stores_are_refused(kind, path):
    with kind(path) as store:
        assert "packet" not in repr(store)
        assert store.path == str(path)
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(store)
        if hasattr(os, "fork"):
            pid = os.fork()
            if pid == 0:
                try:
                    fill(store)
                except StoreError:
                    os._exit(7)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        fill(store)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        fill(store, 1)


def test_places_where_no_file_can_be(kind, path):
    with pytest.raises(FileNotFoundError):
        kind(path.parent / "nowhere" / "store.sqlite")
    path.mkdir()
    with pytest.raises(StoreError, match="not a regular file"):
        kind(path)


def test_one_process_has_the_aggregators_store(path, monkeypatch):
    monkeypatch.setattr(sqlite_aggregator, "_BUSY_S", 0.05)
    with SqliteAggregatorStore(path) as store:
        with pytest.raises(StoreError, match="locked"):
            SqliteAggregatorStore(path)
        fill(store)
    SqliteAggregatorStore(path).close()


def test_several_may_have_the_others(path):
    with SqliteMemberStore(path) as one, SqliteMemberStore(path) as two:
        fill(one)
        other = Binding(H[0], H[1], H[3])
        assert reason(lambda: two.bind(b"epoch", 0, other)) is Reason.BOUND
        assert two.last_binding(b"epoch", 0) == Binding(H[0], H[1], H[2])


# -- damage -----------------------------------------------------------------------------------------


def spooled(path):
    return [p for p in path.with_name(f"{path.name}.spool").iterdir() if len(p.name) == 97]


@pytest.mark.parametrize("cut", [0, 1, 8, 29], ids=lambda n: f"{n} of 30 bytes")
def test_a_torn_packet_is_refused_at_the_start(path, cut):
    filled(SqliteAggregatorStore, path)
    (packet,) = spooled(path)
    os.truncate(packet, cut)
    with pytest.raises(StoreError, match=f"damaged: 30 bytes expected, got {cut}"):
        SqliteAggregatorStore(path)


@pytest.mark.parametrize("kind", [SqliteAggregatorStore, SqliteOutbox])
def test_a_missing_packet_is_refused_at_the_start(kind, path):
    filled(kind, path)
    (packet,) = spooled(path)
    packet.unlink()
    with pytest.raises(StoreError, match="missing; restored without its database"):
        kind(path)


@pytest.mark.parametrize("position", [0, 7, 8, 29])
def test_a_changed_packet_is_never_taken_for_what_was_written(path, position):
    filled(SqliteAggregatorStore, path)
    (packet,) = spooled(path)
    data = bytearray(packet.read_bytes())
    data[position] ^= 1
    packet.write_bytes(data)
    with SqliteAggregatorStore(path) as store:
        with pytest.raises(StoreError, match="not the bytes that were written"):
            list(store.accepted(H[0]))
        if position >= 8:
            with pytest.raises(StoreError, match="not the bytes that were written"):
                store.update(H[0], PID)
        packet.unlink()
        with pytest.raises(StoreError, match="is missing"):
            list(store.accepted(H[0]))


def test_a_changed_packet_of_a_client_does_not_leave(path):
    filled(SqliteOutbox, path)
    (packet,) = spooled(path)
    packet.write_bytes(b"the packet that leaveS")
    with SqliteOutbox(path) as outbox:
        with pytest.raises(StoreError, match="not the bytes that were written"):
            outbox.find(H[0])
        assert reason(lambda: fill(outbox)) is Reason.SEALED


@pytest.mark.parametrize("kind", [SqliteAggregatorStore, SqliteOutbox])
def test_what_a_crash_left_goes_and_nothing_else(kind, path):
    filled(kind, path)
    spool = path.with_name(f"{path.name}.spool")
    kept = {p.name for p in spooled(path)} | {"notes of the operator"}
    for name in (f"{H[0].hex()}-{bytes(16).hex()}", ".sottovoce-abc", "notes of the operator"):
        (spool / name).write_bytes(b"half a pack")
    with kind(path):
        assert {p.name for p in spool.iterdir()} == kept
        assert len(kept) == 2


def test_damaged_pages_are_errors_of_ours(kind, path):
    filled(kind, path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError), kind(path) as store:
        fill(store, 2)


def test_a_row_lost_with_its_log_is_noticed(path):
    """A backup put beside the log of another moment; what the file itself notices: tests of the registry."""
    store = SqliteAggregatorStore(path)
    backup = path.with_name("backup")
    shutil.copy2(path, backup)
    store.convict(H[0], PID, b"conviction")  # on a page that nothing later touches
    store._file.empty_log()
    fill(store)
    log = path.with_name(f"{path.name}-wal").read_bytes()
    store.close()
    os.replace(backup, path)
    path.with_name(f"{path.name}-wal").write_bytes(log)
    path.with_name(f"{path.name}-wal").chmod(0o600)
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            SqliteAggregatorStore(path)


def test_a_packet_that_cannot_be_written_is_not_sent(path, monkeypatch):
    with SqliteOutbox(path) as outbox:
        fill(outbox)
        with monkeypatch.context() as patched:

            def fail(*args):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            patched.setattr(os, "fsync", fail)
            with pytest.raises(OSError, match="No space"):
                fill(outbox, 1)
            patched.undo()
            patched.setattr(sqlite_outbox, "_insert", fail)
            with pytest.raises(OSError, match="No space"):
                fill(outbox, 1)
        assert outbox.find(H[1]) is None
        assert len(spooled(path)) == 1
        fill(outbox, 1)
        assert len(spooled(path)) == 2


@pytest.mark.parametrize("where", ["write", "row"])
def test_a_full_disk_leaves_the_packet_uncounted_and_nothing_behind(path, monkeypatch, where):
    with SqliteAggregatorStore(path) as store:
        fill(store)
        record = Accepted(H[5][:16], H[1], b"packet", b"update")
        with monkeypatch.context() as patched:
            if where == "write":

                def fail(descriptor):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

                patched.setattr(os, "fsync", fail)
                expected = OSError
            else:
                with store._file.reading() as db:
                    pages = db.execute("PRAGMA page_count").fetchone()[0]
                    db.execute(f"PRAGMA max_page_count = {pages}")
                record = Accepted(H[5][:16], bytes(8192), b"packet", b"update")
                expected = StoreError
            with pytest.raises(expected):
                store.accept(H[0], record)
        assert len(list(store.accepted(H[0]))) == len(spooled(path)) == 1
        with store._file.reading() as db:
            db.execute("PRAGMA max_page_count = 1000000")
        store.accept(H[0], record)
        assert len(list(store.accepted(H[0]))) == len(spooled(path)) == 2


def test_one_pid_counts_once_even_if_nobody_asked(path):
    with SqliteAggregatorStore(path) as store:
        fill(store)
        with pytest.raises(StoreError, match="UNIQUE"):
            store.accept(H[0], Accepted(PID, H[2], b"second", b"second"))
        assert [a.packet for a in store.accepted(H[0])] == [b"a packet"]
        assert len(spooled(path)) == 1
        with pytest.raises(KeyError):
            store.update(H[0], bytes(16))
        assert reason(
            lambda: SqliteMemberStore(path.with_name("m")).keep_answer(b"e", 1, Binding(*H[:3]), b"a")
        ) is (Reason.STATE)


# -- erasing ----------------------------------------------------------------------------------------


def anywhere(path, secret):
    """Names of the files that hold these bytes."""
    return [p.name for p in path.parent.rglob("*") if p.is_file() and secret in p.read_bytes()]


def test_an_erased_round_is_in_no_file(path):
    with SqliteAggregatorStore(path) as store:
        fill(store)
        fill(store, 4)
        store.equivocated(H[0], PID, b"another packet")
        store.convict(H[0], PID, b"a conviction")
        store.note(H[0], Step(StepKind.CHECK, 2, b"what a member complained of"))
        secrets = (b"another packet", b"a conviction", b"what a member complained of")
        assert all(anywhere(path, secret) for secret in secrets)
        assert store.kept_rounds() == {H[0]: (b"epoch", 0), H[4]: (b"epoch", 4)}
        store.erase(H[0])
        assert store.kept_rounds() == {H[4]: (b"epoch", 4)}
        # While it is open: the log and the free pages are part of what must hold nothing.
        assert not any(anywhere(path, secret) for secret in secrets)
        assert len(spooled(path)) == 1
        assert len(list(store.accepted(H[4]))) == 1
    assert not any(anywhere(path, secret) for secret in secrets)
    with SqliteAggregatorStore(path) as store:
        assert store.steps(H[0]) == (Step(StepKind.ERASED),)


def test_a_discarded_packet_is_in_no_file(path):
    with SqliteOutbox(path) as outbox:
        fill(outbox)
        assert len(anywhere(path, b"the packet that leaves")) == 1
        outbox.discard(H[0])
        assert anywhere(path, b"the packet that leaves") == []


# -- backups ----------------------------------------------------------------------------------------


def put_back(kind, path, backup_of, forgotten):
    """A backup made after ``backup_of``, and put back after ``forgotten``."""
    filled(kind, path, *backup_of)
    backup = path.with_name("backup")
    shutil.copy2(path, backup)
    filled(kind, path, *forgotten)
    os.replace(backup, path)


@pytest.mark.parametrize("kind", MARKED)
def test_attack_a_backup_put_back_would_say_something_else(kind, path):
    put_back(kind, path, [0], [1])
    for _ in range(2):
        with pytest.raises(StoreError, match=r"restored from a backup.* changes are missing"):
            kind(path)


@pytest.mark.parametrize("kind", MARKED)
def test_a_lost_file_or_mark_is_not_silently_begun_anew(kind, path):
    filled(kind, path)
    mark = pathlib.Path(f"{path}.mark")
    content = mark.read_bytes()
    mark.unlink()
    with pytest.raises(StoreError, match="missing"):
        kind(path)
    mark.write_bytes(content)
    path.unlink()
    with pytest.raises(StoreError, match="its mark counts"):
        kind(path)
    arguments = {"models": []} if kind is SqliteOutbox else {}
    path.unlink()
    with pytest.raises(FileNotFoundError):
        kind.restore(path, **arguments)


@pytest.mark.parametrize("kind", MARKED)
def test_the_mark_may_lie_elsewhere(kind, path, tmp_path):
    mark = tmp_path / "elsewhere.mark"
    with kind(path, mark=mark) as store:
        fill(store)
    assert mark.exists()
    assert not pathlib.Path(f"{path}.mark").exists()
    kind(path, mark=mark).close()


def test_a_failing_mark_closes_the_store_before_anything_leaves(path, monkeypatch):
    with SqliteMemberStore(path) as store:
        fill(store)

        def fail(*args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(sqlite_file, "write_mark", fail)
        with pytest.raises(OSError, match="No space"):
            store.bind(b"epoch", 5, Binding(H[0], H[1], H[2]))
        with pytest.raises(StoreError, match="closed"):
            store.find_answer(b"epoch", 0, Binding(H[0], H[1], H[2]))


def test_a_restored_member_sits_out_every_epoch_but_new_ones(path):
    put_back(SqliteMemberStore, path, [0], [1])
    with SqliteMemberStore.restore(path) as store:
        for number in (0, 1, 2):
            header = lambda n=number: store.sign_header(b"aggregator", b"epoch", n, H[n])  # noqa: E731
            bind = lambda n=number: store.bind(b"epoch", n, Binding(H[n], H[1], H[2]))  # noqa: E731
            assert reason(header) is reason(bind) is Reason.RESTORED
        with pytest.raises(ParameterError, match="after the restoration"):
            store.join(b"epoch")
        assert reason(lambda: store.bind(b"next", 0, Binding(H[0], H[1], H[2]))) is Reason.RESTORED
        store.join(b"next")
    with SqliteMemberStore(path) as store:  # the restoration is in the file, and its mark is good
        store.join(b"next")
        store.sign_header(b"aggregator", b"next", 0, H[0])
        assert store.bind(b"next", 0, Binding(H[0], H[1], H[2])) is None
        store.join(b"next")  # after that too
        assert reason(lambda: store.sign_header(b"aggregator", b"epoch", 7, H[7])) is Reason.RESTORED
    backup = path.with_name("second backup")
    shutil.copy2(path, backup)
    with SqliteMemberStore(path) as store:
        store.bind(b"next", 1, Binding(H[1], H[1], H[2]))
    os.replace(backup, path)
    with SqliteMemberStore.restore(path) as store:
        assert reason(lambda: store.bind(b"next", 1, Binding(H[1], H[3], H[3]))) is Reason.RESTORED
        with pytest.raises(ParameterError):
            store.join(b"next")


def test_without_a_restoration_no_epoch_needs_to_be_joined(path):
    with SqliteMemberStore(path) as store:
        store.join(b"epoch")
        fill(store)
        store.join(b"epoch")


def test_a_restored_outbox_seals_for_no_model_that_there_was(path):
    put_back(SqliteOutbox, path, [0], [1])
    with SqliteOutbox.restore(path, models=[H[1], H[2]]) as outbox:
        for model in (H[1], H[2]):
            for allow in (False, True):
                call = lambda m=model, a=allow: outbox.check(m, frozenset({H[7]}), allow_retrained=a)  # noqa: E731
                assert reason(call) is Reason.MODEL_REUSED
        assert reason(lambda: fill(outbox, 2)) is Reason.MODEL_REUSED
        assert outbox.find(H[0]).packet == b"the packet that leaves"
        fill(outbox, 3)
    filled(SqliteOutbox, path, 4)
    shutil.rmtree(path.with_name(f"{path.name}.spool"))  # a backup without it
    with SqliteOutbox.restore(path, models=[]) as outbox:
        assert [outbox.find(H[i]).packet for i in (0, 3, 4)] == [b"", b"", b""]
        assert reason(lambda: fill(outbox, 4)) is Reason.SEALED
    for bad in (["text"], [b"short"]):
        with pytest.raises(ParameterError):
            SqliteOutbox.restore(path, models=bad)
