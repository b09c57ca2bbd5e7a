"""What to recognise with: the models and thresholds that Immich is set to, and the calls that run them.

A refreshed photo has to fit the photos around it, so it is read with exactly what Immich would ask for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sql.refresh import OcrLine


@dataclass(frozen=True)
class OcrModel:
    """Immich's OCR settings, with Immich's defaults."""

    name: str = "PP-OCRv5_mobile"
    min_detection_score: float = 0.5
    min_recognition_score: float = 0.8
    max_resolution: int = 736


@dataclass(frozen=True)
class ImmichModels:
    """The models that Immich is set to, with Immich's defaults."""

    clip: str = "ViT-B-32__openai"
    ocr: OcrModel = OcrModel()

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, clip: str = "", ocr: str = "") -> "ImmichModels":
        """Reads Immich's stored settings (those that differ from its defaults); `clip` and `ocr` override the names.

        Overrides are for an Immich that reads its settings from a file instead of its database.
        """
        stored = settings.get("ocr", {})
        fallback = OcrModel()
        return cls(
            clip or str(settings.get("clip", {}).get("modelName") or cls.clip),
            OcrModel(
                ocr or str(stored.get("modelName") or fallback.name),
                float(stored.get("minDetectionScore", fallback.min_detection_score)),
                float(stored.get("minRecognitionScore", fallback.min_recognition_score)),
                int(stored.get("maxResolution", fallback.max_resolution)),
            ),
        )


def wants_faces(settings: Mapping[str, Any]) -> bool:
    """Whether Immich looks for faces, by its stored settings (those that differ from its defaults)."""
    return bool(settings.get("enabled", True)) and bool(settings.get("facialRecognition", {}).get("enabled", True))


@dataclass(frozen=True)
class ReadText:
    """What OCR read in an image of this size in pixels."""

    lines: tuple[OcrLine, ...]
    width: int
    height: int


class Recogniser(Protocol):
    """The mesh's services, reached through the router's own routes. Every call raises MeshError."""

    async def read_text(self, image: bytes, model: OcrModel) -> ReadText:
        """The lines of an encoded image."""

    async def embed_image(self, image: bytes, model: str) -> Sequence[float]:
        """The CLIP vector of an encoded image."""

    async def embed_text(self, text: str, model: str, language: str) -> Sequence[float]:
        """The CLIP vector of a query."""
