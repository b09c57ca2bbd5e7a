"""Asks the router as Immich does: `POST /predict`, multipart, one task."""

import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from mesh.cli.clients.client import OcrOptions
from mesh.cli.clients.results import AnsweredFace, AnsweredLine, ClipAnswer, FaceAnswer, OcrAnswer, Point
from mesh.cli.output.outcome import CommandError, ExitCode, one_line

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
IMMICH_OCR_MODEL = "PP-OCRv5_mobile"
IMMICH_CLIP_MODEL = "ViT-B-32__openai"
IMMICH_FACE_MODEL = "buffalo_l"
"""The names that Immich sends by default; the router's routes say what serves them."""


def given(**options: float | str | None) -> dict[str, float | str]:
    """The options that are set."""
    return {name: value for name, value in options.items() if value is not None}


class RouterClient:
    """A `MeshClient` over the router's Immich API.

    Args:
        url: e.g. `http://127.0.0.1:3003`.
        timeout_seconds: of one call; the router may hold a call while a service starts.
        transport: replaces the network in tests.
    """

    def __init__(self, url: str, timeout_seconds: float, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        host = urlsplit(self.url).hostname
        if urlsplit(self.url).scheme not in {"http", "https"} or not host:
            raise CommandError(f"{url!r} is no address: write it like http://127.0.0.1:3003", ExitCode.USAGE)
        # A proxy of the environment is for the outside, not for this machine.
        self._client = httpx.Client(timeout=timeout_seconds, transport=transport, trust_env=host not in LOOPBACK)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def recognize(self, photo: bytes, options: OcrOptions) -> OcrAnswer:
        """The text of a photo; boxes are brought back from the reply's 0..1 to pixels."""
        name = options.model or IMMICH_OCR_MODEL
        detection = given(minScore=options.min_detection_score, maxResolution=options.max_resolution)
        recognition = given(minScore=options.min_recognition_score)
        reply = self._predict(
            {
                "ocr": {
                    "detection": {"modelName": name, "options": detection},
                    "recognition": {"modelName": name, "options": recognition},
                }
            },
            photo,
        )
        width, height, ocr = reply["imageWidth"], reply["imageHeight"], reply["ocr"]
        return OcrAnswer(tuple(_lines(ocr, width, height)), width, height)

    def detect(self, photo: bytes, model: str | None, min_score: float | None) -> FaceAnswer:
        """The faces of a photo."""
        name = model or IMMICH_FACE_MODEL
        detection = {"modelName": name, "options": given(minScore=min_score)}
        task = {"facial-recognition": {"detection": detection, "recognition": {"modelName": name}}}
        reply = self._predict(task, photo)
        return FaceAnswer(
            tuple(_face(face) for face in reply["facial-recognition"]), reply["imageWidth"], reply["imageHeight"]
        )

    def encode_image(self, photo: bytes, model: str | None) -> ClipAnswer:
        """The vector of a photo."""
        reply = self._predict({"clip": {"visual": {"modelName": model or IMMICH_CLIP_MODEL}}}, photo)
        return ClipAnswer(tuple(json.loads(reply["clip"])))

    def encode_text(self, text: str, model: str | None, language: str) -> ClipAnswer:
        """The vector of a sentence."""
        options = given(language=language or None)
        task = {"clip": {"textual": {"modelName": model or IMMICH_CLIP_MODEL, "options": options}}}
        return ClipAnswer(tuple(json.loads(self._predict(task, text)["clip"])))

    def _predict(self, entries: dict[str, Any], payload: bytes | str) -> dict[str, Any]:
        parts: dict[str, Any] = {"entries": (None, json.dumps(entries))}
        if isinstance(payload, str):
            parts["text"] = (None, payload)
        else:
            parts["image"] = ("blob", payload, "application/octet-stream")
        try:
            response = self._client.post(f"{self.url}/predict", files=parts)
        except httpx.TimeoutException:
            raise CommandError(
                f"no answer from {self.url} in time: it is busy, or holds the request for a service that is not ready "
                "(`immich-mesh doctor` tells)",
                ExitCode.UNREACHABLE,
            ) from None
        except httpx.TransportError as error:
            reason = one_line(str(error)) or type(error).__name__
            raise CommandError(
                f"cannot reach the router at {self.url} ({reason}): start it with `immich-mesh up`, or give --url",
                ExitCode.UNREACHABLE,
            ) from None
        if response.status_code != httpx.codes.OK:
            raise CommandError(_complaint(response), _code(response.status_code))
        try:
            reply = response.json()
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise CommandError(f"{self.url} answered something other than JSON: is it the router?")
        return reply


def _lines(ocr: dict[str, Any], width: int, height: int) -> list[AnsweredLine]:
    """The reply's four aligned lists as lines."""
    corners = ocr["box"]
    found = []
    for index, (text, box_score, text_score) in enumerate(
        zip(ocr["text"], ocr["boxScore"], ocr["textScore"], strict=True)
    ):
        flat = corners[8 * index : 8 * index + 8]
        box: list[Point] = [(flat[at] * width, flat[at + 1] * height) for at in range(0, 8, 2)]
        found.append(AnsweredLine(text, (box[0], box[1], box[2], box[3]), box_score, text_score))
    return found


def _face(face: dict[str, Any]) -> AnsweredFace:
    box = face["boundingBox"]
    embedding = tuple(json.loads(face["embedding"]))
    return AnsweredFace((box["x1"], box["y1"], box["x2"], box["y2"]), face["score"], embedding)


def _complaint(response: httpx.Response) -> str:
    """The router's own message with the request id to look for in the logs, or the bare status of another server."""
    try:
        error = response.json()["error"]
        return one_line(f"{error['message']} (HTTP {response.status_code}, request {error['request_id']})")
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code} from {response.request.url}: is it the router?"


def _code(status: int) -> ExitCode:
    """Exit code of an HTTP status that is no success."""
    if status in {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT}:
        return ExitCode.UNREACHABLE
    return ExitCode.REFUSED if 400 <= status < 500 else ExitCode.FAILED
