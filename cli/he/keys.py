"""``he keygen``: a pair of keys."""

from __future__ import annotations

from pathlib import Path

from ...he import paillier, rlwe, save_key
from .. import console, files
from ..passphrase import Passphrase
from . import container


def keygen(
    target: str,
    public: str | None,
    passphrase: Passphrase,
    *,
    scheme: str,
    set_name: str,
    key_bits: int,
    force: bool,
    json_target: str | None,
) -> None:
    """Make a key pair; see the command's help."""
    # A secret key is never overwritten, with or without --force.
    files.check_output(target, "--output", force=False)
    files.check_output(public, "--public", force=force)
    words = passphrase.new(target)
    key = rlwe.keygen(set_name) if scheme == "rlwe" else paillier.keygen(key_bits)
    save_key(Path(target), key, words)
    text = container.public_text(key.public_key)
    files.write_text(text, public)
    key_id = key.public_key.key_id.hex()
    parameters = set_name if scheme == "rlwe" else key_bits
    document = {"scheme": scheme, "parameters": parameters, "key": key_id}
    console.write_json(document, json_target)
    console.note(f"new key {key_id[:16]} ({scheme} {parameters}): the secret is in {target}")
