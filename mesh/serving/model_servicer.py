"""`immich_mesh.model.v1.ModelService` over the model manager: the same in every service."""

from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc

from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.statuses import ModelStatus


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Shows and steers the models of one service."""

    def __init__(self, manager: ModelManager) -> None:
        self._manager = manager

    async def ListModels(
        self, request: model_pb2.ListModelsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> model_pb2.ListModelsResponse:
        """Every part of every model that this service knows of."""
        return model_pb2.ListModelsResponse(models=await self._models())

    async def LoadModel(
        self, request: model_pb2.LoadModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> model_pb2.LoadModelResponse:
        """Loads all parts of one model, or of the default, from a mirror where one is named."""
        if request.hub:
            self._manager.use_hub(request.hub)
        await self._manager.load(request.name)
        return model_pb2.LoadModelResponse(models=await self._models(self._manager.resolve(request.name)))

    async def UnloadModel(
        self, request: model_pb2.UnloadModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> model_pb2.UnloadModelResponse:
        """Unloads all parts of one model, or of all."""
        await self._manager.unload(request.name)
        name = self._manager.resolve(request.name) if request.name else None
        return model_pb2.UnloadModelResponse(models=await self._models(name))

    async def _models(self, name: str | None = None) -> list[model_pb2.Model]:
        return [_to_proto(status) for status in await self._manager.statuses() if name in (None, status.name)]


def _to_proto(status: ModelStatus) -> model_pb2.Model:
    message = model_pb2.Model(
        name=status.name,
        part=status.part,
        state=model_pb2.ModelState.ValueType(status.state.value),
        size_bytes=status.size_bytes,
        memory_bytes=status.memory_bytes,
        dimension=status.dimension,
        provider=status.provider,
        in_use=status.in_use,
        pinned=status.pinned,
        download_progress=status.download_progress,
        error=status.error,
        download_bytes=status.download_bytes,
    )
    if status.last_used_at is not None:
        message.last_used_at.CopyFrom(Timestamp(nanos=0, seconds=int(status.last_used_at)))
    return message
