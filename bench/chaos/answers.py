"""Known answers: what a replica says is a function of the payload alone, so that a client can tell right from wrong."""

import hashlib
import json
from typing import Any

DIMENSION = 512
WIDTH, HEIGHT = 640, 480


def vector(payload: bytes) -> list[float]:
    """A unit vector with two numbers in it, whose places depend on the payload."""
    digest = hashlib.sha256(payload).digest()
    first = int.from_bytes(digest[:2]) % DIMENSION
    second = (first + 1 + digest[2]) % DIMENSION
    values = [0.0] * DIMENSION
    values[first], values[second] = 0.6, 0.8
    return values


def line(payload: bytes) -> str:
    """The text in a photo."""
    return f"发票 {hashlib.sha256(payload).hexdigest()[:16]}"


def box(payload: bytes) -> tuple[int, int, int, int]:
    """Where its face is: x1, y1, x2, y2."""
    digest = hashlib.sha256(payload).digest()
    return digest[0], digest[1], digest[0] + 1 + digest[2], digest[1] + 1 + digest[3] % 200


def is_right(task: str, payload: bytes, reply: bytes) -> bool:
    """Whether the router's reply to one task is the payload's."""
    found: dict[str, Any] = json.loads(reply)
    if task.startswith("clip"):
        return _close(json.loads(found["clip"]), vector(payload))
    if task == "ocr":
        return bool(found["ocr"]["text"] == [line(payload)])
    (face,) = found["facial-recognition"]
    bounds = face["boundingBox"]
    places = (bounds["x1"], bounds["y1"], bounds["x2"], bounds["y2"])
    return places == box(payload) and _close(json.loads(face["embedding"]), vector(payload))


def _close(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) < 1e-6 for a, b in zip(one, other, strict=True))
