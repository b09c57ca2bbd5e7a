"""The face service on known-answer models, by a client."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc

from face_service.__main__ import build
from face_service.config import FaceSettings
from mesh.serving.inference.compute import ComputePool
from tests.doubles.served import served
from tests.waiting import PATIENCE_SECONDS


@dataclass
class FaceCaller:
    """Calls one service."""

    stub: "face_pb2_grpc.FaceServiceAsyncStub"
    channel: grpc.aio.Channel
    compute: ComputePool

    async def detect(self, data: bytes, min_score: float | None = None, model: str = "") -> face_pb2.DetectResponse:
        request = face_pb2.DetectRequest(image=data, model_name=model)
        if min_score is not None:
            request.min_score = min_score
        return await self.stub.Detect(request, timeout=PATIENCE_SECONDS)


Serve = Callable[..., AbstractAsyncContextManager[FaceCaller]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts the service on the packs below `tmp_path`; settings as keyword arguments."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[FaceCaller]:
        async with served(FaceSettings, build, tmp_path, **changes) as (channel, compute):
            yield FaceCaller(face_pb2_grpc.FaceServiceStub(channel), channel, compute)

    return start
