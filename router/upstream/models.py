"""The models of the services, seen and steered from the router (`ModelService` of every endpoint)."""

import asyncio
from dataclasses import dataclass

import grpc
from immich_mesh.model.v1 import model_pb2

from mesh.core.errors import MeshError
from router.upstream.cluster import Cluster
from router.upstream.endpoints.endpoint import Endpoint
from router.upstream.grpc_transport import GrpcTransport, answered_error

LIST_TIMEOUT_SECONDS = 5.0
LOAD_TIMEOUT_SECONDS = 3600.0
_SERVICE = "/immich_mesh.model.v1.ModelService"


@dataclass(frozen=True, slots=True)
class EndpointModelStatus:
    """One part of a model at one endpoint: `immich_mesh.model.v1.Model` in plain types.

    `state` is absent, downloading, cached, loading, loaded or failed; sizes in bytes; `last_used_at` in ISO 8601, UTC.
    """

    cluster: str
    endpoint: str
    name: str
    part: str
    state: str
    size_bytes: int
    memory_bytes: int
    dimension: int
    provider: str
    last_used_at: str | None
    in_use: int
    pinned: bool
    download_progress: float
    error: str
    download_bytes: int = 0


class ModelClient:
    """The models of one cluster, at all of its endpoints."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def list_models(self) -> list[EndpointModelStatus]:
        """Every model at every endpoint that answers. Raises MeshError when none does."""
        request = model_pb2.ListModelsRequest().SerializeToString()
        return await self._everywhere("ListModels", request, model_pb2.ListModelsResponse, LIST_TIMEOUT_SECONDS)

    async def load(self, name: str, hub: str = "") -> list[EndpointModelStatus]:
        """Loads a model (empty: the default one) at every endpoint, downloading it if need be. Raises MeshError.

        Args:
            hub: address of a mirror that the endpoints download from, from now on until they stop; empty for none.
        """
        request = model_pb2.LoadModelRequest(name=name, hub=hub).SerializeToString()
        return await self._everywhere("LoadModel", request, model_pb2.LoadModelResponse, LOAD_TIMEOUT_SECONDS)

    async def unload(self, name: str) -> list[EndpointModelStatus]:
        """Unloads a model at every endpoint (empty: all models). Raises MeshError."""
        request = model_pb2.UnloadModelRequest(name=name).SerializeToString()
        return await self._everywhere("UnloadModel", request, model_pb2.UnloadModelResponse, LIST_TIMEOUT_SECONDS * 6)

    async def _everywhere(
        self,
        method: str,
        request: bytes,
        reply: type[model_pb2.ListModelsResponse]
        | type[model_pb2.LoadModelResponse]
        | type[model_pb2.UnloadModelResponse],
        seconds: float,
    ) -> list[EndpointModelStatus]:
        async def ask(endpoint: Endpoint) -> list[EndpointModelStatus] | MeshError:
            assert isinstance(endpoint.transport, GrpcTransport)
            try:
                data = await endpoint.transport.invoke(f"{_SERVICE}/{method}", request, seconds)
            except grpc.aio.AioRpcError as error:
                return answered_error(error, f"{endpoint.address}: ")
            return [self._status(endpoint.address, model) for model in reply.FromString(data).models]

        targets = [endpoint for endpoint in self.cluster.endpoints if isinstance(endpoint.transport, GrpcTransport)]
        answers = await asyncio.gather(*(ask(endpoint) for endpoint in targets))
        good = [answer for answer in answers if not isinstance(answer, MeshError)]
        errors = [answer for answer in answers if isinstance(answer, MeshError)]
        if errors and not good:
            raise errors[0]
        return [status for answer in good for status in answer]

    def _status(self, endpoint: str, model: model_pb2.Model) -> EndpointModelStatus:
        state = model_pb2.ModelState.Name(model.state).removeprefix("MODEL_STATE_").lower()
        used = model.last_used_at.ToJsonString() if model.HasField("last_used_at") else None
        return EndpointModelStatus(
            cluster=self.cluster.name,
            endpoint=endpoint,
            name=model.name,
            part=model.part,
            state=state,
            size_bytes=model.size_bytes,
            memory_bytes=model.memory_bytes,
            dimension=model.dimension,
            provider=model.provider,
            last_used_at=used,
            in_use=model.in_use,
            pinned=model.pinned,
            download_progress=model.download_progress,
            error=model.error,
            download_bytes=model.download_bytes,
        )
