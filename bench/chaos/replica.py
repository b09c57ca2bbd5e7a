"""One replica: a process that speaks the protos and answers as `answers` says, until somebody breaks it.

`python -m bench.chaos.replica --port N [--work-ms 100] [--capacity 64]`. SIGTERM drains as a real service does; SIGUSR1
makes it answer garbage, or sense again; SIGUSR2 leaves it room for one call at a time, or all of it again.
"""

import argparse
import asyncio
import itertools
import math
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import uvloop
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from immich_mesh.clip.v1 import clip_pb2
from immich_mesh.face.v1 import face_pb2
from immich_mesh.ocr.v1 import ocr_pb2

from bench.chaos import answers
from mesh.core.errors import OverloadedError
from mesh.core.rpc.channels import SERVER_OPTIONS
from mesh.serving.interceptors import CallInterceptor

DRAIN_SECONDS = 20.0
CRASHING_PAYLOAD = b"a payload that kills whoever works on it"
PUSHBACK_SECONDS = 0.2
SIZE: dict[str, Any] = {"image_width": answers.WIDTH, "image_height": answers.HEIGHT, "model_name": "known"}

Context = Any
Reply = Callable[[bytes], Message]


def recognize(data: bytes) -> Message:
    """Reads a photo."""
    corners = [ocr_pb2.Point(x=x, y=y) for x, y in ((10, 10), (200, 10), (200, 40), (10, 40))]
    quad = ocr_pb2.Quad(top_left=corners[0], top_right=corners[1], bottom_right=corners[2], bottom_left=corners[3])
    text = answers.line(ocr_pb2.RecognizeRequest.FromString(data).image)
    found = ocr_pb2.TextLine(text=text, box=quad, detection_score=0.9, recognition_score=0.9)
    return ocr_pb2.RecognizeResponse(lines=[found], **SIZE)


def encode_image(data: bytes) -> Message:
    """Encodes a photo."""
    image = clip_pb2.EncodeImageRequest.FromString(data).image
    return clip_pb2.EncodeImageResponse(embedding=answers.vector(image), **SIZE)


def encode_text(data: bytes) -> Message:
    """Encodes a text."""
    text = clip_pb2.EncodeTextRequest.FromString(data).text
    return clip_pb2.EncodeTextResponse(embedding=answers.vector(text.encode()), model_name="known")


def detect(data: bytes) -> Message:
    """Finds a face."""
    image = face_pb2.DetectRequest.FromString(data).image
    x1, y1, x2, y2 = answers.box(image)
    bounds = face_pb2.BoundingBox(x1=x1, y1=y1, x2=x2, y2=y2)
    face = face_pb2.Face(bounding_box=bounds, score=0.9, embedding=answers.vector(image))
    return face_pb2.DetectResponse(faces=[face], **SIZE)


METHODS: dict[str, dict[str, Reply]] = {
    "immich_mesh.ocr.v1.OcrService": {"Recognize": recognize},
    "immich_mesh.clip.v1.ClipService": {"EncodeImage": encode_image, "EncodeText": encode_text},
    "immich_mesh.face.v1.FaceService": {"Detect": detect},
}


def _garbage(method: str) -> list[bytes]:
    """Answers that no client may believe, whatever it asked."""
    vectors: tuple[list[float], ...] = ([0.0] * answers.DIMENSION, [math.nan] * answers.DIMENSION, [1.0], [])
    if method.startswith("Encode"):
        kind = clip_pb2.EncodeImageResponse if method == "EncodeImage" else clip_pb2.EncodeTextResponse
        size = SIZE if method == "EncodeImage" else {}
        broken = [kind(embedding=vector, **size).SerializeToString() for vector in vectors]
    elif method == "Detect":
        outside = face_pb2.BoundingBox(x1=-5, y1=0, x2=9999, y2=3)
        faces = [face_pb2.Face(bounding_box=outside, score=0.5, embedding=answers.vector(b""))]
        faces += [face_pb2.Face(score=0.5, embedding=vector) for vector in vectors]
        broken = [face_pb2.DetectResponse(faces=[face], **SIZE).SerializeToString() for face in faces]
    else:
        lines = [ocr_pb2.TextLine(text="  "), ocr_pb2.TextLine(text="x", recognition_score=7)]
        broken = [ocr_pb2.RecognizeResponse(lines=[line], **SIZE).SerializeToString() for line in lines]
    return [*broken, b"\xff\xff\xffnot a message", b""]


class Replica:
    """The state that signals change, and the handlers."""

    def __init__(self, work_seconds: float, capacity: int) -> None:
        self._work_seconds = work_seconds
        self._capacity = capacity
        self._active = 0
        self.garbage = False
        self.crowded = False

    def handler(self, method: str, reply: Reply) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """The gRPC handler of one method."""
        nonsense = itertools.cycle(_garbage(method))

        async def answer(data: bytes, context: Context) -> bytes:
            if self.garbage:
                return next(nonsense)
            if self._active >= (1 if self.crowded else self._capacity):
                raise OverloadedError("the queue is full", PUSHBACK_SECONDS)
            if CRASHING_PAYLOAD in data:
                os.kill(os.getpid(), signal.SIGKILL)
            self._active += 1
            try:
                await asyncio.sleep(self._work_seconds)
                return reply(data).SerializeToString()
            finally:
                self._active -= 1

        return answer


async def serve(port: int, replica: Replica) -> None:
    """Runs until SIGTERM, then drains."""
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=[CallInterceptor()])
    checker = health.aio.HealthServicer()
    for service, methods in METHODS.items():
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method: grpc.unary_unary_rpc_method_handler(replica.handler(method, reply))
            for method, reply in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        await checker.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(replica, "garbage", not replica.garbage))
    loop.add_signal_handler(signal.SIGUSR2, lambda: setattr(replica, "crowded", not replica.crowded))
    await server.start()
    await stop.wait()
    await checker.enter_graceful_shutdown()
    await server.stop(DRAIN_SECONDS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--work-ms", type=float, default=100)
    parser.add_argument("--capacity", type=int, default=64)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, Replica(arguments.work_ms / 1000, arguments.capacity)))
