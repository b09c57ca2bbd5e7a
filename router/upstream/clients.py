"""Typed clients, one for each family of models: domain objects in, domain objects out, generated code in between.

Every reply is checked before it is believed: a vector that is no unit vector, a box outside of its photo or a score
beyond 1 means a broken endpoint, and the call goes on elsewhere: Immich's database never sees it.
"""

import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from immich_mesh.clip.v1 import clip_pb2
from immich_mesh.face.v1 import face_pb2
from immich_mesh.ocr.v1 import ocr_pb2

from router.config import RetrySettings
from router.domain.requests import CallStats, Content
from router.domain.results import ClipImageResult, ClipTextResult, Face, FaceResult, OcrResult, TextLine
from router.domain.tasks import FaceRecognition, Lane, TextRecognition
from router.upstream.calls import BrokenReplyError, Call
from router.upstream.cluster import Cluster

OCR_SERVICE = "immich_mesh.ocr.v1.OcrService"
CLIP_SERVICE = "immich_mesh.clip.v1.ClipService"
FACE_SERVICE = "immich_mesh.face.v1.FaceService"

DEFAULT_RETRY = RetrySettings()

_LENGTH_DELIMITED = 2
"""Protobuf's wire type of bytes."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a call needs to know besides its payload.

    Attributes:
        deadline: on `time.monotonic()`'s clock.
        headers: metadata for the service: request id, traceparent.
        retry: the route's policy.
        hold_until: when to give up while no endpoint is healthy; None for the deadline.
        hold: False to fail rather than wait.
        avoid: addresses that the first try should rather not go to.
        stats: filled in as the call goes.
    """

    deadline: float
    headers: tuple[tuple[str, str], ...] = ()
    retry: RetrySettings = DEFAULT_RETRY
    hold_until: float | None = None
    hold: bool = True
    avoid: frozenset[str] = frozenset()
    stats: CallStats = field(default_factory=CallStats)


class _Client:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def _call(
        self,
        method: str,
        message: bytes,
        read: Callable[[bytes], Any],
        content: Content,
        lane: Lane,
        context: CallContext,
    ) -> Coroutine[Any, Any, Any]:
        call = Call(
            method=method,
            message=message,
            read=read,
            content=content,
            lane=lane,
            deadline=context.deadline,
            headers=context.headers,
            hold=context.hold,
            avoid=context.avoid,
            stats=context.stats,
        )
        return self.cluster.call(call, context.retry, context.hold_until)


class ClipClient(_Client):
    """A cluster of CLIP services."""

    def encode_image(
        self, image: Content, model_name: str, dimension: int | None, context: CallContext
    ) -> Coroutine[Any, Any, ClipImageResult]:
        """The vector of a photo. `dimension` is the length it must have, None when any will do. Raises MeshError."""
        message = _with_image(image, clip_pb2.EncodeImageRequest(model_name=model_name))

        def read(data: bytes) -> ClipImageResult:
            reply = _decoded(clip_pb2.EncodeImageResponse, data)
            vector = _unit_vector(reply.embedding, dimension)
            width, height = _size(reply)
            return ClipImageResult(vector, width, height, reply.model_name)

        return self._call(f"/{CLIP_SERVICE}/EncodeImage", message, read, image, Lane.IMAGE, context)

    def encode_text(
        self, text: Content, model_name: str, language: str, dimension: int | None, context: CallContext
    ) -> Coroutine[Any, Any, ClipTextResult]:
        """The vector of a text (UTF-8). Raises MeshError."""
        request = clip_pb2.EncodeTextRequest(text=text.data.decode(), model_name=model_name, language=language)

        def read(data: bytes) -> ClipTextResult:
            reply = _decoded(clip_pb2.EncodeTextResponse, data)
            return ClipTextResult(_unit_vector(reply.embedding, dimension), reply.model_name)

        message = request.SerializeToString()
        return self._call(f"/{CLIP_SERVICE}/EncodeText", message, read, text, Lane.TEXT, context)


