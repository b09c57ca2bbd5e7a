"""What `immich-mesh up` itself can be told, beside the settings of what it starts."""

from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from mesh.core.settings import MeshSettings


class SupervisorSettings(MeshSettings):
    """Where the second router is. Immich tries each of its URLs once and then drops a job: one router is too few."""

    model_config = SettingsConfigDict(env_prefix="MESH_")

    second_router_port: int | None = Field(
        3004, ge=0, le=65535, description="Port of the second router, Immich's second URL; empty for one router alone."
    )
    second_router_admin_port: int | None = Field(
        9902, ge=0, le=65535, description="Port of the second router's admin page; empty for none."
    )

    @field_validator("second_router_port", "second_router_admin_port", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value
