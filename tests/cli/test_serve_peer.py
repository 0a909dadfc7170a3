"""``sottovoce serve peer`` before it listens, and the program that it trains with.  Seven of them running:
``tests/fl/http/test_peer_processes.py``."""

import fcntl
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from sottovoce.cli.app import app
from sottovoce.cli.console import CheckFailed, Refused
from sottovoce.cli.serve.peering import Training
from sottovoce.cli.serve.policy import read_peer_policy
from sottovoce.fl import PeerPolicy, RosterBook
from support.cli_session import plain
from support.fl_federation import MODEL, NOW
from support.fl_peers import PeerWorld
from support.fl_processes import World


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Five peers, and the home of one of them."""
    made, services = PeerWorld(5, now=int(time.time()) - 60), World(tmp_path_factory.mktemp("peer"))
    services.authority = made.authority
    keys = made.keys[0]
    services.home("p0", keys.sign, keys.decrypt)
    services.home("p0", made.senders[0], label="device")
    folder = services.folder
    (folder / "roster").write_bytes(made.signed_roster())
    (folder / "short").write_bytes(made.signed_roster(view_s=180))
    (folder / "other").write_bytes(made.other_authority.roster(made.roster()))
    (folder / "peers.toml").write_text("min_contributors = 5\n")
    np.savez(folder / "model.npz", *MODEL)
    names = [keys.public.name.decode() for keys in made.keys]
    return services, [f"--peer={name}=http://127.0.0.1:{7100 + i}" for i, name in enumerate(names)]


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_free(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def run(
    world, state, *more, peers=slice(None), roster="roster", policy="peers.toml", sender="device", code=1
):
    services, addresses = world
    folder = services.folder
    arguments = [
        *addresses[peers], *services.keys_of("p0"), "--sender", sender, "--roster", folder / roster,
        "--policy", folder / policy, "--state", state, "--model", folder / "model.npz",
        "--train", sys.executable, "--clip", 1.0, *more,
    ]  # fmt: skip
    result = CliRunner().invoke(app, ["serve", "peer", *map(str, arguments)], prog_name="sottovoce")
    assert result.exit_code == code, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    assert result.stdout == ""  # it did not listen
    return plain(result.stderr)


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"more": ["--host", "0.0.0.0"]}, 2, "TLS"),
        ({"peers": slice(4)}, 2, "none for peer 4"),
        ({"peers": slice(1, 5)}, 2, "none for peer 0"),
        ({"peers": slice(0, 0), "more": ["--peer", "peer 0"]}, 2, "NAME=URL expected"),
        ({"more": ["--peer", "peer 0=http://127.0.0.1:1"]}, 2, "each name once"),
        ({"roster": "short"}, 1, "nothing is left to collect in"),
        ({"roster": "other"}, 1, "DecodeError"),
        ({"roster": "model.npz"}, 1, "DecodeError"),
        ({"policy": "policy.toml"}, 1, "no such field: aggregators, members"),
        ({"sender": "nobody"}, 1, "nobody"),
        ({"more": ["--train", "no-such-program --fast"]}, 2, "a program that can be run expected"),
        ({"more": ["--train", ""]}, 2, "a program that can be run expected"),
        ({"more": ["--margin", "0"]}, 2, "--margin"),
    ],
    ids=lambda value: None if isinstance(value, (dict, int)) else value.replace(" ", "-"),
)
def test_refused_before_it_listens(world, tmp_path, fields, code, told):
    options = {name: value for name, value in fields.items() if name != "more"}
    assert told in run(world, tmp_path / "state", *fields.get("more", []), **options, code=code)


def test_the_policy_of_a_peer(world, tmp_path):
    book = RosterBook(PeerWorld.trust(PeerWorld(5)), clock=lambda: NOW)
    file = tmp_path / "policy.toml"
    file.write_text(
        "min_contributors = 6\nmin_members = 5\nclip_range = [0.5, 2.0]\nallow_retrained = true\n"
    )
    policy = read_peer_policy(file, book)
    wanted = {"min_contributors": 6, "min_members": 5, "clip_range": (0.5, 2.0), "allow_retrained": True}
    assert policy == PeerPolicy(book=book, **wanted)
    for text in ("book = 1\n", "members = []\n", "min_members = 3\n", "min_contributors = 'x'\n", "min_"):
        file.write_text(text)
        with pytest.raises(Refused, match=r"policy\.toml"):
            read_peer_policy(file, book)


class TestTraining:
    def training(self, tmp_path, code, names=("w", "b")):
        file = tmp_path / "train it.py"
        file.write_text("import sys\nimport numpy as np\ngiven, made, number, view = sys.argv[1:]\n" + code)
        return Training(f"{sys.executable} '{file}'", names, tmp_path)

    def test_what_it_writes_is_the_update_in_the_models_order(self, tmp_path):
        code = "m = np.load(given)\nnp.savez(made, b=m['b'] + int(number), w=m['w'] * int(view))\n"
        w, b = self.training(tmp_path, code)([np.ones((2, 3)), np.zeros(4, np.float32)], 7, 2)
        assert (w == 2).all()
        assert (b == 7).all()
        assert (w.shape, b.dtype) == ((2, 3), np.float32)
        assert list((tmp_path / "training").iterdir()) == []
        assert (tmp_path / "training").stat().st_mode & 0o777 == 0o700

    def test_a_model_without_names(self, tmp_path):
        code = "m = np.load(given)\nnp.savez(made, *[m[name] + 1 for name in m.files])\n"
        update = self.training(tmp_path, code, None)([np.zeros(2), np.zeros((1, 2))], 1, 0)
        assert [a.shape for a in update] == [(2,), (1, 2)]

    def test_one_that_fails_or_writes_nothing(self, tmp_path):
        with pytest.raises(CheckFailed, match="round 3 ended with 4"):
            self.training(tmp_path, "sys.exit(4)", None)([np.zeros(2)], 3, 0)
        with pytest.raises(OSError, match="No such file"):
            self.training(tmp_path, "pass", None)([np.zeros(2)], 3, 0)
        with pytest.raises(Refused, match="not a file of arrays"):
            self.training(tmp_path, "open(made, 'w').write('x')", None)([np.zeros(2)], 3, 0)

    def begin(self, training, view=0):
        failed = []

        def train():
            try:
                training([np.zeros(2)], 1, view)
            except CheckFailed as error:
                failed.append(str(error))

        thread = threading.Thread(target=train)
        thread.start()
        return thread, failed

    def test_the_end_of_the_view_ends_it_and_what_it_started(self, tmp_path):
        lock, begun = tmp_path / "lock", tmp_path / "begun"
        child = f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        child += "f.write('held'); f.flush(); time.sleep(600)"
        code = f"""
