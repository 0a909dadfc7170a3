"""An aggregator that is started again: rounds that count, that failed, that nobody remembers."""

import asyncio
import json
import os
import pathlib
import subprocess
import sys

import pytest

from sottovoce.fl import DecodeError, Reason, RoundResult, SqliteAggregatorStore
from sottovoce.fl.http.asking import Patience
from sottovoce.fl.http.series import RoundSeries
from sottovoce.fl.http.state import RoundFolder
from support.fl_federation import MODEL, NOW, craft, update_of
from support.fl_http import HttpFederation

TESTS = pathlib.Path(__file__).parents[2]
SOON = Patience(ask_s=2, more_s=0.5)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr("sottovoce.fl.http.erasing._EVERY_S", 0.05)


def started(fed, folder, work, **options):
    """``work(http)`` with an aggregator whose state is in ``folder``, and its packets too."""

    async def whole(store):
        async with HttpFederation(fed, patience=SOON, store=store, folder=folder, **options) as http:
            await work(http)

    with SqliteAggregatorStore(folder / "store") as store:
        asyncio.run(asyncio.wait_for(whole(store), 60))


def test_the_rounds_of_the_folder_count_among_those_that_were_asked_for(fed, tmp_path):
    async def first(http):
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(http.aggregator.finished.is_set)

    async def again(http):
        await http.until(http.aggregator.finished.is_set)
        status = http.aggregator.status
        assert (status.state, status.results, status.round_number) == ("ended", 1, 0)
        assert (await http.call("aggregator", "GET", "/healthz"))[0] == 200

    async def more(http):
        await http.until(lambda: http.aggregator.status.state == "collecting")
        assert (http.aggregator.status.round_number, http.aggregator.status.results) == (2, 1)

    started(fed, tmp_path, first)
    started(fed, tmp_path, again)
    started(fed, tmp_path, more, plan={"rounds": 2})
    assert RoundFolder(tmp_path).load().done == 1


def test_a_failed_round_is_left_behind_and_its_packets_are_erased(fed, tmp_path):
    now = [NOW]
    clock = {"clock": lambda: now[0]}

    async def fails(http):
        await http.submit(0)
        await http.until(lambda: http.aggregator.status.accepted == 1)
        audit.append(http.aggregator._open.header.audit_deadline)
        # Begun and killed: only the next process sees that its time is over.

    async def after_it(http):
        await http.until(http.aggregator.finished.is_set)
        assert (http.aggregator.status.state, http.aggregator.status.error) == (
            "failed",
            Reason.TOO_FEW.value,
        )
        assert len(http.aggregator._store.kept_rounds()) == 1  # the audit deadline is not over

    async def same_model(http):
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.error == Reason.MODEL_REUSED.value
        assert (await http.call("aggregator", "GET", "/healthz"))[0] == 503
        assert len(http.aggregator._store.kept_rounds()) == 1
        now[0] = audit[0] + 1
        await http.until(lambda: not http.aggregator._store.kept_rounds())
        await http.until(lambda: not http.aggregator._eraser.audits)

    async def new_model(http):
        await http.until(lambda: http.aggregator.status.state == "collecting")
        assert http.aggregator.status.round_number == 2
        assert (await http.call("aggregator", "GET", "/healthz"))[0] == 200

    audit = []
    started(fed, tmp_path, fails, **clock)
    assert [*tmp_path.glob("shards-*")]
    now[0] = NOW + 1201
    started(fed, tmp_path, after_it, **clock)
    saved = RoundFolder(tmp_path).load()
    assert (saved.failed, saved.next_round, saved.shard_key, saved.done) == (True, 2, None, 0)
    assert list(tmp_path.glob("shards-*")) == []
    started(fed, tmp_path, same_model, **clock)
    assert list((tmp_path / "audits").iterdir()) == []
    now[0] = NOW
    started(fed, tmp_path, new_model, model=[array + 1 for array in MODEL], **clock)
    assert not RoundFolder(tmp_path).load().failed


