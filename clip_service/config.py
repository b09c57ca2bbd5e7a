"""The CLIP service's settings, read from `CLIP_*`."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from mesh.core.settings import ServiceSettings

CN_CLIP_NAMES = ("ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "RN50")
"""cn-clip's own names of its models, which the predecessor's `CLIP_MODEL` took."""


class ClipSettings(ServiceSettings):
    """What the CLIP service can be told."""

    model_config = SettingsConfigDict(env_prefix="CLIP_")
    shared_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ServiceSettings.shared_names,
        "model_name": ("CLIP_MODEL",),
        "preload": ("MACHINE_LEARNING_PRELOAD__CLIP__VISUAL", "MACHINE_LEARNING_PRELOAD__CLIP__TEXTUAL"),
    }

    port: int = Field(50052, ge=0, le=65535, description="Port of the gRPC server; 0 takes any free one.")
    model_name: str = Field("ViT-B-16__cn-clip", description="Model that answers when a request names none.")

    @field_validator("model_name")
    @classmethod
    def _short_name(cls, value: str) -> str:
        return f"{value}__cn-clip" if value in CN_CLIP_NAMES else value
