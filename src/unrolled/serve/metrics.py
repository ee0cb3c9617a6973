"""Counters in the text format of Prometheus, served at /metrics; labels hold no text of users."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "unrolled_requests", "Requests by route and status", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "unrolled_request_seconds", "Time of a request", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.batches = Histogram(
            "unrolled_batch_rows",
            "Inputs or rows in one call of a model",
            ["run"],
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self.waiting = Gauge("unrolled_waiting", "Requests that are not finished", ["run"], registry=self.registry)
        self.sessions = Gauge("unrolled_sessions", "Open sessions", registry=self.registry)
        self.session_bytes = Gauge("unrolled_session_bytes", "Bytes of their states", registry=self.registry)
        self.ended = Counter("unrolled_sessions_ended", "Ended sessions by reason", ["reason"], registry=self.registry)

        self._requests: dict[tuple[str, int], tuple[Any, Any]] = {}  # a look-up by labels takes longer than to count

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        counters = self._requests.get((route, status))
        if counters is None:
            counters = self.requests.labels(route, str(status)), self.seconds.labels(route)
            self._requests[route, status] = counters
        counters[0].inc()
        counters[1].observe(seconds)

    def batch(self, run: str, rows: int) -> None:
        """Count a call of a model."""
        self.batches.labels(run).observe(rows)

    def text(self) -> bytes:
        """Return all counters as text."""
        return generate_latest(self.registry)