import subprocess, time
if view == "0":
    subprocess.Popen([sys.executable, "-c", {child!r}])
else:
    open({str(begun)!r}, "w").close()
time.sleep(600)
"""
        training = self.training(tmp_path, code, None)
        (first, failed), (second, others) = self.begin(training), self.begin(training, view=1)
        until(lambda: begun.exists() and lock.exists() and lock.read_text() == "held")
        training.abandon(1, 0)
        first.join(60)
        assert failed == ["the training for round 1, view 0 is of no use any more"]
        with lock.open() as held:
            until(lambda: is_free(held))  # what it started has ended too
        assert others == []
        training.stop()
        second.join(60)
        assert others == ["the service ends"]
        assert list((tmp_path / "training").iterdir()) == []

    def test_what_a_killed_peer_has_left_goes_at_the_next_start(self, tmp_path):
        left = tmp_path / "training" / "tmpabc" / "update.npz"
        left.parent.mkdir(parents=True)
        left.write_text("plain")
        self.training(tmp_path, "")
        assert list((tmp_path / "training").iterdir()) == []
        assert (tmp_path / "training").stat().st_mode & 0o777 == 0o700

    def test_the_end_of_the_service_does_not_wait_for_it(self, tmp_path):
        begun = tmp_path / "begun"
        code = f"open({str(begun)!r}, 'w').close()\nimport time\ntime.sleep(600)"
        training = self.training(tmp_path, code, None)
        thread, failed = self.begin(training)
        until(begun.exists)
        training.stop()
        thread.join(60)
        assert failed == ["the service ends"]
        with pytest.raises(CheckFailed, match="the service ends"):
            training([np.zeros(2)], 2, 0)

    def test_nothing_to_run(self):
        for command in ("", "  ", "no-such-program", "/etc/passwd"):
            with pytest.raises(typer.BadParameter, match="can be run"):
                Training(command, None, Path())
