"""``trust``: whom to believe, and under which name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..._ext.errors import DecodeError, SenderError
from ...clsc import EpochParams, Mode, PublicKey, TrustStore
from .. import console, files
from ..armor import Label, armor
from ..console import Refused
from ..keyring import Keyring, reading
from ..passphrase import Passphrase
from ..text import date_of, fingerprint, text_of
from . import people
from .own import OwnKeys


def show(ring: Keyring, json_target: str | None) -> None:
    """List everything that is believed here, and the user's own keys."""
    key = ring.require_root()
    trust = ring.trust()
    own = _mine(ring)
    mine = {label: own.public_keys(label, trust) for label in own.labels()}
    others = {name: ring.keys_of(name, trust) for name in ring.names()}
    waiting = [str(path.relative_to(ring.home / "secret").with_suffix("")) for path in own.pending(None)]
    document = {
        "home": str(ring.home),
        "root_public_key": key.hex(),
        "fingerprint": fingerprint(key),
        "epochs": [_epoch(params, trust) for params in trust.epochs],
        "own": {label: [_key(each, trust) for each in keys] for label, keys in mine.items()},
        "known": {name: [_key(each, trust) for each in keys] for name, keys in others.items()},
        "waiting": waiting,
    }
    console.write_json(document, json_target)
    results = console.results_console(json_target)

    def tell(text: str) -> None:
        results.print(text, markup=False, soft_wrap=True)

    tell(f"root key   {fingerprint(key)}")
    for params in trust.epochs:
        tell(f"epoch      {_epoch_line(params, trust)}")
    for heading, people_here in (("own", mine), ("known", others)):
        for name, keys in people_here.items():
            for each in keys:
                state = _state(each, trust)
                tell(f"{heading:<11}{name}: {people.listing(each)}{state and f' ({state})'}")
    for path in waiting:
        tell(f"waiting    {path}")


def root(ring: Keyring, source: str | None, json_target: str | None) -> None:
    """Pin the root key of an issuer, or show the one that is pinned."""
    if source is None:
        key = ring.require_root()
    else:
        key = _read_root(source)
        ring.pin_root(key)
    results = console.results_console(json_target)
    console.write_json({"root_public_key": key.hex(), "fingerprint": fingerprint(key)}, json_target)
    results.print(f"root key {fingerprint(key)}", markup=False, soft_wrap=True)


def _read_root(source: str) -> bytes:
    found = files.of_label(files.read_blocks(source), Label.ROOT)
    if len(found) != 1 or len(found[0]) != 32:
        raise DecodeError(f"{source}: one root key of 32 bytes expected")
    return found[0]


def add(ring: Keyring, sources: list[str], name: str | None) -> None:
    """Add whatever the texts hold: parameters, public keys, revocation lists."""
    trust = ring.trust()
    blocks = [(source, label, data) for source in sources for label, data in files.read_blocks(source)]
    for source, label, _ in blocks:
        if label not in (Label.PARAMS, Label.PUBLIC_KEY, Label.REVOCATIONS, Label.ROOT):
            hint = {
                Label.ENROLMENT: f"sottovoce keygen --enrolment {source}",
                Label.ANSWER: f"sottovoce keygen --answer {source}",
                Label.SIGNATURE: f"sottovoce verify FILE --sig {source}",
                Label.EVIDENCE: f"sottovoce judge {source}",
            }.get(label, "public keys, parameters, revocation lists and the root key are")
            raise Refused(f"{source}: this is no text for the keyring, but one of kind {label}", hint)
    # In this order: a key is read with its parameters, and a list is of known parameters.
    for _, label, data in blocks:
        if label is Label.ROOT:
            if ring.pin_root(data):  # refuses another one
                raise AssertionError("a keyring without a root key has no trust store")
            console.note(f"root key {fingerprint(data)}: pinned already")
    for source, label, data in blocks:
        if label is Label.PARAMS:
            with reading(Path(source)):
                params = ring.add_params(data, trust)
            console.note(f"parameters: {params.mode}, epoch {text_of(params.epoch)}")
    for _, label, data in blocks:
        if label is Label.PUBLIC_KEY:
            _add_key(ring, PublicKey.from_bytes(data, trust), name, trust)
    for _, label, data in blocks:
        if label is Label.REVOCATIONS:
            revoked = ring.add_revocations(data, trust)
            epoch = text_of(trust.get(revoked.params_id).epoch)
            console.note(f"revocation list {revoked.number} of epoch {epoch}: {len(revoked.pids)} keys")


