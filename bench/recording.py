"""What the mesh asks of its runtimes for one photo: every run of every graph, with its inputs.

Replayed flat out by `bench.raw`, these runs are the limit that the mesh is measured against: the same files, the same
shapes, and nothing else to do.
"""

import asyncio
from collections.abc import Iterator, Sequence
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
from mesh.serving.runtimes.int8.inputs import NotedSession
from mesh.serving.runtimes.selection import RuntimeChoice, choose
from mesh.serving.runtimes.self_check import MakeCheck
from mesh.serving.runtimes.session import (
    Array,
    Feeds,
    ModelSession,
    RuntimeSettings,
    StaticShapes,
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


@contextmanager
def _watched() -> Iterator[list[RecordedRun]]:
    """Notes every run of every session that engines open in the block."""
    log: list[RecordedRun] = []

    def choose_watched(graph: Path, runtime: RuntimeSettings, make_check: MakeCheck, *, several: bool) -> RuntimeChoice:
        choice = choose(graph, runtime, make_check, several=several)

        def note(feeds: Feeds) -> None:
            log.append(RecordedRun(graph, dict(feeds)))

        def open_for(shapes: StaticShapes) -> ModelSession:
            assert choice.open_for is not None
            return NotedSession(choice.open_for(shapes), note)

        return RuntimeChoice(lambda threads: NotedSession(choice.open(threads), note), open_for, choice.reason)

    with patch("mesh.serving.inference.engine.choose", choose_watched):
        yield log
