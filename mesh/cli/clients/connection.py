"""How `immich-mesh call` reaches the mesh: the options that all of its commands have, and the client that they ask for.

Imports what is heavy inside, so that `--help` comes at once.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh.cli.clients.client import MeshClient
from mesh.cli.output.outcome import CommandError, ExitCode

DEFAULT_URL = "http://127.0.0.1:3003"
SERVICE_ADDRESSES = {"ocr": "127.0.0.1:50051", "clip": "127.0.0.1:50052", "face": "127.0.0.1:50053"}

_PANEL = "Connection"


@dataclass(frozen=True)
class Connection:
    """Where to ask: the router, or with `grpc` a service. Each field is an option of the command line."""

    url: Annotated[
        str, typer.Option("--url", envvar="IMMICH_MESH_URL", help="The router's address.", rich_help_panel=_PANEL)
    ] = DEFAULT_URL
    grpc: Annotated[
        bool, typer.Option("--grpc", help="Ask the service directly, past the router.", rich_help_panel=_PANEL)
    ] = False
    address: Annotated[
        str | None, typer.Option("--address", help="HOST:PORT of the service, with --grpc.", rich_help_panel=_PANEL)
    ] = None
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="MESH_AUTH_TOKEN", help="Bearer token, with --grpc.", rich_help_panel=_PANEL),
    ] = None
    tls_ca: Annotated[
        Path | None,
        typer.Option("--tls-ca", help="Authority (PEM) to trust: TLS, with --grpc.", rich_help_panel=_PANEL),
    ] = None
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the answer.", rich_help_panel=_PANEL)
    ] = 300.0

    def client(self, family: str) -> MeshClient:
        """A client of the router, or of the family's service. Raises CommandError."""
        if not self.grpc:
            if self.address or self.tls_ca:
                raise CommandError("--address and --tls-ca need --grpc", ExitCode.USAGE)
            from mesh.cli.clients.router_client import RouterClient

            return RouterClient(self.url, self.timeout)
        from mesh.cli.clients.service_client import ServiceClient
        from mesh.core.settings import TlsSettings

        if self.tls_ca is not None and not self.tls_ca.is_file():
            raise CommandError(f"there is no file {self.tls_ca}", ExitCode.USAGE)
        tls = TlsSettings(ca_file=self.tls_ca) if self.tls_ca else None
        return ServiceClient(self.address or SERVICE_ADDRESSES[family], self.timeout, tls, self.token)


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of `Connection` after its own; it gets them as its argument `connection`."""
    own = inspect.signature(command)
    options = inspect.signature(Connection).parameters

    @wraps(command)
    def run(**given: Any) -> None:
        connection = Connection(**{name: given.pop(name) for name in options})
        command(**given, connection=connection)

    kept = [parameter for name, parameter in own.parameters.items() if name != "connection"]
    run.__signature__ = own.replace(parameters=[*kept, *options.values()])  # type: ignore[attr-defined]
    return run
