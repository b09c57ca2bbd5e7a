"""ClipService of the contract: from gRPC messages to the pipeline and back."""

from typing import Any

import grpc
from immich_mesh.clip.v1 import clip_pb2, clip_pb2_grpc

from clip_service.pipeline import ClipPipeline


class ClipServicer(clip_pb2_grpc.ClipServiceServicer):
    """Answers `EncodeImage` and `EncodeText`; domain errors become codes in `mesh.serving.interceptors`."""

    def __init__(self, pipeline: ClipPipeline) -> None:
        self._pipeline = pipeline

    async def EncodeImage(
        self, request: clip_pb2.EncodeImageRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> clip_pb2.EncodeImageResponse:
        """Encodes one photo."""
        photo, name = await self._pipeline.encode_image(request.image, request.model_name)
        return clip_pb2.EncodeImageResponse(
            embedding=photo.embedding.tolist(), image_width=photo.width, image_height=photo.height, model_name=name
        )

    async def EncodeText(
        self, request: clip_pb2.EncodeTextRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> clip_pb2.EncodeTextResponse:
        """Encodes one sentence."""
        embedding, name = await self._pipeline.encode_text(request.text, request.language, request.model_name)
        return clip_pb2.EncodeTextResponse(embedding=embedding.tolist(), model_name=name)
