"""Small devices: what a client of a large model needs, and a round without vector instructions.

That on the reference group is in ``test_reference_round.py``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = """if True:
    import sys, time
    import numpy as np
    from sottovoce import fl, rs
    from sottovoce.clsc import load_key_bytes

    def kib(key):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))

    def reset():
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak from here on

    d = int(sys.argv[1])
    model = [np.zeros(d, np.float32)]
    update = [np.random.default_rng(1).normal(0, 0.1, d).astype(np.float32)]

    # Another process in truth: what is made here is not the device's, so its memory does not count.
    from sottovoce.fl import simulate
    now = int(time.time())
    authority = simulate.Authority(b"devices", now, 86_400)
    names = [b"aggregator", *(b"member-%d" % j for j in range(5))]
    aggregator, *members = (authority.server(name) for name in names)
    trust = authority.trust()
    policy = fl.Policy(aggregators=frozenset(names[:1]), members=frozenset(names[1:]))
    header = fl.plan_round(
        model, aggregator=aggregator.public, members=[m.public for m in members],
        shard_key=rs.ShardKey.generate().public_key, sender_params=authority.blind, trust=trust,
        round_number=1, clip=1.0, deadline=now + 3600, audit_deadline=now + 7200,
    )
    proposal = fl.SignedHeader.propose(header, aggregator)
    cosigned = {j: fl.Member(keys, trust, policy).cosign(proposal.to_bytes()) for j, keys in enumerate(members, 1)}
    signed = proposal.with_members(cosigned).to_bytes()
    key = authority.pseudonym("device")

    reset()
    sealed = fl.Client(key, trust, policy).seal(signed, model, update)
    packet = kib("VmHWM")
    del update
    shards = sealed.shards()
    print(packet, kib("VmHWM"), sum(map(len, shards)))
"""

NUMPY = """if True:
    import numpy
    with open("/proc/self/status") as file:
        print(next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")))
"""

ROUND = """if True:
    import numpy as np
    from sottovoce.cli import machine
    from sottovoce.fl import simulate
    from sottovoce import clsc
    model = [np.zeros((4, 3), np.float32), np.zeros(3)]
    simulation = simulate.Simulation(model, n_clients=3, clip=1.0, n_members=4, min_contributors=3)
    updates = {i: ([np.full((4, 3), i / 10, np.float32), np.full(3, -0.5)], 100) for i in range(3)}
    report = simulation.run_round(model, updates)
    assert report.exact
    assert len(report.accepted) == 3
    assert np.allclose(report.mean[0], 0.1, atol=1e-3)
    print(machine.kernel_level())
"""


def run(script, *args, **environment):
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=900,
    )
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a peak from a point on"
)
def test_a_client_of_a_million_parameters_needs_less_than_150_megabytes():
    """Peak of the whole process, with model and update (8 MB), above an interpreter that has numpy."""
    interpreter = int(run(NUMPY)[0])
    packet, shards, n_bytes = map(int, run(CLIENT, "1000000"))
    print(f"{(packet - interpreter) >> 10} MiB to seal, {(shards - interpreter) >> 10} MiB with shards")
    assert n_bytes > 3_000_000
    assert shards - interpreter < 150_000


@pytest.mark.slow
def test_a_round_without_vector_instructions():
    (level,) = run(ROUND, SOTTOVOCE_KERNEL="portable")
    assert level == "portable"
