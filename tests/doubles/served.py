"""One of the services, really built and served in this process, and the channel to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc

from mesh.core.rpc.channels import open_channel
from mesh.core.settings import ServiceSettings
from mesh.serving.inference.compute import ComputePool
from mesh.serving.server import Service, ServiceContext, running

S = TypeVar("S", bound=ServiceSettings)


@asynccontextmanager
async def served(
    kind: type[S],
    build: Callable[[S, ServiceContext], Service],
    cache_folder: Path,
    **changes: Any,
) -> AsyncIterator[tuple[grpc.aio.Channel, ComputePool]]:
    """The service, ready, on the models below `cache_folder`; `changes` are settings of it."""
    fields: dict[str, Any] = {"port": 0, "cache_folder": cache_folder, "offline": True, "threads": 2} | changes
    settings = kind(**fields)
    context = ServiceContext.of(settings)
    async with running(build(settings, context), settings) as server, open_channel(server.address) as channel:
        await server.ready.wait()
        yield channel, context.compute
    context.compute.close()
