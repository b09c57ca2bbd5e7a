"""How deep a request goes: the frames of ours between the listener's handler and the transport."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import pytest
from immich_mesh.ocr.v1 import ocr_pb2

import router
from router.config import ClusterSettings, RouterSettings
from router.runtime import Router
from router.upstream.calls import Call
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.endpoint import Probe, Transport
from tests.doubles.router import quiet_listeners
from tests.waiting import until

OURS = str(Path(router.__file__).parent)
OCR = '{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}'

Frame = tuple[str, str]


def _of(frame: FrameType) -> Frame:
    return frame.f_code.co_filename, frame.f_code.co_name


def _suspended(task: asyncio.Task[Any]) -> Iterator[Frame]:
    """The frames of a task that waits, the outermost first."""
    coroutine: Any = task.get_coro()
    while coroutine is not None:
        if (frame := getattr(coroutine, "cr_frame", None)) is not None:
            yield _of(frame)
        coroutine = getattr(coroutine, "cr_await", None)


def _running() -> Iterator[Frame]:
    """The frames that are being executed, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield _of(frame)
        frame = frame.f_back


class SeeingTransport:
    """An endpoint that notes the frames of every task which waits for it."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def send(self, call: Call, seconds: float) -> bytes:
        self.frames = list(_running())
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            frames = list(_suspended(task))
            if any(file.startswith((f"{OURS}/listeners/", f"{OURS}/dispatch/")) for file, _ in frames):
                self.frames += frames
        return ocr_pb2.RecognizeResponse(image_width=1, image_height=1).SerializeToString()

    async def probe(self, seconds: float) -> Probe:
        return Probe.SERVING

    def watch(self, lost: Callable[[], None]) -> bool:
        return False

    async def progress(self, seconds: float) -> str:
        return ""

    async def close(self) -> None:
        """Nothing is open."""


async def frames_of_ours(transport: SeeingTransport, **settings: Any) -> list[Frame]:
    """Our frames between handler and transport while a photo is on its way."""

    def opener(_: ClusterSettings, __: str) -> Any:
        def open_one(_: Address) -> Transport:
            return transport

        return open_one

    configured = RouterSettings(listeners=quiet_listeners(), drain_seconds=1, **settings)
    running = Router(configured, opener=opener)
    await running.start()
    try:
        await until(lambda: all(cluster.can_serve for cluster in running.clusters.clusters.values()))
        form = aiohttp.FormData()
        form.add_field("entries", OCR)
        form.add_field("image", b"photo", filename="blob")
        url = f"http://{running.listener('immich_ml').address}"
        async with aiohttp.ClientSession(url) as client, client.post("/predict", data=form) as reply:
            assert reply.status == 200
    finally:
        await running.stop()
    return [(file, name) for file, name in transport.frames if file.startswith(OURS) and "/listeners/" not in file]


@pytest.mark.parametrize(("settings", "most"), [({}, 6), ({"immich_api": "http://127.0.0.1:1"}, 7)])
async def test_few_frames_lie_between_listener_and_transport(settings: dict[str, Any], most: int) -> None:
    frames = await frames_of_ours(SeeingTransport(), **settings)
    names = [name for _, name in frames]
    assert {"results", "call", "attempt"} <= set(names), "the stack was not seen whole"
    assert len(frames) <= most, names
