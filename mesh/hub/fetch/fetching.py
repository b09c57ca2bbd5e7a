"""Brings one model of the catalogue into the cache: lists its files, downloads, adapts, and moves it into place.

    <cache>/.downloads/<family>/<name>/<source>/files/    what comes from the network; survives cuts and restarts
    <cache>/.downloads/<family>/<name>/<source>/model/    what an adapter makes of it
    <cache>/.downloads/lock                               held by the one process that downloads

A model's sources are tried in order: what one cannot give, the next may. The model's own folder appears in one step, by
a rename. Files that are there already (an Immich volume of which one half is missing) are kept as they are and not
fetched again.
"""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import structlog
from filelock import FileLock, Timeout

from mesh.core.errors import MeshError, ModelNotFoundError, UnavailableError
from mesh.core.version import mesh_version
from mesh.hub import layout
from mesh.hub.entry import Adapter, Family, ModelEntry, ModelSource, SourceKind
from mesh.hub.fetch.conversion import Converter
from mesh.hub.fetch.download import Downloader, timeout_of
from mesh.hub.fetch.hugging_face import HubToken, HuggingFace
from mesh.hub.fetch.problems import SourceError, disk_error
from mesh.hub.fetch.progress import FetchStage, ProgressListener, ProgressReport
from mesh.hub.fetch.remote_file import Patience, RemoteFile

log = structlog.get_logger()

STAGING_FOLDER = ".downloads"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Fetcher:
    """Fetches models into one cache folder.

    Attributes:
        endpoint: the hub, or a mirror of it.
        token: what the hub is shown, and nobody else; empty for none.
        stop: set to end what is under way; it goes on from there next time.
    """

    cache_folder: Path
    endpoint: str
    token: str = field(repr=False)
    patience: Patience
    stop: threading.Event

    @property
    def _converter(self) -> Converter:
        return Converter(self.stop)

    def fetch(
        self, entry: ModelEntry, revision: str, cached: Callable[[], Path | None], progress: ProgressListener
    ) -> Path:
        """Downloads the model from the first of its sources that has it, and returns its folder.

        Args:
            revision: branch of Immich's repositories to ask first; `main` for what the catalogue says.
            cached: asked again once it is our turn: another process may have fetched the model meanwhile.

        Raises:
            ModelNotFoundError: no source has such a model.
            UnavailableError: the network, the disk or the conversion failed; what was downloaded is kept.
        """
        staging = self.cache_folder / STAGING_FOLDER / entry.family.value / entry.name
        report = ProgressReport(entry.name, entry.size_bytes, progress)
        with self._turn(report):
            if folder := cached():
                return folder
            failures: list[SourceError] = []
            for source, target in self._ways(entry, revision):
                if failures and self._is_silent(source, failures):
                    continue
                if failures:
                    log.warning(
                        "a source of the model failed, trying the next",
                        model=entry.name,
                        reason=failures[-1].reason,
                        next=source.location,
                    )
                try:
                    self._bring(entry, source, staging / staging_name(source), target, report)
                except SourceError as error:
                    failures.append(error)
                    continue
                shutil.rmtree(staging, ignore_errors=True)
                log.info("model downloaded", model=entry.name, source=source.location, folder=str(target))
                return target
        raise _none_left(entry, failures)

    def _is_silent(self, source: ModelSource, failures: list[SourceError]) -> bool:
        """Whether the source's host has given no answer a moment ago."""
        host = _host(self.endpoint if source.kind is SourceKind.HUB else source.location)
        return any(host == error.silent_host for error in failures)

    def _ways(self, entry: ModelEntry, revision: str) -> Iterator[tuple[ModelSource, Path]]:
        """The sources to try, each with the folder that it fills."""
        folder = layout.model_folder(self.cache_folder, entry.family, entry.name)
        fetchable = [source for source in entry.sources if source.can_be_fetched]
        if revision != layout.MAIN:
            for source in (one for one in fetchable if one.is_immichs):
                yield replace(source, revision=revision, files=(), pins={}), folder / revision
        for source in fetchable:
            yield source, folder

    def _bring(
        self, entry: ModelEntry, source: ModelSource, staging: Path, target: Path, report: ProgressReport
    ) -> None:
        """Fills the model's folder `target` from one source. Raises SourceError, and what other sources cannot mend."""
        files = self._download(entry, source, staging / "files", target, report)
        ready = self._converter.convert(source.adapter, files, staging / "model", report)
        _move_into_place(ready, target)
        if lacking := layout.missing_files(entry.family, target, entry.own_parts):
            raise SourceError(f"{source.location} lacks {', '.join(lacking)}: see {target}", is_gone=True)

    def fetch_checkpoint(self, entry: ModelEntry, folder: Path, progress: ProgressListener) -> Path:
        """Downloads the model's official checkpoint into `folder`; raises as `fetch` does."""
        assert entry.checkpoint is not None
        report = ProgressReport(entry.name, entry.size_bytes, progress)
        with self._turn(report):
            try:
                self._download(entry, entry.checkpoint, folder, folder, report)
            except SourceError as error:
                raise _none_left(entry, [error]) from error
        return folder / entry.checkpoint.files[0].target

    def adopt(
        self, family: Family, target: Path, source: Path, adapter: Adapter | None, progress: ProgressListener
    ) -> Path:
        """Copies or converts the files in `source` into the model's folder `target`, which is not there yet."""
        staging = self.cache_folder / STAGING_FOLDER / "import" / family.value / target.name
        report = ProgressReport(target.name, layout.size_bytes(source), progress)
        with self._turn(report):
            report.stage(FetchStage.ADAPTING)
            try:
                shutil.rmtree(staging, ignore_errors=True)
                if adapter is None:
                    shutil.copytree(source, staging / "model")
                    ready = staging / "model"
                else:
                    ready = self._converter.convert(adapter, source, staging / "model", report)
            except SourceError as error:
                raise UnavailableError(error.reason) from error
            except OSError as error:
                raise disk_error(staging, error) from error
            _move_into_place(ready, target)
            shutil.rmtree(staging, ignore_errors=True)
        return target

    @contextmanager
    def _turn(self, report: ProgressReport) -> Iterator[None]:
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
                    report.stage(FetchStage.WAITING)
                    if self.stop.wait(_POLL_SECONDS):
                        raise UnavailableError(f"the download of {report.model} was stopped") from None
        except OSError as error:
            raise disk_error(root / "lock", error) from error
        try:
            yield
        finally:
            lock.release()

    def _download(
        self, entry: ModelEntry, source: ModelSource, folder: Path, target: Path, report: ProgressReport
    ) -> Path:
        """Fetches the source's files into `folder`, but for those that the model's own folder `target` has."""
        with self._client() as client:
            if source.kind is SourceKind.HUB:
                listed = HuggingFace(self.endpoint, client, self.patience, self.stop).files(entry.family, source)
            else:
                listed = [RemoteFile(f"{source.location}/{f.path}", f.target, sha256=f.sha256) for f in source.files]
            wanted = [file for file in listed if source.adapter or not (target / file.target).is_file()]
            report.expect(wanted)
            _check_space(folder, entry.name, report.total_bytes * (2 if source.adapter else 1))
            downloader = Downloader(client, self.patience, self.stop)
            for file in wanted:
                downloader.fetch(file, folder, report.receiver(file))
        return folder

    def _client(self) -> httpx.Client:
        """The environment's proxies and certificates apply. Raises UnavailableError when they cannot be used."""
        headers = {"User-Agent": f"immich-mesh/{mesh_version()}"}
        auth = HubToken(self.endpoint, self.token) if self.token else None
        try:
            return httpx.Client(follow_redirects=True, timeout=timeout_of(self.patience), headers=headers, auth=auth)
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
            raise UnavailableError(
                f"HTTPS_PROXY or SSL_CERT_FILE of the environment cannot be used: {error}"
            ) from error


