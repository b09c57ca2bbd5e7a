"""The whole way of bad input: through the router to the real services and back, with its status and message; afterwards
the processes are well and hold nothing of it, and nobody else's request has noticed.
"""

import asyncio
import gc
import io
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image

import clip_service.__main__
import face_service.__main__
import ocr_service.__main__
from clip_service.config import ClipSettings
from face_service.config import FaceSettings
from mesh.core.memory import resident_bytes, trim_heap
from mesh.core.settings import ServiceSettings
from mesh.serving.server import Service, ServiceContext, running
from ocr_service.config import OcrSettings
from tests.builders.clip import write_clip
from tests.builders.faces import marker_photo, write_faces
from tests.doubles.router import Front, front
from tests.doubles.services import Services

S = TypeVar("S", bound=ServiceSettings)
CLIP = '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}'
FACE = (
    '{"facial-recognition":{"detection":{"modelName":"buffalo_l","options":{"minScore":0.7}},'
    '"recognition":{"modelName":"buffalo_l"}}}'
)
OCR = (
    '{"ocr":{"detection":{"modelName":"PP-OCRv5_mobile","options":{"minScore":0.5,"maxResolution":736}},'
    '"recognition":{"modelName":"PP-OCRv5_mobile","options":{"minScore":0.8}}}}'
)
SEVERAL = f"{CLIP[:-1]},{FACE[1:-1]},{OCR[1:]}"


def photo(kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(marker_photo(400, 300, {"magenta": (40, 60, 120, 140)})).save(file, kind)
    return file.getvalue()


def bomb(side: int = 30_000) -> bytes:
    """A valid PNG of some 100 KB with `side` x `side` black pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side // 8 + 1)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Front]:
    """Router and all three services in this process, on known-answer models and the bundled OCR models."""
    write_clip(tmp_path)
    write_faces(tmp_path)
    shared: dict[str, Any] = {"port": 0, "cache_folder": tmp_path, "offline": True, "low_latency_sessions": False}
    addresses: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        addresses["ocr_endpoints"] = await _start(stack, OcrSettings(**shared), ocr_service.__main__.build)
        addresses["clip_endpoints"] = await _start(stack, ClipSettings(**shared), clip_service.__main__.build)
        addresses["face_endpoints"] = await _start(stack, FaceSettings(**shared), face_service.__main__.build)
        yield await stack.enter_async_context(front(Services(), **addresses))


async def _start(stack: AsyncExitStack, settings: S, build: Callable[[S, ServiceContext], Service]) -> str:
    """The address of a service that runs until the stack ends."""
    parts = ServiceContext.of(settings)
    stack.callback(parts.compute.close)
    server = await stack.enter_async_context(running(build(settings, parts), settings))
    await server.ready.wait()
    return server.address


async def test_all_of_it_through_router_and_services(mesh: Front) -> None:
    """One life of the mesh serves all of it, since its start costs seconds."""
    await _refused_photos(mesh)
    await _refused_requests(mesh)
    await _good_ones_beside_bad_ones(mesh)
    await _no_memory_is_left_behind(mesh)


async def _refused_photos(mesh: Front) -> None:
    jpeg, png = photo("JPEG"), photo("PNG")
    cases = [
        (b"hello", "no known type"),
        (b"", "'image' is empty"),
        (jpeg[: len(jpeg) // 2], "cut off or damaged"),
        (png[: len(png) // 2], "cut off or damaged"),
        (bomb(), "30000x30000 pixels"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    ]
    for entries in (CLIP, FACE, OCR, SEVERAL):
        for data, message in cases:
            status, body = await mesh.predict(entries, data)
            assert (status, body["error"]["code"]) == (400, "invalid_input"), (entries, message)
            assert message in body["error"]["message"]
        status, body = await mesh.predict(entries, jpeg)
        assert status == 200
        assert (body["imageWidth"], body["imageHeight"]) == (400, 300)


async def _refused_requests(mesh: Front) -> None:
    text = CLIP.replace("visual", "textual")
    cases = [
        ("{nope", b"x", None, 422, "not JSON"),
        ("[1]", b"x", None, 422, "must be a JSON object"),
        ('{"pose":{"x":{"modelName":"m"}}}', b"x", None, 422, "nobody serves this task"),
        ('{"clip":{"audio":{"modelName":"m"}}}', b"x", None, 422, "nobody serves this task"),
        (text, b"x", None, 400, "needs the part 'text'"),
        (text, None, None, 400, "send the part 'image' or 'text'"),
        (FACE.replace("0.7", '"abc"'), b"x", None, 422, "minScore"),
        (FACE.replace("0.7", "7"), b"x", None, 422, "minScore"),
        (OCR.replace("0.8", "7"), b"x", None, 422, "minScore"),
        (FACE.replace("buffalo_l", "../../etc/passwd"), b"x", None, 422, "not a model name"),
        (FACE.replace("buffalo_l", "nosuch"), photo(), None, 404, "no facial-recognition model is called 'nosuch'"),
        (FACE.replace("buffalo_l", "antelopev2"), photo(), None, 404, "antelopev2"),
        (CLIP.replace("ViT-B-32", "ViT-L-14"), photo(), None, 422, "ViT-B-32__openai"),
    ]
    for entries, image, words, status, message in cases:
        found, body = await mesh.predict(entries, image, words)
        assert found == status, (entries, body)
        assert message in body["error"]["message"]


async def _good_ones_beside_bad_ones(mesh: Front) -> None:
    good = [mesh.predict(entries, photo()) for entries in (CLIP, FACE, SEVERAL) for _ in range(4)]
    bad = [mesh.predict(SEVERAL, data) for data in (b"hello", bomb(), b"") for _ in range(4)]
    replies = await asyncio.gather(*good, *bad)
    assert [status for status, _ in replies] == [200] * len(good) + [400] * len(bad)


async def _no_memory_is_left_behind(mesh: Front) -> None:
    """Refused bodies leave at once: nothing ties them to their error until the garbage collector comes by."""
    large = b"no photo" * (2 << 20)
    gc.collect()
    gc.disable()
    try:
        for _ in range(8):  # gRPC's buffers and the C heap grow to the size that they keep
            assert (await mesh.predict(CLIP, large))[0] == 400
        trim_heap()
        before = resident_bytes()
        for _ in range(16):
            assert (await mesh.predict(CLIP, large))[0] == 400
        trim_heap()  # glibc keeps freed blocks for later: that is no leak, a payload held by an error is
        assert resident_bytes() - before < 4 * len(large)
    finally:
        gc.enable()
