"""Who does not read, who sends too much, and who is too late: bounded, counted, and nobody else's loss."""

import asyncio
import errno
import tracemalloc

import pytest
from starlette.requests import Request

from sottovoce._ext import limits
from sottovoce.fl import MemoryAggregatorStore
from sottovoce.fl.http import journal as journal_module
from sottovoce.fl.http.base import application, route
from sottovoce.fl.http.downloads import Downloads
from sottovoce.fl.http.errors import Refusal
from sottovoce.fl.http.guard import Limits
from sottovoce.fl.http.journal import ShardJournal
from sottovoce.fl.http.metrics import Metrics
from support.fl_federation import MODEL, update_of
from support.fl_http import HttpFederation
from support.fl_relay import raw


def request_of(address, path="/v1/model"):
    return Request({"type": "http", "method": "GET", "path": path, "headers": [], "client": (address, 1)})


class Reader:
    """The server's side of a connection whose reader can stop reading."""

    def __init__(self):
        self.reads, self.body, self.status = asyncio.Event(), [], None

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
            return
        await self.reads.wait()
        self.body.append(message["body"])


def test_who_does_not_read_holds_one_piece_and_one_place():
    data = bytes(range(256)) * (1 << 14)  # 4 MiB

    async def whole():
        downloads, readers = Downloads(4), [Reader() for _ in range(4)]
        tracemalloc.start()
        tasks = []
        for i, reader in enumerate(readers):
            answer = downloads.answer(request_of(f"10.0.0.{i}"), data)
            tasks.append(asyncio.create_task(answer({}, None, reader.send)))
            await asyncio.sleep(0)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert held < 4 * (1 << 17)  # and not four times the whole
        assert downloads.active == 4
        with pytest.raises(Refusal) as caught:
            downloads.answer(request_of("10.0.0.9"), data)
        assert (caught.value.status, caught.value.retry_after_s > 0) == (503, True)
        for reader in readers:
            reader.reads.set()
        await asyncio.gather(*tasks)
        assert {b"".join(reader.body) == data for reader in readers} == {True}
        assert readers[0].headers[b"content-length"] == str(len(data)).encode()
        assert (downloads.active, downloads.refused) == (0, 1)
        downloads.answer(request_of("10.0.0.9"), data)

    asyncio.run(whole())


