"""What listeners may know of the router: set by the composition root, read by them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from router.config import RouterSettings


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What came of a reload. `problems` is empty when it succeeded; `restart_needed` names what waits for a restart."""

    at: datetime
    problems: tuple[str, ...]
    restart_needed: tuple[str, ...] = ()


class Clusters(Protocol):
    """What is asked of the clusters."""

    @property
    def can_serve(self) -> bool:
        """Whether any cluster could answer anything."""

    @property
    def passes_on(self) -> bool:
        """Whether any cluster is a native Immich ML server."""


class RouterStatus:
    """The router's state.

    Args:
        settings: those in use; replaced by a reload.
        config_file: where a reload reads from; None when there is no file.
        clusters: asked whether they can serve.

    Attributes:
        draining: whether requests should go to another router; those that come are still answered.
    """

    def __init__(self, settings: RouterSettings, config_file: Path | None, clusters: Clusters) -> None:
        self.settings = settings
        self.config_file = config_file
        self.draining = False
        self.started_at = datetime.now(UTC)
        self.last_reload: ReloadReport | None = None
        self._clusters = clusters

    @property
    def can_serve(self) -> bool:
        """Whether any cluster could answer anything."""
        return self._clusters.can_serve

    @property
    def passes_on(self) -> bool:
        """Whether requests may be passed on as they came."""
        return self._clusters.passes_on

    @property
    def ready(self) -> bool:
        """Whether this router should be sent requests."""
        return not self.draining and (self.can_serve or self._is_front_door_alone)

    @property
    def _is_front_door_alone(self) -> bool:
        """Whether only the photo front door is open, which passes Immich's traffic on whatever the clusters do."""
        listeners = self.settings.listeners
        recognises = listeners.immich_ml.enabled or (listeners.mt_photos.enabled and listeners.mt_photos.api_key)
        return bool(listeners.photos.enabled and listeners.photos.immich_url and not recognises)
