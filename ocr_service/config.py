"""The OCR service's settings: `OCR_*` in the environment, over what every service has."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from mesh.core.settings import Device, ServiceSettings
from ocr_service.shapes import sizes_for

DEFAULT_MODEL = "PP-OCRv6_small"


class OcrSettings(ServiceSettings):
    """Settings of the OCR service. The scores and the resolution hold where a request carries none."""

    model_config = SettingsConfigDict(env_prefix="OCR_")

    shared_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ServiceSettings.shared_names,
        "batching.max_batch_size": (
            "MACHINE_LEARNING_MAX_BATCH_SIZE__OCR",
            "MACHINE_LEARNING_MAX_BATCH_SIZE__TEXT_RECOGNITION",
        ),
        "max_resolution": ("MACHINE_LEARNING_PRELOAD__OCR__MAX_RESOLUTION",),
        "preload": ("MACHINE_LEARNING_PRELOAD__OCR__RECOGNITION", "MACHINE_LEARNING_PRELOAD__OCR__DETECTION"),
    }

    port: int = Field(50051, ge=0, le=65535, description="Port of the gRPC server; 0 takes any free one.")
    model_name: str = Field(DEFAULT_MODEL, description="Model that answers when a request names none.")
    language_fallback: bool = Field(
        False,
        description="Let the default model read what a language's own model cannot be had for. Scripts that it does not"
        " know come out as garbage.",
    )
    min_detection_score: float = Field(0.5, ge=0, le=1, description="Least certainty of a box, 0 to 1.")
    min_recognition_score: float = Field(0.8, ge=0, le=1, description="Least certainty of a text, 0 to 1.")
    max_resolution: int = Field(736, ge=32, le=8192, description="Short side of the photo during detection, in pixels.")
    shapes: str = Field(
        "auto",
        description="Sizes that photos and lines are padded to, for devices that compile a graph for each: auto (on"
        " tensorrt, rocm, coreml, openvino:GPU, openvino:NPU), dynamic (never), fixed (on any device), or a list like"
        " 736x992,992x736,48x320: rows x columns, the most frequent first; lines are 48 high.",
    )

    @field_validator("shapes")
    @classmethod
    def _check_shapes(cls, value: str) -> str:
        sizes_for(value, Device.AUTO)
        return value
