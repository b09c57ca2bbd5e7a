"""The typed clients: what is sent, what is read, and which answers are not believed."""

import math
from typing import Any

import pytest
from google.protobuf.message import Message
from immich_mesh.clip.v1 import clip_pb2
from immich_mesh.face.v1 import face_pb2
from immich_mesh.ocr.v1 import ocr_pb2

from mesh.core.errors import MeshError
from router.domain.requests import Content
from router.domain.results import ClipImageResult, FaceResult, OcrResult
from router.domain.tasks import FaceRecognition, Lane, TextRecognition
from router.upstream.calls import Call
from router.upstream.clients import CallContext, ClipClient, FaceClient, OcrClient
from tests.doubles.upstream import Stand

PHOTO = Content(b"photo")
UNIT = [1.0] + [0.0] * 511
SIZE: dict[str, Any] = {"image_width": 100, "image_height": 50}


class Talk(Stand):
    """A cluster whose endpoint answers with a message."""

    def __init__(self, reply: Message | bytes) -> None:
        super().__init__()
        self.reply = reply if isinstance(reply, bytes) else reply.SerializeToString()

    async def __aenter__(self) -> "Talk":
        await super().__aenter__()
        self.endpoints["a:1"].behave = self._answer
        return self

    async def _answer(self, _: Call) -> bytes:
        return self.reply

    @property
    def sent(self) -> Call:
        return self.endpoints["a:1"].calls[-1]

    def context(self) -> CallContext:
        # No time for a second try: what is not believed is told at once.
        return CallContext(self.timing.now() + 100, retry=self.policy.model_copy(update={"max_retries": 0}))


async def test_clip() -> None:
    async with Talk(clip_pb2.EncodeImageResponse(embedding=UNIT, model_name="m", **SIZE)) as talk:
        result = await ClipClient(talk.cluster).encode_image(PHOTO, "m", 512, talk.context())
        assert result == ClipImageResult(UNIT, 100, 50, "m")
        assert talk.sent.method == "/immich_mesh.clip.v1.ClipService/EncodeImage"
        assert clip_pb2.EncodeImageRequest.FromString(talk.sent.message) == clip_pb2.EncodeImageRequest(
            image=b"photo", model_name="m"
        )
        assert talk.sent.lane is Lane.IMAGE


async def test_a_text_query_has_its_own_lane_and_language() -> None:
    async with Talk(clip_pb2.EncodeTextResponse(embedding=UNIT, model_name="m")) as talk:
        await ClipClient(talk.cluster).encode_text(Content("一只狗".encode()), "m", "zh-CN", 512, talk.context())
        sent = clip_pb2.EncodeTextRequest.FromString(talk.sent.message)
        assert (sent.text, sent.language, talk.sent.lane) == ("一只狗", "zh-CN", Lane.TEXT)


async def test_options_travel_and_absent_ones_stay_absent() -> None:
    async with Talk(ocr_pb2.RecognizeResponse(**SIZE)) as talk:
        full = TextRecognition("x", 0.5, 0.8, 736, "zh")
        await OcrClient(talk.cluster).recognize(PHOTO, full, "v6", talk.context())
        sent = ocr_pb2.RecognizeRequest.FromString(talk.sent.message)
        assert (sent.min_detection_score, sent.max_resolution, sent.language, sent.model_name) == (0.5, 736, "zh", "v6")
        assert await OcrClient(talk.cluster).recognize(PHOTO, TextRecognition("x"), "", talk.context()) == OcrResult(
            [], 100, 50, ""
        )
        sent = ocr_pb2.RecognizeRequest.FromString(talk.sent.message)
        assert not sent.HasField("min_detection_score")
        assert not sent.HasField("max_resolution")


async def test_a_minimum_score_of_zero_is_not_an_absent_one() -> None:
    async with Talk(face_pb2.DetectResponse(**SIZE)) as talk:
        result = await FaceClient(talk.cluster).detect(PHOTO, FaceRecognition("m", 0.0), "m", 512, talk.context())
        assert result == FaceResult([], 100, 50, "")
        assert face_pb2.DetectRequest.FromString(talk.sent.message).HasField("min_score")