def _check_space(folder: Path, name: str, needed_bytes: int) -> None:
    """Refuses early what cannot fit."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = layout.size_bytes(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise disk_error(folder, error) from error
    if free < needed_bytes - there:
        needed = f"{(needed_bytes - there) / 1e6:.0f} MB"
        raise UnavailableError(f"{name} needs {needed} and the disk of {folder} has {free / 1e6:.0f} MB left")


def _move_into_place(ready: Path, target: Path) -> None:
    """The finished model becomes the model's folder; what that folder has already, stays."""
    try:
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
    except OSError as error:
        raise disk_error(target, error) from error


def staging_name(source: ModelSource) -> str:
    """A name for what came from a source, so that another's never goes on where it ended."""
    return re.sub("[^A-Za-z0-9._-]+", "-", f"{source.location.removeprefix('https://')}@{source.revision}")


def _host(url: str) -> str:
    try:
        return httpx.URL(url).netloc.decode()
    except httpx.InvalidURL:
        return ""


def _none_left(entry: ModelEntry, failures: list[SourceError]) -> MeshError:
    """The error when no source is left: passing, unless all of them have answered that they have no such thing."""
    if len(failures) == 1:
        text = failures[0].reason
    else:
        reasons = "; ".join(f"{number}. {error.reason}" for number, error in enumerate(failures, 1))
        text = f"none of the sources of {entry.name} has it now: {reasons}"
    return ModelNotFoundError(text) if all(error.is_gone for error in failures) else UnavailableError(text)
