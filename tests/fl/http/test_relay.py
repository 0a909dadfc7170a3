"""The relay: one size, bounded, batched, shuffled; what it refuses changes nothing."""

import asyncio
import dataclasses
import time

import pytest

from sottovoce.fl.http import Courier, TransportError, courier
from sottovoce.fl.http import relay as http_relay
from support.fl_relay import BEGUN, SIZE, Hop, raw, run, send, shards, until


def test_a_batch_leaves_when_it_is_full_and_in_another_order():
    sent = shards(40)

    async def work(relay, net, hop):
        for shard in sent[:-1]:
            assert await send(net, shard) == 202
        await asyncio.sleep(0.2)
        assert hop.got == []
        await send(net, sent[-1])
        await until(lambda: len(hop.got) == len(sent))

    relay, _, hop = run(work, threshold=40, wait_s=1000)
    assert sorted(hop.got) == sent
    assert hop.got != sent  # 1 in 40! that this fails
    assert relay.counts == {"taken": 40, "forwarded": 40, "refused": 0, "lost": 0}


def test_fewer_leave_after_the_wait():
    async def work(relay, net, hop):
        await send(net, shards(1)[0])
        await until(lambda: hop.got)

    run(work, threshold=1000, wait_s=0.1)


def test_what_was_acknowledged_leaves_at_the_end():
    async def work(relay, net, hop):
        for shard in shards(3):
            assert await send(net, shard) == 202

    relay, _, hop = run(work, threshold=1000, wait_s=1000)
    assert sorted(hop.got) == shards(3)
    assert relay.counts["lost"] == 0


def test_an_end_with_the_next_hop_away_counts_what_is_lost_and_does_not_hang():
    async def work(relay, net, hop):
        assert await send(net, shards(1)[0]) == 202
        net.down.add("next")

    relay, _, hop = run(work, threshold=1000, wait_s=1000, shutdown_s=0.2)
    assert (relay.counts["lost"], hop.got) == (1, [])


@pytest.mark.parametrize("status", [503, 429, 500])
def test_a_busy_next_hop_is_asked_again(status):
    async def work(relay, net, hop):
        hop.status = status
        await send(net, shards(1)[0])
        await until(lambda: len(net.of("next", "POST")) >= 2)
        hop.status = 202
        await until(lambda: hop.got)

    assert run(work, threshold=1)[0].counts["forwarded"] == 1


@pytest.mark.parametrize(
    ("collects_s", "longest_s", "fate"), [(60, 90, "forwarded"), (60, 0.1, "lost"), (-60, 90, "lost")]
)
def test_what_the_next_hop_does_not_take_is_held_as_long_as_the_round_collects(
    monkeypatch, collects_s, longest_s, fate
):
    monkeypatch.setattr(http_relay, "_GIVE_UP_S", 0.1)
    monkeypatch.setattr(http_relay, "_LONGEST_S", longest_s)

    async def work(relay, net, hop):
        hop.status = 507
        await send(net, shards(1)[0])
        await asyncio.sleep(0.5)
        hop.status = 202
        await until(lambda: relay.counts[fate])

    relay, _, hop = run(work, threshold=1, hop=Hop(until=int(time.time()) + collects_s))
    assert hop.got == (shards(1) if fate == "forwarded" else [])
    assert relay._held_bytes == 0


def test_what_the_next_hop_refuses_is_dropped_and_counted():
    async def work(relay, net, hop):
        hop.status = 409
        await send(net, shards(1)[0])
        await until(lambda: relay.counts["refused"])

    assert run(work, threshold=1)[0]._held_bytes == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"x" * (SIZE - 1), 400), (b"x" * (SIZE + 1), 413), (b"x" * (1 << 20), 413)],
)
def test_another_size_is_refused(body, status):
    async def work(relay, net, hop):
        assert await send(net, body) == status
        assert relay._held_bytes == 0

    relay, _, hop = run(work, threshold=1)
    assert relay.counts["taken"] == 0
    assert hop.got == []


def test_a_full_queue_takes_no_more():
    async def work(relay, net, hop):
        assert [await send(net, shard) for shard in shards(4)] == [202, 202, 503, 503]

    _, _, hop = run(work, threshold=1000, wait_s=1000, queue_bytes=2 * SIZE + 1)
    assert sorted(hop.got) == shards(2)


