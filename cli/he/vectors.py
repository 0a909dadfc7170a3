"""``he encrypt``, ``he add``, ``he decrypt``: files of arrays, their sums, and the mean."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..._ext.errors import DecodeError, ParameterError, RangeError
from ...he import Codec, load_key, paillier, rlwe
from .. import console, files
from ..console import Refused
from ..passphrase import Passphrase
from . import arrays, container
from .container import Counted, Header, PublicKey

# -- encrypt --------------------------------------------------------------------------------------


def encrypt(
    source: str,
    target: str | None,
    to: str,
    *,
    clip: float,
    bits: int,
    clients: int,
    nearest: bool,
    examples: int | None,
    max_examples: int | None,
    force: bool,
    json_target: str | None,
) -> None:
    """Encrypt a model; see the command's help."""
    if (examples is None) != (max_examples is None):
        raise files.usage("--examples and --max-examples go together", "--examples")
    if not (math.isfinite(clip) and clip > 0):
        raise files.usage(f"a finite positive number expected, got {clip}", "--clip")
    codec = Codec(clip, bits, clients, "nearest" if nearest else "stochastic")
    weight = None
    if examples is not None and max_examples is not None:
        if examples > max_examples:
            raise files.usage(f"1 to {max_examples} (--max-examples) expected, got {examples}", "--examples")
        weight = codec.weight(examples, max_examples)
    files.check_output(target, "--output", force=force)
    files.keep(target, "--output", {"--to": to})
    files.check_binary_stdout(target, "an encrypted model")
    key = container.read_public(to)
    model = arrays.read(source)
    container.check_names(model.names or (), source)
    layout = model.layout(source)
    header = Header(
        scheme=container.scheme_of(key),
        key=key.key_id,
        clip=codec.clip,
        bits=bits,
        clients=clients,
        examples=max_examples or 0,
        layout=layout.to_bytes(),
        names=model.names,
    )
    params = _params(header, key)
    try:
        values = codec.quantize_model(layout, model.arrays, weight)
    except RangeError as error:
        raise Refused(f"{source}: {model.named(str(error))}", "every number must be finite") from None
    with _bar("encrypting", key) as progress, container.sink(target, force=force) as out:
        done = _Done(progress, params.ciphertext_bytes)
        out.write(header.to_bytes())
        if isinstance(key, rlwe.PublicKey):
            key.encrypt_into(values, cast(rlwe.Params, params), Counted(out, done))
        else:
            out.write(key.encrypt(values, cast(paillier.Params, params), progress=done.part).to_bytes())
    n_bytes = len(header.to_bytes()) + params.ciphertext_bytes
    document = {
        "scheme": header.scheme,
        "key": header.key.hex(),
        "parameters": layout.size,
        "bytes": n_bytes,
        "bytes_per_parameter": n_bytes / layout.size,
    }
    console.write_json(document, json_target)


# -- add ------------------------------------------------------------------------------------------


def add(
    sources: list[str],
    target: str | None,
    to: str,
    *,
    force: bool,
    json_target: str | None,
) -> None:
    """Add encrypted models; see the command's help."""
    files.check_output(target, "--output", force=force)
    files.keep(target, "--output", {"--to": to})
    _check_once(sources)
    files.check_binary_stdout(target, "an encrypted model")
    key = container.read_public(to)
    total: _Sum | None = None
    first: Header | None = None
    sizes = sum(Path(name).stat().st_size for name in sources if name != files.STDIN)
    with _bar("adding", key) as progress:
        done = _Done(progress, 2 * sizes)
        for name in sources:
            with container.opened(name) as stream:
                header = container.read_header(stream, name)
                if first is None or total is None:
                    _check_key(header, key, name)
                    first, total = header, _Sum(_fitting(header, key, stream, name), key)
                else:
                    other = first.difference(header)
                    if other is not None:
                        raise Refused(
                            f"{name} is of another kind than {sources[0]}: {other}",
                            "all must be encrypted to one key, with the same options and shapes",
                        )
                total.add(stream, name, done)
    assert first is not None
    assert total is not None
    with container.sink(target, force=force) as out:
        out.write(first.to_bytes())
        total.write(out)
    console.write_json({"files": len(sources), "clients": total.n_summands}, json_target)


class _Sum:
    """A running sum of either scheme."""

    def __init__(self, params: rlwe.Params | paillier.Params, key: PublicKey) -> None:
        self._key = key
        self._params = params
        if isinstance(key, rlwe.PublicKey):
            self._rlwe = rlwe.CiphertextSum(cast(rlwe.Params, self._params), key.key_id)
        else:
            self._paillier = paillier.CiphertextSum(key, cast(paillier.Params, self._params))

    @property
    def n_summands(self) -> int:
        return self._rlwe.weight_sum if isinstance(self._key, rlwe.PublicKey) else self._paillier.weight_sum

    def add(self, stream: BinaryIO, name: str, done: _Done) -> None:
        try:
            if isinstance(self._key, rlwe.PublicKey):
                self._rlwe.add_from(Counted(stream, done))
            else:
                data = stream.read(self._params.ciphertext_bytes + 1)
                self._paillier.add(
                    paillier.Ciphertext.from_bytes(data, self._key, cast(paillier.Params, self._params))
                )
                done(2 * len(data))
        except DecodeError as error:
            raise DecodeError(f"{name}: {error}") from None

    def write(self, out: BinaryIO) -> None:
        if isinstance(self._key, rlwe.PublicKey):
            self._rlwe.write_to(out)
        else:
            # Whoever knows the summands would recognise their product.
            with _bar("rerandomizing", self._key) as progress:
                done = _Done(progress, self._params.ciphertext_bytes)
                out.write(self._paillier.to_ciphertext().rerandomize(progress=done.part).to_bytes())


