"""Brings one model of the catalogue into the cache: lists its files, downloads, adapts, and moves it into place.

    <cache>/.downloads/<family>/<name>/files/    what comes from the network; survives cuts and restarts
    <cache>/.downloads/<family>/<name>/model/    what an adapter makes of it
    <cache>/.downloads/lock                      held by the one process that downloads

The model's own folder appears in one step, by a rename. Files that are there already (an Immich volume of which one
half is missing) are kept as they are and not fetched again.
"""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx
import structlog
from filelock import FileLock, Timeout

from mesh.core.errors import ModelNotFoundError, UnavailableError
from mesh.core.version import mesh_version
from mesh.hub import layout
from mesh.hub.catalogue import Adapter, Family, ModelEntry, ModelSource, SourceKind
from mesh.hub.download import Downloader, Patience, RemoteFile, disk_trouble
from mesh.hub.hub import Hub
from mesh.hub.progress import DownloadProgress, ProgressListener, Stage

log = structlog.get_logger()

STAGING_FOLDER = ".downloads"
_POLL_SECONDS = 0.2
_TELL_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Fetcher:
    """Fetches models into one cache folder.

    Attributes:
        stop: set to end what is under way; it goes on from there next time.
    """

    cache_folder: Path
    endpoint: str
    patience: Patience
    stop: threading.Event

    def fetch(self, entry: ModelEntry, cached: Callable[[], Path | None], progress: ProgressListener) -> Path:
        """Downloads the model and returns its folder.

        Args:
            cached: asked again once it is our turn: another process may have fetched the model meanwhile.

        Raises:
            ModelNotFoundError: the source has no such model, or the cache cannot be written.
            UnavailableError: the network, the disk or the conversion failed; what was downloaded is kept.
        """
        staging = self.cache_folder / STAGING_FOLDER / entry.family.value / entry.name
        report = _Report(entry.name, entry.size_bytes, progress)
        with self._turn(report):
            if folder := cached():
                return folder
            target = layout.model_folder(self.cache_folder, entry.family, entry.name)
            files = self._download(entry, entry.source, staging / "files", target, report)
            ready = self._adapt(entry.source.adapter, files, staging / "model", report)
            _finish(ready, target, staging)
            if lacking := layout.missing_files(entry.family, target):
                raise ModelNotFoundError(f"{entry.source.location} lacks {', '.join(lacking)}: see {target}")
        log.info("model downloaded", model=entry.name, folder=str(target))
        return target

    def fetch_checkpoint(self, entry: ModelEntry, folder: Path, progress: ProgressListener) -> Path:
        """Downloads the model's official checkpoint into `folder`; raises as `fetch` does."""
        assert entry.checkpoint is not None
        report = _Report(entry.name, entry.size_bytes, progress)
        with self._turn(report):
            self._download(entry, entry.checkpoint, folder, folder, report)
        return folder / entry.checkpoint.files[0].target

    def adopt(
        self, family: Family, target: Path, source: Path, adapter: Adapter | None, progress: ProgressListener
    ) -> Path:
        """Copies or converts the files in `source` into the model's folder `target`, which is not there yet."""
        staging = self.cache_folder / STAGING_FOLDER / "import" / family.value / target.name
        report = _Report(target.name, layout.size_bytes(source), progress)
        with self._turn(report):
            report.stage(Stage.ADAPTING)
            try:
                shutil.rmtree(staging, ignore_errors=True)
                if adapter is None:
                    shutil.copytree(source, staging / "model")
                    ready = staging / "model"
                else:
                    ready = self._adapt(adapter, source, staging / "model", report)
            except OSError as error:
                raise disk_trouble(staging, error) from error
            _finish(ready, target, staging)
        return target

    @contextmanager
    def _turn(self, report: "_Report") -> Iterator[None]:
        """Waits until no other thread or process downloads."""
        root = self.cache_folder / STAGING_FOLDER
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(root / "lock", is_singleton=False)
            while True:
                try:
                    lock.acquire(timeout=0)
                    break
                except Timeout:
                    report.stage(Stage.WAITING)
                    if self.stop.wait(_POLL_SECONDS):
                        raise UnavailableError(f"the download of {report.model} was stopped") from None
        except OSError as error:
            raise disk_trouble(root / "lock", error) from error
        try:
            yield
        finally:
            lock.release()

    def _download(self, entry: ModelEntry, source: ModelSource, folder: Path, target: Path, report: "_Report") -> Path:
        """Fetches the source's files into `folder`, but for those that the model's own folder `target` has."""
        headers = {"User-Agent": f"immich-mesh/{mesh_version()}"}
        with httpx.Client(follow_redirects=True, timeout=self.patience.timeout(), headers=headers) as client:
            if source.kind is SourceKind.HUB:
                listed = Hub(self.endpoint, client, self.patience, self.stop).files(entry.family, source)
            else:
                listed = [RemoteFile(f"{source.location}/{f.path}", f.target, sha256=f.sha256) for f in source.files]
            wanted = [file for file in listed if source.adapter or not (target / file.target).is_file()]
            report.expect(wanted)
            _check_space(folder, entry.name, report.total_bytes * (2 if source.adapter else 1))
            downloader = Downloader(client, self.patience, self.stop)
            for file in wanted:
                downloader.fetch(file, folder, report.receiver(file))
        return folder

    def _adapt(self, adapter: Adapter | None, files: Path, ready: Path, report: "_Report") -> Path:
        """Converts what was downloaded, in a process of its own, whose memory is gone with it."""
        if adapter is None:
            return files
        report.stage(Stage.ADAPTING)
        if find_spec("onnx") is None:
            raise UnavailableError(
                f"{files} cannot be converted: Python package onnx is not installed here (extra `clip`); "
                "pull the model where the CLIP service is installed"
            )
        shutil.rmtree(ready, ignore_errors=True)
        command = [sys.executable, "-m", "mesh.hub.clip_import", adapter.value, str(files), str(ready)]
        code, remarks, complaint = self._run(command, report)
        if code != 0:
            reason = complaint.strip().splitlines()[-1:] or [f"exit code {code}"]
            raise UnavailableError(f"the files in {files} cannot be converted: {reason[0]}")
        if remarks.strip():
            log.info("model converted with remarks", remarks=remarks.strip().splitlines())
        return ready

    def _run(self, command: list[str], report: "_Report") -> tuple[int, str, str]:
        """Exit code, output and errors of a command; it ends when we are to stop."""
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:  # noqa: S603 - our own module
            while True:
                try:
                    output, errors = process.communicate(timeout=_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    if self.stop.is_set():
                        process.kill()
                        raise UnavailableError(f"the conversion of {report.model} was stopped") from None
                else:
                    return process.returncode, output, errors


class _Report:
    """Adds up what has come of all files and tells the listener, ten times a second at most."""

    def __init__(self, model: str, estimate_bytes: int, listener: ProgressListener) -> None:
        self.model = model
        self._listener = listener
        self._received: dict[str, int] = {}
        self._announced: dict[str, int] = {}
        self._told = 0.0
        self.total_bytes = estimate_bytes

    def expect(self, files: list[RemoteFile]) -> None:
        """Now the files are known; the catalogue's estimate stands for those of unknown size."""
        self._announced = {file.target: file.size_bytes or 0 for file in files}
        if all(file.size_bytes is not None for file in files):
            self.total_bytes = sum(self._announced.values())

    def receiver(self, file: RemoteFile) -> Callable[[int], None]:
        """What the downloader tells about one file."""

        def received(size: int) -> None:
            self._received[file.target] = size
            now = time.monotonic()
            if now - self._told >= _TELL_EVERY_SECONDS or size == file.size_bytes:
                self._told = now
                self._tell(Stage.DOWNLOADING, file.target)

        return received

    def stage(self, stage: Stage) -> None:
        """Something else than downloading is done."""
        self._tell(stage, "")

    def _tell(self, stage: Stage, file: str) -> None:
        done = sum(self._received.values())
        self._listener(DownloadProgress(self.model, stage, done, max(done, self.total_bytes), file))


def _check_space(folder: Path, name: str, needed_bytes: int) -> None:
    """Refuses early what cannot fit."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = layout.size_bytes(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise disk_trouble(folder, error) from error
    if free < needed_bytes - there:
        needed = f"{(needed_bytes - there) / 1e6:.0f} MB"
        raise UnavailableError(f"{name} needs {needed} and the disk of {folder} has {free / 1e6:.0f} MB left")


def _finish(ready: Path, target: Path, staging: Path) -> None:
    """Moves what is ready into place and clears up."""
    try:
        _move_into_place(ready, target)
        shutil.rmtree(staging)
    except OSError as error:
        raise disk_trouble(target, error) from error


def _move_into_place(ready: Path, target: Path) -> None:
    """The finished model becomes the model's folder; what that folder has already, stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        ready.rename(target)
        return
    graphs_last = sorted(ready.rglob("*"), key=lambda path: path.suffix == ".onnx")
    for path in graphs_last:
        place = target / path.relative_to(ready)
        if path.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
