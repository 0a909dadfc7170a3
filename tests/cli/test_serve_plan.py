"""Options of ``serve aggregator`` and ``serve peer`` that make no round: said before anything is begun."""

import math

import pytest
from typer.testing import CliRunner

from sottovoce.cli.app import app
from sottovoce.fl import ParameterError
from sottovoce.fl.http import PeerPlan, RoundPlan
from support.cli_session import plain

AGGREGATOR = ["aggregator", "--member", "a=http://127.0.0.1:1", "--model", "none.npz", "--state", "none"]
PEER = [
    "peer", "--roster", "none", "--peer", "a=http://127.0.0.1:1", "--policy", "none", "--state", "none",
    "--sender", "device", "--model", "none.npz", "--train", "true",
]  # fmt: skip
CLIPS = [0, -1, math.nan, math.inf]
PLANS = [
    *({"clip": clip} for clip in CLIPS),
    {"min_contributors": 8, "max_contributors": 4},
    {"min_contributors": 2},
    {"max_contributors": (1 << 20) + 1},
    {"max_examples": 1 << 53},
    {"shard_k": 4, "shard_n": 3},
    {"shard_n": 256},
    *({name: value} for name in ("collect_s", "close_s", "audit_s") for value in (math.inf, math.nan)),
]


@pytest.mark.parametrize("fields", PLANS, ids=str)
def test_a_plan_that_makes_no_header_is_refused(fields):
    RoundPlan(clip=1.0)
    with pytest.raises(ParameterError):
        RoundPlan(**{"clip": 1.0, **fields})


@pytest.mark.parametrize("clip", CLIPS)
def test_a_peer_has_a_clip(clip):
    with pytest.raises(ParameterError, match="clip"):
        PeerPlan(clip=clip)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*AGGREGATOR, "--clip=0"], "clip: a finite positive number expected, got 0.0"),
        ([*AGGREGATOR, "--clip=nan"], "clip: a finite positive number expected, got nan"),
        ([*AGGREGATOR, "--clip=1", "--min-contributors=8", "--max-contributors=4"], "got 8 and 4"),
        ([*AGGREGATOR, "--clip=1", "--shard-k=4"], "Invalid value for The round"),
        ([*AGGREGATOR, "--clip=1", "--collect=inf"], "finite times expected"),
        ([*PEER, "--clip=nan"], "clip: a finite positive number expected, got nan"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_it_is_a_usage_error(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["serve", *arguments], prog_name="sottovoce")
    assert result.exit_code == 2
    assert words in " ".join(plain(result.stderr).replace("│", " ").split())
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []
