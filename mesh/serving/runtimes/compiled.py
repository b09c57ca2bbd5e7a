"""What runtimes make of a graph, kept on disk beside it: read again in a fraction of the time, gone with the model.

<folder of the graph>/compiled/<graph>-<digest of the graph>-<digest of whatever the file depends on>.<kind>

A folder that cannot be written holds none: graphs are then read and compared anew at each start. What belongs to graphs
inside installed packages lies in the cache of the models, since those may be read only.
"""

import fcntl
import functools
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import structlog

from mesh.serving.runtimes.int8.files import Int8Files

log = structlog.get_logger()

FOLDER = "compiled"
UNUSED_SECONDS = 14 * 24 * 3600.0
"""What was made under other conditions (a version, a processor) goes when nobody opened it for so long: processes of
other machines may share this folder."""
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
_SAMPLE_BYTES = 1 << 20
_DIGEST_BYTES = hashlib.sha256().digest_size
_STAGING = ".making-"


class CompiledFiles:
    """The files that were made of one graph.

    Args:
        graph: its .onnx file.
        cache_folder: of all models.
        int8: the graph's int8 version; None where there is none.
    """

    def __init__(self, graph: Path, cache_folder: Path, int8: Int8Files | None = None) -> None:
        self.int8 = int8
        self._folder = (graph.parent if graph.is_relative_to(cache_folder) else cache_folder) / FOLDER
        self._stem = graph.stem
        digest = fingerprint(graph)
        # What was found out about another int8 version counts no more.
        self._digest = (_joined(digest, fingerprint(int8.manifest_path)) if int8 else digest)[:12]
        self._remove_leftovers()

    def path(self, kind: str, *depends_on: str) -> Path:
        """Where a file of this kind (its suffix) lies that was made under these conditions: versions, precision."""
        return self._folder / f"{self._stem}-{self._digest}-{_joined(kind, *depends_on)[:12]}.{kind}"

    def make(self, target: Path, write: Callable[[Path], None], beside: str) -> bool:
        """Writes a file and its companion of another suffix whole, or not at all.

        Returns whether it is there; where not, why was said once for the folder.

        Args:
            target: where it shall lie.
            write: writes the file and its companion, under their final names in another folder.
            beside: the companion's suffix, e.g. `.bin`.

        Raises:
            UnavailableError: what `write` raises.
        """
        try:
            with self._staging() as folder:
                staging = folder / target.name
                write(staging)
                staging.with_suffix(beside).replace(target.with_suffix(beside))
                staging.replace(target)  # last: who finds it finds its companion
        except OSError as error:
            _say_nothing_is_kept(self._folder, str(error))
            return False
        return True

    def note(self, target: Path, content: dict[str, Any]) -> None:
        """Keeps a small record; a folder that cannot be written only costs doing the work again."""
        try:
            with self._staging() as folder:
                staging = folder / target.name
                staging.write_text(json.dumps(content), "utf-8")
                staging.replace(target)
        except OSError as error:
            _say_nothing_is_kept(self._folder, str(error))

    def noted(self, target: Path) -> dict[str, Any] | None:
        """A record that was kept; None without a readable one."""
        try:
            content = json.loads(target.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def store(self, target: Path, content: bytes) -> None:
        """Keeps bytes behind their checksum; a folder that cannot be written only costs making them again."""
        try:
            with self._staging() as folder:
                staging = folder / target.name
                staging.write_bytes(hashlib.sha256(content).digest() + content)
                staging.replace(target)
        except OSError as error:
            _say_nothing_is_kept(self._folder, str(error))

    def stored(self, target: Path) -> bytes | None:
        """Bytes that were kept, now in use; None where there are none, or not those that were written."""
        try:
            digest, content = (data := target.read_bytes())[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        except OSError:
            return None
        if hashlib.sha256(content).digest() != digest:
            log.warning("made again: the file is damaged", file=str(target))
            return None
        with suppress(OSError):  # of another user, in a folder that may be read only
            os.utime(target)
        return content

    def remove(self, target: Path) -> None:
        """Deletes a file and its companions."""
        with suppress(OSError):
            for path in self._folder.glob(f"{target.stem}.*"):
                path.unlink(missing_ok=True)

    def remove_others(self, used: set[Path]) -> None:
        """Deletes what was made of another graph of this name, and what nobody used for long; marks what is used."""
        names = {path.stem for path in used}
        with suppress(OSError):
            for path in self._folder.glob(f"{self._stem}-*"):
                if path.stem in names:
                    os.utime(path)
                elif not path.name.startswith(f"{self._stem}-{self._digest}-") or _is_unused(path):
                    path.unlink(missing_ok=True)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A hidden folder beside the files, gone after the block. Raises OSError: it cannot be made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(dir=self._folder, prefix=_STAGING))
        try:
            with _locked(folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        """Deletes hidden folders of processes that were killed in the middle: nobody holds their lock."""
        for folder in self._folder.glob(f"{_STAGING}*"):
            with suppress(OSError), _locked(folder):
                shutil.rmtree(folder)
                log.info("removed what a process that was killed left behind", folder=str(folder))


@dataclass(frozen=True)
class Records:
    """Small records of one graph in one runtime, each of a kind and of what else it depends on.

    Attributes:
        files: beside which they lie.
        conditions: what all of them depend on: versions, processor, precision.
    """

    files: CompiledFiles
    conditions: tuple[str, ...]

    def read(self, kind: str, *depends_on: str) -> dict[str, Any] | None:
        """The record; None without a readable one."""
        return self.files.noted(self._path(kind, *depends_on))

    def write(self, content: dict[str, Any], kind: str, *depends_on: str) -> None:
        """Keeps it, in place of an earlier one."""
        self.files.note(self._path(kind, *depends_on), content)

    def _path(self, *parts: str) -> Path:
        return self.files.path("json", *self.conditions, *parts)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock. Raises OSError: another process holds it, or the folder is gone."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@functools.cache
def _say_nothing_is_kept(folder: Path, reason: str) -> None:
    """Once for a folder and a reason."""
    log.warning("compiled models cannot be kept: each start makes them anew", folder=str(folder), reason=reason)


def _is_unused(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > UNUSED_SECONDS


def _joined(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def processor() -> str:
    """Tells processors apart by what they can compute with: packed weights are of one such kind."""
    return f"{platform.machine()} {platform.processor()} {_flags()}"


def multiplies_bytes() -> bool:
    """Whether this processor has VNNI. Without, sums of products of bytes overflow, and int8 is hardly faster."""
    return not VNNI.isdisjoint(_flags().split())


def _flags() -> str:
    """The line of /proc/cpuinfo that says what this processor can compute with; empty where there is none."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


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
