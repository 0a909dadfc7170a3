"""What a round leaves for others: a record that audits, convictions that judges read; and not for ever."""

import asyncio
import errno
import os

import pytest

from sottovoce.fl import RoundResult, audit_round, judge_conviction
from sottovoce.fl.http.records import Records
from support.fl_federation import NOW, craft
from support.fl_http import HttpFederation


def test_a_round_leaves_a_record_and_convictions_that_hold(fed, tmp_path):
    async def whole():
        async with HttpFederation(fed, folder=tmp_path, plan={"close_at": 5}) as http:
            await http.courier().header(wait_s=20)
            opened = http.aggregator._open
            cheat, _ = craft(fed, opened.header, fed.client_keys[7], bad_for=[1, 2])
            await http.aggregator._thread(opened.role.receive_packet, cheat)
            await asyncio.gather(*(http.submit(i) for i in range(4)))
            await http.until(http.aggregator.finished.is_set)
            assert http.aggregator.status.state == "ended"
            return opened.header

    header = asyncio.run(asyncio.wait_for(whole(), 60))
    name, results = header.hash.hex(), tmp_path / "results"
    pid = fed.pids[7]
    assert {file.name for file in results.iterdir()} == {
        name, f"{name}.audit", f"{name}.{pid.hex()}.conviction",
    }  # fmt: skip
    assert all(file.stat().st_mode & 0o077 == 0 for file in results.iterdir())
    root = fed.authority.root_public_key
    report = audit_round(results / f"{name}.audit", root)
    assert (report.count, [*report.convictions]) == (4, [pid])
    _, conviction, _ = judge_conviction((results / f"{name}.{pid.hex()}.conviction").read_bytes(), root)
    assert conviction.pid == pid
    assert RoundResult.from_bytes((results / name).read_bytes(), header).agreed.count == 4


def test_a_result_that_is_on_the_disk_is_not_held_in_memory(fed, tmp_path, monkeypatch):
    keep, failed = Records.keep_result, []

    def failing(records, role, published):
        if not failed:
            failed.append(published)
            raise OSError(errno.ENOSPC, "No space left on device")
        keep(records, role, published)

    monkeypatch.setattr(Records, "keep_result", failing)
    monkeypatch.setattr("sottovoce.fl.http.health._FIRST_S", 0.5)

    async def whole():
        async with HttpFederation(fed, folder=tmp_path) as http:
            await asyncio.gather(*(http.submit(i) for i in range(4)))
            await http.until(lambda: failed)
            name = http.aggregator._open.header.hash.hex()
            # What is published next has other signatures: nobody gets this one.
            assert (await http.call("aggregator", "GET", f"/v1/result/{name}"))[0] == 404
            await http.until(http.aggregator.finished.is_set)
            assert not http.aggregator._results
            published = (tmp_path / "results" / name).read_bytes()
            assert await http.call("aggregator", "GET", f"/v1/result/{name}") == (200, published)

    asyncio.run(asyncio.wait_for(whole(), 60))


def some(tmp_path, *ages):
    """A round of each age in seconds, with its three files."""
    names = []
    for i, age in enumerate(ages):
        names.append(f"{i:064x}")
        for end in ("", ".audit", ".ab.conviction"):
            path = tmp_path / f"{names[-1]}{end}"
            path.write_bytes(b"x")
            os.utime(path, (NOW - age, NOW - age))
    (tmp_path / "somebody else's").write_bytes(b"x")
    return names


@pytest.mark.parametrize(("keep", "left"), [(0, ""), (1, "2"), (2, "02"), (3, "023"), (9, "0123")])
def test_the_oldest_rounds_go_first(tmp_path, keep, left):
    names = some(tmp_path, 20, 40, 10, 30)
    assert Records(tmp_path).prune(keep, set()) == 4 - len(left)
    assert {n for n in names if (tmp_path / n).exists()} == {names[int(i)] for i in left}
    assert len(list(tmp_path.glob("*.audit"))) == len(list(tmp_path.glob("*.conviction"))) == len(left)
    assert (tmp_path / "somebody else's").exists()


def test_no_round_goes_before_its_audit_deadline(tmp_path):
    names = some(tmp_path, 20, 40, 10)
    audited = {bytes.fromhex(names[1])}
    assert Records(tmp_path).prune(1, audited) == 1
    assert sorted(f.name for f in tmp_path.iterdir() if len(f.name) == 64) == [names[1], names[2]]


def test_a_service_forgets_results_only_after_their_deadline(fed, tmp_path, monkeypatch):
    monkeypatch.setattr("sottovoce.fl.http.erasing._EVERY_S", 0.02)
    now = [NOW]

    async def whole():
        async with HttpFederation(fed, folder=tmp_path, keep_results=0, clock=lambda: now[0]) as http:
            await asyncio.gather(*(http.submit(i) for i in range(4)))
            await http.until(http.aggregator.finished.is_set)
            await asyncio.sleep(0.2)
            assert len(list((tmp_path / "results").iterdir())) == 2
            now[0] = http.aggregator._open.header.audit_deadline + 1
            await http.until(lambda: not list((tmp_path / "results").iterdir()))

    asyncio.run(asyncio.wait_for(whole(), 60))
