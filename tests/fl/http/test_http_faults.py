"""What passes is waited for, and told: members that are away, a full disk, a store that fails."""

import asyncio
import errno
import time

import pytest

from sottovoce.fl import MemoryAggregatorStore, Reason, StoreError
from sottovoce.fl.http.asking import MemberState, Patience
from sottovoce.fl.http.state import RoundFolder
from sottovoce.fl.stores import StepKind
from support.fl_federation import NOW, member_name
from support.fl_http import HttpFederation

SOON = Patience(ask_s=0.3, more_s=0.3)
FOR_EVER = 1 << 30


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr("sottovoce.fl.http.health._FIRST_S", 0.02)
    monkeypatch.setattr("sottovoce.fl.http.health._LONGEST_S", 0.2)
    monkeypatch.setattr("sottovoce.fl.http.erasing._EVERY_S", 0.05)


class Failing(MemoryAggregatorStore):
    """Raises ``error`` the first ``times`` that each of ``what`` is done (a method, the kind of a step)."""

    def __init__(self, error, *what, times):
        super().__init__()
        self.error, self.left = error, dict.fromkeys(what, times)

    def _maybe(self, what):
        if self.left.get(what, 0) > 0:
            self.left[what] -= 1
            raise self.error

    def accept(self, *args):
        self._maybe("accept")
        super().accept(*args)

    def note(self, header_hash, step):
        self._maybe(step.kind)
        super().note(header_hash, step)

    def erase(self, header_hash):
        self._maybe("erase")
        super().erase(header_hash)


async def health(http):
    status, body = await http.call("aggregator", "GET", "/healthz")
    return status, body.decode().strip()


async def ill(http, words):
    """Wait until ``/healthz`` says so."""
    end = time.monotonic() + 20
    while True:
        status, text = await health(http)
        if status == 503 and words in text:
            return
        assert time.monotonic() < end, f"{status} {text}"
        await asyncio.sleep(0.01)


def run(work, fed, **options):
    async def whole():
        async with HttpFederation(fed, patience=options.pop("patience", SOON), **options) as http:
            await work(http)
        return http

    return asyncio.run(asyncio.wait_for(whole(), 60))


async def collecting(http):
    await http.until(lambda: http.aggregator.status.state == "collecting")


def test_a_member_that_is_known_and_down_does_not_keep_the_aggregator_from_starting(fed, tmp_path):
    async def whole():
        async with HttpFederation(fed, patience=SOON, folder=tmp_path) as http:
            await collecting(http)
        (tmp_path / "round").unlink()
        http = HttpFederation(fed, patience=SOON, folder=tmp_path)
        http.net.down.add("member-4")
        async with http:
            await collecting(http)
            header = http.aggregator._open.header
            assert [m.name for m in header.members] == [member_name(j) for j in range(1, 5)]
            assert header.members[3].to_list() == fed.member_keys[3].public.to_list()
            assert http.aggregator.status.members[member_name(4).decode()] == "does not answer"
            await http.until(lambda: not http.aggregator.health.reason)
            assert await health(http) == (200, "ok")
        (tmp_path / "round").unlink()
        http = HttpFederation(fed, patience=SOON, folder=tmp_path)
        http.net.apps["member-4"] = http.net.apps["member-3"]  # a wrong answer changes nothing either
        async with http:
            await collecting(http)
            assert http.aggregator._open.header.members[3].name == member_name(4)

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_keys_of_another_epoch_are_not_used(fed, tmp_path):
    folder = RoundFolder(tmp_path)
    folder.keep_members([keys.public for keys in fed.member_keys[:4]])
    params = fed.aggregator_keys.public.sign.params
    assert [*folder.members(fed.trust(), params)] == [member_name(j) for j in range(1, 5)]
    assert folder.members(fed.trust(), fed.other_authority.identity) == {}
    late = fed.trust(now=NOW + 200_000)
    assert folder.members(late, params) == {}