def test_one_address_has_half_of_the_places_and_who_stops_reading_loses_its_own():
    async def whole():
        downloads, reader, metrics = Downloads(4), Reader(), Metrics("test")

        async def model(request):
            return downloads.answer(request, b"x" * 9)

        bounds = Limits(body_seconds=0.2)
        app = application([route("/v1/model", model, "GET")], metrics, bounds)

        def fetch(**options):
            return asyncio.create_task(raw(app, [], method="GET", path="/v1/model", **options))

        slow = [fetch(address="10.0.0.1", sent=reader.send) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert downloads.active == 2
        assert await fetch(address="10.0.0.1") == 503
        assert await fetch(address="10.0.0.2") == 200
        assert await asyncio.gather(*slow) == [200, 200]  # and then it was cut off
        assert b'path="/v1/model",role="test",status="499"} 2.0' in metrics.text()
        assert downloads.active == 0

    asyncio.run(asyncio.wait_for(whole(), 20))


def run(fed, work, **options):
    async def whole():
        async with HttpFederation(fed, **options) as http:
            signed_header = await http.courier().header(wait_s=20)
            await work(http, signed_header)

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_models_find_no_place_while_all_are_taken(fed):
    async def work(http, _):
        downloads = http.aggregator._downloads
        downloads._by_source["elsewhere", 1] = limits.HTTP_DOWNLOADS
        status, body = await http.call("aggregator", "GET", "/v1/model")
        assert (status, body) == (503, b"busy: too many downloads\n")
        metrics = (await http.call("aggregator", "GET", "/metrics"))[1]
        assert b"sottovoce_aggregator_downloads_refused_total 1.0" in metrics
        downloads._by_source.clear()
        status, body = await http.call("aggregator", "GET", "/v1/model")
        assert (status, body) == (200, http.aggregator._model_bytes)

    run(fed, work, plan={"close_at": 0})


def test_shards_for_which_there_is_no_room_are_refused_and_counted(fed, tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "ROUNDS_OF_A_SOURCE", 1)
    monkeypatch.setattr(journal_module, "ROUNDS_OF_SHARDS", 2)
    plan = {"close_at": 0, "max_contributors": 3}

    async def work(http, _):
        size, most = http.aggregator._open.shard_bytes, 3 * 3

        async def post():
            return (await http.call("aggregator", "POST", "/v1/shard", b"x" * size))[0]

        assert [await post() for _ in range(most)] == [202] * most
        assert await post() == 429
        http.aggregator._open.journal._by_source.clear()
        assert [await post() for _ in range(most)] == [202] * most
        assert await post() == 507
        assert http.aggregator._journal_bytes == 2 * most * size
        metrics = (await http.call("aggregator", "GET", "/metrics"))[1].decode()
        for of in ("source", "round"):
            assert f'sottovoce_aggregator_no_room_total{{of="{of}"}} 1.0' in metrics

    run(fed, work, plan=plan, folder=tmp_path)


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503)])
def test_a_shard_that_cannot_be_kept_is_not_acknowledged(fed, tmp_path, monkeypatch, number, status):
    async def work(http, _):
        def failing(*_):
            raise OSError(number, "it fails")

        append = ShardJournal.append
        monkeypatch.setattr(ShardJournal, "append", failing)
        size = http.aggregator._open.shard_bytes
        assert (await http.call("aggregator", "POST", "/v1/shard", b"x" * size))[0] == status
        assert http.aggregator._open.role.shard_stats["received"] == 0
        assert http.aggregator._no_room["disk"] == 1
        words = b"shards: disk: full\n" if status == 507 else b"shards: disk: fails\n"
        assert await http.call("aggregator", "GET", "/healthz") == (503, words)
        monkeypatch.setattr(ShardJournal, "append", append)
        assert (await http.call("aggregator", "POST", "/v1/shard", b"x" * size))[0] == 202
        assert await http.call("aggregator", "GET", "/healthz") == (200, b"ok\n")

    run(fed, work, plan={"close_at": 0}, folder=tmp_path)


def test_a_body_that_begins_in_one_round_and_ends_in_the_next_is_refused(fed, tmp_path):
    store = MemoryAggregatorStore()

    async def work(http, signed_header):
        shards = http.client(5).seal(signed_header, MODEL, update_of(5)).shards()
        parts, answer, length = asyncio.Queue(), [], (b"content-length", b"%d" % len(shards[0]))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "path": "/v1/shard", "raw_path": b"/v1/shard", "query_string": b"", "headers": [length],
            "client": ("10.0.0.7", 1), "server": ("aggregator", 80), "scheme": "http",
        }  # fmt: skip

        async def send(message):
            answer.append(message)

        body = asyncio.create_task(http.aggregator.app(scope, parts.get, send))
        parts.put_nowait({"type": "http.request", "body": shards[0][:100], "more_body": True})
        await asyncio.gather(*(http.submit(i) for i in range(4)))
        await http.until(lambda: http.aggregator.status.round_number == 2)
        await http.until(lambda: http.aggregator.status.state == "collecting")
        parts.put_nowait({"type": "http.request", "body": shards[0][100:], "more_body": False})
        await asyncio.wait_for(body, 10)
        assert answer[0]["status"] == 409
        assert answer[1]["body"] == b"no longer collecting\n"
        assert http.aggregator._open.role.shard_stats["received"] == 0
        assert http.aggregator._journal_bytes == 0

    run(fed, work, plan={"rounds": 2}, store=store, folder=tmp_path)
