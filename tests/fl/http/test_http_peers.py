"""A round among seven peers over HTTP: each speaks to whoever is chosen, and the chosen one may die."""

import asyncio
import dataclasses
import errno
import threading
import types

import numpy as np
import pytest

from sottovoce._ext import cbor
from sottovoce._ext.limits import CLOCK_SKEW_S
from sottovoce.fl import ProtocolError, Reason
from sottovoce.fl.aggregator import State
from sottovoce.fl.http import PeerPlan, rounds
from sottovoce.he import ModelLayout
from support.fl_federation import CLIP, MODEL, NOW, update_of
from support.fl_http_peers import Peers
from support.fl_peers import VIEW_S
from support.fl_relay import BEGUN, raw


def mean_of(number, view, peers):
    updates = [np.concatenate([a.ravel() for a in update_of(1000 * number + 100 * view + i)]) for i in peers]
    return np.mean(np.clip(updates, -CLIP, CLIP), axis=0)


def check(peers, results, number, view, contributors):
    for result in results:
        assert result.agreed.count == len(contributors)
        assert np.allclose(result.mean, mean_of(number, view, contributors), atol=CLIP / 2**13)
    models = [peers.services[i].model for i in peers.alive]
    expected = ModelLayout.of(MODEL).unflatten(results[0].mean)
    for model in models:
        for new, old, mean in zip(model, MODEL, expected, strict=True):
            np.testing.assert_allclose(new, old + mean, atol=1e-5)


def test_a_round_with_everybody(peer_world):
    async def whole():
        async with Peers(peer_world) as peers:
            tasks = peers.begin(1)  # before the beacon: they wait for it
            await peers.release(1)
            results = await asyncio.gather(*tasks.values())
            first = peers.chosen(1, 0)
            assert [s.counts["led"] for s in peers.services] == [int(i == first) for i in range(7)]
            check(peers, results, 1, 0, range(7))
            return peers

    peers = asyncio.run(whole())
    # Packets go to the chosen one and to nobody else.
    first = peers.chosen(1, 0)
    posts = {i: [s for s in peers.net.of(f"peer-{i}", "POST") if s.path == "/v1/packet"] for i in range(7)}
    assert [len(posts[i]) for i in range(7)] == [7 * int(i == first) for i in range(7)]


def test_a_turn_that_fails_for_no_reason_goes_on_and_is_told(peer_world, monkeypatch):
    def once(turn, step):
        work = getattr(turn, step)

        async def broken(*arguments):
            monkeypatch.setattr(turn, step, work)
            raise ZeroDivisionError

        monkeypatch.setattr(turn, step, broken)

    async def whole():
        async with Peers(peer_world) as peers:
            await peers.release(1)
            leader = peers.services[peers.chosen(1, 0)]
            once(leader._turn, "_begin")
            once(leader._turn, "_collect")
            tasks = peers.begin(1)
            await peers.until(lambda: leader._tasks.unwell)
            async with peers.net.client() as client:
                answer = await client.get(peers.url(peers.chosen(1, 0)) + "/healthz")
                assert (answer.status_code, answer.content) == (503, b"lead: fails\n")
                assert (
                    b"/v1/packet"
                    not in (await client.get(peers.url(peers.chosen(1, 0)) + "/metrics")).content
                )
            results = await asyncio.gather(*tasks.values())
            check(peers, results, 1, 0, range(7))
            assert (leader.counts["led"], leader._tasks.failures) == (1, {"lead": 2})
            # Packets are counted when the collecting is over, and not while they come.
            assert b'path="/v1/packet",role="peer",status="202"} 7.0' in leader._turn._metrics.text()
            assert not leader._tasks.unwell

    asyncio.run(whole())


