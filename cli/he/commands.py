"""The commands of ``sottovoce he``, declared.  Everything heavy is imported inside them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from .. import console
from ..passphrase import Passphrase, PassphraseFd, PassphraseFile
from ..user.options import Force, Json, Output

he = typer.Typer(
    no_args_is_help=True,
    help="Vectors under homomorphic encryption: what sets offer, keys, and files of arrays.",
)

# Not docstrings: typer keeps their line breaks, and they suit one width of terminal only.
_PARAMS_HELP: Final = (
    "Show what each scheme and parameter set makes of such values.\n\n"
    "Numbers that share a coefficient, bits on the wire, bytes a parameter, and the bound on the "
    "probability that an honest sum fails. What is impossible is listed with the nearest wish that is not. "
    "Exit code 1 if nothing named is possible."
)
_KEYGEN_HELP: Final = (
    "Make a pair of keys: the secret one into a key file, the public one to stdout or --public.\n\n"
    "Whoever holds the secret key opens every vector, not only sums. For rounds in which nobody shall be "
    "able to do that there is the committee of sottovoce.fl."
)
_ENCRYPT_HELP: Final = (
    "Encrypt the float arrays of an .npy or .npz file.\n\n"
    "Entries are clipped to [-CLIP, CLIP] and rounded to BITS bits. All whose files are to be added use the "
    "same key and the same options. The result hides the numbers and neither shapes nor names, and anybody "
    "can change it: seal it or sign it on its way."
)
_ADD_HELP: Final = (
    "Add encrypted models without opening them; needs the public key only, and the memory of one."
)
_DECRYPT_HELP: Final = (
    "Decrypt an encrypted model, or the mean of those that were added, to an .npy or .npz file.\n\n"
    "Mean: weighted by examples where the clients gave any."
)

_MAX_EXAMPLES: Final = 1 << 53


class SchemeName(StrEnum):
    """Schemes with keys that can be kept."""

    RLWE = "rlwe"
    PAILLIER = "paillier"


class SetName(StrEnum):
    """:data:`sottovoce.he.SETS`, before anything heavy is imported."""

    N2048_Q50 = "RLWE_128_N2048_Q50"
    PQ_N2048_Q40 = "RLWE_PQ128_N2048_Q40"
    N4096_Q100 = "RLWE_128_N4096_Q100"
    PQ_N4096_Q80 = "RLWE_PQ128_N4096_Q80"
    N4096_Q72 = "RLWE_192_N4096_Q72"


class KeyBits(StrEnum):
    """Lengths of a Paillier modulus."""

    B2048 = "2048"
    B3072 = "3072"
    B4096 = "4096"


Bits = Annotated[int, typer.Option("--bits", min=4, max=24, help="Bits of a value, its sign included.")]
Clients = Annotated[int, typer.Option("--clients", min=1, max=1 << 24, help="Most that may be added.")]
To = Annotated[str, typer.Option("--to", metavar="FILE", help="The public key.")]


@he.command(help=_PARAMS_HELP)
def params(
    bits: Bits = 16,
    clients: Clients = 1024,
    sets: Annotated[
        list[SetName] | None, typer.Option("--set", metavar="SET", help="Only this set; may be repeated.")
    ] = None,
    json_target: Annotated[
        str | None,
        console.side_file("--json", "Write the table as JSON; - is stdout."),
    ] = None,
) -> None:
    console.check_writable(json_target, "--json")
    with console.command():
        from . import sizes

        sizes.show(bits, clients, [str(s) for s in sets] if sets else None, json_target)


@he.command(help=_KEYGEN_HELP)
def keygen(
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The secret key; nothing may be there.")
    ],
    public: Annotated[
        str | None, typer.Option("--public", metavar="FILE", help="The public key; stdout without it.")
    ] = None,
    scheme: Annotated[SchemeName, typer.Option("--scheme", help="What it is a key of.")] = SchemeName.RLWE,
    set_name: Annotated[
        SetName, typer.Option("--set", metavar="SET", help="Parameter set of rlwe: see sottovoce he params.")
    ] = SetName.N4096_Q100,
    key_bits: Annotated[KeyBits, typer.Option("--key-bits", help="Modulus of paillier.")] = KeyBits.B3072,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the public key.")] = False,
    json_target: Json = None,
) -> None:
    if json_target == console.STDOUT and public in (None, console.STDOUT):
        raise typer.BadParameter(
            "stdout is taken by the public key: name a file with --public", param_hint="--json"
        )
    console.check_writable(json_target, "--json")
    passphrase = Passphrase(passphrase_file, passphrase_fd)
    with console.command():
        from . import keys

        keys.keygen(
            output, public, passphrase, scheme=str(scheme), set_name=str(set_name), key_bits=int(key_bits),
            force=force, json_target=json_target,
        )  # fmt: skip


@he.command(help=_ENCRYPT_HELP)
def encrypt(
    source: Annotated[str, typer.Argument(metavar="FILE", help="Float arrays, .npy or .npz; - is stdin.")],
    to: To,
    clip: Annotated[float, typer.Option("--clip", help="Entries are clipped to [-CLIP, CLIP].")],
    bits: Bits = 16,
    clients: Clients = 1024,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Round to the nearest; else at random, right in the mean.")
    ] = False,
    examples: Annotated[
        int | None, typer.Option("--examples", min=1, max=_MAX_EXAMPLES, help="Weigh by so many examples ...")
    ] = None,
    max_examples: Annotated[
        int | None,
        typer.Option(
            "--max-examples", min=1, max=_MAX_EXAMPLES, help="... of at most so many; the same for all."
        ),
    ] = None,
    output: Output = None,
    force: Force = False,
    json_target: Json = None,
) -> None:
    _one_stdout(output, json_target)
    with console.command():
        from . import vectors

        vectors.encrypt(
            source, output, to, clip=clip, bits=bits, clients=clients, nearest=nearest, examples=examples,
            max_examples=max_examples, force=force, json_target=json_target,
        )  # fmt: skip


@he.command(help=_ADD_HELP)
def add(
    sources: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Encrypted models, or sums of such; - is stdin.")
    ],
    to: To,
    output: Output = None,
    force: Force = False,
    json_target: Json = None,
) -> None:
    _one_stdout(output, json_target)
    with console.command():
        from . import vectors

        vectors.add(sources, output, to, force=force, json_target=json_target)


@he.command(help=_DECRYPT_HELP)
def decrypt(
    source: Annotated[str, typer.Argument(metavar="FILE", help="An encrypted model, or a sum; - is stdin.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The secret key.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Arrays: .npz, or .npy if it came from one.")
    ],
    total: Annotated[bool, typer.Option("--sum", help="The sum, not the mean.")] = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    force: Force = False,
    json_target: Json = None,
) -> None:
    console.check_writable(json_target, "--json")
    passphrase = Passphrase(passphrase_file, passphrase_fd)
    with console.command():
        from . import vectors

        vectors.decrypt(
            source, output, str(key), passphrase, total=total, force=force, json_target=json_target
        )


def _one_stdout(target: str | None, json_target: str | None) -> None:
    """Refuse to mix a result and its JSON on standard output."""
    if json_target == console.STDOUT and target in (None, console.STDOUT):
        raise typer.BadParameter("stdout is taken by the result: name a file with -o", param_hint="--json")
    console.check_writable(json_target, "--json")
