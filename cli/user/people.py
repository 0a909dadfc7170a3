"""Who somebody is: for a person in a line, for a machine in a few fields."""

from __future__ import annotations

from typing import TypedDict

from ...clsc import Mode, PublicKey, TrustStore
from ..text import date_of, text_of
from .own import OwnKeys


class Person(TypedDict):
    """The holder of a public key.

    ``known_as`` is the user's own name for the key, ``own`` a label of one of the user's keys; both are
    None for a stranger.  ``identity`` is what the issuer vouches for: in mode ``identity`` that the name
    has this key, in mode ``traceable`` a pseudonym, in mode ``blind`` nothing.
    """

    mode: str
    epoch: str
    usage: str
    identity: str
    pid: str
    known_as: str | None
    own: str | None


def person(key: PublicKey, own: OwnKeys, trust: TrustStore) -> Person:
    """The fields of the holder of ``key``."""
    return {
        "mode": str(key.mode),
        "epoch": text_of(key.params.epoch),
        "usage": str(key.usage),
        "identity": text_of(key.identity),
        "pid": key.pid.hex(),
        "known_as": own.ring.name_of(key, trust),
        "own": own.label_of(key, trust),
    }


def line(who: Person) -> str:
    """One line: how the user knows them first, what the issuer says of them after it."""
    details = f"epoch {who['epoch']}, pid {who['pid']}"
    says = {
        Mode.IDENTITY: f"{who['identity']!r} by the issuer's word",
        Mode.TRACEABLE: "a pseudonym that the issuer can open",
        Mode.BLIND: "a pseudonym that the issuer never saw",
    }[Mode(who["mode"])]
    if who["known_as"] is not None:
        return f"{who['known_as']} ({says}, {details})"
    if who["own"] is not None:
        return f"yourself, as {who['own']} ({details})"
    return f"somebody not known here: {says} ({details})"


def listing(key: PublicKey) -> str:
    """A key in a list of keys."""
    params = key.params
    name = "" if key.mode is not Mode.IDENTITY else f" {text_of(key.identity)!r}"
    return (
        f"{key.usage} {key.mode}{name}, epoch {text_of(params.epoch)}, "
        f"{date_of(params.not_before)} to {date_of(params.not_after)}, pid {key.pid.hex()}"
    )