def clip(vector: list[float], **size: Any) -> Message:
    return clip_pb2.EncodeImageResponse(embedding=vector, **(size or SIZE))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"\xff\xff\xff", "no EncodeImageResponse"),
        (b"", "0 numbers instead of 512"),
        (clip(UNIT, image_width=0, image_height=5), "size is missing"),
        (clip([]), "0 numbers instead of 512"),
        (clip([1.0]), "1 numbers instead of 512"),
        (clip([0.0] * 512), "no unit vector"),
        (clip([2.0, *UNIT[1:]]), "no unit vector"),
        (clip([math.nan, *UNIT[1:]]), "no unit vector"),
        (clip([math.inf, *UNIT[1:]]), "no unit vector"),
    ],
)
async def test_vectors_that_are_not_believed(reply: Message | bytes, reason: str) -> None:
    async with Talk(reply) as talk:
        with pytest.raises(MeshError, match=f"nonsense.*{reason}"):
            await ClipClient(talk.cluster).encode_image(PHOTO, "m", 512, talk.context())


def face(**fields: Any) -> face_pb2.Face:
    box = face_pb2.BoundingBox(x1=1, y1=2, x2=30, y2=40)
    return face_pb2.Face(**{"bounding_box": box, "score": 0.9, "embedding": UNIT, **fields})


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"bounding_box": face_pb2.BoundingBox(x1=-1, x2=3, y2=3)}, "outside"),
        ({"bounding_box": face_pb2.BoundingBox(x1=5, x2=3, y2=3)}, "outside"),
        ({"bounding_box": face_pb2.BoundingBox(x2=101, y2=3)}, "outside"),
        ({"score": 7.0}, "score"),
        ({"score": math.nan}, "score"),
        ({"embedding": [1.0]}, "instead of 512"),
    ],
)
async def test_faces_that_are_not_believed(broken: dict[str, Any], reason: str) -> None:
    async with Talk(face_pb2.DetectResponse(faces=[face(), face(**broken)], **SIZE)) as talk:
        with pytest.raises(MeshError, match=f"nonsense.*{reason}"):
            await FaceClient(talk.cluster).detect(PHOTO, FaceRecognition("m"), "m", 512, talk.context())


def line(text: str = "x", x: float = 10, **scores: float) -> ocr_pb2.TextLine:
    point = ocr_pb2.Point(x=x, y=10)
    box = ocr_pb2.Quad(top_left=point, top_right=point, bottom_right=point, bottom_left=point)
    return ocr_pb2.TextLine(text=text, box=box, **{"detection_score": 0.9, "recognition_score": 0.9, **scores})


@pytest.mark.parametrize(
    "broken", [line(text=" "), line(text="a\0b"), line(x=-9), line(x=120), line(recognition_score=1.5)]
)
async def test_lines_that_are_not_believed(broken: ocr_pb2.TextLine) -> None:
    async with Talk(ocr_pb2.RecognizeResponse(lines=[line(), broken], **SIZE)) as talk:
        with pytest.raises(MeshError, match="nonsense"):
            await OcrClient(talk.cluster).recognize(PHOTO, TextRecognition("x"), "", talk.context())


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 3_000_000])
async def test_photos_of_any_size_are_written_as_protobuf_writes_them(size: int) -> None:
    photo = Content(bytes(range(256)) * (size // 256 + 1))
    photo.data = photo.data[:size]
    async with Talk(face_pb2.DetectResponse(model_name="m", **SIZE)) as talk:
        await FaceClient(talk.cluster).detect(photo, FaceRecognition("m", 0.5), "m", 512, talk.context())
        expected = face_pb2.DetectRequest(image=photo.data, model_name="m", min_score=0.5)
        assert face_pb2.DetectRequest.FromString(talk.sent.message) == expected
