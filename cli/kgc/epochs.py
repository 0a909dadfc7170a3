"""``kgc epoch``: new parameters, signed once.

The order is what makes a second set of parameters for one (mode, epoch) impossible, at whatever point the
machine stops:

1. the registry reserves the name, durably;
2. the root key signs;
3. the key file is written, complete or not at all.  It carries the signed parameters;
4. the registry records the parameters;
5. they are published.

Stopped before 3, the name is used up and nothing was published.  Stopped after it, the same command goes on
with the parameters that are in the key file, and signs nothing.
"""

from __future__ import annotations

import base64
import datetime
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import typer

from ..._ext import sealed
from ..._ext.errors import DecodeError, IssueError, ParameterError
from ...clsc import (
    AdmissionKey,
    EpochParams,
    MasterKey,
    MasterShare,
    Mode,
    RootKey,
    SqliteRegistry,
    TracingKey,
    deal,
    sign_admission_keys,
)
from ...clsc.admission import needs_admission
from ...clsc.keyfile import load_key, save_key
from ...clsc.master import check_arguments
from .. import console
from ..armor import Label, armor
from ..console import Refused
from ..passphrase import Passphrase
from ..text import date_of, text_of
from .folder import Folder


@dataclass(frozen=True, slots=True)
class Plan:
    """What the options ask for; the numbers as in :func:`sottovoce.clsc.deal`."""

    mode: Mode
    epoch: bytes
    not_before: int
    not_after: int
    threshold: int
    servers: int
    answers: int
    corrupted: int

    def check(self) -> None:
        """Refuse what no parameters can hold.

        Raises:
            typer.BadParameter: Says which rule.
        """
        if self.not_after <= self.not_before:
            raise typer.BadParameter("expected a time after --from", param_hint="--to")
        try:
            check_arguments(
                self.mode, self.epoch, self.not_before, self.not_after, self.threshold, self.servers,
                self.answers, self.corrupted,
            )  # fmt: skip
        except ParameterError as error:
            raise typer.BadParameter(str(error)) from None


def second_of(text: str, option: str, *, end: bool) -> int:
    """A point in time: ``2026-11-30`` (its first second in UTC, or its last), or ``2026-11-30T18:00Z``.

    Raises:
        typer.BadParameter: Neither.
    """
    try:
        if len(text) == len("2026-11-30"):
            day = datetime.datetime.combine(datetime.date.fromisoformat(text), datetime.time(), datetime.UTC)
            return int(day.timestamp()) + (24 * 3600 - 1 if end else 0)
        moment = datetime.datetime.fromisoformat(text)
        # A time without its zone would mean another epoch on another machine.
        if moment.tzinfo is not None:
            return int(moment.timestamp())
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(
        f"a day such as 2026-11-30, or a time with its zone such as 2026-11-30T18:00Z, expected, got {text}",
        param_hint=option,
    )


def epoch(folder: Folder, passphrase: Passphrase, plan: Plan, json_target: str | None) -> None:
    """Begin an epoch; see the command's help."""
    plan.check()
    console.check_writable(json_target, "--json")
    folder.require()
    root = folder.root_key(passphrase)
    secret = folder.passphrase(passphrase)
    with folder.registry() as registry:
        key = (plan.mode, plan.epoch)
        if any((params.mode, params.epoch) == key for params in registry.epochs()):
            params = next(params for params in registry.epochs() if (params.mode, params.epoch) == key)
            if folder.is_published("params", Label.PARAMS, params, params.to_bytes()):
                raise Refused(
                    f"the {plan.mode} epoch {text_of(plan.epoch)} is there already", "take another name"
                )
        else:
            earlier = _signed_before(folder, secret, plan)
            if earlier is not None and not registry.is_reserved(root.public_key, plan.mode, plan.epoch):
                # Answers under it may have left: nothing tells who has quota left.
                raise Refused(
                    f"the key of the {plan.mode} epoch {text_of(plan.epoch)} is older than the registry, "
                    "which was restored",
                    "take another name",
                )
            params = earlier or _sign(folder, registry, root, secret, plan)
            registry.add_epoch(params)
        _same_plan(params, plan)
        path = folder.publish("params", Label.PARAMS, params, params.to_bytes())
    if params.servers > 1:
        console.note(
            f"hand each server its files in {folder.file('shares', params)}, key and passphrase apart"
        )
    if not is_open(params):
        console.note(f"this epoch has ended on {date_of(params.not_after)}: no keys of it are issued")
    document = {
        "mode": str(params.mode),
        "epoch": text_of(params.epoch),
        "params_id": params.params_id.hex(),
        "not_before": params.not_before,
        "not_after": params.not_after,
        "threshold": params.threshold,
        "servers": params.servers,
        "params": str(path),
    }
    console.write_json(document, json_target)
    console.results_console(json_target).print(str(path), markup=False, soft_wrap=True)