def test_a_model_that_cannot_be_kept_does_not_stop_a_peer(peer_world):
    """The disk is full when the first result is there: the next round goes on, and the last model is kept."""
    full, kept = [True], []

    def keep(number, model):
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        kept.append((number, model))

    async def whole():
        async with Peers(peer_world) as peers:
            service = peers.services[3]
            service._keep = keep
            service._plan = dataclasses.replace(service._plan, rounds=2)
            running = asyncio.create_task(service._run())
            for number in (1, 2):
                await peers.release(number)
                others = [peers.services[i].run_round(number) for i in range(7) if i != 3]
                results = await asyncio.gather(*others)
                await peers.until(lambda n=number: n in service.results)
                assert results[0].agreed.count == 7
                assert "keep: fails" in service._tasks.reason
            await running
            assert (service.counts["result"], service.counts["failed"]) == (2, 0)
            full.clear()
            await peers.until(lambda: kept)
            assert [number for number, _ in kept] == [2]
            for now, model in zip(service.model, kept[0][1], strict=True):
                np.testing.assert_array_equal(now, model)
            await peers.until(lambda: not service._tasks.unwell)

    asyncio.run(whole())


def test_a_model_that_was_not_kept_is_tried_once_more_at_the_end(peer_world):
    tries = []

    def keep(number, model):
        tries.append(number)
        raise OSError(errno.ENOSPC, "No space left on device")

    async def whole():
        async with Peers(peer_world) as peers:
            await peers.release(1)
            peers.services[3]._keep = keep
            await asyncio.gather(*peers.begin(1).values())
            await peers.until(lambda: len(tries) == 4)  # the next one after more than half a second
        assert tries == [1] * 5

    asyncio.run(whole())


def test_a_training_that_fails_is_told_and_tried_again(peer_world):
    failing, trained = [True], []

    async def whole():
        def train(i, number, view):
            if i == 3:
                trained.append(view)
                if failing:
                    raise ValueError("no accelerator")
            return peers.train(i, number, view)

        async with Peers(peer_world, train=train) as peers, peers.net.client() as client:
            await peers.release(1)
            tasks, service = peers.begin(1), peers.services[3]
            await peers.until(lambda: service._tasks.failures["contribute"] >= 2)
            answer = await client.get(peers.url(3) + "/healthz")
            assert (answer.status_code, answer.content) == (503, b"contribute: fails\n")
            metrics = (await client.get(peers.url(3) + "/metrics")).content
            assert b'sottovoce_peer_task_failures_total{task="contribute"} ' in metrics
            failing.clear()
            results = await asyncio.gather(*tasks.values())
            check(peers, results, 1, 0, range(7))
            assert not service._tasks.unwell
            assert service._tasks.failures["contribute"] + 1 == len(trained)

    asyncio.run(whole())


def test_a_peer_that_cannot_train_has_the_result_of_the_others(peer_world):
    async def whole():
        def train(i, number, view):
            if i == 3:
                raise ValueError("no accelerator")
            return peers.train(i, number, view)

        async with Peers(peer_world, train=train, close_at=6) as peers:
            await peers.release(1)
            results = await asyncio.gather(*peers.begin(1).values())
            check(peers, results, 1, 0, [i for i in range(7) if i != 3])
            counts = peers.services[3].counts
            assert (counts["contributed"], counts["result"], counts["failed"]) == (0, 1, 0)
            assert not peers.services[3]._tasks.unwell

    asyncio.run(whole())


def test_a_training_that_fails_is_given_up_when_the_view_is_over(peer_world):
    views, ended, ill = [], [], None

    async def whole():
        nonlocal ill

        def train(i, number, view):
            if i == ill:
                views.append(view)
                if view == 0:
                    raise ValueError("no accelerator")
            return peers.train(i, number, view)

        async with Peers(peer_world, train=train) as peers:
            await peers.release(1)
            first = peers.chosen(1, 0)
            ill = next(i for i in range(7) if i != first)
            peers.services[ill]._parts._abandon = lambda *which: ended.append(which)
            peers.services[first]._turn._plan = PeerPlan(clip=CLIP)
            tasks = peers.begin(1)
            await peers.until(
                lambda: len(views) >= 2 and len(peers.services[first]._turn.opened.role.accepted) == 6
            )
            await peers.kill(first, tasks)
            for service in peers.services:
                service._turn._plan = dataclasses.replace(service._turn._plan, close_at=6)
            peers.now += VIEW_S
            results = await asyncio.gather(*tasks.values())
            check(peers, results, 1, 1, peers.alive)
            assert views[-1] == 1
            assert views.count(1) == 1
            # Whatever runs for a view is told that it is of no use any more.
            assert set(ended) == {(1, 0), (1, 1)}

    asyncio.run(whole())


