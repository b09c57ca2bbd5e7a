"""A service that gave all its models back becomes a fresh process, and no request notices."""

import asyncio
from pathlib import Path

import grpc
import psutil
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc

from bench import photos
from bench.load import ImmichClient
from bench.processes import child, free_port, router, wait_until_ready
from tests.waiting import until


async def unload(port: int) -> None:
    """Takes every model out of a service's memory."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await model_pb2_grpc.ModelServiceStub(channel).UnloadModel(model_pb2.UnloadModelRequest())


async def test_requests_that_come_meanwhile_are_answered(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "ocr.log"
    environment = {"MESH_CACHE_FOLDER": str(tmp_path / "cache"), "MESH_OFFLINE": "1"}
    own = {"OCR_PORT": str(port), "OCR_METRICS_PORT": str(free_port())}
    with (
        child(["ocr_service"], environment | own, log) as service,
        router({"ocr": port}, environment, tmp_path / "router.log") as (url, front),
    ):
        await asyncio.to_thread(wait_until_ready, url, {"ocr": port}, {"ocr": service, "router": front}, tmp_path)
        async with ImmichClient(url) as client:
            send = client.sender("ocr", photos.stream())
            assert await send()
            used = psutil.Process(service.pid).memory_info().rss
            await unload(port)
            await until(lambda: "a fresh process takes over" in log.read_text())
            assert await asyncio.gather(*(send() for _ in range(4))) == [True] * 4
        told = log.read_text()
        assert told.count(" listening ") == 2
        assert told.count(" ready ") == 2
        assert service.poll() is None
        # And once more, now that it is the fresh one that is used; without a request it stays small.
        await unload(port)
        await until(lambda: log.read_text().count(" ready ") == 3)
        assert psutil.Process(service.pid).memory_info().rss < used / 2
