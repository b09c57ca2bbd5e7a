"""One gRPC server that answers as all three services at once: health, models, and one fixed answer per call."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from immich_mesh.clip.v1 import clip_pb2, clip_pb2_grpc
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc

from mesh.core import stages

Call = grpc.aio.ServicerContext[Any, Any]
NAMES = (
    "immich_mesh.ocr.v1.OcrService",
    "immich_mesh.clip.v1.ClipService",
    "immich_mesh.face.v1.FaceService",
    "immich_mesh.model.v1.ModelService",
    "",
)
WIDTH, HEIGHT = 400, 300


class MeshService(
    ocr_pb2_grpc.OcrServiceServicer,
    clip_pb2_grpc.ClipServiceServicer,
    face_pb2_grpc.FaceServiceServicer,
    model_pb2_grpc.ModelServiceServicer,
):
    """The servicer. `name` is its model's; `loaded` says which model is in memory; `refusal` makes model calls fail.

    `downloaded` is the share of a download under way, and `hub` the mirror that it was told to use. `stages` are told
    of a photo's text to whoever asks.
    """

    def __init__(self) -> None:
        self.name = "double"
        self.stages = "decode;dur=12.0, detection;dur=40.0, recognition;dur=88.0, sorting;dur=3.0"
        self.loaded = {"double"}
        self.orders: list[tuple[str, str]] = []
        self.refusal: grpc.StatusCode | None = None
        self.load_error = ""
        self.text_vector = (0.6, 0.8)
        self.hub = ""
        self.downloaded: float | None = None

    async def Recognize(self, request: ocr_pb2.RecognizeRequest, context: Call) -> ocr_pb2.RecognizeResponse:
        if (stages.ASK, "1") in (context.invocation_metadata() or ()):
            context.set_trailing_metadata(((stages.TOLD, self.stages),))
        corners = [ocr_pb2.Point(x=x, y=y) for x, y in ((40, 30), (240, 30), (240, 60), (40, 60))]
        box = ocr_pb2.Quad(top_left=corners[0], top_right=corners[1], bottom_right=corners[2], bottom_left=corners[3])
        line = ocr_pb2.TextLine(text="发票 <b>1</b>", box=box, detection_score=0.9, recognition_score=0.95)
        return ocr_pb2.RecognizeResponse(lines=[line], image_width=WIDTH, image_height=HEIGHT, model_name=self.name)

    async def EncodeImage(self, request: clip_pb2.EncodeImageRequest, context: Call) -> clip_pb2.EncodeImageResponse:
        vector = [1.0] + [0.0] * 511
        return clip_pb2.EncodeImageResponse(
            embedding=vector, image_width=WIDTH, image_height=HEIGHT, model_name=request.model_name
        )

    async def EncodeText(self, request: clip_pb2.EncodeTextRequest, context: Call) -> clip_pb2.EncodeTextResponse:
        vector = [*self.text_vector] + [0.0] * 510
        return clip_pb2.EncodeTextResponse(embedding=vector, model_name=request.model_name)

    async def Detect(self, request: face_pb2.DetectRequest, context: Call) -> face_pb2.DetectResponse:
        box = face_pb2.BoundingBox(x1=10, y1=100, x2=60, y2=160)
        face = face_pb2.Face(bounding_box=box, score=0.75, embedding=[1.0] + [0.0] * 511)
        return face_pb2.DetectResponse(
            faces=[face], image_width=WIDTH, image_height=HEIGHT, model_name=request.model_name
        )

    async def ListModels(self, request: model_pb2.ListModelsRequest, context: Call) -> model_pb2.ListModelsResponse:
        await self._refuse(context)
        return model_pb2.ListModelsResponse(models=self._models())

    async def LoadModel(self, request: model_pb2.LoadModelRequest, context: Call) -> model_pb2.LoadModelResponse:
        await self._refuse(context)
        self.orders.append(("load", request.name))
        self.loaded.add(request.name)
        if request.hub:
            self.hub, self.load_error = request.hub, ""
        return model_pb2.LoadModelResponse(models=self._models())

    async def UnloadModel(self, request: model_pb2.UnloadModelRequest, context: Call) -> model_pb2.UnloadModelResponse:
        await self._refuse(context)
        self.orders.append(("unload", request.name))
        self.loaded.discard(request.name)
        return model_pb2.UnloadModelResponse(models=self._models())

    async def _refuse(self, context: Call) -> None:
        if self.refusal is not None:
            await context.abort(self.refusal, "refused by the double")

    def _models(self) -> list[model_pb2.Model]:
        in_memory = "double" in self.loaded
        state = model_pb2.MODEL_STATE_LOADED if in_memory else model_pb2.MODEL_STATE_CACHED
        if self.load_error:
            state = model_pb2.MODEL_STATE_FAILED
        if self.downloaded is not None:
            state = model_pb2.MODEL_STATE_DOWNLOADING
        return [
            model_pb2.Model(
                name=self.name,
                part=part,
                state=state,
                size_bytes=1_000_000,
                memory_bytes=2_000_000 if in_memory else 0,
                dimension=512,
                provider="CPUExecutionProvider" if in_memory else "",
                error=self.load_error,
                download_progress=self.downloaded or 0,
                download_bytes=0 if self.downloaded is None else 200_000_000,
            )
            for part in ("textual", "visual")
        ]


@asynccontextmanager
async def serving(service: MeshService, interceptors: Sequence[grpc.aio.ServerInterceptor] = ()) -> AsyncIterator[str]:
    """Serves until the block ends; gives the address."""
    server = grpc.aio.server(interceptors=interceptors)
    ocr_pb2_grpc.add_OcrServiceServicer_to_server(service, server)
    clip_pb2_grpc.add_ClipServiceServicer_to_server(service, server)
    face_pb2_grpc.add_FaceServiceServicer_to_server(service, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    statuses = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(statuses, server)
    for name in NAMES:
        await statuses.set(name, health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
