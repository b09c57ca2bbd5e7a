"""Checks the processes of this machine: gRPC health and models of a service, `/ping` of the router."""

from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc

from mesh.cli.output.language import tr
from mesh.cli.output.outcome import one_line
from mesh.core.rpc.channels import open_channel
from mesh.core.rpc.tokens import BearerToken
from mesh.core.settings import TlsSettings

PROBE_SECONDS = 2.0
HEALTH_NAMES = {
    "ocr": "immich_mesh.ocr.v1.OcrService",
    "clip": "immich_mesh.clip.v1.ClipService",
    "face": "immich_mesh.face.v1.FaceService",
}


class Level(IntEnum):
    """How well something is, worst first."""

    FAILED = 0
    """Does not work, and waiting alone will not help."""
    COMING = 1
    """Starts, loads or downloads."""
    READY = 2


@dataclass(frozen=True)
class ProcessCondition:
    """How one process is.

    Attributes:
        level: the short of it.
        text: the long of it, for a person.
        progress: share of a download, 0 to 1; None without one.
    """

    level: Level
    text: str
    progress: float | None = None


def starting() -> ProcessCondition:
    """Of a process that has not said yet how it is."""
    return ProcessCondition(Level.COMING, tr("starting"))


def silent() -> ProcessCondition:
    """Of one that has answered before, and does not now."""
    return ProcessCondition(Level.COMING, tr("does not answer"))


class ServiceProbe:
    """Checks one gRPC service over one channel that it keeps.

    Args:
        address: `host:port`.
        health_name: full name of its gRPC service.
        tls: as the router calls it; None for plain text.
        token: bearer token, if the services want one.
    """

    def __init__(
        self, address: str, health_name: str, tls: TlsSettings | None = None, token: BearerToken | str | None = None
    ) -> None:
        self._channel = open_channel(address, tls, token)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)  # its types know the blocking stub alone
        self._models = model_pb2_grpc.ModelServiceStub(self._channel)
        self._name = health_name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def check(self) -> ProcessCondition | None:
        """Its condition now; None when it does not answer, which a busy machine makes of a healthy process too."""
        try:
            reply = await self._health.Check(health_pb2.HealthCheckRequest(service=self._name), timeout=PROBE_SECONDS)
            listed = await self._models.ListModels(model_pb2.ListModelsRequest(), timeout=PROBE_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                return None
            return ProcessCondition(Level.FAILED, one_line(f"{error.code().name}: {error.details()}"))
        serving = reply.status == health_pb2.HealthCheckResponse.SERVING
        return judge(serving, list(listed.models))


def judge(serving: bool, models: list[model_pb2.Model]) -> ProcessCondition:
    """One condition of a service's health and its models.

    A service that serves is READY, whatever else it loads for somebody who asked, so that its condition does not swing
    with each model that comes and goes. One that does not serve yet is described by what it waits for.
    """
    by_state: dict[int, list[model_pb2.Model]] = {}
    for model in models:
        by_state.setdefault(model.state, []).append(model)
    loaded = by_state.get(model_pb2.MODEL_STATE_LOADED, [])
    failed = by_state.get(model_pb2.MODEL_STATE_FAILED, [])
    downloading = by_state.get(model_pb2.MODEL_STATE_DOWNLOADING, [])
    share = min((model.download_progress for model in downloading), default=None)
    fault = one_line(f"{_names(failed)}: {failed[0].error}") if failed else ""
    usable = {model.name for model in loaded} - {model.name for model in failed}  # with all of their parts
    if serving and (usable or not failed):
        ready = _names(loaded) if loaded else tr("loads its model on first use")
        under_way = tr("downloading {models}").format(models=_names(downloading))
        coming = f"; {under_way}" if downloading else ""
        return ProcessCondition(Level.READY, f"{ready}{coming}{f'; not {fault}' if fault else ''}", share)
    if downloading:
        return ProcessCondition(Level.COMING, tr("downloading {models}").format(models=_names(downloading)), share)
    if loading := by_state.get(model_pb2.MODEL_STATE_LOADING):
        return ProcessCondition(Level.COMING, tr("loading {models}").format(models=_names(loading)))
    if failed:
        return ProcessCondition(Level.FAILED, fault)
    return starting()


def _names(models: list[model_pb2.Model]) -> str:
    return ", ".join(dict.fromkeys(model.name for model in models))


class RouterProbe:
    """Checks a router as Immich does.

    Args:
        url: of the Immich ML listener.
        host_header: sent as `Host`, for a listener that answers to secret names alone.
    """

    def __init__(self, url: str, host_header: str | None = None) -> None:
        self._url = url
        self._headers = {"Host": host_header} if host_header else {}
        import aiohttp  # the images of the services, whose doctor imports this module, have none

        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def check(self) -> ProcessCondition | None:
        """Its condition now: READY when Immich's ping succeeds. None when it does not answer."""
        from aiohttp import ClientError

        try:
            async with self._session.get(f"{self._url}/ping", headers=self._headers) as response:
                if response.ok:
                    return ProcessCondition(Level.READY, tr("answers Immich"))
                text = tr("waits for a service (ping: HTTP {status})").format(status=response.status)
                return ProcessCondition(Level.COMING, text)
        except (TimeoutError, ClientError):
            return None