def test_after_a_round_without_a_quorum_the_next_process_has_members_check_first(fed, tmp_path):
    """One client sends two of four members what does not open: once, and never again with success."""
    headers, other = [], [array + 1 for array in MODEL]

    def with_a_cheat(model):
        async def work(http):
            signed_header = await http.courier().header(wait_s=20)
            opened = http.aggregator._open
            headers.append(opened.header)
            cheat, _ = craft(fed, opened.header, fed.client_keys[7], spoiled_for=[1, 2])
            packets = [http.client(i).seal(signed_header, model, update_of(i)).packet for i in range(4)]
            for packet in [cheat, *packets]:
                await http.aggregator._thread(opened.role.receive_packet, packet)
            await http.until(http.aggregator.finished.is_set)
            states.append((http.aggregator.status.state, http.aggregator.status.error))

        return work

    states = []
    started(fed, tmp_path, with_a_cheat(MODEL), plan={"close_at": 5})
    saved = RoundFolder(tmp_path).load()
    assert (saved.failed, saved.check_first) == (True, True)
    refused = (tmp_path / "results" / f"{headers[0].hash.hex()}.refused").read_text()
    assert refused == f"{fed.pids[7].hex()} 1 2\n"
    started(fed, tmp_path, with_a_cheat(other), plan={"close_at": 5}, model=other)
    assert states == [("failed", Reason.NO_QUORUM.value), ("ended", "")]
    data = (tmp_path / "results" / headers[1].hash.hex()).read_bytes()
    assert fed.pids[7] not in dict(RoundResult.from_bytes(data, headers[1]).entries)
    assert RoundFolder(tmp_path).load().check_first


def test_a_round_that_goes_on_after_its_audit_deadline_is_not_erased_under_its_role(
    fed, tmp_path, monkeypatch
):
    now, gate, start = [NOW], [], RoundSeries._start
    options = {"clock": lambda: now[0], "plan": {"audit_s": 0}}

    async def late(series, at):
        gate.append(asyncio.Event())
        await gate[0].wait()
        await start(series, at)

    async def begun(http):
        await http.submit(0)
        await http.until(lambda: http.aggregator.status.accepted == 1)

    async def again(http):
        await http.until(lambda: gate and http.aggregator._eraser.audits)
        await asyncio.sleep(0.2)
        assert len(http.aggregator._store.kept_rounds()) == 1
        gate[0].set()
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.error == Reason.TOO_FEW.value
        await http.until(lambda: not http.aggregator._store.kept_rounds())

    started(fed, tmp_path, begun, **options)
    now[0] = NOW + 1201
    monkeypatch.setattr(RoundSeries, "_start", late)
    started(fed, tmp_path, again, **options)


def test_a_round_that_only_the_store_knows_is_erased_when_no_audit_can_be_due(fed, tmp_path):
    now = [NOW]
    with SqliteAggregatorStore(tmp_path / "store") as store:
        store.open_round(b"an epoch", 7, b"\x07" * 32)

    async def work(http):
        await http.until(lambda: b"\x07" * 32 in http.aggregator._eraser.audits)
        latest = http.aggregator._eraser.audits[b"\x07" * 32]
        assert latest == RoundFolder(tmp_path).audits()[b"\x07" * 32] == NOW + 1800
        now[0] = latest
        await asyncio.sleep(0.2)
        assert b"\x07" * 32 in http.aggregator._store.kept_rounds()
        now[0] = latest + 1
        await http.until(lambda: b"\x07" * 32 not in http.aggregator._store.kept_rounds())

    started(fed, tmp_path, work, clock=lambda: now[0])


@pytest.mark.parametrize("text", [b"", b"-1", b"soon", b"1" * 30])
def test_a_damaged_deadline_is_refused(tmp_path, text):
    folder = RoundFolder(tmp_path)
    (tmp_path / "audits" / ("ab" * 32)).write_bytes(text)
    with pytest.raises(DecodeError, match="audits"):
        folder.audits()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork: nothing can be killed in the middle")
def test_killed_before_the_set_is_fixed_no_acknowledged_shard_is_lost(tmp_path):
    """The journal goes after the set is fixed on the disk, not before."""
    folders = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, TESTS / "support/fl_http_victim.py", tmp_path],
        env={**os.environ, "PYTHONPATH": folders}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"signal": 9, "accepted": 5, "contributors": 5, "journals": 0}