def test_without_a_round_nothing_is_taken():
    async def work(relay, net, hop):
        assert await send(net, shards(1)[0]) == 503
        net.down.add("next")
        relay._small.clear()
        assert await send(net, shards(1)[0]) == 503

    assert run(work, hop=Hop(size=0))[0].counts["taken"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/shard", 405), ("POST", "/v1/round", 405), ("GET", "/", 404), ("GET", "/v1/result/zz", 404),
     ("GET", "/v1/result/" + "A" * 64, 404), ("GET", "/healthz", 200), ("GET", "/metrics", 200)],
)  # fmt: skip
def test_other_requests(method, path, status):
    async def work(relay, net, hop):
        assert await send(net, b"", path, method) == status

    run(work)


async def metrics(net):
    async with net.client() as client:
        return (await client.get("http://relay/metrics")).text


def test_metrics_count_by_route_and_never_by_what_a_stranger_asks_for():
    async def work(relay, net, hop):
        await send(net, b"", "/secret-of-a-stranger", "GET")
        await send(net, b"", "/v1/round", "GET")
        text = await metrics(net)
        assert "stranger" not in text
        assert 'sottovoce_http_requests_total{path="unknown",role="relay",status="404"} 1.0' in text
        assert 'path="/v1/round",role="relay",status="200"} 1.0' in text
        assert "sottovoce_relay_healthy 1.0" in text

    run(work)


def test_metrics_do_not_tell_when_a_shard_came():
    def counts(text):
        # But for those that count the questions of this test itself.
        return [line for line in text.splitlines() if "metrics" not in line and "seconds" not in line]

    async def work(relay, net, hop):
        await metrics(net)
        before = counts(await metrics(net))
        for shard in shards(2):
            assert await send(net, shard) == 202
            assert await send(net, shard[1:]) == 400
            assert counts(await metrics(net)) == before
        assert await send(net, shards(3)[2]) == 202  # the batch is full
        await until(lambda: len(hop.got) == 3)
        await until(lambda: relay.counts["forwarded"] == 3)
        text = await metrics(net)
        for fate in ("taken", "forwarded"):
            assert f'sottovoce_relay_shards_total{{fate="{fate}"}} 3.0' in text
        assert 'path="/v1/shard",role="relay",status="202"} 3.0' in text
        assert 'path="/v1/shard",role="relay",status="400"} 2.0' in text
        assert "sottovoce_relay_leaving 0.0" in text

    run(work, threshold=3, wait_s=1000)


def test_refused_shards_are_counted_once_a_minute_and_taken_ones_are_not():
    now = [0.0]

    async def work(relay, net, hop):
        relay._clock = lambda: now[0]
        assert await send(net, shards(1)[0]) == 202
        assert await send(net, b"x") == 400
        await asyncio.sleep(0.2)
        assert "/v1/shard" not in await metrics(net)
        now[0] = relay._counted + 61
        await asyncio.sleep(0.2)
        text = await metrics(net)
        assert 'path="/v1/shard",role="relay",status="400"} 1.0' in text
        assert 'path="/v1/shard",role="relay",status="202"' not in text
        assert 'sottovoce_relay_shards_total{fate="taken"} 0.0' in text

    run(work, threshold=3, wait_s=1e9)


def test_a_pump_that_fails_is_started_again_and_its_batch_leaves(monkeypatch):
    failures = []

    async def broken(*args, **kwargs):
        failures.append(args)
        if len(failures) < 3:
            raise ZeroDivisionError
        return await post(*args, **kwargs)

    post = http_relay.post_patiently
    monkeypatch.setattr(http_relay, "post_patiently", broken)

    async def work(relay, net, hop):
        assert await send(net, b"", "/healthz", "GET") == 200
        for shard in shards(2):
            assert await send(net, shard) == 202
        await until(lambda: failures)
        await asyncio.sleep(0)
        assert await send(net, b"", "/healthz", "GET") == 503
        await until(lambda: len(hop.got) == 2)
        text = await metrics(net)
        assert 'sottovoce_relay_task_failures_total{task="pump"} 2.0' in text
        assert "sottovoce_relay_healthy 0.0" in text  # for some seconds yet: it may fail again

    relay, _, hop = run(work, threshold=2, wait_s=1000)
    assert sorted(hop.got) == shards(2)
    assert relay.counts == {"taken": 2, "forwarded": 2, "refused": 0, "lost": 0}
    assert relay._held_bytes == 0


