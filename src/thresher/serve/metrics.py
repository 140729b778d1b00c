"""What Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The counters of one service; a registry of its own, so that several may live in a process."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            "thresher_requests", "Requests.", ["method", "route", "status"], registry=own
        )
        self.seconds = Histogram(
            "thresher_request_seconds",
            "Time to answer a request.",
            ["route"],
            buckets=SECONDS,
            registry=own,
        )
        self.decisions = Counter(
            "thresher_decisions", "Decisions that were logged.", ["decision"], registry=own
        )
        self.verdicts = Counter(
            "thresher_verdicts", "Verdicts that were kept.", ["kind", "source"], registry=own
        )
        self.batch = Histogram(
            "thresher_batch_queries",
            "Queries answered together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 1024),
            registry=own,
        )
        self.waiting = Gauge("thresher_waiting_queries", "Queries that wait.", registry=own)
        self.changed_items = Gauge(
            "thresher_changed_items", "Items changed since certification.", registry=own
        )
        self.open_cases = Gauge("thresher_open_cases", "Open cases.", ["reason"], registry=own)
        self.oldest_case = Gauge(
            "thresher_oldest_case_seconds", "Age of the oldest open case.", registry=own
        )
        self.accepting = Gauge(
            "thresher_accepting",
            "1 where answers may be accepted, 0 where all go to review.",
            registry=own,
        )

    def text(self) -> bytes:
        """All of it, in Prometheus's own format."""
        return generate_latest(self.registry)
