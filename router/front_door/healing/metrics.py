"""What self-healing counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class HealingMetrics:
    """The metrics of self-healing, in the router's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.starts = Counter(
            "immich_mesh_healing_starts",
            "Times that Immich was told to queue what is missing: started, or why not (paused, failed).",
            ["queue", "outcome"],
            registry=registry,
        )
        self.requeued = Counter(
            "immich_mesh_healing_requeued", "Photos of lost forced OCR runs that were queued again.", registry=registry
        )
        self.due = Gauge(
            "immich_mesh_healing_due", "1 while something may have been dropped and is not healed.", registry=registry
        )
