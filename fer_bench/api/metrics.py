"""What a server counts, for Prometheus; each app has a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

#: Upper bounds, seconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
FACES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "fer_bench_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "fer_bench_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "fer_bench_batch_faces",
            "Faces that went through the network together.",
            buckets=FACES,
            registry=self.registry,
        )
        self._faces = Counter("fer_bench_faces", "Faces classified.", registry=self.registry)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Says where the number of requests at work or waiting is to be read."""
        gauge = Gauge(
            "fer_bench_queue_length", "Requests at work or waiting.", registry=self.registry
        )
        gauge.set_function(length)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """A request that was answered; `route` is a template, never what a client chose."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_batch(self, faces: int) -> None:
        """A call of the network."""
        self._batches.observe(faces)
        self._faces.inc(faces)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
