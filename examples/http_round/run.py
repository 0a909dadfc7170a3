"""Private federated averaging between real processes on this machine, by one command::

    python examples/http_round/run.py

It founds an issuer, enrols everybody, starts one issuer, three relays, one aggregator, five members and
ten devices, trains on scikit-learn's digits for a few rounds, and stops all of them, also on Ctrl-C,
SIGTERM or SIGHUP.
Needs the extras ``http`` and ``demo``.
"""

from __future__ import annotations

import argparse
import datetime
import secrets
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import training
from processes import Processes

HERE = Path(__file__).parent
MEMBERS = [f"member-{j}" for j in range(1, 6)]
DEVICES = [f"device-{i}" for i in range(training.N_DEVICES)]
DEADLINE_S = 540


def say(line: str) -> None:
    """At once, also into a pipe: the next step may take a minute."""
    print(line, flush=True)


def found(work: Path, processes: Processes) -> Path:
    """An issuer with two epochs of a day: names for servers, blind pseudonyms for devices."""
    passphrase = work / "passphrase"
    passphrase.write_text(secrets.token_urlsafe(24) + "\n")
    secret = ["--passphrase-file", str(passphrase)]
    kgc = work / "kgc"
    processes.run("kgc-init", "kgc", "init", str(kgc), *secret)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    span = [
        "--from",
        (now - datetime.timedelta(minutes=1)).isoformat(),
        "--to",
        (now + datetime.timedelta(hours=23)).isoformat(),
    ]
    for mode in ("identity", "blind"):
        processes.run(
            f"kgc-{mode}", "kgc", "epoch", str(kgc), "--mode", mode, "--epoch", "today", *span, *secret
        )
    return kgc


def enrol(work: Path, processes: Processes, kgc: Path, issuer: str, party: str) -> None:
    """A folder for one party: enrolment out of band, keys from the issuer's service, its conditions."""
    folder = work / party
    folder.mkdir(mode=0o700)
    (folder / "passphrase").write_text(secrets.token_urlsafe(24) + "\n")
    names = ", ".join(f'"{name}"' for name in MEMBERS)
    (folder / "policy.toml").write_text(
        f'aggregators = ["aggregator"]\nmembers = [{names}]\nmin_contributors = 8\n'
    )
    enrolment = str(folder / "enrolment")
    processes.run(f"{party}-enrol", "kgc", "enrol", str(kgc), party, "-o", enrolment)
    mode = "blind" if party in DEVICES else "identity"
    processes.run(
        f"{party}-keys",
        "client",
        "keys",
        "--issuer",
        issuer,
        "--enrolment",
        enrolment,
        "--mode",
        mode,
        "--home",
        str(folder / "home"),
        "--passphrase-file",
        str(folder / "passphrase"),
    )


def keys_of(work: Path, party: str) -> list[str]:
    """Options that name a party's keys."""
    folder = work / party
    return [
        "--home",
        str(folder / "home"),
        "--as",
        party,
        "--passphrase-file",
        str(folder / "passphrase"),
        "--state",
        str(folder / "state"),
    ]


def serve_member(work: Path, processes: Processes, name: str) -> str:
    """Start one member; gives its URL."""
    policy = str(work / name / "policy.toml")
    return processes.serve(name, "member", "--policy", policy, *keys_of(work, name))


def plain(rounds: int) -> list[np.ndarray]:
    """The same training with plain averages."""
    model = training.start()
    for _ in range(rounds):
        updates, examples = zip(*(training.train(model, i) for i in range(training.N_DEVICES)), strict=True)
        weights = [training.weight(n) for n in examples]
        for index, array in enumerate(model):
            mean = np.average([update[index] for update in updates], axis=0, weights=weights)
            model[index] = (array + mean).astype(array.dtype)
    return model


def private(work: Path, processes: Processes, rounds: int) -> list[np.ndarray]:
    """All processes, all rounds; gives the last model."""
    kgc = found(work, processes)
    issuer = processes.serve("issuer", "issuer", str(kgc), "--passphrase-file", str(work / "passphrase"))
    say(f"enrolling {1 + len(MEMBERS) + len(DEVICES)} parties ...")
    processes.together(
        lambda party: enrol(work, processes, kgc, issuer, party), ["aggregator", *MEMBERS, *DEVICES]
    )
    say("starting the servers ...")
    started = processes.together(lambda name: serve_member(work, processes, name), MEMBERS)
    urls = dict(zip(MEMBERS, started, strict=True))
    np.savez(work / "model.npz", *training.start())
    members = [part for name, url in urls.items() for part in ("--member", f"{name}={url}")]
    aggregator = processes.serve(
        "aggregator",
        "aggregator",
        *keys_of(work, "aggregator"),
        *members,
        "--model",
        str(work / "model.npz"),
        "--clip",
        str(training.CLIP),
        "--rounds",
        str(rounds),
        "--max-examples",
        str(training.MAX_EXAMPLES),
        "--max-contributors",
        "64",
        "--close-at",
        str(training.N_DEVICES),
        "--collect",
        "120",
    )
    say(f"aggregator: {aggregator} (open it in a browser)")
    relays = [
        processes.serve(f"relay-{i}", "relay", "--next", aggregator, "--threshold", "5", "--wait", "1")
        for i in range(3)
    ]
    for i, name in enumerate(DEVICES):
        processes.start(
            name, str(HERE / "device.py"), str(i), str(work / name), *relays, "--rounds", str(rounds)
        )
    n_processes = len(processes.running)
    until = time.monotonic() + DEADLINE_S
    for name in DEVICES:
        if processes.wait(name, max(1.0, until - time.monotonic())):
            raise SystemExit(f"{name} failed:\n{(processes.logs / f'{name}.log').read_text()}")
    print(f"{n_processes} processes")
    return last_model(aggregator)


def last_model(aggregator: str) -> list[np.ndarray]:
    """What the aggregator publishes when all rounds are over."""
    import httpx

    data = httpx.get(f"{aggregator}/v1/model", trust_env=False).content
    shapes = [a.shape for a in training.start()]
    flat = np.frombuffer(data, "<f4")
    return [flat[:640].reshape(shapes[0]), flat[640:].reshape(shapes[1])]


def main() -> None:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    began = time.monotonic()
    try:
        with Processes() as processes, tempfile.TemporaryDirectory(prefix="http-round-") as name:
            processes.logs = work = Path(name)
            try:
                model = private(work, processes, options.rounds)
            finally:
                processes.stop()
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(130)
    print(f"{time.monotonic() - began:.0f} s")
    expected = plain(options.rounds)
    difference = max(float(np.abs(a - b).max()) for a, b in zip(model, expected, strict=True))
    print(f"{'':24}{'private':>10}{'plain':>10}")
    print(f"{'accuracy':24}{training.accuracy(model):>10.4f}{training.accuracy(expected):>10.4f}")
    print(f"largest difference of a parameter: {difference:.1e}")
    if difference > 1e-3:
        raise SystemExit("the private model is not the plain one")


if __name__ == "__main__":
    main()
