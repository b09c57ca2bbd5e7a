"""Asks the router's admin API what is loaded and how it is, and orders models loaded and unloaded (docs/admin.md)."""

from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from mesh.cli.clients.router_client import LOOPBACK
from mesh.cli.output.outcome import CommandError, ExitCode, one_line

ASK_SECONDS = 10.0
LOAD_SECONDS = 3600.0
"""As the router's own limit of one load, whose download may be long."""


@dataclass(frozen=True)
class EndpointModel:
    """One part of a model at one endpoint, as the router tells it; sizes in bytes, `download_progress` 0 to 1."""

    cluster: str
    endpoint: str
    name: str
    part: str
    state: str
    size_bytes: int
    memory_bytes: int
    provider: str
    last_used_at: str | None
    in_use: int
    download_progress: float
    error: str

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """The part in a reply; what a newer router tells beyond it is left out."""
        return cls(**{field.name: payload[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class ModelList:
    """The models of all clusters, and by cluster why one could not be asked."""

    parts: tuple[EndpointModel, ...]
    errors: dict[str, str]


class AdminClient:
    """The admin API of one router.

    Args:
        url: e.g. `http://127.0.0.1:9901`.
        timeout_seconds: of a question; a load has a limit of its own.
        transport: replaces the network in tests.
    """

    def __init__(
        self, url: str, timeout_seconds: float = ASK_SECONDS, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CommandError(f"{url!r} is no address: write it like http://127.0.0.1:9901", ExitCode.USAGE)
        self._client = httpx.Client(
            timeout=timeout_seconds, transport=transport, trust_env=parts.hostname not in LOOPBACK
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def models(self) -> ModelList:
        """What every service has. Raises CommandError."""
        clusters = self._ask("GET", "/models")["clusters"]
        parts = tuple(EndpointModel.of(part) for one in clusters.values() for part in one["models"])
        return ModelList(parts, {name: one["error"] for name, one in clusters.items() if one["error"]})

    def clusters(self) -> list[dict[str, Any]]:
        """The clusters with their endpoints, as the API gives them. Raises CommandError."""
        found: list[dict[str, Any]] = self._ask("GET", "/clusters")["clusters"]
        return found

    def immich(self) -> list[dict[str, Any]]:
        """What the router sees of Immich and its database, as the API gives it. Raises CommandError."""
        checks: list[dict[str, Any]] = self._ask("GET", "/immich")["checks"]
        return checks

    def load(self, cluster: str, name: str) -> tuple[EndpointModel, ...]:
        """Loads a model at every endpoint, downloading it if need be; returns when it is ready. Raises CommandError."""
        return self._order("load", cluster, name, LOAD_SECONDS)

    def unload(self, cluster: str, name: str) -> tuple[EndpointModel, ...]:
        """Takes a model (empty: all) out of memory at every endpoint. Raises CommandError."""
        return self._order("unload", cluster, name, 6 * ASK_SECONDS)

    def _order(self, verb: str, cluster: str, name: str, seconds: float) -> tuple[EndpointModel, ...]:
        order = {"cluster": cluster, "name": name, "wait": True}
        done = self._ask("POST", f"/models/{verb}", json=order, timeout=seconds)
        return tuple(EndpointModel.of(part) for part in done["models"])

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            response = self._client.request(method, f"{self.url}{path}", **options)
        except httpx.TransportError as error:
            reason = one_line(str(error)) or type(error).__name__
            raise CommandError(
                f"cannot reach the router's admin page at {self.url} ({reason}): start it with `immich-mesh up`, or "
                "give --admin-url",
                ExitCode.UNREACHABLE,
            ) from None
        try:
            payload = response.json()
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            raise CommandError(f"{self.url}{path} answered something other than JSON: is it the router's admin page?")
        if response.is_error:
            complaint = payload.get("error") or {}
            code = ExitCode.UNREACHABLE if response.status_code in {503, 504} else ExitCode.REFUSED
            raise CommandError(
                one_line(complaint.get("message") or f"HTTP {response.status_code} from {self.url}"), code
            )
        return payload
