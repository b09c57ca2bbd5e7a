"""Which processes run where the doctor looks: all of them on a machine, one in an image."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

IMAGE = "MESH_IMAGE"
"""Set in each image by the Dockerfile: the name of its target."""
SERVICES = ("ocr", "clip", "face")

_ALWAYS = ("grpc", "httpx", "yaml")
_SERVING = ("cv2", "numpy", "onnxruntime", "PIL")
_NEEDED = {
    "router": ("aiohttp", "asyncpg"),
    "ocr": (*_SERVING, "pyclipper"),
    "clip": (*_SERVING, "tokenizers"),
    "face": _SERVING,
    "cli": ("aiohttp", "asyncpg"),
}
_WHOLE = ("router", *SERVICES)


@dataclass(frozen=True)
class Parts:
    """What is to be looked at.

    Attributes:
        processes: router and services, or the image's one.
        whole: whether this is a machine that runs them all.
    """

    processes: tuple[str, ...] = _WHOLE
    whole: bool = True

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> "Parts":
        """Of the image that this is, else all."""
        image = environment.get(IMAGE, "")
        return cls((image,), whole=False) if image in _NEEDED else cls()

    @property
    def services(self) -> tuple[str, ...]:
        """Those that run models."""
        return tuple(name for name in self.processes if name in SERVICES)

    @property
    def reaches_database(self) -> bool:
        """Whether any of them connects to Immich's PostgreSQL."""
        return "asyncpg" in self.modules

    @property
    def modules(self) -> tuple[str, ...]:
        """What is imported, compiled modules above all: they fail where a library of the system is away."""
        return tuple(dict.fromkeys([*_ALWAYS, *(module for name in self.processes for module in _NEEDED[name])]))
