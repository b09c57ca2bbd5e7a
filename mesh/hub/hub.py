"""The Hugging Face hub, or a mirror of it: which files a repository has, their sizes and checksums.

One call, `GET /api/models/<repo>/revision/<revision>?blobs=true`, pins the commit as well, so that files of one model
never come from two versions of it.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, ValidationError

from mesh.core.errors import ModelNotFoundError, UnavailableError
from mesh.hub.catalogue import Family, ModelSource
from mesh.hub.download import InterruptedDownloadError, Patience, RemoteFile, refused

_FOREIGN_SUFFIXES = (".armnn", ".rknn", ".md", ".txt.gz")
"""Other runtimes' files and papers in Immich's repositories."""


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
class Hub:
    """A hub's address, e.g. `https://huggingface.co`, the client to talk to it, and when to give up."""

    endpoint: str
    client: httpx.Client
    patience: Patience
    stop: threading.Event

    def files(self, family: Family, source: ModelSource) -> list[RemoteFile]:
        """The files of a model to fetch, with their checksums.

        Raises:
            ModelNotFoundError: no such repository, or it has not what the source names.
            UnavailableError: the hub cannot be reached or answers something else than a hub would.
        """
        repository = self._describe(source)
        siblings = {sibling.rfilename: sibling for sibling in repository.siblings}
        wanted = {file.path: file.target for file in source.files} or _of_layout(family, siblings)
        if lacking := sorted(set(wanted) - set(siblings)):
            raise ModelNotFoundError(f"{self.endpoint}/{source.location} has no {', '.join(lacking)}")
        base = f"{self.endpoint}/{source.location}/resolve/{quote(repository.sha)}"
        return [_remote(f"{base}/{quote(path)}", target, siblings[path]) for path, target in wanted.items()]

    def _describe(self, source: ModelSource) -> _Repository:
        failures = 0
        while True:
            try:
                return self._ask(source)
            except InterruptedDownloadError as error:
                failures += 1
                if failures >= self.patience.attempts or self.stop.is_set():
                    raise UnavailableError(
                        f"the hub at {self.endpoint} does not answer: {error}; check the network, or name a mirror "
                        "in HF_ENDPOINT"
                    ) from error
                self.stop.wait(max(self.patience.pause(failures), error.retry_after_seconds))

    def _ask(self, source: ModelSource) -> _Repository:
        url = f"{self.endpoint}/api/models/{source.location}/revision/{source.revision}"
        try:
            response = self.client.get(url, params={"blobs": "true"})
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UnavailableError(f"{self.endpoint} is not the address of a hub: check HF_ENDPOINT") from error
        except httpx.HTTPError as error:
            raise InterruptedDownloadError(str(error) or type(error).__name__) from error
        if response.status_code in (401, 403, 404):
            raise ModelNotFoundError(
                f"{self.endpoint} has no repository {source.location} (HTTP {response.status_code})"
            )
        if response.status_code != httpx.codes.OK:
            raise refused(response)
        try:
            return _Repository.model_validate_json(response.content)
        except ValidationError as error:
            raise UnavailableError(
                f"{self.endpoint} does not answer like a Hugging Face hub: check HF_ENDPOINT"
            ) from error


def _remote(url: str, target: str, sibling: _Sibling) -> RemoteFile:
    if sibling.lfs is not None:
        return RemoteFile(url, target, sibling.lfs.size, sha256=sibling.lfs.sha256)
    known = sibling.size is not None
    return RemoteFile(url, target, sibling.size, git_blob=sibling.blob_id if known else None)


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
