"""Services of a federation in one event loop, joined by a network that is a dictionary and remembers all."""

import asyncio
import contextlib
import time

import httpx

from sottovoce.fl import Client, Member, MemoryOutbox
from sottovoce.fl.http import AggregatorService, Courier, MemberService, RelayService, RoundPlan
from sottovoce.fl.http.asking import Patience
from sottovoce.fl.http.outgoing import quiet_client
from sottovoce.fl.http.relay import Mixing

from .fl_federation import CLIP, MODEL, NOW, member_name, update_of

N_RELAYS = 3
PLAN = {
    "clip": CLIP, "min_contributors": 3, "max_contributors": 16, "close_at": 4, "collect_s": 600.0,
    "close_s": 600.0, "audit_s": 600.0,
}  # fmt: skip


class Seen:
    """One request as a host got it."""

    def __init__(self, host, request, body, status):
        self.host, self.method, self.path = host, request.method, request.url.path
        self.headers, self.body, self.status = request.headers.raw, body, status


class Net(httpx.AsyncBaseTransport):
    """Brings a request to the application of its host; hosts can be cut off."""

    def __init__(self):
        self.apps, self.seen, self.down, self.status = {}, [], set(), {}
        self.on_down = lambda host: None  # called with a host that is asked in vain

    async def handle_async_request(self, request):
        host = request.url.host
        if host in self.down or host not in self.apps:
            self.on_down(host)
            raise httpx.ConnectError("down", request=request)
        body = await request.aread()
        if host in self.status:
            return httpx.Response(self.status[host], stream=httpx.ByteStream(b""), request=request)
        inner = httpx.ASGITransport(self.apps[host], client=("10.0.0.9", 4711))
        response = await inner.handle_async_request(request)
        data = await response.aread()
        self.seen.append(Seen(host, request, body, response.status_code))
        stream = httpx.ByteStream(data)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream, request=request)

    def client(self, **options):
        return quiet_client(transport=self, **options)

    def of(self, host, method=None):
        return [s for s in self.seen if s.host == host and method in (None, s.method)]


class HttpFederation:
    """Relays, members and an aggregator over :class:`Net`; use with ``async with``.

    Args:
        fed: Keys.
        n_members: Committee.
        mixing: Of the relays.
        chain: The last relay forwards to the one before it instead of to the aggregator.
        plan: Fields of the plan that differ.
        **options: Of the aggregator's service.
    """

    def __init__(self, fed, *, n_members=4, mixing=None, chain=False, plan=None, **options):
        self.fed, self.net = fed, Net()
        self.member_trust = fed.trust()
        mixing = mixing or Mixing(threshold=4, wait_s=0.05)
        self.relays = []
        for i in range(N_RELAYS):
            hop = "http://relay-1" if chain and i == N_RELAYS - 1 else "http://aggregator"
            self.relays.append(RelayService(hop, mixing=mixing, make_client=self.net.client))
            self.net.apps[f"relay-{i}"] = self.relays[-1].app
        self.members = []
        for j in range(1, n_members + 1):
            role = Member(fed.member_keys[j - 1], fed.trust(), fed.policy(), clock=lambda: NOW)
            self.members.append(MemberService(role, fed.member_keys[j - 1].public, fed.trust()))
            self.net.apps[f"member-{j}"] = self.members[-1].app
        urls = {member_name(j): f"http://member-{j}" for j in range(1, n_members + 1)}
        self.aggregator = AggregatorService(
            fed.aggregator_keys,
            fed.trust(),
            fed.authority.blind,
            urls,
            options.pop("model", [a.copy() for a in MODEL]),
            RoundPlan(**{**PLAN, **(plan or {})}),
            patience=options.pop("patience", Patience(ask_s=5.0, more_s=1.0)),
            client=self.net.client(),
            clock=options.pop("clock", lambda: NOW),
            **options,
        )
        self.net.apps["aggregator"] = self.aggregator.app
        self.urls = [f"http://relay-{i}" for i in range(N_RELAYS)]

    async def __aenter__(self):
        self._stack = contextlib.AsyncExitStack()
        # The aggregator begins last and ends last: what relays still hold arrives.
        for app in [self.aggregator.app, *(s.app for s in [*self.members, *self.relays])]:
            await self._stack.enter_async_context(app.router.lifespan_context(app))
        return self

    async def __aexit__(self, *error):
        await self._stack.aclose()

    def courier(self, source="http://relay-0"):
        return Courier(source, make_client=self.net.client)

    def client(self, i, outbox=None):
        return Client(
            self.fed.client_keys[i], self.fed.trust(), self.fed.policy(), outbox=outbox or MemoryOutbox(),
            clock=lambda: NOW,
        )  # fmt: skip

    async def submit(self, i, update=None, patience_s=5):
        """What ``client submit`` does; gives the client, the packet and what became of it."""
        courier, client = self.courier(self.urls[i % N_RELAYS]), self.client(i)
        signed_header = await courier.header(wait_s=20)
        sealed = client.seal(signed_header, MODEL, update_of(i) if update is None else update)
        return client, sealed, await courier.deliver(sealed, self.urls, patience_s=patience_s)

    async def until(self, condition, timeout_s=20):
        """Wait until ``condition()``."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited in vain; {self.aggregator.status}"
            await asyncio.sleep(0.01)

    async def call(self, host, method, path, body=b"", **headers):
        """One request of a stranger; gives status and body."""
        async with self.net.client() as client:
            response = await client.request(method, f"http://{host}{path}", content=body, headers=headers)
            return response.status_code, response.content
