"""Counts for Prometheus; a registry for each service, so that several may live in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Readings = Mapping[str, float]


class Metrics:
    """Requests of a service, and what its role counts.

    Args:
        role: ``relay``, ``aggregator``, ``member`` or ``issuer``; part of every name.
    """

    def __init__(self, role: str) -> None:
        self._role = role
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
        self._requests.labels(self._role, path, str(status)).inc()
        self._seconds.labels(self._role).observe(seconds)

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