def test_a_member_that_was_never_heard_is_waited_for_and_healthz_says_so(fed):
    async def work(http):
        await ill(http, "rounds: committee: member 2: does not answer")
        assert http.aggregator.status.state == "starting"
        http.net.down.clear()
        await collecting(http)
        await http.until(lambda: not http.aggregator.health.reason)
        assert await health(http) == (200, "ok")

    async def whole():
        http = HttpFederation(fed, patience=SOON)
        http.net.down.add("member-2")
        async with http:
            await work(http)

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_members_that_are_away_when_they_should_sign_are_waited_for_with_the_same_header(fed, tmp_path):
    """Who has signed one header of a round number signs no other."""
    run(collecting, fed, folder=tmp_path)
    (tmp_path / "round").unlink()

    async def whole():
        http = HttpFederation(fed, patience=SOON, folder=tmp_path)
        http.net.down |= {"member-3", "member-4"}
        async with http:
            await ill(http, "a member does not answer")
            first = RoundFolder(tmp_path).load()
            assert not first.signed
            http.net.down.clear()
            await collecting(http)
            assert RoundFolder(tmp_path).load().shard_key.to_bytes() == first.shard_key.to_bytes()

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_a_full_disk_is_waited_for_and_nothing_that_was_acknowledged_is_lost(fed, tmp_path):
    store = Failing(OSError(errno.ENOSPC, "No space left on device"), "accept", times=FOR_EVER)

    async def work(http):
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await ill(http, "rounds: disk: full")
        store.left.clear()
        await http.until(http.aggregator.finished.is_set)
        assert await health(http) == (200, "ok")
        assert http.aggregator.status.state == "ended"
        metrics = (await http.call("aggregator", "GET", "/metrics"))[1].decode()
        counted = [line for line in metrics.splitlines() if 'troubles_total{part="rounds"}' in line]
        assert float(counted[0].split()[1]) >= 1

    run(work, fed, store=store, folder=tmp_path, patience=Patience(ask_s=5, more_s=1))


def test_every_step_that_cannot_be_kept_is_taken_again(fed, tmp_path, monkeypatch):
    kinds = [StepKind.CLOSED, StepKind.CHECK, StepKind.SETTLED, StepKind.ANSWER, StepKind.OPENED]
    store = Failing(StoreError("file: locked"), *kinds, times=1)
    save, left = RoundFolder.save, [2]

    def failing(self, saved):
        if left[0] and saved.done:
            left[0] -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        save(self, saved)

    monkeypatch.setattr(RoundFolder, "save", failing)

    async def work(http):
        sent = await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.state == "ended"
        client, sealed, _ = sent[0]
        published = await http.courier().result(sealed.header)
        result = client.read_result(http.aggregator._open.signed_header, published)
        assert result.agreed.count == 4
        assert http.aggregator.health.troubles["rounds"] >= 5

    run(work, fed, store=store, folder=tmp_path, patience=Patience(ask_s=5, more_s=1))
    # A round without complaints may need no checks; whatever steps it has have failed once.
    assert {kind for kind, left in store.left.items() if left} <= {StepKind.CHECK, StepKind.SETTLED}
    assert left == [0]


def test_a_series_that_an_error_has_ended_is_not_well(fed):
    now, store = [NOW], MemoryAggregatorStore()

    async def work(http):
        await collecting(http)
        now[0] = NOW + 1201
        await http.until(http.aggregator.finished.is_set)
        assert await health(http) == (503, f"rounds: {Reason.TOO_FEW.value}")
        # Its packets go all the same when their time has come.
        assert len(store.kept_rounds()) == 1
        now[0] = http.aggregator._open.header.audit_deadline + 1
        await http.until(lambda: not store.kept_rounds())

    run(work, fed, clock=lambda: now[0], store=store)


def test_a_failed_round_that_cannot_be_left_behind_is_told_all_the_same(fed, monkeypatch):
    now = [NOW]

    def broken(*_):
        raise RuntimeError("a bug")

    async def work(http):
        await collecting(http)
        now[0] = NOW + 1201
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.state == "failed"
        assert await health(http) == (503, f"rounds: {Reason.TOO_FEW.value}")

    monkeypatch.setattr("sottovoce.fl.http.series.RoundSeries._leave_behind", broken)
    run(work, fed, clock=lambda: now[0])


def test_a_bug_ends_the_series_and_shows_nothing_of_itself_and_the_round_is_still_there(
    fed, tmp_path, monkeypatch
):
    async def broken(*_):
        raise RuntimeError("a path that is nobody's business")

    async def work(http):
        await http.until(http.aggregator.finished.is_set)
        assert await health(http) == (503, "rounds: internal error")
        for path in ("/", "/v1/status", "/metrics"):
            assert b"business" not in (await http.call("aggregator", "GET", path))[1]

    with monkeypatch.context() as patch:
        patch.setattr("sottovoce.fl.http.series.RoundSeries._collect", broken)
        run(work, fed, folder=tmp_path)
    saved = RoundFolder(tmp_path).load()
    assert (saved.signed, saved.failed) == (True, False)
    run(collecting, fed, folder=tmp_path)


