"""Seven peers' services in one event loop, over a network that is a dictionary."""

import asyncio
import contextlib
import time

from sottovoce.fl import BeaconServer, Peer, PeerPolicy, RosterBook, combine_beacon
from sottovoce.fl.http import PeerPlan, PeerService
from sottovoce.fl.http.asking import Patience

from .fl_federation import CLIP, EPOCH, MODEL, NOW, update_of
from .fl_http import Net
from .fl_peers import MIN_CONTRIBUTORS


class Peers:
    """Seven services in one event loop; the clock goes when the test says so."""

    def __init__(self, world, *, close_at=7, train=None):
        self.world, self.net, self.now = world, Net(), NOW
        self.servers = {s.index: BeaconServer(s, EPOCH) for s in world.beacon_shares}
        addresses = {k.public.name: self.url(i) for i, k in enumerate(world.keys)}
        self.services, self.updates = [], {}
        for i, (keys, sender) in enumerate(zip(world.keys, world.senders, strict=True)):
            trust = world.trust(self.clock)
            book = RosterBook(trust, clock=self.clock)
            policy = PeerPolicy(book=book, min_contributors=MIN_CONTRIBUTORS, allow_retrained=True)
            peer = Peer(keys, sender, trust, policy, clock=self.clock)
            self.services.append(
                PeerService(
                    peer,
                    keys.public,
                    world.trust(self.clock),
                    addresses,
                    [a.copy() for a in MODEL],
                    lambda model, number, view, i=i: (train or self.train)(i, number, view),
                    PeerPlan(clip=CLIP, close_at=close_at, max_contributors=16),
                    patience=Patience(ask_s=20.0, more_s=0.5),
                    make_client=self.net.client,
                    clock=self.clock,
                )
            )
            self.net.apps[f"peer-{i}"] = self.services[-1].app

    @staticmethod
    def url(i):
        return f"http://peer-{i}"

    def clock(self):
        return self.now

    def train(self, i, number, view):
        return update_of(1000 * number + 100 * view + i)

    async def __aenter__(self):
        self._stack = contextlib.AsyncExitStack()
        for service in self.services:
            await self._stack.enter_async_context(service.app.router.lifespan_context(service.app))
        await self.tell("/v1/roster", self.world.signed_roster())
        return self

    async def __aexit__(self, *error):
        await self._stack.aclose()

    @property
    def alive(self):
        return [i for i in range(7) if f"peer-{i}" not in self.net.down]

    async def tell(self, path, body):
        async with self.net.client() as client:
            for i in self.alive:
                response = await client.post(self.url(i) + path, content=body)
                assert response.status_code == 202, response.content

    async def release(self, number):
        parts = {j: server.end_round(number - 1) for j, server in self.servers.items()}
        beacon, _ = combine_beacon(self.world.beacon_key, EPOCH, number, parts)
        await self.tell("/v1/beacon", beacon.to_bytes())

    def chosen(self, number, view):
        name = self.services[0]._peer.book.choice(EPOCH, number, view).aggregator.name
        return next(i for i, s in enumerate(self.services) if s._peer.name == name)

    def begin(self, number):
        """A task for every living peer."""
        return {i: asyncio.create_task(self.services[i].run_round(number)) for i in self.alive}

    async def kill(self, i, tasks):
        self.net.down.add(f"peer-{i}")
        tasks.pop(i).cancel()

    async def until(self, condition, timeout_s=60):
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            await asyncio.sleep(0.02)
