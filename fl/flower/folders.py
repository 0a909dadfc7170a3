"""What a node and a server keep on disk: trust, conditions, keys, memory.

::

    settings.json         root key, policy (nodes), what may leave in clear (nodes), mode of the pseudonyms
    passphrase            of the key files, mode 0600; SOTTOVOCE_FLOWER_PASSPHRASE names another file
    params/*.params       signed parameters of the epochs
    revoked/*.revoked     signed revocation lists
    keys/ROLE-ID.key      key files: device, member-sign, member-decrypt, aggregator-sign, aggregator-decrypt
    members/NN.pub        (server) public keys of the committee, in order
    device.sqlite, member.sqlite    (nodes) what was sent, signed and answered

Nothing in here comes from a message or from a run's configuration, which the server writes.  Flower runs an
app in a process of its own for every message, so what a node remembers is on disk.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from flwr.app import Context

from ... import clsc
from ..._ext import cbor, sealed
from ..._ext.errors import DecodeError, ParameterError
from ..client import Client
from ..errors import ProtocolError, Reason
from ..member import Member
from ..policy import Policy
from ..server import ServerIdentity, ServerKeys
from ..sqlite_member import SqliteMemberStore
from ..sqlite_outbox import SqliteOutbox

NODE_ENV = "SOTTOVOCE_FLOWER_NODE"
SERVER_ENV = "SOTTOVOCE_FLOWER_SERVER"
PASSPHRASE_ENV = "SOTTOVOCE_FLOWER_PASSPHRASE"  # noqa: S105 - the name of a variable
NODE_CONFIG = "sottovoce"
"""Key of a node's configuration that names its folder."""

ID_CHARS = 16
"""Hexadecimal digits of a ``params_id`` in the name of a key file."""

SIGN, DECRYPT = "sign", "decrypt"
DEVICE, MEMBER, AGGREGATOR = "device", "member", "aggregator"


@dataclass(frozen=True)
class _Folder:
    """Trust and keys of one party.

    Attributes:
        path: The folder.
    """

    path: Path
    _clock: Callable[[], float] = field(default=time.time, repr=False)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """``settings.json``.

        Raises:
            ParameterError: Not there, or not what it must be.
        """
        try:
            settings = json.loads((self.path / "settings.json").read_bytes())
        except (OSError, ValueError) as error:
            raise ParameterError(f"{self.path}: no settings.json that can be read ({error})") from None
        if not isinstance(settings, dict) or not isinstance(settings.get("root"), str):
            raise ParameterError(f"{self.path}: settings.json without a root key")
        return settings

    @cached_property
    def trust(self) -> clsc.TrustStore:
        """The pinned root with the parameters and revocation lists of the folder."""
        try:
            root = bytes.fromhex(self.settings["root"])
        except ValueError:
            raise ParameterError(f"{self.path}: root: hexadecimal digits expected") from None
        store = clsc.TrustStore(root, clock=self._clock)
        for path in sorted((self.path / "params").glob("*.params")):
            store.add_bytes(path.read_bytes())
        for path in sorted((self.path / "revoked").glob("*.revoked")):
            store.add_revocations(path.read_bytes())
        return store

    @cached_property
    def passphrase(self) -> bytes:
        """Of the key files: the first line of the file that the environment names, or of ``passphrase``."""
        data = sealed.read_private(os.environ.get(PASSPHRASE_ENV) or self.path / "passphrase")
        if isinstance(data, Exception):
            raise data
        return data.partition(b"\n")[0].rstrip(b"\r")

    def key_path(self, role: str, params: clsc.EpochParams) -> Path:
        """Where the key of a role for an epoch is, or would be.

        Args:
            role: ``device``; or ``member`` and ``aggregator``, with ``-sign`` or ``-decrypt`` after it.
            params: Of the epoch.

        Returns:
            The path of the key file in this folder.
        """
        return self.path / "keys" / f"{role}-{params.params_id.hex()[:ID_CHARS]}.key"

    def _newest(self, role: str, modes: frozenset[clsc.Mode]) -> clsc.EpochParams:
        """The epoch in force, of those that there is a key for, that began last."""
        now = self._clock()
        there = [
            params
            for params in self.trust.epochs
            if params.mode in modes
            and params.not_before <= now <= params.not_after
            and self.key_path(role, params).exists()
        ]
        if not there:
            raise ParameterError(f"{self.path}: no {role} key of an epoch that is in force")
        return max(there, key=lambda params: params.not_before)

    def _server_keys(self, role: str) -> ServerKeys:
        params = self._newest(f"{role}-{SIGN}", frozenset({clsc.Mode.IDENTITY}))
        return ServerKeys(
            *(
                clsc.load_key(self.key_path(f"{role}-{usage}", params), self.passphrase, clsc.SecretKey)
                for usage in (SIGN, DECRYPT)
            )
        )


_POLICY_NAMES = {"aggregators", "members", "sets"}


def read_policy(fields: Mapping[str, Any]) -> Policy:
    """A policy from JSON: names as text, the clip range as a list.

    Raises:
        ParameterError, TypeError: An unknown condition, or an impossible one.
    """
    known = set(Policy.__dataclass_fields__)
    if not isinstance(fields, dict) or not fields.keys() <= known:
        raise ParameterError(f"policy: an object with {', '.join(sorted(known))} expected")
    values: dict[str, Any] = dict(fields)
    for name in values.keys() & _POLICY_NAMES:
        listed = values[name]
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise ParameterError(f"policy: {name}: a list of texts expected")
        values[name] = frozenset(listed if name == "sets" else (entry.encode() for entry in listed))
    if isinstance(values.get("clip_range"), list):
        values["clip_range"] = tuple(values["clip_range"])
    return Policy(**values)


