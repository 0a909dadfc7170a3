"""``client submit``, ``model`` and ``result``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from ..._ext.errors import DecodeError
from ...clsc import TrustStore
from ...fl import Client, Outbox, RoundHeader, SignedHeader
from ...fl.http import Courier, TransportError
from .. import console, files
from ..armor import Label, armor, dearmor
from ..console import Refused
from ..he import arrays
from ..keyring import Keyring
from ..passphrase import Passphrase
from ..serve import stores
from ..serve.policy import read_policy
from ..serve.roles import authorities
from ..user.own import OwnKeys

_MAX_HEADER_TEXT: Final = 1 << 20
_BUSY_S: Final = 60.0


def submit(
    ring: Keyring,
    passphrase: Passphrase,
    label: str | None,
    *,
    update_file: str,
    source: str,
    relays: list[str],
    model_file: str,
    policy_file: Path,
    outbox: Path,
    examples: int | None,
    wait_s: float,
    patience_s: float,
    spread_s: float,
    header_file: str | None,
    ca_file: Path | None,
    force: bool,
    json_target: str | None,
) -> None:
    """Seal and send; see the command's help."""
    kept_header = _kept_header(header_file, force=force)
    console.check_writable(json_target, "--json")
    update, model = arrays.read(update_file), arrays.read(model_file)
    courier = Courier(source, tls=authorities(ca_file))
    with stores.outbox(outbox) as kept:
        client, _ = _client(ring, passphrase, label, policy_file, kept)
        signed_header = asyncio.run(courier.header(wait_s=wait_s))
        if kept_header not in (None, signed_header):
            raise Refused(f"{header_file} is there already, of another round", files.FORCE_HINT)
        sealed = client.seal(signed_header, model.arrays, update.arrays, examples=examples)
        if header_file is not None and kept_header is None:
            files.write_text(armor(Label.HEADER, signed_header), header_file)
        delivery = asyncio.run(courier.deliver(sealed, relays, patience_s=patience_s, spread_s=spread_s))
    for why in delivery.failed.values():
        console.note(f"a relay did not take its shard: {why}")
    header = sealed.header
    document = {
        "round": header.round_number,
        "header": header.hash.hex(),
        "pid": client.pid.hex(),
        "shards": header.shard_n,
        "taken": delivery.taken,
        "needed": delivery.needed,
        "packet_bytes": len(sealed.packet),
    }
    console.write_json(document, json_target)
    if not delivery.enough:
        raise Refused(
            f"{delivery.taken} shards were taken, {delivery.needed} are needed",
            "run it again before the deadline: the same packet is sent again",
        )
    console.note(f"round {header.round_number}: {delivery.taken} of {header.shard_n} shards sent")


def _kept_header(name: str | None, *, force: bool) -> bytes | None:
    """The header that an earlier run wrote: for the same round the command may simply be repeated.

    Raises:
        Refused: Something else is there, and ``force`` is not given.
    """
    try:
        files.check_output(name, "--header", force=force)
        return None
    except Refused:
        assert name is not None
        try:
            return dearmor(Label.HEADER, files.read_bytes(name, _MAX_HEADER_TEXT))
        except (DecodeError, Refused):
            pass
        raise


def model(
    ring: Keyring,
    source: str,
    policy_file: Path,
    target: str | None,
    *,
    after: int,
    wait_s: float,
    ca_file: Path | None,
    force: bool,
    json_target: str | None,
) -> None:
    """Fetch the model of the round that collects; see the command's help."""
    if target is None:
        raise files.usage("needed: the file for the model, .npz", "--output")
    files.check_output(target, "--output", force=force)
    console.check_writable(json_target, "--json")
    policy = read_policy(policy_file)
    trust = ring.trust()
    courier = Courier(source, tls=authorities(ca_file))

    async def fetch() -> RoundHeader:
        signed_header = await courier.header(wait_s=wait_s, after=after)
        header = SignedHeader.from_bytes(signed_header, trust).header
        policy.check_parties(header)
        values = await courier.model(header, wait_s=_BUSY_S)  # for a place among those who fetch
        names = tuple(f"arr_{i}" for i in range(len(values)))
        arrays.write(arrays.Model(names, list(values)), target, force=force)
        return header

    header = asyncio.run(fetch())
    document = {
        "round": header.round_number,
        "header": header.hash.hex(),
        "deadline": header.deadline,
        "max_examples": header.max_examples,
    }
    console.write_json(document, json_target)


def result(
    ring: Keyring,
    passphrase: Passphrase,
    label: str | None,
    *,
    header_file: str,
    source: str,
    policy_file: Path,
    outbox: Path,
    target: str | None,
    published_file: str | None,
    wait_s: float,
    ca_file: Path | None,
    force: bool,
    json_target: str | None,
) -> None:
    """Fetch and verify a result; see the command's help."""
    files.check_output(target, "--output", force=force)
    files.check_output(published_file, "--published", force=force)
    if files.same_file(target, published_file):
        raise files.usage("the mean goes to that file", "--published")
    if published_file == console.STDOUT:
        raise files.usage("a file expected", "--published")
    console.check_writable(json_target, "--json")
    signed_header = dearmor(Label.HEADER, files.read_bytes(header_file, _MAX_HEADER_TEXT))
    courier = Courier(source, tls=authorities(ca_file))
    with stores.outbox(outbox) as kept:
        client, trust = _client(ring, passphrase, label, policy_file, kept)
        header = SignedHeader.from_bytes(signed_header, trust).header
        try:
            published = asyncio.run(courier.result(header, wait_s=wait_s))
        except TransportError:
            if time.time() > header.audit_deadline:
                kept.discard(header.hash)  # nobody can want it any more
            raise
        checked = client.read_result(signed_header, published)
        sent = kept.find(header.hash) is not None
        included = client.included(checked)
        if published_file is not None:  # also one without the own update: then above all
            with console.atomic_file(published_file) as path:
                path.write_bytes(published)
        if target is not None:
            means = header.layout.unflatten(checked.mean)
            names = tuple(f"arr_{i}" for i in range(len(means)))
            arrays.write(arrays.Model(names, list(means)), target, force=force)
        # The round is over: the bytes are of no more use.  That they were sent stays known.
        kept.discard(header.hash)
    document = {
        "round": header.round_number,
        "header": header.hash.hex(),
        "contributors": checked.agreed.count,
        "total_weight": checked.total_weight,
        "members": sorted(checked.member_signatures),
        "included": included,
    }
    console.write_json(document, json_target)
    if sent and not included:
        raise Refused(
            f"the update for round {header.round_number} is not in its result",
            "too few of its shards arrived, or the aggregator left it out",
        )
    console.note(f"round {header.round_number}: {checked.agreed.count} contributors, signatures good")


def _client(
    ring: Keyring, passphrase: Passphrase, label: str | None, policy_file: Path, outbox: Outbox
) -> tuple[Client, TrustStore]:
    policy = read_policy(policy_file)
    own = OwnKeys(ring, passphrase)
    trust = ring.trust()
    return Client(own.signer(own.label(label), trust), trust, policy, outbox=outbox), trust
