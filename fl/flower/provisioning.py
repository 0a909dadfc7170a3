"""Folders for a trial: one issuer, a server, and nodes with their keys, made in one place.

``python -m sottovoce.fl.flower OUT --nodes 5 --members 4`` on the command line.  Whoever runs this sees
every key once.  In earnest the issuer is a party of its own and each node asks for its own keys:
docs/fl-flower.md.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ... import clsc
from ..._ext import cbor, sealed
from ..._ext.errors import ParameterError
from ..server import ServerKeys
from .folders import AGGREGATOR, DECRYPT, DEVICE, MEMBER, SIGN, NodeFolder, ServerFolder, _Folder

AGGREGATOR_NAME = "aggregator"
F = TypeVar("F", bound=_Folder)


@dataclass(frozen=True)
class _Issuer:
    root_public_key: bytes
    names: clsc.Issuer
    pseudonyms: clsc.Issuer

    def server(self, name: str) -> ServerKeys:
        token = self.names.enrol(name)
        keys = []
        for usage in (clsc.Usage.SIGN, clsc.Usage.DECRYPT):
            request = clsc.IdentityRequest(self.names.params, usage, name.encode(), token)
            keys.append(request.finish(self.names.issue(name, request.to_bytes(self.names.challenge()))))
        return ServerKeys(*keys)

    def device(self, name: str) -> clsc.SecretKey:
        request = clsc.BlindRequest(self.pseudonyms.params, clsc.Usage.SIGN, self.pseudonyms.enrol(name))
        return request.finish(self.pseudonyms.issue(name, request.to_bytes()))


def provision(
    out: Path,
    *,
    n_nodes: int,
    n_members: int = 4,
    min_contributors: int = 8,
    valid_s: int = 86_400,
    clear_metrics: Sequence[str] = (),
) -> None:
    """Make ``out/server`` and ``out/node-0`` ... with keys for one epoch; the first nodes are the committee.

    Args:
        out: A folder that is not there yet.
        n_nodes: Nodes; each gets a blind pseudonym.
        n_members: Of them in the committee, at least 4.
        min_contributors: Floor in every node's policy, at least 3.
        valid_s: Length of the epoch, at most a day.
        clear_metrics: Metrics of evaluation that nodes let out in clear.

    Raises:
        ParameterError: Impossible numbers.
        FileExistsError: ``out`` is there.

    Source: docs/fl-flower.md, "A trial on one machine".
    """
    if not 4 <= n_members <= n_nodes or not 1 <= valid_s <= 86_400:
        raise ParameterError("4 <= n_members <= n_nodes and an epoch of at most a day expected")
    out.mkdir(mode=0o700, parents=True)
    root = clsc.RootKey.generate()
    now = int(time.time())
    epoch = f"flower-{now}".encode()
    span = {"not_before": now, "not_after": now + valid_s}
    issuer = _Issuer(
        root.public_key,
        *(
            clsc.Issuer(clsc.MasterKey.generate(root, mode, epoch, **span))
            for mode in (clsc.Mode.IDENTITY, clsc.Mode.BLIND)
        ),
    )
    members = [f"member-{j}" for j in range(1, n_members + 1)]
    policy = {
        "aggregators": [AGGREGATOR_NAME],
        "members": members,
        "min_contributors": min_contributors,
    }
    member_keys = [issuer.server(name) for name in members]
    server = _folder(ServerFolder(out / "server"), issuer, {"senders": "blind"})
    _save(server, AGGREGATOR, issuer.server(AGGREGATOR_NAME))
    (server.path / "members").mkdir()
    for j, keys in enumerate(member_keys, 1):
        (server.path / "members" / f"{j:02}.pub").write_bytes(cbor.dumps(keys.public.to_list()))
    for i in range(n_nodes):
        settings = {"policy": policy, "clear_metrics": list(clear_metrics), "require_results": True}
        node = _folder(NodeFolder(out / f"node-{i}"), issuer, settings)
        device = issuer.device(f"device-{i}")
        clsc.save_key(node.key_path(DEVICE, device.public_key.params), device, node.passphrase)
        if i < n_members:
            _save(node, MEMBER, member_keys[i])


def _folder(folder: F, issuer: _Issuer, settings: Mapping[str, object]) -> F:
    folder.path.mkdir(mode=0o700)
    for name in ("keys", "params"):
        (folder.path / name).mkdir(mode=0o700)
    text = json.dumps({"root": issuer.root_public_key.hex(), **settings}, indent=2)
    (folder.path / "settings.json").write_text(text + "\n")
    sealed.write_new_private(folder.path / "passphrase", secrets.token_hex(16).encode() + b"\n")
    for params in (issuer.names.params, issuer.pseudonyms.params):
        (folder.path / "params" / f"{params.mode}.params").write_bytes(params.to_bytes())
    return folder


def _save(folder: _Folder, role: str, keys: ServerKeys) -> None:
    for usage, key in ((SIGN, keys.sign), (DECRYPT, keys.decrypt)):
        path = folder.key_path(f"{role}-{usage}", key.public_key.params)
        clsc.save_key(path, key, folder.passphrase)
