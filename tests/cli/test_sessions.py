"""The sessions in ``sessions/``: several commands of several people, as they would type them."""

from pathlib import Path

import pytest

from sottovoce._ext import sealed
from support.cli_session import Session, sessions


@pytest.mark.parametrize(
    "steps", [pytest.param(steps, id=name) for name, steps in sessions(Path(__file__).parent / "sessions")]
)
def test_session(steps, tmp_path, monkeypatch):
    # A passphrase is stretched for a fifth of a second each time; the stretching has its own tests.
    monkeypatch.setattr(sealed, "COST", sealed.Cost(memory_kib=64, passes=1, lanes=1))
    session = Session(tmp_path, monkeypatch)
    for step in steps:
        session.run(step)
