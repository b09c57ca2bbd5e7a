"""The CLIP service's settings, read from `CLIP_*`."""

import os
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from mesh.core.settings import ServiceSettings
from mesh.hub.catalogue import clip_dimension

CN_CLIP_NAMES = ("ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "RN50")
"""cn-clip's own names of its models, which the predecessor's `CLIP_MODEL` took."""


class ClipSettings(ServiceSettings):
    """What the CLIP service can be told."""

    model_config = SettingsConfigDict(env_prefix="CLIP_")
    shared_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ServiceSettings.shared_names,
        "cache_folder": (*ServiceSettings.shared_names["cache_folder"], "CLIP_DOWNLOAD_ROOT"),
        "model_name": ("CLIP_MODEL",),
        "preload": ("MACHINE_LEARNING_PRELOAD__CLIP__VISUAL", "MACHINE_LEARNING_PRELOAD__CLIP__TEXTUAL"),
    }

    port: int = Field(50052, ge=0, le=65535, description="Port of the gRPC server; 0 takes any free one.")
    model_name: str = Field("ViT-B-16__cn-clip", description="Model that answers when a request names none.")

    @classmethod
    def translated(cls, name: str, value: str) -> str:
        """A model that Immich preloads by its own name is the one that answers for it: that of its dimension."""
        if not name.startswith("MACHINE_LEARNING_PRELOAD__CLIP__"):
            return value
        given = next((os.environ[own] for own in cls.variables(("model_name",)) if os.environ.get(own)), None)
        served = cls._short_name(given or cls.model_fields["model_name"].default)
        return served if clip_dimension(value) == clip_dimension(served) else value

    @field_validator("model_name")
    @classmethod
    def _short_name(cls, value: str) -> str:
        return f"{value}__cn-clip" if value in CN_CLIP_NAMES else value
