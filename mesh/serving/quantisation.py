"""What int8 versions of a service's graphs learn from: the service handles photos in fp32, and what its graphs are fed
meanwhile is kept. Called by `immich-mesh models quantise` and `bench.ocr.quantise`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from mesh.core.errors import InvalidInputError
from mesh.core.settings import Device, ServiceSettings
from mesh.hub.store import ModelStore
from mesh.serving.inference.compute import ComputePool
from mesh.serving.runtimes.int8.inputs import InputLog
from mesh.serving.runtimes.session import Feeds, RuntimeSettings
from mesh.serving.server import Service, ServiceContext

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)

MOST_INPUTS = 200
"""Of one graph: a photo may have a hundred lines of text, and all are kept in memory."""


async def inputs_of_photos(
    settings: S, build: Callable[[S, ServiceContext], Service], photos: Iterable[bytes], most: int = MOST_INPUTS
) -> dict[Path, list[Feeds]]:
    """What each graph of a service's default model is fed for photos, the same for the same photos.

    Args:
        settings: the service's, with the model as its default.
        build: makes the service.
        photos: encoded; what is no photo is passed over.
        most: inputs of one graph.

    Raises what a model is refused by.
    """
    inputs = InputLog(most)
    runtime = RuntimeSettings.of(settings)
    runtime = replace(runtime, device=Device.CPU, cores=1, open_session=inputs.open_session)
    compute = ComputePool(1)
    service = build(settings, ServiceContext(compute, runtime, ModelStore.of(settings)))
    try:
        for photo in photos:
            try:
                await service.read(photo)
            except InvalidInputError as error:
                log.warning("passed over", reason=error.message)
    finally:
        await service.manager.close()
        compute.close()
    return inputs.of_graphs()
