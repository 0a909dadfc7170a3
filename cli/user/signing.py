"""``sign`` and ``verify``: signatures beside files.

A signature file is armoured text: the parameters of the signer's epoch, its public key, the signature.
So whoever has pinned the root key can check it without asking anybody.
"""

from __future__ import annotations

from ..._ext.errors import DecodeError
from ...clsc import PublicKey, SecretKey, TrustStore, sign_file, verify_file
from .. import console, files
from ..armor import Label, armor
from ..console import STDOUT, Refused
from ..keyring import Keyring
from ..passphrase import Passphrase
from . import people
from .own import OwnKeys

SUFFIX = ".sig"


def sign(
    ring: Keyring,
    passphrase: Passphrase,
    source: str,
    target: str | None,
    *,
    label: str | None,
    force: bool,
) -> None:
    """Sign ``source``; see the command's help."""
    if target is None:
        target = STDOUT if source == files.STDIN else source + SUFFIX
    files.check_output(target, "--output", force=force)
    own = OwnKeys(ring, passphrase)
    trust = ring.trust()
    message = files.binary_input(source)
    key = own.signer(own.label(label), trust)
    with console.bytes_progress("signing") as progress:
        signature = sign_file(key, message, progress=progress)
    files.write_text(_text(key, signature), target)


def _text(key: SecretKey, signature: bytes) -> str:
    return (
        armor(Label.PARAMS, key.params.to_bytes())
        + armor(Label.PUBLIC_KEY, key.public_key.to_bytes())
        + armor(Label.SIGNATURE, signature)
    )


def verify(
    ring: Keyring,
    source: str,
    signature_file: str | None,
    *,
    signer: str | None,
    anyone: bool,
    expired: bool,
    json_target: str | None,
) -> None:
    """Verify a signature of ``source``; see the command's help."""
    if signature_file is None:
        if source == files.STDIN:
            raise files.usage("needed where the file comes from standard input", "--sig")
        signature_file = source + SUFFIX
    if signature_file == source == files.STDIN:
        raise files.usage("file and signature cannot both come from standard input", "--sig")
    own = OwnKeys(ring, Passphrase(None, None))  # only public halves are looked at
    trust = ring.trust(expired=expired, only=signer)
    key, signature = _read(signature_file, ring, trust)
    # A bad signature is told before anything about its alleged signer.
    with console.bytes_progress("verifying") as progress:
        verify_file(key, files.binary_input(source), signature, progress=progress)
    trust.acceptable(key)
    who = people.person(key, own, trust)
    if signer is None and not anyone and who["known_as"] is None and who["own"] is None:
        raise Refused(
            f"the signature is good, but it is of {people.line(who)}",
            "`sottovoce trust add` their key under a name if you know it to be theirs; or --anyone",
        )
    console.note(f"signed by {people.line(who)}")
    console.write_json({"signer": who}, json_target)


def _read(name: str, ring: Keyring, trust: TrustStore) -> tuple[PublicKey, bytes]:
    blocks = files.read_blocks(name)
    for params in files.of_label(blocks, Label.PARAMS):
        ring.believe(params, trust)
    keys = files.of_label(blocks, Label.PUBLIC_KEY)
    signatures = files.of_label(blocks, Label.SIGNATURE)
    if len(keys) != 1 or len(signatures) != 1:
        raise DecodeError(f"{name}: one public key and one signature expected")
    return PublicKey.from_bytes(keys[0], trust), signatures[0]
