"""gRPC services that answer at once with known answers: what the router's own cost is measured against.

`python -m bench.stubs --port 50999` serves all three families and health checking on one port until it is stopped. The
answers have the size of real ones and depend on nothing, so that nothing but the way there and back is measured.
"""

import argparse
import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import uvloop
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from immich_mesh.clip.v1 import clip_pb2
from immich_mesh.face.v1 import face_pb2
from immich_mesh.ocr.v1 import ocr_pb2

from mesh.core.rpc.channels import SERVER_OPTIONS

DIMENSION = 512
VECTOR = [DIMENSION**-0.5] * DIMENSION
"""The unit vector that every embedding is."""

TEXT = "你好 mesh"
WIDTH, HEIGHT = 1440, 1080


def _replies() -> dict[str, dict[str, bytes]]:
    box = ocr_pb2.Quad(
        top_left=ocr_pb2.Point(x=10, y=10),
        top_right=ocr_pb2.Point(x=110, y=10),
        bottom_right=ocr_pb2.Point(x=110, y=40),
        bottom_left=ocr_pb2.Point(x=10, y=40),
    )
    line = ocr_pb2.TextLine(text=TEXT, box=box, detection_score=0.9, recognition_score=0.95)
    bounds = face_pb2.BoundingBox(x1=100, y1=100, x2=200, y2=220)
    face = face_pb2.Face(bounding_box=bounds, score=0.9, embedding=VECTOR)
    size: Any = {"image_width": WIDTH, "image_height": HEIGHT, "model_name": "stub"}
    messages: dict[str, dict[str, Message]] = {
        "immich_mesh.ocr.v1.OcrService": {"Recognize": ocr_pb2.RecognizeResponse(lines=[line] * 4, **size)},
        "immich_mesh.face.v1.FaceService": {"Detect": face_pb2.DetectResponse(faces=[face], **size)},
        "immich_mesh.clip.v1.ClipService": {
            "EncodeImage": clip_pb2.EncodeImageResponse(embedding=VECTOR, **size),
            "EncodeText": clip_pb2.EncodeTextResponse(embedding=VECTOR, model_name="stub"),
        },
    }
    return {
        service: {method: reply.SerializeToString() for method, reply in methods.items()}
        for service, methods in messages.items()
    }


def _handler(reply: bytes) -> "grpc.RpcMethodHandler[bytes, bytes]":
    async def answer(_: bytes, __: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return reply

    return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def running(port: int = 0) -> AsyncIterator[int]:
    """A stub of all services on loopback; gives its port."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    checker = health.aio.HealthServicer()
    for service, methods in _replies().items():
        handlers = {method: _handler(reply) for method, reply in methods.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        await checker.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(1)


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(port) as bound:
        print(f"stubs listen on 127.0.0.1:{bound}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=50999)
    uvloop.run(_serve(parser.parse_args().port))