def _signed_before(folder: Folder, secret: bytes, plan: Plan) -> EpochParams | None:
    """The parameters in the key file of an interrupted run."""
    single, shares = (folder.file(kind, (plan.mode, plan.epoch)) for kind in ("epochs", "shares"))
    if single.exists():
        return load_key(single, secret, MasterKey).params
    if shares.exists():
        transfer = Passphrase(shares / "server-1.passphrase", None).existing("server 1")
        return load_key(shares / "server-1.key", transfer, MasterShare).params
    return None


def _same_plan(params: EpochParams, plan: Plan) -> None:
    """Tell somebody who continues an interrupted run with other options that they have no effect."""
    asked = (plan.not_before, plan.not_after, plan.threshold, plan.servers, plan.answers, plan.corrupted)
    signed = (
        params.not_before, params.not_after, params.threshold, params.servers, params.answers,
        params.corrupted,
    )  # fmt: skip
    if asked != signed:
        console.note(
            "an interrupted run had signed these parameters, and they stand: "
            f"{date_of(params.not_before)} to {date_of(params.not_after)}, "
            f"{params.threshold} of {params.servers} servers"
        )


def _sign(folder: Folder, registry: SqliteRegistry, root: RootKey, secret: bytes, plan: Plan) -> EpochParams:
    if folder.file("params", (plan.mode, plan.epoch)).exists():
        # The registry would know them; but two sets of parameters for one epoch convict the issuer.
        raise Refused(
            f"parameters of the {plan.mode} epoch {text_of(plan.epoch)} were published", "take another name"
        )
    try:
        registry.reserve_epoch(root.public_key, plan.mode, plan.epoch)
    except IssueError as error:
        raise Refused(str(error), "an interrupted run used the name up: take another") from None
    tracing = TracingKey.generate() if plan.mode is Mode.TRACEABLE else None
    if plan.servers == 1:
        master = MasterKey.generate(
            root, plan.mode, plan.epoch, not_before=plan.not_before, not_after=plan.not_after
        )
        path = folder.private_parent(folder.file("epochs", master.params))
        if tracing is not None:
            save_key(folder.file("tracing", master.params), tracing, secret)
        save_key(path, master, secret)
        return master.params
    shares = deal(
        root, plan.mode, plan.epoch, not_before=plan.not_before, not_after=plan.not_after,
        threshold=plan.threshold, servers=plan.servers, answers=plan.answers, corrupted=plan.corrupted,
    )  # fmt: skip
    params = shares[0].params
    admission = [AdmissionKey.generate() for _ in shares] if needs_admission(params) else []
    public = [key.public_key for key in admission]
    listed = sign_admission_keys(root, params, public) if admission else b""
    _write_shares(folder.private_parent(folder.file("shares", params)), shares, tracing, admission, listed)
    return params


def _write_shares(
    target: Path,
    shares: list[MasterShare],
    tracing: TracingKey | None,
    admission: list[AdmissionKey],
    listed: bytes,
) -> None:
    """The files of each server, its keys under a passphrase of its own; all of them, or none.

    Args:
        target: The new folder.
        shares: One for each server.
        tracing: The same for all, in mode ``traceable``.
        admission: One for each, in mode ``blind``; else empty.
        listed: Their public halves, signed.
    """
    beside = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
    beside.mkdir(mode=0o700)
    try:
        for share in shares:
            # 160 random bits: the two files may go separate ways, and a server chooses its own later.
            transfer = base64.b32encode(os.urandom(20)).lower()
            path = beside / f"server-{share.index}.key"
            save_key(path, share, transfer)
            if tracing is not None:
                save_key(path.with_suffix(".tracing"), tracing, transfer)
            if admission:
                save_key(path.with_suffix(".admission"), admission[share.index - 1], transfer)
                text = armor(Label.ADMISSION_KEYS, listed)
                sealed.write_new_private(path.with_suffix(".admissions"), text.encode("ascii"))
            sealed.write_new_private(path.with_suffix(".passphrase"), transfer + b"\n")
        beside.rename(target)  # refuses a folder that has something in it
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def is_open(params: EpochParams) -> bool:
    """Whether keys of this epoch are accepted now or later."""
    return params.not_after >= time.time()


def find_epoch(registry: SqliteRegistry, mode: Mode, name: str) -> EpochParams:
    """The parameters of an epoch by its name.

    Raises:
        Refused: There is none.
    """
    for params in registry.epochs():
        if params.mode is mode and text_of(params.epoch) == name:
            return params
    raise Refused(f"there is no {mode} epoch {name}", "sottovoce kgc show lists the epochs")


def epoch_name(text: str) -> bytes:
    """The bytes of an epoch's name."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise DecodeError("epoch: the name is not text") from None