def test_a_peer_that_begins_a_round_again_goes_on_with_what_it_sent(peer_world):
    """An error after its packet is taken: the second run waits for the result and trains no more."""
    trained = []

    def train(i, number, view):
        trained.append(i)
        return update_of(1000 * number + 100 * view + i)

    async def whole():
        async with Peers(peer_world, train=train) as peers:
            await peers.release(1)
            service = peers.services[3 if peers.chosen(1, 0) != 3 else 4]
            leader = peers.services[peers.chosen(1, 0)]
            finish, go = leader._turn._finish, asyncio.Event()

            async def held(*arguments):
                await go.wait()
                return await finish(*arguments)

            leader._turn._finish = held
            service._plan = dataclasses.replace(service._plan, rounds=1)
            running = asyncio.create_task(service._run())
            others = [asyncio.create_task(s.run_round(1)) for s in peers.services if s is not service]
            # Here the others wait for the result, and no round collects.
            await peers.until(
                lambda: all(s._parts.parts and s._parts.parts[1, 0].fate for s in peers.services)
            )
            choice = service._peer.choice

            def once(number):
                service._peer.choice = choice
                raise OSError(errno.EIO, "Input/output error")

            service._peer.choice = once
            await peers.until(lambda: service._tasks.failures)
            go.set()
            await asyncio.gather(*others)
            await asyncio.wait_for(running, 60)
            assert service.results[1].agreed.count == 7
            assert sorted(trained) == list(range(7))
            assert service.counts["contributed"] == 1

    asyncio.run(whole())


def test_dead_before_it_collected_the_next_views_takes_over(peer_world):
    async def whole():
        async with Peers(peer_world, close_at=6) as peers:
            await peers.release(1)
            peers.net.down.add(f"peer-{peers.chosen(1, 0)}")
            tasks = peers.begin(1)
            await asyncio.sleep(0.3)
            peers.now += VIEW_S
            results = await asyncio.gather(*tasks.values())
            assert peers.services[peers.chosen(1, 1)].counts["led"] == 1
            check(peers, results, 1, 1, peers.alive)

    asyncio.run(whole())


def test_members_that_are_slow_are_asked_no_longer_than_to_the_deadline(peer_world, monkeypatch):
    """An answer that comes later is of no use, and is missing from the next view."""
    reasons, asked = [], []

    async def silent(*_, **__):
        asked.append(1)
        await asyncio.sleep(3600)

    monkeypatch.setattr(rounds.Committee, "finish", silent)

    async def whole():
        async with Peers(peer_world) as peers:
            await peers.release(1)
            first = peers.services[peers.chosen(1, 0)]
            lead = first._turn._lead_view

            async def listened(choice, model):
                try:
                    await lead(choice, model)
                except ProtocolError as error:
                    reasons.append(error.reason)
                    raise

            first._turn._lead_view = listened
            peers.now = NOW + VIEW_S - first._plan.margin_s - 1
            tasks = peers.begin(1)
            await peers.until(lambda: reasons)
            assert not first._turn.published
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    asyncio.run(whole())
    assert asked == [1]
    assert reasons == [Reason.DEADLINE]


def collected(peers, i):
    opened = peers.services[i]._turn.opened
    return opened is not None and len(opened.role.accepted) == 7


