"""Who finds the faces of a photo: the face service's pipeline, InsightFace's FaceAnalysis, or InsightFace's SCRFD and
ArcFaceONNX behind the service's engines. Each runs in a process of its own, which measures itself.

All run in onnxruntime, and all at the niceness that the service's bulk threads have, so that they get equal shares of a
busy machine.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.models import FACE_MODEL, benchmark_cache
from bench.photos import preview
from mesh.core.memory import resident_bytes
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.serving.inference.compute import BULK_NICENESS
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import Array, TensorInfo

MIN_SCORE = 0.7
MAX_FACES = 500

Find = Callable[[bytes], Awaitable[int]]
"""From an encoded photo to the number of its faces, all of them encoded."""


def graph(part: str) -> Path:
    """The benchmark's graph of a part."""
    folder = layout.model_folder(benchmark_cache(), Family.FACE, FACE_MODEL)
    path = layout.part_file(Family.FACE, folder, part)
    assert path is not None
    return path


@asynccontextmanager
async def mesh() -> AsyncIterator[Find]:
    """The face service's pipeline, from bytes to embeddings."""
    from face_service.pipeline import FacePipeline
    from mesh.serving.intake import PhotoIntake

    async with _face_models() as (models, settings, gate):
        photos = PhotoIntake.of("face", gate, settings)
        pipeline = FacePipeline(models, photos, min_score=MIN_SCORE, max_faces=MAX_FACES)

        async def find(data: bytes) -> int:
            return len((await pipeline.find(data, min_score=None, model_name="")).faces)

        yield find


@asynccontextmanager
async def insightface() -> AsyncIterator[Find]:
    """FaceAnalysis as its README shows it, a thread per photo."""
    import cv2
    from insightface.app import FaceAnalysis

    os.nice(BULK_NICENESS)
    with TemporaryDirectory() as folder:
        _link_graphs(Path(folder))
        analysis = FaceAnalysis(name=folder, providers=["CPUExecutionProvider"])
        analysis.prepare(ctx_id=-1, det_thresh=MIN_SCORE, det_size=(640, 640))

        def faces(data: bytes) -> int:
            return len(analysis.get(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)))

        yield lambda data: asyncio.to_thread(faces, data)


@asynccontextmanager
async def adapter() -> AsyncIterator[Find]:
    """The service's decoding and engines, InsightFace's classes between them."""
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX
    from insightface.model_zoo.scrfd import SCRFD
    from insightface.utils.face_align import norm_crop

    from mesh.serving.images import ChannelOrder, Pixels, decode

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(initializer=os.nice, initargs=(BULK_NICENESS,)) as threads:
        async with _face_models() as (models, settings, _), models.acquire("") as (detector, recogniser):
            scrfd = SCRFD(session=EngineSession(detector.engine, loop), static_shape_sessions=False)
            arcface = ArcFaceONNX(str(graph("recognition")), session=EngineSession(recogniser.engine, loop))

            def faces(pixels: Pixels) -> int:
                found, landmarks = scrfd.detect(pixels, input_size=(640, 640), det_thresh=MIN_SCORE)
                for five in landmarks:
                    arcface.get_feat(norm_crop(pixels, five))
                return len(found)

            def decoded(data: bytes) -> Pixels:
                return decode(data, max_pixels=settings.max_image_pixels, order=ChannelOrder.BGR).pixels

            async def find(data: bytes) -> int:
                return await loop.run_in_executor(threads, lambda: faces(decoded(data)))

            yield find


PEERS: dict[str, Callable[[], AbstractAsyncContextManager[Find]]] = {
    "mesh": mesh,
    "adapter": adapter,
    "insightface": insightface,
}


class EngineSession:
    """An engine that looks like onnxruntime's InferenceSession, for threads that may block."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop

    def get_inputs(self) -> Sequence[TensorInfo]:
        """Names and shapes of the inputs."""
        return self._engine.inputs

    def get_outputs(self) -> Sequence[TensorInfo]:
        """Names and shapes of the outputs."""
        return self._engine.outputs

    def run(self, names: Sequence[str], feeds: dict[str, Array]) -> list[Array]:
        """The outputs of one item, all of them in the graph's order, as both classes ask for them."""
        return asyncio.run_coroutine_threadsafe(self._engine.infer(feeds), self._loop).result()


def _link_graphs(folder: Path) -> None:
    """The benchmark's graphs under InsightFace's names."""
    for part, name in (("detection", "det_10g.onnx"), ("recognition", "w600k_r50.onnx")):
        (folder / name).symlink_to(graph(part))


@asynccontextmanager
async def _face_models() -> AsyncIterator[Any]:
    from face_service.config import FaceSettings
    from face_service.models import FaceModels
    from mesh.core.settings import Device
    from mesh.serving.gate import Gate
    from mesh.serving.lifecycle.policy import LifecyclePolicy
    from mesh.serving.server import ServiceContext

    settings = FaceSettings(
        port=0, cache_folder=benchmark_cache(), offline=True, device=Device.CPU, model_name=FACE_MODEL
    )
    context = ServiceContext.of(settings)
    gate = Gate.of(context.runtime, context.compute.traffic)
    window = max(1, context.runtime.batching.max_queue_size // gate.places)
    models = FaceModels(context, LifecyclePolicy.of(settings), window=window)
    await models.manager.load("")
    try:
        yield models, settings, gate
    finally:
        await models.manager.close()
        context.compute.close()


async def serve(name: str) -> None:
    """A peer as a process: a line of standard input says how many photos, and how many at once; a line answers."""
    photos = [preview(seed) for seed in range(4)]
    async with PEERS[name]() as find:
        faces = await find(photos[0])
        _say(faces=faces, memory_mb=resident_bytes() / 1e6)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            count, at_once = map(int, line.split())
            began, cpu = time.perf_counter(), time.process_time()
            found = await _find_all(find, [photos[number % len(photos)] for number in range(count)], at_once)
            seconds = time.perf_counter() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
            _say(seconds=seconds, cpu=time.process_time() - cpu, faces=found, peak_mb=peak)


async def _find_all(find: Find, photos: Sequence[bytes], at_once: int) -> int:
    places = asyncio.Semaphore(at_once)

    async def one(photo: bytes) -> int:
        async with places:
            return await find(photo)

    return sum(await asyncio.gather(*map(one, photos)))


def _say(**fields: float) -> None:
    print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
