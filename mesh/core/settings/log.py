"""How a process logs: the names of levels, Immich's included, and the format."""

import logging
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
ALIASES = {"VERBOSE": "DEBUG", "LOG": "INFO", "WARN": "WARNING", "FATAL": "CRITICAL"}
"""Immich's level names beside Python's."""


def level_number(name: str) -> int:
    """The number of a level by its name, in any case, Immich's names included. Raises ValueError for another word."""
    upper = name.strip().upper()
    upper = ALIASES.get(upper, upper)
    if upper not in LEVELS:
        raise ValueError(f"unknown log level {name!r}: use one of {', '.join(sorted(LEVELS | set(ALIASES)))}")
    return int(getattr(logging, upper))


def _known(name: str) -> str:
    level_number(name)
    return name


LogLevel = Annotated[str, AfterValidator(_known)]
"""A setting's type."""


class LogFormat(StrEnum):
    """How log lines look: `pretty` for a person at a terminal, `json` for a collector."""

    PRETTY = "pretty"
    JSON = "json"
