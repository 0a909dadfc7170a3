"""``kgc trace`` opens pseudonyms; ``kgc check-trace`` is for whoever is shown the result."""

from __future__ import annotations

from typing import Any

from ..._ext.errors import DecodeError
from ...clsc import Mode, PublicKey, Trace, TrustStore
from .. import console, files
from ..armor import Label, armor
from ..passphrase import Passphrase
from ..text import fingerprint, text_of
from .folder import Folder


def trace(
    folder: Folder,
    passphrase: Passphrase,
    source: str,
    target: str | None,
    *,
    force: bool,
    json_target: str | None,
) -> None:
    """Open a pseudonym; see the command's help."""
    files.check_output(target, "--output", force=force)
    console.check_writable(json_target, "--json")
    folder.require()
    folder.passphrase(passphrase)  # asked for now: nobody should wait for a person while the lock is held
    with folder.registry() as registry:
        trust = folder.trust(registry)
        keys = _traceable_keys(source, trust)
        issuers = {key.params: folder.issuer(registry, key.params, passphrase) for key in keys}
        traces = [issuers[key.params].trace(key) for key in keys]
    for found in traces:
        found.verify(trust)
    if target is not None:
        files.write_text(_text(traces), target)
    _tell(traces, json_target)


def _traceable_keys(source: str, trust: TrustStore) -> list[PublicKey]:
    blocks = files.of_label(files.read_blocks(source), Label.PUBLIC_KEY)
    keys = [PublicKey.from_bytes(data, trust) for data in blocks]
    keys = [key for key in keys if key.mode is Mode.TRACEABLE]
    if not keys:
        raise DecodeError(f"{source}: a public key of mode traceable expected")
    return keys


def _text(traces: list[Trace]) -> str:
    """The traces, and the parameters without which nobody can check them."""
    params = {key.params: None for found in traces for key in (found.pseudonym, found.signer)}
    return "".join(
        [armor(Label.PARAMS, each.to_bytes()) for each in params]
        + [armor(Label.TRACE, found.to_bytes()) for found in traces]
    )


def check_trace(source: str, root_file: str, json_target: str | None) -> None:
    """Check the file of a trace without any secret; see the command's help."""
    console.check_writable(json_target, "--json")
    blocks = files.read_blocks(source)
    roots = files.of_label(files.read_blocks(root_file), Label.ROOT)
    traces = files.of_label(blocks, Label.TRACE)
    if len(roots) != 1:
        raise DecodeError(f"{root_file}: a root key expected")
    if not traces:
        raise DecodeError(f"{source}: a trace expected")
    trust = TrustStore(roots[0])
    for data in files.of_label(blocks, Label.PARAMS):
        trust.add_bytes(data)
    shown = [Trace.from_bytes(data, trust) for data in traces]
    for found in shown:
        found.verify(trust)
    console.note(f"root key: {fingerprint(roots[0])}")
    console.note("compare the signer's X with the key that the name is known by: an issuer can make new keys")
    _tell(shown, json_target)


def _tell(traces: list[Trace], json_target: str | None) -> None:
    console.write_json({"traces": [_document(found) for found in traces]}, json_target)
    results = console.results_console(json_target)
    for found in traces:
        line = f"{found.pseudonym.pid.hex()} is {text_of(found.name)}, signed by X {found.signer.X.hex()}"
        results.print(line, markup=False, soft_wrap=True)


def _document(found: Trace) -> dict[str, Any]:
    return {
        "name": text_of(found.name),
        "signer": {"epoch": text_of(found.signer.params.epoch), "X": found.signer.X.hex()},
        "pseudonym": {
            "epoch": text_of(found.pseudonym.params.epoch),
            "usage": str(found.pseudonym.usage),
            "pid": found.pseudonym.pid.hex(),
        },
    }