# -- decrypt --------------------------------------------------------------------------------------


def decrypt(
    source: str,
    target: str,
    key_file: str,
    passphrase: Passphrase,
    *,
    total: bool,
    force: bool,
    json_target: str | None,
) -> None:
    """Decrypt a model or the sum of several; see the command's help."""
    arrays.check_suffix(target, "--output")
    files.check_output(target, "--output", force=force)
    files.keep(target, "--output", {"--key": key_file})
    with container.opened(source) as stream:
        header = container.read_header(stream, source)
        if (Path(target).suffix == ".npz") != (header.names is not None):
            expected = ".npy" if header.names is None else ".npz"
            raise files.usage(f"{source} becomes an {expected} file, got {target!r}", "--output")
        key = load_key(key_file, passphrase.existing(key_file))
        _check_key(header, key.public_key, source)
        params = _fitting(header, key.public_key, stream, source)
        body = stream.read()
    try:
        with _bar("decrypting", key.public_key) as progress:
            done = _Done(progress, len(body))
            if isinstance(key, rlwe.SecretKey):
                ciphertext = rlwe.Ciphertext.from_bytes(body, cast(rlwe.Params, params))
                n_clients = ciphertext.weight_sum
                values = key.decrypt(ciphertext, progress=done.part)
            else:
                packed = paillier.Ciphertext.from_bytes(body, key.public_key, cast(paillier.Params, params))
                n_clients = packed.weight_sum
                values = key.decrypt(packed, progress=done.part)
    except DecodeError as error:
        raise DecodeError(f"{source}: {error}") from None
    codec, layout = header.codec, header.model
    try:
        if total:
            # One client of full weight contributes its vector: the sum of g_i x_i / G.
            mean, weights = codec.dequantize(values, n_clients)
            opened = layout.unflatten(mean * (weights / codec.max_weight))
        else:
            opened, weights = codec.dequantize_model(layout, values, n_clients)
    except RangeError as error:
        message = arrays.Model(header.names, []).named(str(error))
        raise Refused(
            f"{source}: {message}", "it is more than the dtype of the clients' arrays holds"
        ) from None
    arrays.write(arrays.Model(header.names, opened), target, force=force)
    document = {
        "scheme": header.scheme,
        "clients": n_clients,
        "weight_sum": weights,
        "full_weight": codec.max_weight,
        "parameters": layout.size,
    }
    console.write_json(document, json_target)
    console.note(f"{'sum' if total else 'mean'} of {n_clients} in {target}")


# -- both schemes ---------------------------------------------------------------------------------


def _params(header: Header, key: PublicKey) -> rlwe.Params | paillier.Params:
    n_slots = header.model.size + 1  # and the weight
    if isinstance(key, rlwe.PublicKey):
        return rlwe.Params(key.set, n_slots, header.bits, header.clients)
    return paillier.Params(n_slots, header.bits, header.clients, key.n.bit_length())


def _fitting(header: Header, key: PublicKey, stream: BinaryIO, name: str) -> rlwe.Params | paillier.Params:
    """Parameters of a received header, before anything of the size that it claims is made."""
    try:
        params = _params(header, key)
    except ParameterError as error:
        raise DecodeError(f"{name}: header: {error}") from None
    at = stream.tell()
    n_bytes = stream.seek(0, os.SEEK_END) - at
    stream.seek(at)
    sizes = (params.ciphertext_bytes, params.sum_bytes if isinstance(params, rlwe.Params) else 0)
    if n_bytes not in sizes:
        raise DecodeError(
            f"{name}: ciphertext: {params.ciphertext_bytes} bytes expected, the file has {n_bytes}"
        )
    return params


def _check_key(header: Header, key: PublicKey, name: str) -> None:
    if header.key != key.key_id:
        raise Refused(
            f"{name} is encrypted to key {header.key.hex()[:16]}, this is {key.key_id.hex()[:16]}",
            "name the key of the pair to which it was encrypted",
        )
    if header.scheme != container.scheme_of(key):
        raise DecodeError(f"{name}: header: the scheme is not that of the key")


def _check_once(sources: list[str]) -> None:
    """Refuse a file that is named twice: it is one contribution, and its noise would count as that of two."""
    seen: set[str] = set()
    for name in sources:
        place = name if name == files.STDIN else os.path.realpath(name)
        if place in seen:
            raise Refused(f"{name} is named twice", "each contribution once; --examples weighs one")
        seen.add(place)


_PAILLIER_BAR_FROM = 1 << 18
"""Bytes of ciphertext; half a second of work."""


def _bar(doing: str, key: PublicKey) -> AbstractContextManager[Callable[[int, int], None]]:
    if isinstance(key, paillier.PublicKey):
        return console.bytes_progress(doing, _PAILLIER_BAR_FROM)
    return console.bytes_progress(doing)


class _Done:
    """Counts bytes for a progress bar."""

    def __init__(self, progress: Any, total: int) -> None:
        self._progress, self._total, self._bytes = progress, total, 0

    def __call__(self, n_bytes: int) -> None:
        self._bytes += n_bytes
        self._progress(min(self._bytes, self._total), self._total)

    def part(self, values: int, all_values: int) -> None:
        """So many of the values are done."""
        self._bytes = self._total * values // all_values
        self._progress(self._bytes, self._total)
