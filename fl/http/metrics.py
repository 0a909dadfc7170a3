"""Counts for Prometheus; a registry for each service, so that several may live in one process.

Anybody may read them.  A count that moves with each shard would tell whoever asks often enough when one
came, which is what batches hide: requests to some paths are counted with the batch.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Readings = Mapping[str, float]

_MOST_TIMES: Final = 4096
"""Times of requests that are counted later; further ones are not in the histogram."""


class Metrics:
    """Requests of a service, and what its role counts.

    Args:
        role: ``relay``, ``aggregator``, ``member`` or ``issuer``; part of every name.
        later: Paths whose requests are counted when :meth:`release` says so.
    """

    def __init__(self, role: str, *, later: Iterable[str] = ()) -> None:
        self._role = role
        self._later = frozenset(later)
        self._waiting: collections.Counter[tuple[str, int]] = collections.Counter()
        self._times: list[float] = []
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sottovoce_http_requests", "Requests by path and status.", ["role", "path", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "sottovoce_http_request_seconds", "Time to answer.", ["role"],
            buckets=(0.01, 0.1, 1, 10, 60), registry=self.registry,
        )  # fmt: skip

    def request(self, path: str, status: int, seconds: float) -> None:
        """Note one request."""
        if path in self._later:
            self._waiting[path, status] += 1
            if len(self._times) < _MOST_TIMES:
                self._times.append(seconds)
            return
        self._requests.labels(self._role, path, str(status)).inc()
        self._seconds.labels(self._role).observe(seconds)

    def release(self, *, but: int = 0) -> None:
        """Count what waits.

        Args:
            but: A status whose requests wait on, with all times.
        """
        for (path, status), count in list(self._waiting.items()):
            if status != but:
                self._requests.labels(self._role, path, str(status)).inc(count)
                del self._waiting[path, status]
        if not self._waiting:
            for seconds in self._times:
                self._seconds.labels(self._role).observe(seconds)
            self._times.clear()

    def watch(
        self,
        name: str,
        help_text: str,
        read: Callable[[], Readings],
        *,
        label: str = "",
        counts: bool = False,
    ) -> None:
        """Read values when somebody asks for them.

        Args:
            name: After ``sottovoce_<role>_``.
            help_text: One sentence.
            read: Gives label value -> number; without ``label``, one entry under ``""``.
            label: Name of the label.
            counts: They only grow.
        """
        self.registry.register(_Watched(f"sottovoce_{self._role}_{name}", help_text, read, label, counts))

    def text(self) -> bytes:
        """The text format, version 0.0.4."""
        return generate_latest(self.registry)


class _Watched(Collector):
    def __init__(
        self, name: str, help_text: str, read: Callable[[], Readings], label: str, counts: bool
    ) -> None:
        self._name, self._help, self._read, self._label = name, help_text, read, label
        self._family = CounterMetricFamily if counts else GaugeMetricFamily

    def collect(self) -> Iterable[Metric]:
        family = self._family(self._name, self._help, labels=[self._label] if self._label else [])
        for value, number in self._read().items():
            family.add_metric([value] if self._label else [], number)
        yield family
