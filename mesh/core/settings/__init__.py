"""Settings of a process: built once, in its `__main__`, from the environment; frozen; handed down.

`base` is what they all are, `service` what the three services share, `reading` says what is wrong with them, `unknown`
which names of the environment look like settings and are none. The router's own are in `router.config`.
"""

from mesh.core.settings.base import MAX_MESSAGE_BYTES, Frozen, MeshSettings, Place, TlsSettings
from mesh.core.settings.log import LogFormat, LogLevel, level_number
from mesh.core.settings.service import (
    DEFAULT_CACHE_FOLDER,
    DEFAULT_PHOTO_MEMORY_BYTES,
    BatchingSettings,
    Device,
    Precision,
    ServiceSettings,
)

__all__ = [
    "DEFAULT_CACHE_FOLDER",
    "DEFAULT_PHOTO_MEMORY_BYTES",
    "MAX_MESSAGE_BYTES",
    "BatchingSettings",
    "Device",
    "Frozen",
    "LogFormat",
    "LogLevel",
    "MeshSettings",
    "Place",
    "Precision",
    "ServiceSettings",
    "TlsSettings",
    "level_number",
]
