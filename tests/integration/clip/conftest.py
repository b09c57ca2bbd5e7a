"""The CLIP service on a known-answer model, by a client."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from immich_mesh.clip.v1 import clip_pb2, clip_pb2_grpc

from clip_service.__main__ import build
from clip_service.config import ClipSettings
from mesh.serving.inference.compute import ComputePool
from tests.doubles.served import served
from tests.waiting import PATIENCE_SECONDS


@dataclass
class ClipCaller:
    """Calls one service."""

    stub: "clip_pb2_grpc.ClipServiceAsyncStub"
    channel: grpc.aio.Channel
    compute: ComputePool

    async def image(self, data: bytes, model: str = "") -> clip_pb2.EncodeImageResponse:
        return await self.stub.EncodeImage(
            clip_pb2.EncodeImageRequest(image=data, model_name=model), timeout=PATIENCE_SECONDS
        )

    async def text(self, text: str, language: str = "", model: str = "") -> clip_pb2.EncodeTextResponse:
        request = clip_pb2.EncodeTextRequest(text=text, language=language, model_name=model)
        return await self.stub.EncodeText(request, timeout=PATIENCE_SECONDS)


Serve = Callable[..., AbstractAsyncContextManager[ClipCaller]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts the service on the models below `tmp_path`; settings as keyword arguments."""

    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[ClipCaller]:
        async with served(ClipSettings, build, tmp_path, **changes) as (channel, compute):
            yield ClipCaller(clip_pb2_grpc.ClipServiceStub(channel), channel, compute)

    return start
