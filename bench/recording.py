"""What the mesh asks of its runtimes for one photo: every run of every graph, with its inputs.

Replayed flat out by `bench.raw`, these runs are the limit that the mesh is measured against: the same files, the same
shapes, and nothing else to do.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
from immich_mesh.clip.v1 import clip_pb2, clip_pb2_grpc
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc

import clip_service.__main__
import face_service.__main__
import ocr_service.__main__
from clip_service.config import ClipSettings
from face_service.config import FaceSettings
from mesh.core.logs import configure_logs
from mesh.core.rpc.channels import open_channel
from mesh.core.settings import Device, LogFormat, ServiceSettings
from mesh.serving.runtimes.selection import RuntimeChoice, choose
from mesh.serving.runtimes.self_check import MakeCheck
from mesh.serving.runtimes.session import (
    NOTHING_ENDS_IT,
    Array,
    Feeds,
    Interruption,
    ModelSession,
    RuntimeSettings,
    StaticShapes,
    TensorInfo,
)
from mesh.serving.server import ServiceContext, running
from ocr_service.config import OcrSettings


@dataclass(frozen=True)
class RecordedRun:
    """One run of a graph."""

    graph: Path
    feeds: dict[str, Array]


@dataclass(frozen=True)
class RecordedFamily:
    """How to ask one service for one photo."""

    settings: type[ServiceSettings]
    build: Any
    ask: Any


async def _ask_clip(channel: grpc.aio.Channel, photo: bytes) -> None:
    await clip_pb2_grpc.ClipServiceStub(channel).EncodeImage(clip_pb2.EncodeImageRequest(image=photo))


async def _ask_face(channel: grpc.aio.Channel, photo: bytes) -> None:
    await face_pb2_grpc.FaceServiceStub(channel).Detect(face_pb2.DetectRequest(image=photo))


async def _ask_ocr(channel: grpc.aio.Channel, photo: bytes) -> None:
    await ocr_pb2_grpc.OcrServiceStub(channel).Recognize(ocr_pb2.RecognizeRequest(image=photo))


FAMILIES = {
    "clip": RecordedFamily(ClipSettings, clip_service.__main__.build, _ask_clip),
    "face": RecordedFamily(FaceSettings, face_service.__main__.build, _ask_face),
    "ocr": RecordedFamily(OcrSettings, ocr_service.__main__.build, _ask_ocr),
}


def record(
    family: str, cache_folder: Path, photos: Sequence[bytes], device: Device = Device.AUTO
) -> list[list[RecordedRun]]:
    """The runs that the service of a family makes for each photo on that device, in their order."""
    configure_logs("WARNING", LogFormat.PRETTY, "bench")
    with _watched() as log:
        return asyncio.run(_record(FAMILIES[family], cache_folder, photos, device, log))


async def _record(
    family: RecordedFamily, cache_folder: Path, photos: Sequence[bytes], device: Device, log: list[RecordedRun]
) -> list[list[RecordedRun]]:
    settings = family.settings(port=0, cache_folder=cache_folder, offline=True, device=device)
    context = ServiceContext.of(settings)
    jobs = []
    async with running(family.build(settings, context), settings) as server, open_channel(server.address) as channel:
        await server.ready.wait()
        for photo in photos:
            log.clear()  # loading and calibrating run the graphs, too
            await family.ask(channel, photo)
            jobs.append(list(log))
    context.compute.close()
    return jobs


class Watched:
    """A session that notes its runs."""

    def __init__(self, session: ModelSession, graph: Path, log: list[RecordedRun]) -> None:
        self._session = session
        self._graph = graph
        self._log = log
        self.inputs: tuple[TensorInfo, ...] = session.inputs
        self.outputs: tuple[TensorInfo, ...] = session.outputs
        self.metadata: Mapping[str, str] = session.metadata
        self.provider = session.provider
        self.memory_bytes = session.memory_bytes

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """Notes the run and does it."""
        self._log.append(RecordedRun(self._graph, dict(feeds)))
        return self._session.run(feeds, interruption)

    def release_memory(self) -> bool:
        """As the session's own."""
        return self._session.release_memory()

    def close(self) -> None:
        """As the session's own."""
        self._session.close()


@contextmanager
def _watched() -> Iterator[list[RecordedRun]]:
    """Notes every run of every session that engines open in the block."""
    log: list[RecordedRun] = []

    def choose_watched(graph: Path, runtime: RuntimeSettings, make_check: MakeCheck, *, several: bool) -> RuntimeChoice:
        choice = choose(graph, runtime, make_check, several=several)

        def open_for(shapes: StaticShapes) -> Watched:
            assert choice.open_for is not None
            return Watched(choice.open_for(shapes), graph, log)

        return RuntimeChoice(lambda threads: Watched(choice.open(threads), graph, log), open_for, choice.reason)

    with patch("mesh.serving.inference.engine.choose", choose_watched):
        yield log