def _add_key(ring: Keyring, key: PublicKey, name: str | None, trust: TrustStore) -> None:
    if name is None and key.mode is not Mode.IDENTITY:
        raise Refused("this is the key of a pseudonym", "give it a name of your own: --name NAME")
    chosen = text_of(key.identity) if name is None else name
    own = _mine(ring).label_of(key, trust)
    if own is not None:
        raise Refused(
            f"this is your own key ({own})", "`seal --to` knows the labels of your own keys as well"
        )
    if chosen in _mine(ring).labels():
        raise Refused(f"{chosen} is a label of your own", "choose another name: --name NAME")
    new = ring.add_key(chosen, key, trust)
    console.note(f"{'known now' if new else 'known already'}: {chosen}: {people.listing(key)}")


def remove(ring: Keyring, name: str) -> None:
    """Forget the keys of a name."""
    ring.remove(name)


def export(ring: Keyring, name: str, target: str | None, *, force: bool) -> None:
    """Write the public keys of a name, or of an own label, with their parameters."""
    files.check_output(target, "--output", force=force)
    trust = ring.trust()
    own = _mine(ring)
    keys = own.public_keys(name, trust) if name in own.labels() else ring.keys_of(name, trust)
    files.write_text(text_of_keys(keys), target)


def text_of_keys(keys: list[PublicKey]) -> str:
    """Keys with their parameters before them: a text that can be added without anything else."""
    params = dict.fromkeys(key.params for key in keys)
    return "".join(
        [armor(Label.PARAMS, each.to_bytes()) for each in params]
        + [armor(Label.PUBLIC_KEY, key.to_bytes()) for key in keys]
    )


def _mine(ring: Keyring) -> OwnKeys:
    """The user's own keys, public halves only: nobody is asked for a passphrase."""
    return OwnKeys(ring, Passphrase(None, None))


def _state(key: PublicKey, trust: TrustStore) -> str:
    """Why a key may not be used now; empty if it may."""
    try:
        trust.acceptable(key)
    except SenderError as error:
        return str(error)
    return ""


def _key(key: PublicKey, trust: TrustStore) -> dict[str, Any]:
    return {
        "mode": str(key.mode),
        "usage": str(key.usage),
        "epoch": text_of(key.params.epoch),
        "identity": text_of(key.identity),
        "pid": key.pid.hex(),
        "usable": not _state(key, trust),
    }


def _epoch(params: EpochParams, trust: TrustStore) -> dict[str, Any]:
    revoked = trust.revocations(params.params_id)
    return {
        "mode": str(params.mode),
        "epoch": text_of(params.epoch),
        "not_before": params.not_before,
        "not_after": params.not_after,
        "servers": params.servers,
        "threshold": params.threshold,
        "params_id": params.params_id.hex(),
        "revocation_list": None if revoked is None else revoked.number,
        "revoked": 0 if revoked is None else len(revoked.pids),
    }


def _epoch_line(params: EpochParams, trust: TrustStore) -> str:
    revoked = trust.revocations(params.params_id)
    line = (
        f"{params.mode} {text_of(params.epoch)}, {date_of(params.not_before)} to {date_of(params.not_after)}"
    )
    if params.servers > 1:
        line += f", {params.threshold} of {params.servers} servers"
    if revoked is not None:
        line += f", {len(revoked.pids)} keys revoked (list {revoked.number}, {date_of(revoked.issued_at)})"
    return line
