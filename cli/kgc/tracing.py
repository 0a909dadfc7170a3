"""``kgc trace`` opens a pseudonym; ``kgc check-trace`` is for whoever is shown the result."""

from __future__ import annotations

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
    with folder.registry() as registry:
        trust = folder.trust(registry)
        key = _traceable_key(source, trust)
        found = folder.issuer(registry, key.params, passphrase).trace(key)
    found.verify(trust)
    if target is not None:
        parts = [armor(Label.PARAMS, each.params.to_bytes()) for each in (found.pseudonym, found.signer)]
        files.write_text("".join([*parts, armor(Label.TRACE, found.to_bytes())]), target)
    _tell(found, json_target)


def _traceable_key(source: str, trust: TrustStore) -> PublicKey:
    keys = [
        PublicKey.from_bytes(data, trust)
        for data in files.of_label(files.read_blocks(source), Label.PUBLIC_KEY)
    ]
    keys = [key for key in keys if key.mode is Mode.TRACEABLE]
    if len(keys) != 1:
        raise DecodeError(f"{source}: one public key of mode traceable expected, got {len(keys)}")
    return keys[0]


def check_trace(source: str, root_file: str, json_target: str | None) -> None:
    """Check the file of a trace without any secret; see the command's help."""
    console.check_writable(json_target, "--json")
    blocks = files.read_blocks(source)
    roots = files.of_label(files.read_blocks(root_file), Label.ROOT)
    traces = files.of_label(blocks, Label.TRACE)
    if len(roots) != 1:
        raise DecodeError(f"{root_file}: a root key expected")
    if len(traces) != 1:
        raise DecodeError(f"{source}: a trace expected")
    trust = TrustStore(roots[0])
    for data in files.of_label(blocks, Label.PARAMS):
        trust.add_bytes(data)
    found = Trace.from_bytes(traces[0], trust)
    found.verify(trust)
    console.note(f"root key: {fingerprint(roots[0])}")
    console.note("compare the signer's X with the key that the name is known by: an issuer can make new keys")
    _tell(found, json_target)


def _tell(found: Trace, json_target: str | None) -> None:
    document = {
        "name": text_of(found.name),
        "signer": {"epoch": text_of(found.signer.params.epoch), "X": found.signer.X.hex()},
        "pseudonym": {
            "epoch": text_of(found.pseudonym.params.epoch),
            "usage": str(found.pseudonym.usage),
            "pid": found.pseudonym.pid.hex(),
        },
    }
    console.write_json(document, json_target)
    results = console.results_console(json_target)
    results.print(f"name: {text_of(found.name)}", markup=False, soft_wrap=True)
    results.print(f"signer X: {found.signer.X.hex()}", markup=False, soft_wrap=True)
