"""Asks a service directly, by gRPC: tells whether a fault is in the router or in the service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from grpc.aio import AioRpcError, Channel
from immich_mesh.clip.v1 import clip_pb2, clip_pb2_grpc
from immich_mesh.face.v1 import face_pb2, face_pb2_grpc
from immich_mesh.ocr.v1 import ocr_pb2, ocr_pb2_grpc

from mesh.cli.clients.client import OcrOptions
from mesh.cli.clients.results import AnsweredFace, AnsweredLine, ClipAnswer, FaceAnswer, OcrAnswer, Point
from mesh.cli.output.outcome import CommandError, ExitCode, one_line
from mesh.core.rpc.channels import open_channel
from mesh.core.rpc.tokens import BearerToken
from mesh.core.settings import TlsSettings

Reply = TypeVar("Reply")

_CODES = {
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNREACHABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.UNREACHABLE,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.REFUSED,
    grpc.StatusCode.NOT_FOUND: ExitCode.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.REFUSED,
}


class ServiceClient:
    """A `MeshClient` over one service's gRPC API.

    Args:
        address: `host:port` of the service.
        timeout_seconds: deadline of a call.
        tls: None for plain text.
        token: bearer token, when the service wants one.
    """

    def __init__(
        self,
        address: str,
        timeout_seconds: float,
        tls: TlsSettings | None = None,
        token: BearerToken | str | None = None,
    ) -> None:
        self.address = address
        self.timeout_seconds = timeout_seconds
        self._tls = tls
        self._token = token

    def close(self) -> None:
        """Nothing to close: each call has its own channel."""

    def recognize(self, photo: bytes, options: OcrOptions) -> OcrAnswer:
        """The text of a photo."""
        request = ocr_pb2.RecognizeRequest(
            image=photo,
            model_name=options.model or "",
            min_detection_score=options.min_detection_score,
            min_recognition_score=options.min_recognition_score,
            max_resolution=options.max_resolution,
        )
        reply: ocr_pb2.RecognizeResponse = self._ask(
            lambda channel: ocr_pb2_grpc.OcrServiceStub(channel).Recognize(request, timeout=self.timeout_seconds)
        )
        lines = tuple(
            AnsweredLine(line.text, _corners(line.box), line.detection_score, line.recognition_score)
            for line in reply.lines
        )
        return OcrAnswer(lines, reply.image_width, reply.image_height)

    def detect(self, photo: bytes, model: str | None, min_score: float | None) -> FaceAnswer:
        """The faces of a photo."""
        request = face_pb2.DetectRequest(image=photo, model_name=model or "", min_score=min_score)
        reply: face_pb2.DetectResponse = self._ask(
            lambda channel: face_pb2_grpc.FaceServiceStub(channel).Detect(request, timeout=self.timeout_seconds)
        )
        faces = tuple(
            AnsweredFace(
                (face.bounding_box.x1, face.bounding_box.y1, face.bounding_box.x2, face.bounding_box.y2),
                face.score,
                tuple(face.embedding),
            )
            for face in reply.faces
        )
        return FaceAnswer(faces, reply.image_width, reply.image_height)

    def encode_image(self, photo: bytes, model: str | None) -> ClipAnswer:
        """The vector of a photo."""
        request = clip_pb2.EncodeImageRequest(image=photo, model_name=model or "")
        reply: clip_pb2.EncodeImageResponse = self._ask(
            lambda channel: clip_pb2_grpc.ClipServiceStub(channel).EncodeImage(request, timeout=self.timeout_seconds)
        )
        return ClipAnswer(tuple(reply.embedding))

    def encode_text(self, text: str, model: str | None, language: str) -> ClipAnswer:
        """The vector of a sentence."""
        request = clip_pb2.EncodeTextRequest(text=text, model_name=model or "", language=language)
        reply: clip_pb2.EncodeTextResponse = self._ask(
            lambda channel: clip_pb2_grpc.ClipServiceStub(channel).EncodeText(request, timeout=self.timeout_seconds)
        )
        return ClipAnswer(tuple(reply.embedding))

    def _ask(self, call: Callable[[Channel], Awaitable[Reply]]) -> Reply:
        async def ask() -> Reply:
            async with open_channel(self.address, self._tls, self._token) as channel:
                return await call(channel)

        try:
            return asyncio.run(ask())
        except AioRpcError as error:
            details = one_line(error.details() or "")
            message = f"{self.address}: {details} ({error.code().name})"
            raise CommandError(message, _CODES.get(error.code(), ExitCode.FAILED)) from None


def _corners(quad: ocr_pb2.Quad) -> tuple[Point, Point, Point, Point]:
    return (
        (quad.top_left.x, quad.top_left.y),
        (quad.top_right.x, quad.top_right.y),
        (quad.bottom_right.x, quad.bottom_right.y),
        (quad.bottom_left.x, quad.bottom_left.y),
    )
