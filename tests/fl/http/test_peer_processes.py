"""Seven peers as seven processes on loopback; the chosen one is killed before, and after, it collected."""

import multiprocessing
import os
import signal
import socket
import time

import httpx
import numpy as np
import pytest

from sottovoce.fl import BeaconServer, Client, Peer, PeerPolicy, RosterBook, combine_beacon
from sottovoce.fl.http import Binding, PeerPlan, PeerService, serve
from sottovoce.fl.http.base import read_cbor
from sottovoce.fl.http.rounds import Patience
from support.fl_federation import CLIP, EPOCH, MODEL, update_of
from support.fl_peers import MIN_CONTRIBUTORS, PeerWorld

VIEW_S = 20
DEADLINE_S = 90
STATUS = dict.fromkeys(("last_result", "contributed", "sat_out", "led", "result", "failed"), int)


def policy_of(world):
    trust = world.trust(time.time)
    return trust, PeerPolicy(book=RosterBook(trust), min_contributors=MIN_CONTRIBUTORS, allow_retrained=True)


def run_peer(world, i, addresses, close_at):
    """What one process does, until it is stopped or its time is up."""
    signal.alarm(2 * DEADLINE_S)
    trust, policy = policy_of(world)
    keys = world.keys[i]
    service = PeerService(
        Peer(keys, world.senders[i], trust, policy),
        keys.public,
        world.trust(time.time),
        addresses,
        [a.copy() for a in MODEL],
        lambda model, number, view: update_of(100 * view + i),
        PeerPlan(clip=CLIP, close_at=close_at, close_s=4, margin_s=1, max_contributors=16, rounds=1),
        patience=Patience(ask_s=10.0, more_s=0.5),
    )
    serve(service.app, Binding(port=int(addresses[keys.public.name].rpartition(":")[2])), role="peer")


class Processes:
    def __init__(self, close_at):
        self.world = PeerWorld(now=int(time.time()) - 60)
        taken = [socket.socket() for _ in range(7)]
        for sock in taken:
            sock.bind(("127.0.0.1", 0))
        self.urls = [f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in taken]
        for sock in taken:
            sock.close()
        names = [keys.public.name for keys in self.world.keys]
        addresses = dict(zip(names, self.urls, strict=True))
        fork = multiprocessing.get_context("fork")  # secret keys cannot be pickled
        self.processes = [
            fork.Process(target=run_peer, args=(self.world, i, addresses, close_at[i])) for i in range(7)
        ]
        self.trust, self.policy = policy_of(self.world)
        self.roster = self.world.signed_roster(view_s=VIEW_S)
        self.policy.book.add_roster(self.roster)
        parts = {s.index: BeaconServer(s, EPOCH).end_round(0) for s in self.world.beacon_shares}
        self.beacon = combine_beacon(self.world.beacon_key, EPOCH, 1, parts)[0].to_bytes()
        self.policy.book.add_beacon(self.beacon)

    def chosen(self, view):
        name = self.policy.book.choice(EPOCH, 1, view).aggregator.name
        return [keys.public.name for keys in self.world.keys].index(name)

    def __enter__(self):
        for process in self.processes:
            process.start()
        self.http = httpx.Client(trust_env=False, timeout=10)
        for i in range(7):
            self.until(lambda i=i: self.get(i, "/healthz") is not None)
            assert self.http.post(self.urls[i] + "/v1/roster", content=self.roster).status_code == 202
        return self

    def release(self, dead=()):
        for i in set(range(7)) - set(dead):
            assert self.http.post(self.urls[i] + "/v1/beacon", content=self.beacon).status_code == 202

    def __exit__(self, *error):
        self.http.close()
        for process in self.processes:
            if process.is_alive():
                os.kill(process.pid, signal.SIGTERM)
        for process in self.processes:
            process.join(15)
            if process.is_alive():
                process.kill()
                process.join()

    def kill(self, i):
        os.kill(self.processes[i].pid, signal.SIGKILL)
        self.processes[i].join()

    def get(self, i, path):
        try:
            response = self.http.get(self.urls[i] + path)
        except httpx.HTTPError:
            return None
        return response.content if response.status_code == 200 else None

    def status(self, i):
        return read_cbor(self.get(i, "/v1/status"), STATUS)

    def until(self, condition):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)

    def mean(self, view, contributors):
        """The published result of a view, verified by a bystander, against the plain mean."""
        signed = self.get(self.chosen(view), "/v1/header")
        client = Client(self.world.authority.pseudonym("bystander"), self.trust, self.policy)
        header = client._reader.read(signed)
        result = client.read_result(signed, self.get(self.chosen(view), f"/v1/result/{header.hash.hex()}"))
        assert header.view == view
        assert result.agreed.count == len(contributors)
        updates = [np.concatenate([a.ravel() for a in update_of(100 * view + i)]) for i in contributors]
        np.testing.assert_allclose(result.mean, np.clip(updates, -CLIP, CLIP).mean(axis=0), atol=CLIP / 2**13)


@pytest.mark.slow
@pytest.mark.parametrize("collected", [False, True], ids=["before it collected", "after it collected"])
def test_the_chosen_one_is_killed(collected):
    peers = Processes([6] * 7)
    first, second = peers.chosen(0), peers.chosen(1)
    if collected:  # it waits for an eighth, so it has collected everybody's when it dies
        close_at = [8 if i == first else 6 for i in range(7)]
        peers = Processes(close_at)
        first, second = peers.chosen(0), peers.chosen(1)
    with peers:
        alive = [i for i in range(7) if i != first]
        if collected:
            peers.release()
            peers.until(lambda: all(peers.status(i)["contributed"] == 1 for i in range(7)))
            peers.kill(first)
        else:
            peers.kill(first)
            peers.release(dead=[first])
        peers.until(lambda: all(peers.status(i)["result"] == 1 for i in alive))
        peers.mean(1, alive)
        counts = [peers.status(i) for i in alive]
        assert [c["contributed"] for c in counts] == [1 + collected] * 6
        assert [c["led"] for c in counts] == [int(i == second) for i in alive]
    assert all(process.exitcode is not None for process in peers.processes)
    assert [peers.processes[i].exitcode for i in alive] == [0] * 6
