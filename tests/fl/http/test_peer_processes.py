"""Seven peers as seven processes on loopback; the chosen one is killed before, and after, it collected."""

import socket
import sys
import time

import httpx
import numpy as np
import pytest

from sottovoce.fl import BeaconServer, Client, PeerPolicy, RosterBook, combine_beacon
from sottovoce.fl.http.base import read_cbor
from support.fl_federation import CLIP, EPOCH, MODEL
from support.fl_peers import MIN_CONTRIBUTORS, PeerWorld
from support.fl_processes import World

VIEW_S = 20
DEADLINE_S = 90
STATUS = dict.fromkeys(("last_result", "contributed", "sat_out", "led", "result", "failed"), int)

# What an operator would have: trained anew for each view, other numbers each time.
TRAIN = """
import sys
import numpy as np
given, made, number, view = sys.argv[1:]
model = np.load(given)
rng = np.random.default_rng(1000 + 100 * int(view) + {i})
np.savez(made, **{{name: rng.normal(scale=0.1, size=model[name].shape).astype(model[name].dtype)
                  for name in model.files}})
"""


def update_of(i, view):
    rng = np.random.default_rng(1000 + 100 * view + i)
    return [rng.normal(scale=0.1, size=a.shape).astype(a.dtype) for a in MODEL]


def policy_of(world):
    trust = world.trust(time.time)
    return trust, PeerPolicy(book=RosterBook(trust), min_contributors=MIN_CONTRIBUTORS, allow_retrained=True)


class Processes:
    """``sottovoce serve peer``, seven times."""

    def __init__(self, folder, chosen_waits_for=6):
        self.world = PeerWorld(now=int(time.time()) - 60)
        self.services = World(folder)
        self.services.authority = self.world.authority
        taken = [socket.socket() for _ in range(7)]
        for sock in taken:
            sock.bind(("127.0.0.1", 0))
        self.ports = [sock.getsockname()[1] for sock in taken]
        for sock in taken:
            sock.close()
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.trust, self.policy = policy_of(self.world)
        self.roster = self.world.signed_roster(view_s=VIEW_S)
        self.policy.book.add_roster(self.roster)
        parts = {s.index: BeaconServer(s, EPOCH).end_round(0) for s in self.world.beacon_shares}
        self.beacon = combine_beacon(self.world.beacon_key, EPOCH, 1, parts)[0].to_bytes()
        self.policy.book.add_beacon(self.beacon)
        self.close_at = [chosen_waits_for if i == self.chosen(0) else 6 for i in range(7)]
        (folder / "roster").write_bytes(self.roster)
        (folder / "peers.toml").write_text(f"min_contributors = {MIN_CONTRIBUTORS}\nallow_retrained = true\n")
        np.savez(folder / "model.npz", *MODEL)

    def start(self, i):
        folder, keys = self.services.folder, self.world.keys[i]
        self.services.home(f"p{i}", keys.sign, keys.decrypt)
        self.services.home(f"p{i}", self.world.senders[i], label="device")
        (folder / f"train{i}.py").write_text(TRAIN.format(i=i))
        names = [keys.public.name.decode() for keys in self.world.keys]
        addresses = [f"--peer={name}={url}" for name, url in zip(names, self.urls, strict=True)]
        return self.services.serve(
            f"p{i}",
            "peer",
            *addresses,
            *self.services.keys_of(f"p{i}"),
            *("--sender", "device", "--roster", folder / "roster", "--policy", folder / "peers.toml"),
            *("--state", folder / f"state{i}", "--model", folder / "model.npz", "-o", folder / f"{i}.npz"),
            *("--train", f"{sys.executable} {folder / f'train{i}.py'}", "--clip", CLIP),
            *("--close-at", self.close_at[i], "--close", 4, "--margin", 1, "--max-contributors", 16),
            *("--member-patience", 10, "--port", self.ports[i]),
        )

    def chosen(self, view):
        name = self.policy.book.choice(EPOCH, 1, view).aggregator.name
        return [keys.public.name for keys in self.world.keys].index(name)

    def __enter__(self):
        self.http = httpx.Client(trust_env=False, timeout=10)
        self.services.__enter__()
        try:
            self.processes = [self.start(i) for i in range(7)]
            assert [process.url for process in self.processes] == self.urls
        except BaseException:
            self.__exit__()
            raise
        return self

    def release(self, dead=()):
        for i in set(range(7)) - set(dead):
            assert self.http.post(self.urls[i] + "/v1/beacon", content=self.beacon).status_code == 202

    def __exit__(self, *error):
        self.http.close()
        self.services.__exit__()

    def kill(self, i):
        self.processes[i].kill()

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
        updates = [np.concatenate([a.ravel() for a in update_of(i, view)]) for i in contributors]
        mean = np.clip(updates, -CLIP, CLIP).mean(axis=0)
        np.testing.assert_allclose(result.mean, mean, atol=CLIP / 2**13)
        model = np.concatenate([a.ravel() for a in MODEL])
        for i in contributors:  # each has the model of after the round
            self.until((self.services.folder / f"{i}.npz").exists)
            with np.load(self.services.folder / f"{i}.npz") as after:
                assert after.files == ["arr_0", "arr_1", "arr_2"]
                now = np.concatenate([after[name].ravel() for name in after.files])
            np.testing.assert_allclose(now, model + mean, atol=CLIP / 2**13 + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("collected", [False, True], ids=["before it collected", "after it collected"])
def test_the_chosen_one_is_killed(collected, tmp_path):
    # Where it waits for an eighth, it has collected everybody's when it dies.
    with Processes(tmp_path, chosen_waits_for=8 if collected else 6) as peers:
        first, second = peers.chosen(0), peers.chosen(1)
        alive = [i for i in range(7) if i != first]
        if collected:
            peers.release()
            peers.until(lambda: all('"contributed"' in p.log.read_text() for p in peers.processes))
            peers.kill(first)
        else:
            peers.kill(first)
            peers.release(dead=[first])
        peers.until(lambda: all(peers.status(i)["result"] == 1 for i in alive))
        peers.mean(1, alive)
        counts = [peers.status(i) for i in alive]
        assert [c["contributed"] for c in counts] == [1 + collected] * 6
        assert [c["led"] for c in counts] == [int(i == second) for i in alive]
        assert [peers.processes[i].stop() for i in alive] == [0] * 6
        assert "Traceback" not in "".join(p.log.read_text() for p in peers.processes)
