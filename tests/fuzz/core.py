"""What a fuzz target is, what must hold for any input, and a seeded mutator for where there is no atheris."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sottovoce._ext.errors import DecodeError

CORPUS = Path(__file__).parent / "corpus"
FROZEN = CORPUS.parent / "frozen.json"
CHOICE_BYTES = 2
"""Before an input, where several targets share a run."""
MAX_STORED_BYTES = 4096
"""Longer seeds are made when they are needed (``Target.made``), not stored."""


class Finding(AssertionError):  # noqa: N818 - what it is, not what went wrong in the harness
    """Something that must not happen, with the input that does it."""

    def __init__(self, target: str, data: bytes, what: str) -> None:
        shown = data.hex() if len(data) <= 2000 else f"{data[:2000].hex()}... ({len(data)} bytes)"
        super().__init__(f"{target}: {what}; input {shown}")


@dataclass(frozen=True)
class Target:
    """One decoder.

    Attributes:
        name: ``area/what``; also the folder of its corpus.
        read: Decodes, and gives what the value encodes to, or None where a value says "refused" in place of
            an exception; what has no encoding is wrapped in :func:`taken`.
        errors: The documented exceptions.
        made: Seeds that are made at run time: long ones, and those that a secret of this process signs.
        of: Classes whose ``from_bytes`` (or ``read_from``, ``from_list``) it reaches, as ``module.Class``
            below ``sottovoce``; names of functions that read bytes.
        tries: Mutations in the short run: fewer for what is slow.
        random: Where the bytes of what is made are frozen, if they differ from run to run (a signature, a
            nonce); what is made otherwise is frozen in ``frozen.json``.
        heavy: Its seeds take seconds to make; left out of the short run.
    """

    name: str
    read: Callable[[bytes], bytes | None]
    errors: tuple[type[Exception], ...] = (DecodeError,)
    made: Callable[[], list[bytes]] = list
    of: tuple[str, ...] = ()
    tries: int = 60
    random: str = ""
    heavy: bool = False

    @property
    def corpus(self) -> Path:
        return CORPUS / self.name

    def stored(self) -> list[bytes]:
        """The corpus in the repository, in the order of its names."""
        return [path.read_bytes() for path in sorted(self.corpus.glob("*"))]

    def digests(self) -> list[str]:
        """SHA-256 of what is made, in its order."""
        return [hashlib.sha256(data).hexdigest() for data in _made(self)]

    def seeds(self) -> list[bytes]:
        return [*self.stored(), *_made(self)]

    def check(self, data: bytes) -> bool:
        """Whether ``data`` was read.

        Raises:
            Finding: An exception that is not documented, or a value that encodes to other bytes.
        """
        try:
            again = self.read(data)
        except self.errors as error:
            # What a secret has been used for must not say more than its one sentence.
            if error.__cause__ is not None:
                raise Finding(self.name, data, f"{error!r} shows its cause {error.__cause__!r}") from error
            return False
        except Finding:
            raise
        except Exception as error:
            raise Finding(self.name, data, f"raised {error!r}") from error
        if again is None:
            return False
        if again != data:
            raise Finding(self.name, data, f"encodes to {again[:2000].hex()}")
        return True


def taken(read: Callable[[bytes], object]) -> Callable[[bytes], bytes]:
    """For what has no encoding of its own: taken as it came unless ``read`` raises."""

    def as_it_came(data: bytes) -> bytes:
        read(data)
        return data

    return as_it_came


@cache
def _made(target: Target) -> list[bytes]:
    return target.made()


_INTERESTING = (0, 1, 2, 3, 127, 128, 255, 1 << 15, (1 << 16) - 1, 1 << 24, (1 << 31) - 1, (1 << 32) - 1)


def mutate(choose: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """Valid bytes with a few places flipped, cut, doubled, moved, set to a limit, or spliced with others."""
    body = bytearray(data)
    for _ in range(choose.choice((1, 1, 1, 2, 4))):
        at = choose.randrange(len(body) + 1)
        if choose.random() < 0.5:  # structure is at the beginning: tags, lengths, versions
            at = min(at, choose.randrange(200))
        size = choose.choice((1, 1, 2, 4, 8, 32, 48, 96))
        match choose.randrange(8):
            case 0 if body:
                body[at % len(body)] ^= 1 << choose.randrange(8)
            case 1 if body:
                body[at % len(body)] = choose.randrange(256)
            case 2:
                del body[at : at + size]
            case 3:
                body[at:at] = choose.randbytes(size)
            case 4:
                body[at:at] = body[at : at + size]
            case 5:
                width = choose.choice((1, 2, 4, 8))
                body[at : at + width] = (choose.choice(_INTERESTING) % (1 << 8 * width)).to_bytes(
                    width, "big"
                )
            case 6:
                other = choose.choice(others)
                start = choose.randrange(len(other) + 1)
                body[at : at + size] = other[start : start + size]
            case _:
                del body[at:]
    return bytes(body)


def inputs(target: Target, tries: int, salt: str = "") -> list[bytes]:
    """The seeds, a few things that are nothing, and ``tries`` mutations: the same in every run."""
    seeds = target.seeds()
    choose = random.Random(f"20261129 {target.name} {salt}")
    nothing = [b"", b"\0", b"\xff" * 64, bytes(5000), choose.randbytes(400)]
    return [*seeds, *nothing, *(mutate(choose, choose.choice(seeds), seeds) for _ in range(tries))]
