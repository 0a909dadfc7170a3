"""docs/concurrency.md: which objects may be pickled, and that logs stay silent until somebody wants them."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sottovoce import clsc, fl, he, rs
from sottovoce.fl import simulate
from sottovoce.he import kahe, paillier, rlwe

PAGE = (Path(__file__).parent.parent / "docs" / "concurrency.md").read_text()
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")
]


def documented(name):
    """Whether the page says that objects of this class may be pickled."""
    rows = [row for row in ROWS if re.search(rf"`(\w+\.)*{name}`", row[0])]
    assert len(rows) == 1, f"{name}: one row expected"
    said = rows[0][-1].split()[0].strip(",;:")
    assert said in ("yes", "no")
    return said == "yes"


@pytest.fixture(scope="module")
def objects():
    model = [np.zeros(9)]
    world = simulate.Simulation(model, 8, clip=1.0)
    root, day = clsc.RootKey.generate(), {"not_before": 0, "not_after": 2**31}
    master = clsc.MasterKey.generate(root, clsc.Mode.IDENTITY, b"today", **day)
    trust = clsc.TrustStore(root.public_key)
    trust.add(master.params)
    issuer = clsc.Issuer(master)
    ask = clsc.IdentityRequest(master.params, clsc.Usage.SIGN, b"me", issuer.enrol("me"))
    key = ask.finish(issuer.issue("me", ask.to_bytes(issuer.challenge())))
    return [
        root, master, master.params, trust, issuer, ask, key, key.public_key, clsc.MemoryRegistry(),
        rs.Erasure(2, 3), rs.RSCodec(4), rs.CcsdsCodec(), rs.ShardKey.generate(),
        world._members[0], world._aggregator_keys, fl.MemoryOutbox(), fl.MemoryMemberStore(),
    ]  # fmt: skip


def test_the_page_says_what_may_be_pickled(objects):
    for thing in objects:
        name = type(thing).__name__
        if name.startswith("Memory") and name != "MemoryRegistry":
            name = name.removeprefix("Memory")
        if documented(name):
            assert type(pickle.loads(pickle.dumps(thing))) is type(thing)
        else:
            with pytest.raises(TypeError, match=r"cannot be pickled|cannot pickle"):
                pickle.dumps(thing)


def test_every_class_of_the_page_is_public():
    public = {name for module in (clsc, he, rs, fl, kahe, rlwe, paillier) for name in module.__all__}
    named = set(re.findall(r"`(?:\w+\.)*([A-Z]\w+)`", "\n".join(row[0] for row in ROWS)))
    assert named
    assert named <= public


def test_logs_are_silent_until_the_application_wants_them():
    code = (
        "import logging, sottovoce;"
        "log = logging.getLogger('sottovoce.fl');"
        "log.error('unseen');"
        "logging.basicConfig(format='%(name)s %(message)s');"
        "log.error('seen')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "sottovoce.fl seen\n"
