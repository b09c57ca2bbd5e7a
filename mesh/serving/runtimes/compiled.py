"""What runtimes make of a graph, kept on disk beside it: read again in a fraction of the time, gone with the model.

<folder of the graph>/compiled/<graph>-<digest of the graph and of whatever the file depends on>.<kind>

What belongs to graphs inside installed packages lies in the cache of the models, since those may be read only.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

log = structlog.get_logger()

FOLDER = "compiled"
_SAMPLE_BYTES = 1 << 20


class CompiledFiles:
    """The files that were made of one graph.

    Args:
        graph: its .onnx file.
        cache_folder: of all models.
    """

    def __init__(self, graph: Path, cache_folder: Path) -> None:
        self._folder = (graph.parent if graph.is_relative_to(cache_folder) else cache_folder) / FOLDER
        self._stem = graph.stem
        self._digest = fingerprint(graph)

    def path(self, kind: str, *depends_on: str) -> Path:
        """Where a file of this kind (its suffix) lies that was made under these conditions: versions, precision."""
        digest = hashlib.sha256("\n".join([self._digest, kind, *depends_on]).encode()).hexdigest()[:16]
        return self._folder / f"{self._stem}-{digest}.{kind}"

    def make(self, target: Path, write: Callable[[Path], None], beside: str) -> None:
        """Writes a file and its companion of another suffix whole, or not at all.

        Args:
            target: where it shall lie.
            write: writes the file and its companion, under their final names in another folder.
            beside: the companion's suffix, e.g. `.bin`.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._folder, prefix=".") as folder:
            staging = Path(folder) / target.name
            write(staging)
            staging.with_suffix(beside).replace(target.with_suffix(beside))
            staging.replace(target)  # last: who finds it finds its companion

    def note(self, target: Path, content: dict[str, Any]) -> None:
        """Keeps a small record; a folder that cannot be written only costs doing the work again."""
        staging = target.with_name(f"{os.getpid()}-{target.name}")
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            staging.write_text(json.dumps(content), "utf-8")
            staging.replace(target)

    def noted(self, target: Path) -> dict[str, Any] | None:
        """A record that was kept; None without a readable one."""
        try:
            content = json.loads(target.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def remove_others(self, keep: set[Path]) -> None:
        """Deletes what was made of this graph under other conditions: an older file, version or processor."""
        names = {path.stem for path in keep}
        with suppress(OSError):
            for path in self._folder.glob(f"{self._stem}-*"):
                if path.stem not in names:
                    path.unlink(missing_ok=True)


def processor() -> str:
    """Tells processors apart by what they can compute with: packed weights are of one such kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {platform.processor()} {flags}"


def fingerprint(graph: Path) -> str:
    """Tells a graph from any other without reading hundreds of megabytes: size, time and both ends of each file."""
    digest = hashlib.sha256()
    for file in sorted(path for path in graph.parent.glob(f"{graph.name}*") if path.is_file()):
        status = file.stat()
        digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}".encode())
        with file.open("rb") as content:
            digest.update(content.read(_SAMPLE_BYTES))
            content.seek(max(0, status.st_size - _SAMPLE_BYTES))
            digest.update(content.read(_SAMPLE_BYTES))
    return digest.hexdigest()
