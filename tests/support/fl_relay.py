"""A relay alone, between strangers and a next hop that keeps what it gets."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from sottovoce.fl.http import RelayService
from sottovoce.fl.http.base import cbor_answer
from sottovoce.fl.http.relay import Mixing

from .fl_http import Net

SIZE = 64


class Hop:
    """A next hop that keeps what it gets."""

    def __init__(self, size=SIZE, model=b"", until=9):
        self.size, self.got, self.status, self.model, self.until = size, [], 202, model, until
        self.results = set()  # paths
        self.gate = None  # an event: until then a model is on its way
        self.app = Starlette(
            routes=[
                Route("/v1/round", self._round),
                Route("/v1/model", self._model),
                Route("/v1/result/{header}", self._result),
                Route("/v1/shard", self._shard, methods=["POST"]),
            ]
        )

    async def _model(self, _):
        if self.gate is not None:
            await self.gate.wait()
        return Response(self.model)

    async def _result(self, request):
        return Response("x", 200 if request.url.path in self.results else 404)

    async def _round(self, _):
        fields = {
            "v": 1,
            "round": 1,
            "header": bytes(32),
            "shard_bytes": self.size,
            "state": "collecting",
            "until": self.until,
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
        relay = RelayService("http://next/", mixing=Mixing(**mixing), bounds=bounds, make_client=net.client)
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


BEGUN = {"type": "http.request", "body": b"x", "more_body": True}


async def raw(
    app, messages, *, method="POST", path="/v1/shard", length=b"%d" % SIZE, address="a", sent=None, state=None
):
    """A request whose body comes as ``messages`` say, and then nothing; gives the status.

    Args:
        messages: An iterable, or an asynchronous generator.
        sent: Called with every message of the answer.
        state: Of the scope.
    """
    given, statuses = messages if hasattr(messages, "__anext__") else iter(messages), []

    async def receive():
        message = await anext(given, None) if hasattr(given, "__anext__") else next(given, None)
        if message is None:
            await asyncio.Event().wait()
        return message

    async def send_back(message):
        statuses.append(message.get("status"))
        if sent is not None:
            await sent(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [] if length is None else [(b"content-length", length)],
        "query_string": b"",
        "client": (address, 1),
        "state": state or {},
    }
    await app(scope, receive, send_back)
    return statuses[0]
