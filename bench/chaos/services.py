"""The same fleet with real services: small CLIP and face models of `tests.builders`, OCR's own, real processes."""

import sys
from pathlib import Path

from bench.chaos.fleet import Process
from tests.builders.clip import write_clip
from tests.builders.faces import write_faces

MODULES = {"ocr": "ocr_service", "clip": "clip_service", "face": "face_service"}


class ServiceProcesses:
    """Makes the processes of real services.

    Args:
        folder: for models and logs; exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cache = folder / "models"
        write_clip(self._cache)
        write_faces(self._cache)

    def __call__(self, family: str, number: int, port: int) -> Process:
        """One service, not started yet."""
        prefix = family.upper()
        environment = {
            "MESH_CACHE_FOLDER": str(self._cache),
            "MESH_OFFLINE": "true",
            "LOG_LEVEL": "WARNING",
            f"{prefix}_HOST": "127.0.0.1",
            f"{prefix}_PORT": str(port),
            f"{prefix}_METRICS_PORT": "",
        }
        name = f"{family}-{number}"
        command = [sys.executable, "-m", MODULES[family]]
        return Process(name, port, command, self._folder / f"{name}.log", environment)


def on_full_disk(process: Process) -> Process:
    """The same process where nothing can be written any more: no file grows, and its log's disk is full."""
    command = ["sh", "-c", 'ulimit -f 0; exec "$@" >/dev/full 2>&1', "sh", *process.command]
    return Process(process.name, process.port, command, process.log, process.environment)


def with_hub(process: Process, endpoint: str) -> Process:
    """The same process with that hub, and not offline."""
    environment = {**process.environment, "MESH_OFFLINE": "false", "HF_ENDPOINT": endpoint}
    return Process(process.name, process.port, process.command, process.log, environment)