def test_dead_after_it_collected_clients_train_anew(peer_world):
    async def whole():
        async with Peers(peer_world, close_at=6) as peers:
            await peers.release(1)
            first, second = peers.chosen(1, 0), peers.chosen(1, 1)
            peers.services[first]._turn._plan = PeerPlan(clip=CLIP)  # it collects to the end of its turn
            tasks = peers.begin(1)
            await peers.until(lambda: collected(peers, first))
            await peers.kill(first, tasks)
            peers.now += VIEW_S
            results = await asyncio.gather(*tasks.values())
            check(peers, results, 1, 1, peers.alive)
            sent = [s.body for i in (first, second) for s in peers.net.of(f"peer-{i}", "POST")
                    if s.path == "/v1/packet"]  # fmt: skip
            assert len(set(sent)) == len(sent) == 7 + 6

    asyncio.run(whole())


def sat_out(service):
    return "sat_out" in [part.fate for part in service._parts.parts.values()]


def test_who_contributed_is_told_when_the_round_has_ended(peer_world):
    """Whoever collects would match the time of a pseudonym's packet with a count of a named peer."""

    async def told(peers):
        async with peers.net.client() as client:
            answers = [
                await client.get(peers.url(i) + path) for i in range(7) for path in ("/v1/status", "/metrics")
            ]
        return [answer.content for answer in answers]

    def counts(answers, what):
        shown = [cbor.loads(status)[what] for status in answers[::2]]
        line = f'sottovoce_peer_rounds_total{{what="{what}"}} '.encode()
        for number, metrics in zip(shown, answers[1::2], strict=True):
            assert line + str(float(number)).encode() in metrics
        return shown

    def reused(*_):
        raise ProtocolError(Reason.UPDATE_REUSED)

    async def whole():
        async with Peers(peer_world, close_at=6) as peers:
            peers.services[0]._peer.client.seal = reused
            await peers.release(1)
            first = peers.chosen(1, 0)
            peers.services[first]._turn._plan = PeerPlan(clip=CLIP)  # it collects on
            tasks = peers.begin(1)
            await peers.until(
                lambda: all(s._parts.parts and s._parts.parts[1, 0].fate for s in peers.services)
            )
            answers = await told(peers)
            assert counts(answers, "contributed") == counts(answers, "sat_out") == [0] * 7
            peers.now = peers.services[first]._turn.opened.until + 1
            await asyncio.gather(*tasks.values())
            answers = await told(peers)
            assert counts(answers, "contributed") == [0, 1, 1, 1, 1, 1, 1]
            assert counts(answers, "sat_out") == [1, 0, 0, 0, 0, 0, 0]

    asyncio.run(whole())


def test_dead_after_it_collected_the_same_vector_never_goes_again(peer_world):
    """Peers that would send what they sent sit out, and the round ends with no result rather than that."""

    async def whole():
        same = lambda i, number, view: update_of(i)  # noqa: E731 - in place of training
        async with Peers(peer_world, close_at=6, train=same) as peers:
            await peers.release(1)
            first, second = peers.chosen(1, 0), peers.chosen(1, 1)
            peers.services[first]._turn._plan = PeerPlan(clip=CLIP)
            tasks = peers.begin(1)
            await peers.until(lambda: collected(peers, first))
            await peers.kill(first, tasks)
            peers.now += VIEW_S
            await peers.until(lambda: all(sat_out(peers.services[i]) for i in peers.alive))
            assert not [s for s in peers.net.of(f"peer-{second}", "POST") if s.path == "/v1/packet"]
            peers.now += 2 * VIEW_S
            errors = await asyncio.gather(*tasks.values(), return_exceptions=True)
            assert [e.reason for e in errors if isinstance(e, ProtocolError)] == [Reason.VIEW] * 6
            assert all(peers.services[i].counts["failed"] == 1 for i in peers.alive)
            for i in peers.alive:
                np.testing.assert_array_equal(peers.services[i].model[0], MODEL[0])

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/roster", b"", 400),
        ("POST", "/v1/roster", bytes(1 << 22), 413),
        ("POST", "/v1/beacon", b"\xa0", 400),
        ("POST", "/v1/beacon", bytes(5000), 413),
        ("POST", "/v1/packet", b"packet", 404),
        ("POST", "/v1/cosign", b"", 400),
        ("POST", "/v1/answer", b"", 400),
        ("GET", "/v1/header", b"", 404),
        ("GET", "/v1/round", b"", 404),
        ("GET", "/v1/result/00", b"", 404),
        ("GET", "/healthz", b"", 200),
        ("GET", "/metrics", b"", 200),
        ("GET", "/v1/beacon", b"", 405),
    ],
)
def test_bad_requests_get_a_short_refusal(peer_world, method, path, body, status):
    async def whole():
        async with Peers(peer_world) as peers, peers.net.client() as client:
            response = await client.request(method, peers.url(3) + path, content=body)
            assert response.status_code == status
            assert len(response.content) < 200 or status == 200

    asyncio.run(whole())


