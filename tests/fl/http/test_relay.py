"""The relay: one size, bounded, batched, shuffled; what it refuses changes nothing."""

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from sottovoce.fl.http import RelayService
from sottovoce.fl.http.base import cbor_answer
from sottovoce.fl.http.guard import Buckets, Limits
from sottovoce.fl.http.relay import Mixing
from support.fl_http import Net

SIZE = 64


class Hop:
    """A next hop that keeps what it gets."""

    def __init__(self, size=SIZE):
        self.size, self.got, self.status = size, [], 202
        self.app = Starlette(
            routes=[Route("/v1/round", self._round), Route("/v1/shard", self._shard, methods=["POST"])]
        )

    async def _round(self, _):
        fields = {
            "v": 1,
            "round": 1,
            "header": bytes(32),
            "shard_bytes": self.size,
            "state": "collecting",
            "until": 9,
        }
        return cbor_answer(fields)

    async def _shard(self, request):
        body = await request.body()
        if self.status == 202:
            self.got.append(body)
        return Response("x", self.status)


def shards(count, size=SIZE):
    return [bytes([i]) * size for i in range(count)]


def run(work, *, bounds=None, hop=None, **mixing):
    """``work(relay, net, hop)`` beside a running relay."""

    async def whole():
        net, end = Net(), hop or Hop()
        net.apps["next"] = end.app
        relay = RelayService("http://next/", mixing=Mixing(**mixing), bounds=bounds, client=net.client())
        net.apps["relay"] = relay.app
        async with relay.app.router.lifespan_context(relay.app):
            await work(relay, net, end)
        return relay, net, end

    return asyncio.run(asyncio.wait_for(whole(), 20))


async def send(net, body, path="/v1/shard", method="POST", **headers):
    async with net.client() as client:
        response = await client.request(method, f"http://relay{path}", content=body, headers=headers)
        return response.status_code


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


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

        # Without a length: counted as it comes.
        async def pieces():
            yield body

        assert await send(net, pieces()) == status
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


def test_one_address_gets_its_rate_and_no_more():
    async def work(relay, net, hop):
        statuses = [await send(net, shard) for shard in shards(6)]
        assert statuses[:3] == [202, 202, 202]
        assert set(statuses[3:]) == {429}
        assert await send(net, b"", "/healthz", "GET") == 200

    run(work, bounds=Limits(rate_per_s=0.01, burst=3), threshold=1000)


def test_buckets_fill_again_and_forget_the_address_heard_first():
    now = [0.0]
    buckets = Buckets(1.0, 2.0, lambda: now[0])
    assert [buckets.take("a") for _ in range(3)] == [True, True, False]
    now[0] = 1.0
    assert [buckets.take("a") for _ in range(2)] == [True, False]
    for i in range(5000):
        buckets.take(str(i))
    assert len(buckets._levels) == 4096


async def raw(app, messages):
    """A request whose body comes as ``messages`` say, and then nothing; gives the status."""
    given, statuses = iter(messages), []

    async def receive():
        message = next(given, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    async def send_back(message):
        statuses.append(message.get("status"))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/shard",
        "headers": [],
        "query_string": b"",
        "client": ("a", 1),
    }
    await app(scope, receive, send_back)
    return statuses[0]


def test_a_slow_body_ends_and_holds_no_place_in_the_queue():
    async def work(relay, net, hop):
        begun = {"type": "http.request", "body": b"x", "more_body": True}
        assert await raw(relay.app, [begun]) == 408
        assert relay._held_bytes == 0

    run(work, bounds=Limits(body_seconds=0.1))


def test_more_at_once_than_allowed_are_refused_and_the_others_go_on():
    async def work(relay, net, hop):
        begun = {"type": "http.request", "body": b"x", "more_body": True}
        waiting = [asyncio.create_task(raw(relay.app, [begun])) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert await send(net, shards(1)[0]) == 503
        assert await send(net, b"", "/healthz", "GET") == 200
        assert [await task for task in waiting] == [408, 408]
        assert await send(net, shards(1)[0]) == 202

    run(work, bounds=Limits(concurrent=2, body_seconds=0.5))


def test_a_sender_that_hangs_up_changes_nothing():
    async def work(relay, net, hop):
        begun = {"type": "http.request", "body": b"x", "more_body": True}
        with pytest.raises(IndexError):  # nobody to answer
            await raw(relay.app, [begun, {"type": "http.disconnect"}])
        assert (relay._held_bytes, relay.counts["taken"]) == (0, 0)

    run(work)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/shard", 405), ("POST", "/v1/round", 405), ("GET", "/", 404), ("GET", "/v1/result/zz", 404),
     ("GET", "/v1/result/" + "A" * 64, 404), ("GET", "/healthz", 200), ("GET", "/metrics", 200)],
)  # fmt: skip
def test_other_requests(method, path, status):
    async def work(relay, net, hop):
        assert await send(net, b"", path, method) == status

    run(work)


def test_metrics_count_by_route_and_never_by_what_a_stranger_asks_for():
    async def work(relay, net, hop):
        await send(net, b"", "/secret-of-a-stranger", "GET")
        await send(net, shards(1)[0])
        async with net.client() as client:
            text = (await client.get("http://relay/metrics")).text
        assert "stranger" not in text
        assert 'sottovoce_http_requests_total{path="unknown",role="relay",status="404"} 1.0' in text
        assert 'path="/v1/shard",role="relay",status="202"} 1.0' in text
        assert 'sottovoce_relay_shards_total{fate="taken"} 1.0' in text

    run(work)
