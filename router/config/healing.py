"""Settings of self-healing."""

from pathlib import Path

from pydantic import Field, SecretStr

from mesh.core.settings import Frozen


class HealingSettings(Frozen):
    """When and how gently; it runs where Immich's URL and an administrator's API key are given."""

    enabled: bool = Field(True, description="Whether photos that Immich dropped are found and queued again.")
    pause_on_stop: bool = Field(
        True, description="Whether the last router to stop pauses Immich's OCR, smart search and face queues."
    )
    api_key: SecretStr | None = Field(
        None,
        description="An administrator's API key with job.read, job.create, and for Immich 3 queue.read, queue.update.",
    )
    state_folder: Path | None = Field(
        None,
        description="Where it is noted which queues are paused when there is no database; empty: none is paused then.",
    )
    check_seconds: float = Field(15.0, gt=0, description="How often it is looked whether something was dropped.")
    settle_seconds: float = Field(30.0, ge=0, description="How long all has to be well before healing begins.")
    min_interval_seconds: float = Field(
        600.0, ge=0, description="Time between two healings; doubled, up to 6 hours, while photos go on failing."
    )
    requeue_batch: int = Field(500, ge=1, description="Photos of a lost forced OCR run that are queued at a time.")
