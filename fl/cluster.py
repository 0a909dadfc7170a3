"""Opening packets on a Dask cluster: ``pip install sottovoce[dask]``.

The packets go to the workers through the scheduler, as they came, encrypted; the plaintexts (which hold
nothing but ciphertexts and public data) and the batches' sums come back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Worker
from distributed.diagnostics.plugin import WorkerPlugin

from .. import clsc
from .._ext.errors import ParameterError
from .wire import expect
from .workers import drop_key, handover, hold_key


class _KeyPlugin(WorkerPlugin):
    """Hands a key to every worker when it starts, also to those that come later."""

    def __init__(self, key: clsc.SecretKey) -> None:
        self._public_key = key.public_key
        self._handover = handover(key)
        self.name = f"sottovoce-{hashlib.sha256(key.public_key.to_bytes()).hexdigest()[:16]}"

    def setup(self, worker: Worker) -> None:
        hold_key(*self._handover)

    def teardown(self, worker: Worker) -> None:
        drop_key(self._public_key)

    def __repr__(self) -> str:
        return f"<{self.name}>"


@contextmanager
def cluster_executor(client: Client, key: clsc.SecretKey) -> Iterator[Executor]:
    """An executor over a cluster whose workers hold a decrypt key while the block runs.

    For ``Aggregator(executor=..., worker_key=HeldKey(key.public_key))``.  The key goes once to the scheduler,
    which hands it to every worker: both are as trusted as the aggregator.  Where the scheduler is not, put a
    key file on every worker's machine (:class:`WorkerKeyFile`) and use ``client.get_executor(pure=False)``.

    Args:
        client: Connected; with TLS, unless scheduler and workers are on this machine's loopback.
        key: The aggregator's ``decrypt`` key.

    Yields:
        The executor.  It never takes one call for another (``pure=False``).

    Raises:
        TypeError: Wrong types.
        ParameterError: A connection that is neither TLS nor loopback; nothing has been sent.

    Timing: as :func:`sottovoce.fl.handover`.
    Source: docs/fl-scale.md, "An aggregator over an executor".
    """
    expect("client", client, Client)
    expect("key", key, clsc.SecretKey)
    connected: Any = client  # parts of it have no types
    information: dict[str, Any] = connected.scheduler_info(n_workers=-1)
    for address in (information["address"], *information["workers"]):
        _require_private(address)
    plugin = _KeyPlugin(key)
    connected.register_plugin(plugin, name=plugin.name)
    try:
        yield connected.get_executor(pure=False)
    finally:
        connected.unregister_worker_plugin(plugin.name)


def _require_private(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme in ("tls", "inproc") or _is_loopback(parts.hostname):
        return
    raise ParameterError(f"cluster: TLS required off loopback, got {address}")


def _is_loopback(host: str | None) -> bool:
    try:
        return host is not None and ip_address(host).is_loopback
    except ValueError:  # a name, whatever it points to today
        return False
