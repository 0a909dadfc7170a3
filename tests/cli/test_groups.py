"""Options that are declared once: a command with a group takes what it would take without."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from sottovoce.cli.groups import grouped

Depth = Annotated[int, typer.Option("--depth", min=1, help="How deep.")]


@dataclass(frozen=True)
class Place:
    depth: Depth
    name: Annotated[str, typer.Option("--name")] = "here"


def invoke(*arguments):
    app, taken = typer.Typer(), []

    @app.command()
    @grouped
    def look(what: str, far: Annotated[bool, typer.Option("--far")] = False, *, place: Place) -> None:
        """Look at it."""
        taken.append((what, far, place))

    return CliRunner().invoke(app, arguments), taken


def test_a_group_is_made_of_what_was_given():
    assert invoke("it", "--depth", "3")[1] == [("it", False, Place(3))]
    assert invoke("it", "--far", "--name", "there", "--depth", "1")[1] == [("it", True, Place(1, "there"))]


def test_an_option_of_a_group_is_checked_and_shown_as_any_other():
    for arguments in (["it"], ["it", "--depth", "0"]):
        refused, taken = invoke(*arguments)
        assert refused.exit_code == 2
        assert "--depth" in refused.stderr
        assert taken == []
    shown = invoke("--help")[0].stdout
    assert "Look at it." in shown
    assert "How deep." in shown
    assert shown.index("--far") < shown.index("--depth") < shown.index("--name")