def test_what_came_since_does_not_leave_with_a_batch_that_was_interrupted(monkeypatch):
    failed = []

    async def broken(client, url, body, **options):
        if not failed:
            failed.append(body)
            assert await send(net_of[0], shards(3)[2]) == 202
            raise ZeroDivisionError
        return await post(client, url, body, **options)

    post, net_of = http_relay.post_patiently, []
    monkeypatch.setattr(http_relay, "post_patiently", broken)

    async def work(relay, net, hop):
        net_of.append(net)
        for shard in shards(2):
            assert await send(net, shard) == 202
        await until(lambda: relay.counts["forwarded"] == 2)
        assert sorted(hop.got) == shards(2)
        assert relay._held == [shards(3)[2]]

    run(work, threshold=2, wait_s=1000)


def test_a_dead_next_hop_is_not_asked_by_every_client():
    asked = []

    async def work(relay, net, hop):
        net.down.add("next")
        net.on_down = asked.append
        async with asyncio.TaskGroup() as group:
            sent = [
                group.create_task(send(net, b"", path, "GET")) for path in ["/v1/round", "/v1/header"] * 5
            ]
        assert {task.result() for task in sent} == {503}
        assert len(asked) == 2
        net.down.clear()
        for known in relay._small:
            relay._small[known] = dataclasses.replace(relay._small[known], until=-1.0)
        assert await send(net, b"", "/v1/round", "GET") == 200

    run(work)


def test_a_result_that_is_not_there_yet_is_not_asked_for_by_every_client():
    def path(i):
        return f"/v1/result/{i:064x}"

    async def work(relay, net, hop):
        now = relay._clock()
        relay._clock = lambda: now

        def asked(i):
            return [seen.path for seen in net.of("next")].count(path(i))

        assert {await send(net, b"", path(0), "GET") for _ in range(9)} == {404}
        assert asked(0) == 1
        assert await send(net, b"", "/v1/model", "GET") == 200
        now += http_relay._KEEP_FAILURE_S + 1
        hop.results.add(path(0))
        assert {await send(net, b"", path(0), "GET") for _ in range(2)} == {200}
        assert asked(0) == 3
        for i in range(100):
            assert await send(net, b"", path(i + 1), "GET") == 404
        assert len(relay._missing) == 64
        assert await send(net, b"", path(0), "GET") == 200

    run(work)


def test_who_waits_for_a_result_asks_ever_more_seldom(sealed, monkeypatch):
    monkeypatch.setattr(courier, "_POLL_S", 0.01)
    monkeypatch.setattr(courier, "_LONGEST_POLL_S", 0.5)

    async def work(relay, net, hop):
        with pytest.raises(TransportError) as caught:
            await Courier("http://next", make_client=net.client).result(sealed.header, wait_s=1.0)
        assert caught.value.status == 404
        assert 2 <= len(net.of("next")) <= 30  # else a hundred

    run(work)


def test_models_that_are_being_passed_on_take_no_place_from_shards():
    async def work(relay, net, hop):
        hop.gate = asyncio.Event()
        slow = [
            asyncio.create_task(raw(relay.app, [], method="GET", path="/v1/model", address=f"10.0.{i % 6}.1"))
            for i in range(18)
        ]
        await until(lambda: relay._passing.total() == 8)
        await asyncio.sleep(0.05)
        assert max(relay._passing.values()) == 2
        # Nor do they wait for one another's connections: shards and small things go on.
        assert await send(net, shards(1)[0]) == 202
        await until(lambda: hop.got)
        assert await send(net, b"", "/v1/round", "GET") == 200
        hop.gate.set()
        assert sorted([await task for task in slow]) == [200] * 8 + [503] * 10
        assert relay._passing.total() == 0

    run(work, threshold=1, hop=Hop(model=b"m" * 200_000))


def test_the_head_of_a_model_says_its_length_and_brings_nothing():
    async def work(relay, net, hop):
        async with net.client() as client:
            answer = await client.head("http://relay/v1/model")
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "1000", b"")
        assert [seen.method for seen in net.of("next") if seen.path == "/v1/model"] == ["HEAD"]
        async with net.client() as client:
            answer = await client.get("http://relay/v1/model")
        assert (answer.content, answer.headers["content-length"]) == (b"m" * 1000, "1000")
        assert relay._passing.total() == 0

    run(work, hop=Hop(model=b"m" * 1000))


def test_what_is_held_leaves_before_what_is_going_on_has_ended():
    async def work(relay, net, hop):
        for shard in shards(3):
            assert await send(net, shard) == 202
        slow = asyncio.create_task(raw(relay.app, [BEGUN]))
        await asyncio.sleep(0.05)
        relay.end_soon()
        await until(lambda: len(hop.got) == 3)
        assert not slow.done()
        assert await send(net, shards(1)[0]) == 503
        slow.cancel()

    run(work, threshold=1000, wait_s=1000)
