"""What the client asks, and which answer is right: of stub replicas by their known answers, of real services on small
models by what was drawn into the photo.
"""

import io
import json
import os
import random
from typing import Any, Protocol

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from bench.chaos import answers
from tests.builders.clip import clip_image_vector, clip_text_vector
from tests.builders.faces import MARKERS, face_vector, marker_photo

WORDS = {"red": 9276, "green": 9631, "blue": 9036}
"""Colour words and their tokens, from which alone the small text encoder makes its vector."""


class Questions(Protocol):
    """Payloads, no two alike, and the judgement of their answers."""

    def payload(self, task: str, number: int) -> bytes:
        """The photo or text of request `number`."""

    def is_right(self, task: str, payload: bytes, reply: bytes) -> bool:
        """Whether the router's reply is the payload's."""


class StubQuestions:
    """Random bytes, for replicas whose answer is a function of them."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = random.Random(seed)

    def payload(self, task: str, number: int) -> bytes:
        """As `Questions`."""
        if task == "clip-text":
            return f"query {number}".encode()
        return b"\xff\xd8\xff" + os.urandom(self._rng.randrange(2_000, 60_000))

    def is_right(self, task: str, payload: bytes, reply: bytes) -> bool:
        """As `Questions`."""
        return answers.is_right(task, payload, reply)


class RealQuestions:
    """Photos and texts for services on the models of `tests.builders`, and OCR's own."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def payload(self, task: str, number: int) -> bytes:
        """As `Questions`."""
        match task:
            case "clip":
                made = _png(np.full((48, 48, 3), _colour(number), np.uint8))
            case "facial-recognition":
                made = _png(marker_photo(320, 240, {"magenta": _box(number)}, background=number % 97))
            case "ocr":
                made = _png(_written(_text(number)))
            case _:
                made = " ".join(_words(number)).encode()
        self._numbers[made] = number
        return made

    def is_right(self, task: str, payload: bytes, reply: bytes) -> bool:
        """As `Questions`."""
        number, found = self._numbers[payload], json.loads(reply)
        match task:
            case "clip":
                return _same(json.loads(found["clip"]), clip_image_vector(_colour(number)))
            case "facial-recognition":
                return _is_face(found["facial-recognition"], _box(number))
            case "ocr":
                return "".join(found["ocr"]["text"]).replace(" ", "") == _text(number)
            case _:
                tokens = [WORDS[word] for word in _words(number)]
                return _same(json.loads(found["clip"]), clip_text_vector(tokens))


def _colour(number: int) -> tuple[int, int, int]:
    return 20 + number % 90, 10 + number // 90 % 100, 200 - number % 50


def _box(number: int) -> tuple[int, int, int, int]:
    x, y = 10 + number % 97, 10 + number // 97 % 61
    return x, y, x + 120, y + 120


def _text(number: int) -> str:
    return f"{number * 7919 % 900_000 + 100_000}"


def _words(number: int) -> list[str]:
    counts = (1 + number % 12, 1 + number // 12 % 12, 1 + number // 144 % 12)
    return [word for word, count in zip(WORDS, counts, strict=True) for _ in range(count)]


def _written(text: str) -> Any:
    image = PIL.Image.new("RGB", (240, 80), "white")
    PIL.ImageDraw.Draw(image).text((30, 15), text, fill="black", font=PIL.ImageFont.load_default(44))
    return np.asarray(image)


def _png(pixels: Any) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def _is_face(faces: list[dict[str, Any]], box: tuple[int, int, int, int]) -> bool:
    if len(faces) != 1:
        return False
    bounds = faces[0]["boundingBox"]
    near = all(abs(bounds[side] - value) <= 3 for side, value in zip(("x1", "y1", "x2", "y2"), box, strict=True))
    vector = face_vector(MARKERS["magenta"].rgb)
    return near and _same(json.loads(faces[0]["embedding"]), vector / np.linalg.norm(vector), 0.95)


def _same(one: list[float], other: Any, least: float = 0.9999) -> bool:
    return len(one) == len(other) and float(np.dot(one, other)) >= least
