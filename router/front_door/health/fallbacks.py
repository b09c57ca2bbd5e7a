"""How many searches of the last minutes were left to Immich, and why: read from the front door's own counter."""

import time
from collections import Counter
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from router.front_door.health.check import Check

COUNTER = "immich_mesh_photos_searches"
REMEDIES = {
    "no-database": "set DB_URL",
    "database-unavailable": "immich-mesh db status",
    "key-may-not-read-user": "use keys with user.read and partner.read",
    "embedding-unavailable": "immich-mesh doctor",
    "embedding-dimension-mismatch": "set ROUTER_LISTENERS__PHOTOS__CLIP_MODEL",
}
"""Reasons that somebody can do something about; a filter that only Immich can apply is none."""


class Fallbacks:
    """Compares the counter with what it was at the last look."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._last = self._counts()
        self._last_at = clock()

    def look(self) -> Check:
        """Searches per minute since the last look, by how they were served."""
        now, counts = self._clock(), self._counts()
        minutes = max(1e-9, (now - self._last_at) / 60)
        rates = {key: (counts[key] - self._last[key]) / minutes for key in counts if counts[key] > self._last[key]}
        self._last, self._last_at = counts, now
        if not rates:
            return Check("searches", True, "none since the last look")
        parts = [f"{rate:.1f} {reason or served}" for (served, reason), rate in sorted(rates.items())]
        wrong = sorted(reason for _, reason in rates if reason in REMEDIES)
        text = f"per minute: {', '.join(parts)}"
        return Check("searches", not wrong, text, "; ".join(REMEDIES[reason] for reason in wrong))

    def _counts(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for metric in self._registry.collect():
            if metric.name == COUNTER:
                for sample in metric.samples:
                    if sample.name.endswith("_total"):
                        found[sample.labels["served"], sample.labels["reason"]] += sample.value  # type: ignore[assignment]
        return found
