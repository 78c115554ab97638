"""What the server counts, in Prometheus' words."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Gauges:
    """Hold the counters of one server.

    Args:
        waiting: returns the images accepted and not yet answered.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("tagweave_requests", "Requests to predict, by status.", ["status"], registry=registry)
        self.images = Counter("tagweave_images", "Images, by outcome.", ["outcome"], registry=registry)
        self.seconds = Histogram(
            "tagweave_request_seconds", "From a request's first byte to its answer.", buckets=SECONDS, registry=registry
        )
        self.batches = Histogram("tagweave_batch_images", "Images scored together.", buckets=SIZES, registry=registry)
        gauge = Gauge("tagweave_waiting_images", "Images accepted and not yet answered.", registry=registry)
        gauge.set_function(waiting)

    def page(self) -> bytes:
        """Return the page that Prometheus reads."""
        return generate_latest(self.registry)
