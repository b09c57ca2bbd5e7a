"""The settings of all that one machine runs, read as its processes read them; what is wrong is a CommandError."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from clip_service.config import ClipSettings
from face_service.config import FaceSettings
from mesh.cli.machine.supervisor_settings import SupervisorSettings
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.core.settings import ServiceSettings
from mesh.core.settings.reading import InvalidSettingsError, read_settings
from mesh.core.settings.unknown import UnknownSetting, unknown_settings
from mesh.hub.catalogue import Family
from ocr_service.config import OcrSettings
from router.config import RouterSettings, config_path
from router.config.file import ConfigError, load

T = TypeVar("T")

SERVICES: dict[str, type[ServiceSettings]] = {"ocr": OcrSettings, "clip": ClipSettings, "face": FaceSettings}
FAMILIES = {"ocr": Family.OCR, "clip": Family.CLIP, "face": Family.FACE}
"""What people call a family, which is also its service's name."""


def load_router_settings() -> RouterSettings:
    """The router's settings, from its file and environment. Raises CommandError."""
    try:
        return load(config_path())
    except ConfigError as error:
        raise CommandError.of(error.problems, ExitCode.USAGE) from None


def supervisor_settings() -> SupervisorSettings:
    """What this command itself is told. Raises CommandError."""
    try:
        return read_settings(SupervisorSettings)
    except InvalidSettingsError as error:
        raise CommandError.of(error.faults, ExitCode.USAGE) from None


def all_service_settings() -> dict[Family, ServiceSettings]:
    """The settings of every service. Raises CommandError with the faults of all of them."""
    return dict(zip(FAMILIES.values(), of_each(tuple(FAMILIES), service_settings), strict=True))


def service_settings(name: str) -> ServiceSettings:
    """The settings of one service, as it reads them itself. Raises CommandError."""
    try:
        return read_settings(SERVICES[name])
    except InvalidSettingsError as error:
        raise CommandError.of(error.faults, ExitCode.USAGE) from None


def unknown_names() -> list[UnknownSetting]:
    """What of this process's environment looks like a setting and is none."""
    return unknown_settings(os.environ, (*SERVICES.values(), RouterSettings, SupervisorSettings))


def of_each(names: Sequence[str], make: Callable[[str], T]) -> tuple[T, ...]:
    """What `make` gives for each name. Raises CommandError with the faults of all, so that one try mends them."""
    made: list[T] = []
    faults: list[str] = []
    for name in names:
        try:
            made.append(make(name))
        except CommandError as error:
            faults += error.faults
    if faults:
        raise CommandError.of(faults, ExitCode.USAGE)
    return tuple(made)