def test_a_quorum_that_is_away_is_waited_for_until_the_deadline(fed):
    async def work(http):
        await collecting(http)
        http.net.down |= {"member-3", "member-4"}
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await ill(http, f"rounds: {Reason.NO_QUORUM.value}")
        http.net.down.clear()
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.results == 1
        assert await health(http) == (200, "ok")

    run(work, fed)


def test_a_quorum_that_refuses_is_not_waited_for(fed):
    async def work(http):
        await collecting(http)
        http.net.status |= {"member-3": 409, "member-4": 409}
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.state == "failed"
        assert await health(http) == (503, f"rounds: {Reason.NO_QUORUM.value}")
        told = {name.rsplit()[-1]: state for name, state in http.aggregator.status.members.items()}
        assert told == {"1": "answered", "2": "answered", "3": "refused", "4": "refused"}

    run(work, fed, patience=Patience(ask_s=5, more_s=1))


@pytest.mark.parametrize("status", [500, 503])
def test_a_member_that_fails_is_told_although_nobody_waits_for_it(fed, status):
    async def work(http):
        await collecting(http)
        http.net.status["member-4"] = status
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator.status.state == "ended"
        assert sorted(http.aggregator.status.members.values()) == [*["answered"] * 3, "does not answer"]

    run(work, fed, patience=Patience(ask_s=60, more_s=60))


def test_answers_that_were_kept_before_the_store_failed_are_told_as_opened(fed):
    class Third(MemoryAggregatorStore):
        left = 3

        def note(self, header_hash, step):
            self.left -= step.kind is StepKind.ANSWER
            if step.kind is StepKind.ANSWER and self.left == 0:
                raise StoreError("file: locked")
            super().note(header_hash, step)

    async def work(http):
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(http.aggregator.finished.is_set)
        answered = http.aggregator._open.role.answered
        assert http.aggregator.health.troubles["rounds"] == 1
        told = {name.rsplit()[-1]: state for name, state in http.aggregator.status.members.items()}
        assert {j for j, state in told.items() if state == "answered"} == set(map(str, answered))

    run(work, fed, store=Third(), patience=Patience(ask_s=5, more_s=1))


def test_a_spare_answer_that_comes_while_others_are_noted_is_not_opened(fed):
    class Third(MemoryAggregatorStore):
        """At the third answer that is noted, two of three that are enough count, and the fourth arrives."""

        noted, third = 0, None

        def note(self, header_hash, step):
            self.noted += step.kind is StepKind.ANSWER
            if step.kind is StepKind.ANSWER and self.noted == 3:
                self.third()
            super().note(header_hash, step)

    store = Third()

    async def work(http):
        await collecting(http)
        loop, release, send = asyncio.get_running_loop(), asyncio.Event(), http.net.handle_async_request

        def third():
            loop.call_soon_threadsafe(release.set)
            end = time.monotonic() + 20
            while http.aggregator._committee.count(MemberState.RECEIVED) < 4 and time.monotonic() < end:
                time.sleep(0.01)

        async def held(request):
            response = await send(request)
            if (request.url.host, request.url.path) == ("member-4", "/v1/answer"):
                await release.wait()
            return response

        store.third, http.net.handle_async_request = third, held
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(http.aggregator.finished.is_set)
        assert http.aggregator._open.role.answered == (1, 2, 3)
        assert http.aggregator.status.members["committee member number 4"] == "answer not opened"

    run(work, fed, store=store, patience=Patience(ask_s=30, more_s=1))


def test_erasing_that_fails_is_told_and_tried_again(fed):
    now, store = [NOW], Failing(StoreError("file: locked"), "erase", times=FOR_EVER)

    async def work(http):
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(http.aggregator.finished.is_set)
        now[0] = http.aggregator._open.header.audit_deadline + 1
        await ill(http, "erasing: store: fails")
        store.left.clear()
        await http.until(lambda: not store.kept_rounds())
        await http.until(lambda: not http.aggregator.health.reason)
        assert http.aggregator.health.troubles["erasing"] >= 1

    run(work, fed, store=store, clock=lambda: now[0], patience=Patience(ask_s=5, more_s=1))
