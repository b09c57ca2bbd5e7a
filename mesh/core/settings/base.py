"""What every process's settings are: frozen, from the environment, under names of our own and of others.

A field is read from `<PREFIX><FIELD>`, nested fields by `__` (`OCR_BATCHING__MAX_QUEUE_SIZE`). `shared_names` adds
names without a prefix: those that hold for every service (`DEVICE`), and those that Immich ML and the predecessor used.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Limit of one gRPC message and of one HTTP body, in bytes."""

Place = tuple[int | str, ...]
"""Where a field is: its name, and before it those of the groups that it is in."""


class Frozen(BaseModel):
    """Base of nested groups of settings: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsSettings(Frozen):
    """TLS of a listener or of the calls to it. PEM files; all empty means plain text."""

    cert_file: Path | None = Field(None, description="Certificate chain, PEM.")
    key_file: Path | None = Field(None, description="Private key of the certificate, PEM.")
    ca_file: Path | None = Field(None, description="Certificate authority that the other side must be signed by, PEM.")
    permissive: bool = Field(
        False,
        description="For the time in which TLS is switched on or off: a listener takes plain text too, and a caller "
        "speaks it with an endpoint that does not speak TLS.",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> "TlsSettings":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: set both or none")
        return self


class SharedNames(PydanticBaseSettingsSource):
    """Reads names without a service's prefix (`SettingsClass.shared_names`); the prefixed ones win."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of the first of the field's shared names that is set and not empty."""
        names: Mapping[str, tuple[str, ...]] = getattr(self.settings_cls, "shared_names", {})
        for name in names.get(field_name, ()):
            if value := os.environ.get(name):
                return self.settings_cls.translated(name, value), field_name, False  # type: ignore[attr-defined]
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """All fields found under shared names; `group.field` names one of a group."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        values = {name: value for name, value in found.items() if value is not None}
        shared: Mapping[str, tuple[str, ...]] = getattr(self.settings_cls, "shared_names", {})
        for place, names in shared.items():
            group, _, leaf = place.rpartition(".")
            if group and (value := next((os.environ[name] for name in names if os.environ.get(name)), None)):
                values.setdefault(group, {})[leaf] = value
        return values


class MeshSettings(BaseSettings):
    """Base of every process's settings: frozen, nested by `__`, `shared_names` after the prefixed names."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_nested_delimiter="__", populate_by_name=True, protected_namespaces=()
    )
    shared_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @classmethod
    def translated(cls, name: str, value: str) -> str:
        """What the value of a name without our prefix means here."""
        del name
        return value

    @classmethod
    def variables(cls, place: Place) -> tuple[str, ...]:
        """The environment's names of a field, in the order in which they count."""
        own = (cls.model_config.get("env_prefix") or "") + "__".join(str(step).upper() for step in place)
        return (own, *cls.other_names(".".join(map(str, place))))

    @classmethod
    def other_names(cls, path: str) -> tuple[str, ...]:
        """The names without a prefix of the field at that dotted path."""
        return cls.shared_names.get(path, ())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then `<PREFIX><FIELD>`, then the shared names."""
        return init_settings, env_settings, SharedNames(settings_cls)
