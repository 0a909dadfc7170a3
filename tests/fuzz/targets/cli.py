"""What people hand to the commands: texts in armour, enrolments, encrypted models."""

import io

from fuzz import world
from fuzz.core import Target, taken
from fuzz.targets.ext import folder
from sottovoce._ext.errors import DecodeError
from sottovoce.cli import files
from sottovoce.cli.armor import armor, dearmor_any
from sottovoce.cli.console import Refused
from sottovoce.cli.enrolment import Enrolment
from sottovoce.cli.he import container
from sottovoce.clsc import Mode
from sottovoce.he import ModelLayout
from support import rlwe_world


def read_armour(data: bytes) -> bytes:
    label, found = dearmor_any(data)
    again = armor(label, found).encode()
    # Blank space around a text and line ends of other systems are let through.
    assert again.strip() == data.strip(b" \t\r\n").replace(b"\r\n", b"\n")
    return data


def read_blocks(data: bytes) -> None:
    path = folder() / "blocks"
    path.write_bytes(data)
    for label, found in files.read_blocks(str(path)):
        assert dearmor_any(armor(label, found)) == (label, found)


def read_public(data: bytes) -> bytes:
    path = folder() / "public"
    path.write_bytes(data)
    key = container.read_public(str(path))
    assert container.public_text(key).strip() == data.decode().strip().replace("\r\n", "\n")
    return data


def read_model_header(data: bytes) -> bytes:
    stream = io.BytesIO(data)
    header = container.read_header(stream, "model")
    _ = header.model
    return header.to_bytes() + stream.read()


def enrolment() -> bytes:
    people = world.people()
    params = (people.params[Mode.IDENTITY], people.params[Mode.BLIND])
    return Enrolment(people.root.public_key, "alice", b"alice", 2, bytes(32), params, (bytes(32),)).to_bytes()


def model_header() -> bytes:
    layout = ModelLayout.of(world.MODEL).to_bytes()
    return container.Header("rlwe", bytes(32), 1.0, 16, 8, 100, layout, ("w", "b")).to_bytes()


TARGETS = [
    Target("cli/armour", read_armour, tries=100),
    Target(
        "cli/blocks",
        taken(read_blocks),
        (DecodeError, Refused),
        tries=100,
        made=lambda: [b"\n".join(BY_NAME["cli/armour"].stored())],
    ),
    Target(
        "cli/enrolment",
        lambda data: Enrolment.from_bytes(data).to_bytes(),
        tries=30,
        of=("cli.enrolment.Enrolment",),
        made=lambda: [enrolment()],
    ),
    Target(
        "cli/he-public-key",
        read_public,
        (DecodeError, Refused),
        tries=20,
        of=("cli.he.container.read_public",),
        made=lambda: [container.public_text(rlwe_world.secret_key().public_key).encode()],
    ),
    Target(
        "cli/he-model",
        read_model_header,
        (DecodeError,),
        of=("cli.he.container.read_header",),
        made=lambda: [model_header()],
        tries=100,
    ),
]
BY_NAME = {target.name: target for target in TARGETS}