@dataclass(frozen=True)
class NodeFolder(_Folder):
    """One node: a device that contributes, a member of the committee, or both.

    Args:
        path: The folder.

    Source: docs/fl-flower.md, "The folders".
    """

    @classmethod
    def of(cls, context: Context) -> Self:
        """The folder that this node's own configuration or environment names.

        ``--node-config 'sottovoce="/path"'`` at the SuperNode, or SOTTOVOCE_FLOWER_NODE; the latter may
        contain ``{partition-id}``, which a simulation fills in.  The run's configuration is not asked.

        Args:
            context: Flower's, of the node.

        Raises:
            ParameterError: Neither is there.
        """
        named = context.node_config.get(NODE_CONFIG) or os.environ.get(NODE_ENV)
        if not isinstance(named, str):
            raise ParameterError(f"no folder: --node-config '{NODE_CONFIG}=\"/path\"' or {NODE_ENV}")
        partition = context.node_config.get("partition-id", "")
        return cls(Path(named.replace("{partition-id}", str(partition))))

    @cached_property
    def policy(self) -> Policy:
        """The owner's conditions."""
        return read_policy(self.settings.get("policy", {}))

    @property
    def weighted_by(self) -> str:
        """The metric that holds the number of examples."""
        return str(self.settings.get("weighted_by", "num-examples"))

    @property
    def clear_metrics(self) -> frozenset[str]:
        """Metrics of evaluation that may leave in clear.

        Raises:
            ParameterError: The settings of the folder are wrong.
        """
        listed = self.settings.get("clear_metrics", [])
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise ParameterError("settings: clear_metrics: a list of names expected")
        return frozenset(listed)

    @property
    def requires_results(self) -> bool:
        """Whether to train on after a round only once its result was shown and verified.

        Raises:
            ParameterError: The settings of the folder are wrong.
        """
        value = self.settings.get("require_results", False)
        if not isinstance(value, bool):
            raise ParameterError("settings: require_results: true or false expected")
        return value

    @contextmanager
    def client(self) -> Iterator[Client]:
        """The device, with its key of the epoch in force and its outbox.

        Raises:
            ParameterError: No such key.
            KeyFileError, StoreError, OSError: Key or outbox cannot be read.
        """
        params = self._newest(DEVICE, frozenset({clsc.Mode.BLIND, clsc.Mode.TRACEABLE}))
        key = clsc.load_key(self.key_path(DEVICE, params), self.passphrase, clsc.SecretKey)
        with SqliteOutbox(self.path / "device.sqlite") as outbox:
            yield Client(key, self.trust, self.policy, outbox=outbox)

    @contextmanager
    def member(self) -> Iterator[Member]:
        """The committee member.

        Raises:
            ProtocolError: This node is none (:attr:`Reason.NOT_MEMBER`).
            KeyFileError, StoreError, OSError: Its keys or its memory cannot be read.
        """
        if not any((self.path / "keys").glob(f"{MEMBER}-{SIGN}-*.key")):
            raise ProtocolError(Reason.NOT_MEMBER)
        keys = self._server_keys(MEMBER)
        with SqliteMemberStore(self.path / "member.sqlite") as store:
            yield Member(keys, self.trust, self.policy, store=store)


@dataclass(frozen=True)
class ServerFolder(_Folder):
    """The server: the aggregator's keys, and who is in the committee.

    Args:
        path: The folder.

    Source: docs/fl-flower.md, "The folders".
    """

    @classmethod
    def named(cls, path: str | os.PathLike[str] | None) -> Self:
        """The folder at ``path``, or that SOTTOVOCE_FLOWER_SERVER names.

        Args:
            path: The folder; None asks the environment.

        Raises:
            ParameterError: Neither is there.
        """
        named = path or os.environ.get(SERVER_ENV)
        if not named:
            raise ParameterError(f"folder: a path expected, here or in {SERVER_ENV}")
        return cls(Path(named))

    def keys(self) -> ServerKeys:
        """The aggregator's keys of the epoch in force."""
        return self._server_keys(AGGREGATOR)

    def members(self) -> tuple[ServerIdentity, ...]:
        """The committee, in the order of the file names.

        Raises:
            DecodeError: Not public keys of a member.
            SenderError: Of an unknown epoch.
        """
        found = []
        for path in sorted((self.path / "members").glob("*.pub")):
            value = cbor.loads(path.read_bytes())
            try:
                found.append(ServerIdentity.from_list(value, self.trust))
            except DecodeError as error:
                raise DecodeError(f"{path.name}: {error}") from None
        return tuple(found)

    def sender_params(self) -> clsc.EpochParams:
        """Parameters of the contributors' pseudonyms: the mode that the settings name, in force now.

        Raises:
            ParameterError: There are none.
        """
        mode = clsc.Mode(self.settings.get("senders", "blind"))
        now = self._clock()
        there = [p for p in self.trust.epochs if p.mode is mode and p.not_before <= now <= p.not_after]
        if not there:
            raise ParameterError(f"{self.path}: no epoch of mode {mode} is in force")
        return max(there, key=lambda params: params.not_before)
