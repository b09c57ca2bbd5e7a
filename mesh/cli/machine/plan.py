"""What one process of `up` is: its module, its environment, where it listens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.core.sockets import bare_host
from router.config import ListenerSettings, RouterSettings

EVERYWHERE = {"0.0.0.0", "", "::"}  # noqa: S104 - read, not bound
"""What a listener on every address has for its host."""
STOP_MARGIN_SECONDS = 5.0
"""What a process needs beyond its own drain time to close."""


@dataclass(frozen=True)
class Port:
    """A port a process listens on, and the setting that changes it."""

    host: str
    number: int
    setting: str


@dataclass(frozen=True)
class Plan:
    """One process to run.

    Attributes:
        name: `ocr`, `clip`, `face`, `router` or `router-2`.
        module: run with `python -m`.
        address: `host:port` to call it at: gRPC of a service, HTTP of a router.
        ports: all that it listens on.
        stop_seconds: how long it may take to drain.
        environment: all of its variables.
    """

    name: str
    module: str
    address: str
    ports: tuple[Port, ...]
    stop_seconds: float
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RouterPlan(Plan):
    """A router to run, with the settings that its environment and file give it."""

    settings: RouterSettings

    @property
    def listeners(self) -> dict[str, ListenerSettings]:
        """The listeners that it opens, by name."""
        return open_listeners(self.settings)


def open_listeners(settings: RouterSettings) -> dict[str, ListenerSettings]:
    """The listeners that a router opens: enabled ones, but for those that lack what they need."""
    listeners = settings.listeners
    needs: dict[str, Any] = {"mt_photos": listeners.mt_photos.api_key, "photos": listeners.photos.immich_url}
    every: dict[str, ListenerSettings] = {name: getattr(listeners, name) for name in type(listeners).model_fields}
    return {name: one for name, one in every.items() if one.enabled and needs.get(name, True)}


def reachable(host: str) -> str:
    """The address at which this machine itself reaches a server that listens on `host`."""
    host = bare_host(host)
    if host in EVERYWHERE:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
