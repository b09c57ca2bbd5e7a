"""What the front door counts: how searches were served and how long they took, and what became of refreshes."""

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class FrontDoorMetrics:
    """The front door's metrics, in the router's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._searches = Counter(
            "immich_mesh_photos_searches",
            "Changed searches: ranked, hybrid, or native (left to Immich) with the reason; refused ones as none.",
            ["served", "reason"],
            registry=registry,
        )
        self._seconds = Histogram(
            "immich_mesh_photos_search_seconds",
            "Time of a changed search, Immich's part included.",
            ["served"],
            buckets=SECONDS,
            registry=registry,
        )
        self._refreshes = Counter(
            "immich_mesh_photos_refreshes", "Photos refreshed, by outcome.", ["outcome"], registry=registry
        )

    def searched(self, header: str, seconds: float) -> None:
        """Counts one changed search by the reply's `x-immich-mesh-search` header, empty when it was refused."""
        served, _, reason = (header or "none").partition("; reason=")
        self._searches.labels(served, reason).inc()
        self._seconds.labels(served).observe(seconds)

    def refreshed(self, outcome: str) -> None:
        """Counts one photo: `ok`, `failed`, or `failed_late` once its call had been answered (beside `failed`)."""
        self._refreshes.labels(outcome).inc()
