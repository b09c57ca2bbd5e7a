"""The file `.env` of the folder in which the command is called: settings, as `docker compose` reads them from there."""

import os
from collections.abc import MutableMapping
from pathlib import Path

from dotenv import dotenv_values

NAME = ".env"


def read_env_file(folder: Path, environment: MutableMapping[str, str] = os.environ) -> Path | None:
    """Puts the settings of a folder's `.env` into the environment; what is set there already stays.

    Returns:
        The file, or None where there is none, or none that may be read.
    """
    path = folder / NAME
    if not path.is_file() or not os.access(path, os.R_OK):
        return None
    for name, value in dotenv_values(path).items():
        if value is not None:
            environment.setdefault(name, value)
    return path