def test_a_late_roster_is_refused(peer_world):
    async def whole():
        async with Peers(peer_world) as peers, peers.net.client() as client:
            await peers.release(1)
            late = peer_world.signed_roster(version=2, view_s=1)
            response = await client.post(peers.url(3) + "/v1/roster", content=late)
            assert (response.status_code, response.content[:15]) == (403, b"roster: refused")

    asyncio.run(whole())


def test_a_packet_that_comes_too_late_is_not_read(peer_world):
    async def post(app):
        return await asyncio.wait_for(raw(app, [BEGUN], path="/v1/packet", length=b"1000"), 10)

    async def whole():
        async with Peers(peer_world) as peers:
            await peers.release(1)
            leader = peers.services[peers.chosen(1, 0)]
            app = leader.app
            assert await post(app) == 404
            await asyncio.gather(*peers.begin(1).values())
            assert await post(app) == 409
            collecting = types.SimpleNamespace(state=State.COLLECTING, header=leader._turn.opened.header)
            leader._turn.opened = dataclasses.replace(leader._turn.opened, role=collecting)
            peers.now = leader._turn.opened.header.deadline + CLOCK_SKEW_S + 1
            assert await post(app) == 410

    asyncio.run(whole())


def test_checks_and_answers_at_a_peer_have_the_places_of_a_member(peer_world):
    """Its other routes have more: a request to the member may be large."""

    async def whole():
        async with Peers(peer_world) as peers:
            app = peers.services[3].app
            mine = [
                asyncio.create_task(raw(app, [BEGUN], path=f"/v1/{what}", address="10.0.0.1"))
                for what in ("check", "answer") * 3
            ]
            await asyncio.sleep(0.1)
            others = [
                asyncio.create_task(raw(app, [BEGUN], path="/v1/check", address=f"10.0.0.{2 + i // 2}"))
                for i in range(12)
            ]
            await asyncio.sleep(0.1)
            for address in ("10.0.0.1", "10.0.1.1"):
                assert await raw(app, [], method="GET", path="/v1/identity", address=address) == 200
            waiting = [task for task in (*mine, *others) if not task.done()]
            assert [len(waiting), sum(not task.done() for task in mine)] == [8, 2]
            assert {await task for task in (*mine, *others) if task not in waiting} == {503}
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            again = asyncio.create_task(raw(app, [BEGUN], path="/v1/check", address="10.0.0.1"))
            await asyncio.sleep(0.1)
            assert not again.done()
            again.cancel()

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_the_loop_goes_on_while_a_peer_ends(peer_world):
    go, outcome = threading.Event(), []

    async def whole():
        async with Peers(peer_world) as peers:
            work = peers.services[0]._thread(lambda: outcome.append(go.wait(10)))
            role = asyncio.create_task(work)
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.2, go.set)
        await role

    asyncio.run(asyncio.wait_for(whole(), 60))
    assert outcome == [True]
