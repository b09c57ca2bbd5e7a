"""The model cache: finds a model's folder, and fetches it when it is not there.

Everything here blocks; services call it in a thread. Nothing here ever deletes what is cached.
"""

import difflib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mesh.core.errors import InvalidInputError, MeshError, ModelNotFoundError
from mesh.core.settings import ServiceSettings
from mesh.hub import catalogue, layout
from mesh.hub.entry import Adapter, Family, ModelEntry, ModelSource, SourceKind
from mesh.hub.fetch.backoff import FetchBackoff
from mesh.hub.fetch.progress import DownloadProgress, FetchStage, ProgressListener, ignore
from mesh.hub.fetch.remote_file import Patience

if TYPE_CHECKING:
    from mesh.hub.fetch.fetching import Fetcher

__all__ = ["CachedModel", "DownloadProgress", "FetchStage", "ModelStore"]


@dataclass(frozen=True)
class CachedModel:
    """A complete model on this machine. `entry` is None for one that the catalogue does not know."""

    family: Family
    name: str
    folder: Path
    size_bytes: int
    entry: ModelEntry | None


class ModelStore:
    """The models of one cache folder.

    Args:
        cache_folder: in Immich ML's layout; created when the first model comes.
        offline: never use the network.
        endpoint: the Hugging Face hub or a mirror of it (`HF_ENDPOINT`).
        token: what that hub is shown (`HF_TOKEN`); empty for none.
        revision: branch of Immich's models that is preferred (`MACHINE_LEARNING_MODEL_REVISION`).
        patience: when to give up on the network.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        cache_folder: Path,
        *,
        offline: bool = False,
        endpoint: str = "https://huggingface.co",
        token: str = "",
        revision: str = layout.MAIN,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cache_folder = cache_folder.expanduser()
        self.offline = offline
        self.revision = revision
        self._stop = threading.Event()
        self._hub = (endpoint.rstrip("/"), token, patience or Patience())
        self._backoff = FetchBackoff(clock)

    @cached_property
    def _fetcher(self) -> "Fetcher":
        """Brings models; imported when the first one is to be fetched, with all that speaks to a network."""
        from mesh.hub.fetch.fetching import Fetcher

        return Fetcher(self.cache_folder, *self._hub, self._stop)

    @classmethod
    def of(cls, settings: ServiceSettings, cache_folder: Path | None = None) -> "ModelStore":
        """From a service's settings, or with another cache folder than theirs."""
        return cls(
            cache_folder or settings.cache_folder,
            offline=settings.offline,
            endpoint=settings.hf_endpoint,
            token=settings.hf_token.get_secret_value() if settings.hf_token else "",
            revision=settings.model_revision,
        )

    def find(self, family: Family, name: str) -> Path | None:
        """The model's folder when it is complete, else None; see `layout.part_file` for the graphs inside.

        Raises:
            InvalidInputError: a name that could not be a model's.
        """
        entry = catalogue.find(family, name)
        parts = entry.own_parts if entry else family.parts
        folder = layout.find_folder(self.cache_folder, family, entry.name if entry else name, self.revision, parts)
        return folder or (_package_folder(entry) if entry else None)

    def fetch(self, family: Family, name: str, progress: ProgressListener | None = None) -> Path:
        """The model's folder, downloaded first when it is not cached.

        Raises:
            ModelNotFoundError: unknown, or not cached while offline; says where it belongs and how to get it.
            ModelUnavailableError: network or disk failed; what came is kept, another attempt goes on from there.
            UnavailableError: the store was closed meanwhile.
            InvalidInputError: a name that could not be a model's.

        An attempt that failed is followed by others at growing distances only; until then the same error is raised.
        """
        if folder := self.find(family, name):
            return folder
        entry = catalogue.find(family, name)
        if entry is None:
            raise ModelNotFoundError(self._unknown(family, name))
        if obstacle := self._obstacle(entry):
            raise ModelNotFoundError(obstacle)
        self._backoff.check(entry.name)
        try:
            folder = self._fetcher.fetch(entry, self.revision, lambda: self.find(family, name), progress or ignore)
        except MeshError as error:
            if self._stop.is_set():
                raise
            raise self._backoff.failed(entry.name, error) from error
        self._backoff.succeeded(entry.name)
        return folder

    def fetch_checkpoint(self, entry: ModelEntry, progress: ProgressListener | None = None) -> Path:
        """The official checkpoint of a model, for the exporter; downloaded into the cache's `checkpoints` folder.

        Raises ModelNotFoundError (there is none, or offline) and UnavailableError, as `fetch` does.
        """
        if entry.checkpoint is None:
            raise ModelNotFoundError(f"{entry.name} has no official checkpoint to export")
        path = self.cache_folder / "checkpoints" / entry.checkpoint.files[0].target
        if path.is_file():
            return path
        if self.offline:
            raise ModelNotFoundError(
                f"{path} is not there and this is offline mode: copy it there, or pass --checkpoint"
            )
        return self._fetcher.fetch_checkpoint(entry, path.parent, progress or ignore)

    def adopt(self, family: Family, name: str, source: Path, progress: ProgressListener | None = None) -> Path:
        """Takes files that were downloaded by hand into the cache, converting them where that is needed.

        Args:
            source: a folder with the files of the catalogue's source, or with the model in Immich's layout; copied.

        Raises:
            InvalidInputError: the model is cached already, or the folder is not the model.
            UnavailableError: the files cannot be converted, or the disk is full.
        """
        entry = catalogue.find(family, name)
        target = layout.model_folder(self.cache_folder, family, entry.name if entry else name)
        if target.exists():
            raise InvalidInputError(f"{target} is already there: move it away to import anew")
        parts = entry.own_parts if entry else family.parts
        whole = layout.is_complete(family, source, parts)
        adapter = _adapter_for(entry, source) if entry and not whole else None
        if not whole and adapter is None:
            raise InvalidInputError(f"{source} lacks {', '.join(layout.missing_files(family, source, parts))}")
        return self._fetcher.adopt(family, target, source, adapter, progress or ignore)

    def use_hub(self, endpoint: str) -> None:
        """Downloads that begin from now on come from this mirror. Raises InvalidInputError: not the address of a hub.

        `HF_TOKEN` belongs to the hub that was configured, and is not shown to another one.
        """
        address = urlsplit(endpoint)
        if address.scheme not in ("http", "https") or not address.hostname or address.username or address.query:
            raise InvalidInputError("the address of a hub is like https://hf-mirror.com, without user or query")
        if endpoint.rstrip("/") != self._fetcher.endpoint:
            self._fetcher = replace(self._fetcher, endpoint=endpoint.rstrip("/"), token="")
        self._backoff.forget()

    def close(self) -> None:
        """Ends downloads under way, from another thread; they raise UnavailableError and go on from there next time."""
        self._stop.set()

    def cached(self, family: Family) -> list[CachedModel]:
        """Every complete model of the family on this machine, by name; those inside installed packages included."""
        found = {model.name: model for model in (*self._bundled(family), *self._in_folder(family))}
        return sorted(found.values(), key=lambda model: model.name)

    def _in_folder(self, family: Family) -> Iterator[CachedModel]:
        root = self.cache_folder / family.value
        for own in sorted(root.iterdir()) if root.is_dir() else ():
            try:
                layout.check_name(own.name)
            except InvalidInputError:
                continue  # not a model's: `lost+found`, a file manager's thumbnails
            entry = catalogue.find(family, own.name)
            parts = entry.own_parts if entry else family.parts
            if folder := layout.find_folder(self.cache_folder, family, own.name, self.revision, parts):
                yield CachedModel(family, own.name, folder, layout.size_bytes(folder), entry)

    def _bundled(self, family: Family) -> Iterator[CachedModel]:
        for entry in catalogue.entries(family):
            if folder := _package_folder(entry):
                size = sum((folder / PurePosixPath(file.path).name).stat().st_size for file in entry.files)
                yield CachedModel(family, entry.name, folder, size, entry)

    def _obstacle(self, entry: ModelEntry) -> str | None:
        """Why the model cannot be downloaded, and what helps; None when it can."""
        folder = layout.model_folder(self.cache_folder, entry.family, entry.name)
        source = entry.source
        short = entry.short_name
        if source.kind is SourceKind.PACKAGE:
            return f"{entry.name} comes with Python package {source.location}, which is not installed here"
        if source.kind is SourceKind.EXPORT:
            return (
                f"{entry.name} is not in {folder} and nobody publishes it ready-made: make it with "
                f"`immich-mesh models export {short}` (extra `export`)"
            )
        if self.offline:
            return (
                f"{entry.name} is not in {folder} and this is offline mode: run `immich-mesh models pull {short}` "
                "where there is a network and copy the folder here, or switch offline mode off"
            )
        return None

    def _unknown(self, family: Family, name: str) -> str:
        folder = layout.model_folder(self.cache_folder, family, name)
        close = difflib.get_close_matches(name, [entry.name for entry in catalogue.entries(family)], n=3)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        return (
            f"no {family.value} model is called {name!r}: {hint}`immich-mesh models list` shows the known ones; "
            f"a model of your own belongs in {folder}"
        )


def _adapter_for(entry: ModelEntry, folder: Path) -> Adapter | None:
    """What converts the files in the folder: the adapter of the source that has these files."""

    def fits(source: ModelSource) -> bool:
        return source.adapter is not None and all((folder / file.path).is_file() for file in source.files)

    return next((source.adapter for source in entry.sources if fits(source)), None)


def _package_folder(entry: ModelEntry) -> Path | None:
    """The folder of the installed package that carries the model, when it is there whole."""
    if entry.source.kind is not SourceKind.PACKAGE:
        return None
    spec = find_spec(entry.source.location)
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    if not all((root / file.path).is_file() for file in entry.files):
        return None
    return root / PurePosixPath(entry.files[0].path).parent
