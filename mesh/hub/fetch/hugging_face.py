"""The Hugging Face hub, or a mirror of it: which files a repository has, their sizes and checksums.

One call, `GET /api/models/<repo>/revision/<revision>?blobs=true`, tells the commit as well, so that files of one model
never come from two versions of it. Where the catalogue knows commit and checksums of every file, nothing is asked.
"""

import re
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from mesh.hub.entry import Family, ModelSource
from mesh.hub.fetch.download import InterruptedDownloadError, interrupted, refused
from mesh.hub.fetch.problems import MIRROR_HINT, SourceError
from mesh.hub.fetch.remote_file import Patience, RemoteFile

_FOREIGN_SUFFIXES = (".armnn", ".rknn", ".md", ".txt.gz")
"""Other runtimes' files and papers in Immich's repositories."""


_COMMIT = re.compile("[0-9a-f]{40}")


class HubToken(httpx.Auth):
    """Shows `HF_TOKEN` to the hub and to nobody else: not to where the hub redirects, not to other sources."""

    def __init__(self, endpoint: str, token: str) -> None:
        self._origin = _origin(httpx.URL(endpoint))
        self._header = f"Bearer {token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header, for the hub."""
        if _origin(request.url) == self._origin:
            request.headers["Authorization"] = self._header
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


class _Lfs(BaseModel):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int


class _Sibling(BaseModel):
    rfilename: str
    size: int | None = None
    blob_id: str | None = Field(None, alias="blobId")
    lfs: _Lfs | None = None


class _Repository(BaseModel):
    sha: str
    siblings: list[_Sibling]


@dataclass(frozen=True)
class HuggingFace:
    """A hub's address, e.g. `https://huggingface.co`, the client to talk to it, and when to give up."""

    endpoint: str
    client: httpx.Client
    patience: Patience
    stop: threading.Event

    def files(self, family: Family, source: ModelSource) -> list[RemoteFile]:
        """The files of a model to fetch, with their checksums.

        Raises:
            SourceError: no such repository, it has not what the source names or announces other content than is pinned,
                or the hub cannot be reached or answers something else than a hub would.
        """
        if _COMMIT.fullmatch(source.revision) and source.files and all(file.sha256 for file in source.files):
            base = self._base(source, source.revision)
            return [RemoteFile(f"{base}/{quote(f.path)}", f.target, sha256=f.sha256) for f in source.files]
        repository = self._describe(source)
        if _COMMIT.fullmatch(source.revision) and repository.sha != source.revision:
            raise SourceError(f"{self.endpoint} gives {source.location} at another commit than {source.revision}")
        siblings = {sibling.rfilename: sibling for sibling in repository.siblings}
        wanted = {file.path: file.target for file in source.files} or _of_layout(family, siblings)
        if lacking := sorted(set(wanted) - set(siblings)):
            raise SourceError(f"{self.endpoint}/{source.location} has no {', '.join(lacking)}", is_gone=True)
        base = self._base(source, repository.sha)
        return [
            _remote(f"{base}/{quote(path)}", target, siblings[path], source.pins.get(path))
            for path, target in wanted.items()
        ]

    def announced(self, source: ModelSource) -> tuple[str, dict[str, str]]:
        """The repository's commit and the SHA-256 of its large files, by path. Raises SourceError."""
        repository = self._describe(source)
        return repository.sha, {one.rfilename: one.lfs.sha256 for one in repository.siblings if one.lfs}

    def _base(self, source: ModelSource, commit: str) -> str:
        return f"{self.endpoint}/{source.location}/resolve/{quote(commit)}"

    def _describe(self, source: ModelSource) -> _Repository:
        failures = 0
        while True:
            try:
                return self._ask(source)
            except InterruptedDownloadError as error:
                failures += 1
                if failures >= self.patience.attempts or self.stop.is_set():
                    raise SourceError(
                        f"the hub at {self.endpoint} does not answer: {error}; {MIRROR_HINT}",
                        silent_host=error.silent_host,
                    ) from error
                self.stop.wait(max(self.patience.pause(failures), error.retry_after_seconds))

    def _ask(self, source: ModelSource) -> _Repository:
        url = f"{self.endpoint}/api/models/{source.location}/revision/{quote(source.revision, safe='')}"
        try:
            response = self.client.get(url, params={"blobs": "true"})
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise SourceError(f"{self.endpoint} is not the address of a hub: check HF_ENDPOINT") from error
        except httpx.HTTPError as error:
            raise interrupted(error, url) from error
        if response.status_code in (401, 403, 404):
            at = "" if source.revision == "main" else f" at {source.revision}"
            raise SourceError(
                f"{self.endpoint} has no repository {source.location}{at}, or it wants an HF_TOKEN"
                f" (HTTP {response.status_code})",
                is_gone=True,
            )
        if response.status_code != httpx.codes.OK:
            raise refused(response)
        try:
            return _Repository.model_validate_json(response.content)
        except ValidationError as error:
            raise SourceError(f"{self.endpoint} does not answer like a Hugging Face hub: check HF_ENDPOINT") from error


def _remote(url: str, target: str, sibling: _Sibling, pinned: str | None) -> RemoteFile:
    announced = sibling.lfs.sha256 if sibling.lfs else None
    if pinned and announced and pinned != announced:
        raise SourceError(
            f"{url} is announced with checksum {announced[:12]}…, and the catalogue pins {pinned[:12]}…: refused"
        )
    if sibling.lfs is not None:
        return RemoteFile(url, target, sibling.lfs.size, sha256=sibling.lfs.sha256)
    known = sibling.size is not None
    return RemoteFile(url, target, sibling.size, sha256=pinned, git_blob=sibling.blob_id if known else None)


def _of_layout(family: Family, paths: Iterable[str]) -> dict[str, str]:
    """Those of a repository's files that belong to Immich's layout of the family, each to be kept where it is."""
    kept = {}
    for path in paths:
        parts = PurePosixPath(path).parts
        inside = path == "config.json" or (len(parts) == 2 and parts[0] in family.parts)
        hidden = any(part.startswith(".") for part in parts)
        if inside and not hidden and not path.endswith(_FOREIGN_SUFFIXES) and "\\" not in path:
            kept[path] = path
    return kept
