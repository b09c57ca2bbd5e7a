"""The face service's settings, read from `FACE_*`."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mesh.core.settings import ServiceSettings


class FaceSettings(ServiceSettings):
    """What the face service can be told."""

    model_config = SettingsConfigDict(env_prefix="FACE_")
    shared_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ServiceSettings.shared_names,
        "batching.max_batch_size": ("MACHINE_LEARNING_MAX_BATCH_SIZE__FACIAL_RECOGNITION",),
        "model_name": ("RECOGNITION_MODEL",),
        "min_score": ("DETECTION_THRESH",),
        "preload": (
            "MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION__RECOGNITION",
            "MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION__DETECTION",
        ),
    }

    port: int = Field(50053, ge=0, le=65535, description="Port of the gRPC server; 0 takes any free one.")
    model_name: str = Field("buffalo_l", description="Pack of models that answers when a request names none.")
    min_score: float = Field(0.7, ge=0, le=1, description="Faces less certain are dropped when a request does not say.")
    max_faces: int = Field(500, ge=1, description="Most faces of one photo; the most certain ones are kept.")
