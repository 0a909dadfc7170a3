"""``evidence`` and ``judge``: show somebody without a key who sent a packet, and what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..._ext.errors import DecodeError
from ..._ext.spool import NewFile, spool
from ...clsc import Evidence, PublicKey, SecretKey, Strength, Verdict, judge, make_evidence
from .. import console, files
from ..armor import Label, armor
from ..console import STDOUT, Refused
from ..keyring import Keyring
from ..passphrase import Passphrase
from ..text import date_of, fingerprint, text_of
from .own import OwnKeys
from .sealing import with_any_key


def evidence(
    ring: Keyring,
    passphrase: Passphrase,
    source: str,
    target: str | None,
    *,
    strength: Strength,
    label: str | None,
    ad: bytes,
    expired: bool,
    force: bool,
) -> None:
    """Make evidence about a packet; see the command's help."""
    files.check_output(target, "--output", force=force)
    own = OwnKeys(ring, passphrase)
    trust = ring.trust(expired=expired)
    keys = own.receivers(own.label(label), trust)

    def attempt(key: SecretKey, packet: Path | BinaryIO) -> Evidence:
        assert isinstance(packet, Path)
        return make_evidence(packet, receiver=key, trust=trust, ad=ad, strength=strength)

    with _packet_path(source) as packet:
        made = with_any_key(keys, packet, attempt)
    # From CONTENT on it opens the packet: as private as the plaintext.
    private = strength is not Strength.SIGNED
    files.write_text(armor(Label.EVIDENCE, made.to_bytes()), target, private=private)
    if private:
        console.note("whoever has this evidence and the packet can read the packet: keep it as the plaintext")


def judge_(
    ring: Keyring,
    source: str,
    packet: str | None,
    target: str | None,
    *,
    root_file: str | None,
    force: bool,
    json_target: str | None,
) -> None:
    """Judge evidence; see the command's help."""
    if target is not None and packet is None:
        raise files.usage("the content is in the packet: name it with --packet", "--output")
    files.check_output(target, "--output", force=force)
    if source == packet == files.STDIN:
        raise files.usage("evidence and packet cannot both come from standard input", "--packet")
    shown = Evidence.from_bytes(_one(source, Label.EVIDENCE))
    root = _judging_root(ring) if root_file is None else _one(root_file, Label.ROOT)
    of = shown.sender.params.root_public_key
    if of != root:
        raise Refused(
            f"the evidence is of another issuer: root key {fingerprint(of)}, not {fingerprint(root)}",
            "--root FILE names that issuer's root.pub; compare the digits with the issuer",
        )
    with contextlib.ExitStack() as stack:
        path = None if packet is None else stack.enter_context(_packet_path(packet))
        if target is None:
            verdict = judge(shown, root, packet=path, target=_nowhere(shown, path, stack))
        else:
            verdict = _judge_into(shown, root, path, target, force)
    _tell(verdict, root, target, json_target)


def _judging_root(ring: Keyring) -> bytes:
    root = ring.root()
    if root is None:
        raise Refused("no issuer's root key is known here to judge by", "--root FILE")
    return root


def _judge_into(shown: Evidence, root: bytes, path: Path | None, target: str, force: bool) -> Verdict:
    """Judge, and write the content; the file appears when all of it holds."""
    with files.binary_output(target) as out:
        if not isinstance(out, Path):
            return judge(shown, root, packet=path, target=out)
        with NewFile(out, overwrite=force) as new:
            verdict = judge(shown, root, packet=path, target=new.file)
            new.publish()
            return verdict


def _nowhere(shown: Evidence, path: Path | None, stack: contextlib.ExitStack) -> BinaryIO | None:
    """Where content goes that nobody asked for: not into memory, however long it is."""
    if path is None or shown.strength is Strength.SIGNED:
        return None
    return stack.enter_context(Path("/dev/null").open("wb"))


def _one(name: str, label: Label) -> bytes:
    found = files.of_label(files.read_blocks(name), label)
    if len(found) != 1:
        raise DecodeError(f"{name}: one {label} expected")
    return found[0]


@contextlib.contextmanager
def _packet_path(name: str) -> Iterator[Path]:
    """A path of the packet; of one that comes through a pipe, that of a private file."""
    source = files.binary_input(name)
    if isinstance(source, Path) and source.is_file():
        yield source
        return
    with spool() as kept, contextlib.ExitStack() as stack:
        stream = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        files.copy(stream, kept)
        kept.flush()
        yield Path(f"/dev/fd/{kept.fileno()}")


def _tell(verdict: Verdict, root: bytes, target: str | None, json_target: str | None) -> None:
    """The verdict in lines, on stdout unless that has content or JSON; and as JSON."""
    lines = {
        "signed by": _who(verdict.sender),
        "issuer": f"root key {fingerprint(root)}",
        "valid": f"{date_of(verdict.sender.params.not_before)} to {date_of(verdict.sender.params.not_after)}",
        "packet": verdict.packet_id.hex(),
        "length": f"{verdict.plaintext_bytes} bytes",
    }
    if verdict.ad:
        lines["with"] = text_of(verdict.ad)
    if verdict.addressee is not None:
        lines["addressed to"] = _who(verdict.addressee)
    lines["shown"] = {
        Strength.SIGNED: "who signed this packet; not what it says",
        Strength.CONTENT: "who signed this packet, and what it says",
        Strength.ADDRESSED: "who signed this packet, what it says, and to whom it was addressed",
    }[verdict.strength]
    console.write_json(_document(verdict, root), json_target)
    results = console.results_console(target if target == STDOUT else json_target)
    for name, value in lines.items():
        results.print(f"{name + ':':<14}{value}", markup=False, soft_wrap=True)


def _who(key: PublicKey) -> str:
    name = text_of(key.identity) if key.identity else "a pseudonym"
    return f"{name} (mode {key.mode}, epoch {text_of(key.params.epoch)}, pid {key.pid.hex()})"


def _document(verdict: Verdict, root: bytes) -> dict[str, Any]:
    def fields(key: PublicKey | None) -> dict[str, Any] | None:
        if key is None:
            return None
        return {
            "mode": str(key.mode),
            "epoch": text_of(key.params.epoch),
            "identity": text_of(key.identity),
            "pid": key.pid.hex(),
            "not_before": key.params.not_before,
            "not_after": key.params.not_after,
        }

    return {
        "strength": verdict.strength.name.lower(),
        "sender": fields(verdict.sender),
        "root_public_key": root.hex(),
        "packet_id": verdict.packet_id.hex(),
        "plaintext_bytes": verdict.plaintext_bytes,
        "ad": verdict.ad.hex(),
        "addressee": fields(verdict.addressee),
    }
