"""The face service on known-answer models, by a client."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc

from common.channels import open_channel
from face_service.__main__ import build
from face_service.config import FaceSettings
from serving.compute import ComputePool
from serving.server import Foundation, running


@dataclass
class FaceClient:
    """Calls one service."""

    stub: "face_pb2_grpc.FaceServiceAsyncStub"
    channel: grpc.aio.Channel
    compute: ComputePool

    async def detect(self, data: bytes, min_score: float | None = None, model: str = "") -> face_pb2.DetectResponse:
        request = face_pb2.DetectRequest(image=data, model_name=model)
        if min_score is not None:
            request.min_score = min_score
        return await self.stub.Detect(request, timeout=30)


Serve = Callable[..., AbstractAsyncContextManager[FaceClient]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts the service on the packs below `tmp_path`; settings as keyword arguments."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[FaceClient]:
        fields: dict[str, Any] = {"port": 0, "cache_folder": tmp_path, "offline": True, "threads": 2} | changes
        settings = FaceSettings(**fields)
        foundation = Foundation.of(settings)
        async with running(build(settings, foundation), settings) as server, open_channel(server.address) as channel:
            await server.ready.wait()
            yield FaceClient(face_pb2_grpc.FaceServiceStub(channel), channel, foundation.compute)
        foundation.compute.close()

    return start