class FaceClient(_Client):
    """A cluster of face services."""

    def detect(
        self, image: Content, task: FaceRecognition, model_name: str, dimension: int | None, context: CallContext
    ) -> Coroutine[Any, Any, FaceResult]:
        """The faces of a photo. `dimension` is the length of their vectors, None when any will do. Raises MeshError."""
        request = face_pb2.DetectRequest(model_name=model_name, min_score=task.min_score)

        def read(data: bytes) -> FaceResult:
            reply = _decoded(face_pb2.DetectResponse, data)
            width, height = _size(reply)
            faces = [_face(face, width, height, dimension) for face in reply.faces]
            return FaceResult(faces, width, height, reply.model_name)

        message = _with_image(image, request)
        return self._call(f"/{FACE_SERVICE}/Detect", message, read, image, Lane.IMAGE, context)


class OcrClient(_Client):
    """A cluster of OCR services."""

    def recognize(
        self, image: Content, task: TextRecognition, model_name: str, context: CallContext
    ) -> Coroutine[Any, Any, OcrResult]:
        """The text of a photo. Raises MeshError."""
        request = ocr_pb2.RecognizeRequest(
            model_name=model_name,
            min_detection_score=task.min_detection_score,
            min_recognition_score=task.min_recognition_score,
            max_resolution=task.max_resolution,
            language=task.language,
        )

        def read(data: bytes) -> OcrResult:
            reply = _decoded(ocr_pb2.RecognizeResponse, data)
            width, height = _size(reply)
            return OcrResult([_line(line, width, height) for line in reply.lines], width, height, reply.model_name)

        message = _with_image(image, request)
        return self._call(f"/{OCR_SERVICE}/Recognize", message, read, image, Lane.IMAGE, context)


def _with_image(image: Content, rest: Any) -> bytes:
    """A request with the photo as its field `image`, serialised.

    An encoded message is the sequence of its fields, so one copy does instead of the library's three: at 64 MB that is
    130 ms of the event loop's time.
    """
    field = rest.DESCRIPTOR.fields_by_name["image"]
    tag = field.number << 3 | _LENGTH_DELIMITED
    return b"".join((_varint(tag), _varint(len(image.data)), image.data, rest.SerializeToString()))


def _varint(number: int) -> bytes:
    """Protobuf's encoding of a whole number: seven bits to a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _decoded(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise BrokenReplyError(f"its reply is no {kind.__name__}") from error


def _size(reply: Any) -> tuple[int, int]:
    if reply.image_width < 1 or reply.image_height < 1:
        raise BrokenReplyError("the photo's size is missing")
    return reply.image_width, reply.image_height


def _unit_vector(values: Any, dimension: int | None) -> list[float]:
    vector: list[float] = list(values)
    if dimension is not None and len(vector) != dimension:
        raise BrokenReplyError(f"a vector of {len(vector)} numbers instead of {dimension}")
    # NaN and infinity fail the comparison too.
    if not 0.99 < math.hypot(*vector) < 1.01:
        raise BrokenReplyError("a vector that is no unit vector")
    return vector


def _score(value: float) -> float:
    if not -0.001 <= value <= 1.001:
        raise BrokenReplyError(f"a score of {value}")
    return min(1.0, max(0.0, value))


def _face(face: face_pb2.Face, width: int, height: int, dimension: int | None) -> Face:
    box = face.bounding_box
    if not (0 <= box.x1 <= box.x2 <= width and 0 <= box.y1 <= box.y2 <= height):
        raise BrokenReplyError("a face outside of its photo")
    landmarks = tuple((point.x, point.y) for point in face.landmarks)
    return Face(box.x1, box.y1, box.x2, box.y2, _score(face.score), _unit_vector(face.embedding, dimension), landmarks)


def _line(line: ocr_pb2.TextLine, width: int, height: int) -> TextLine:
    box = line.box
    corners = (
        box.top_left.x,
        box.top_left.y,
        box.top_right.x,
        box.top_right.y,
        box.bottom_right.x,
        box.bottom_right.y,
        box.bottom_left.x,
        box.bottom_left.y,
    )
    inside = all(-1 <= x <= width + 1 for x in corners[::2]) and all(-1 <= y <= height + 1 for y in corners[1::2])
    if not inside or not line.text.strip() or "\0" in line.text:
        raise BrokenReplyError("a line of text that is empty or outside of its photo")
    return TextLine(line.text, corners, _score(line.detection_score), _score(line.recognition_score))
