"""One file from the network onto the disk: resumed after a cut, verified to the last byte, given up only without hope.

The `huggingface_hub` library was tried first. It resumes, but it checks sizes only: a damaged file of the right length
would be served for ever. Here every file is hashed while it comes, against the hub's own checksums.
"""

import hashlib
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx
import structlog

from mesh.core.errors import UnavailableError
from mesh.hub.fetch.problems import SourceError, disk_error, network_reason, never_connected
from mesh.hub.fetch.remote_file import Patience, RemoteFile

log = structlog.get_logger()

PARTIAL_SUFFIX = ".part"
_READ_SIZE = 1 << 20
_LONGEST_WAIT = 60.0
"""Seconds that a server may ask for with `Retry-After`; one that wants more is given up sooner."""


class InterruptedDownloadError(Exception):
    """This attempt failed; another may succeed. Never leaves this package.

    Attributes:
        retry_after_seconds: how long the server wants to be left alone.
        silent_host: the host when there was no connection to it, else empty.
    """

    def __init__(self, reason: str, retry_after_seconds: float = 0.0, silent_host: str = "") -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds
        self.silent_host = silent_host


def timeout_of(patience: Patience) -> httpx.Timeout:
    """As httpx wants it."""
    return httpx.Timeout(patience.read_seconds, connect=patience.connect_seconds)


def interrupted(error: httpx.HTTPError, url: str) -> InterruptedDownloadError:
    """A request that failed on its way."""
    host = httpx.URL(url).netloc.decode() if never_connected(error) else ""
    return InterruptedDownloadError(network_reason(error), silent_host=host)


class _DamagedError(Exception):
    """What came is not what was announced."""


class Downloader:
    """Fetches files over one HTTP client.

    Args:
        client: follows redirects; its environment's proxies and certificates apply.
        patience: when to give up.
        stop: set by another thread to end a download; what came so far is kept.
    """

    def __init__(self, client: httpx.Client, patience: Patience, stop: threading.Event) -> None:
        self._client = client
        self._patience = patience
        self._stop = stop

    def fetch(self, file: RemoteFile, folder: Path, received: Callable[[int], None]) -> Path:
        """Fetches the file to `folder / file.target`, going on where an earlier attempt stopped.

        Args:
            received: told how many bytes of the file are there, from time to time.

        Raises:
            SourceError: the server has no such file, the network failed for good, or the content stayed damaged.
            UnavailableError: the disk is full, the folder cannot be written, or `stop` was set.
        """
        if file.sha256 is None and (file.git_blob is None or file.size_bytes is None):
            raise SourceError(f"{file.url} has no announced checksum, so that it could not be verified: refused")
        destination = folder / file.target
        if destination.is_file():
            received(destination.stat().st_size)
            return destination
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(destination, error) from error
        partial = destination.with_name(destination.name + PARTIAL_SUFFIX)
        self._fill(file, partial, received)
        partial.replace(destination)
        return destination

    def _fill(self, file: RemoteFile, partial: Path, received: Callable[[int], None]) -> None:
        """Attempts until the partial file is whole and right."""
        failures, damaged = 0, False
        while True:
            before = partial.stat().st_size if partial.exists() else 0
            try:
                self._attempt(file, partial, received)
                return
            except _DamagedError as error:
                partial.unlink(missing_ok=True)
                if damaged:
                    raise SourceError(f"{file.url}: {error}; a proxy or mirror may be changing it") from error
                log.warning("download damaged, starting over", url=file.url, reason=str(error))
                damaged = True
            except InterruptedDownloadError as error:
                grown = partial.exists() and partial.stat().st_size > before
                failures = 1 if grown else failures + 1
                if failures >= self._patience.attempts:
                    raise SourceError(
                        f"cannot download {file.url}: {error}; what came is kept, trying again goes on from there",
                        silent_host=error.silent_host,
                    ) from error
                log.info("download interrupted, going on", url=file.url, reason=str(error), attempt=failures)
                self._stop.wait(max(self._patience.pause(failures), error.retry_after_seconds))

    def _attempt(self, file: RemoteFile, partial: Path, received: Callable[[int], None]) -> None:
        if self._stop.is_set():
            raise UnavailableError(f"the download of {file.target} was stopped; it goes on from there next time")
        try:
            with partial.open("a+b") as output:
                digest = _Digest(file)
                digest.read(output)
                if not digest.is_whole():
                    self._stream(file, output, digest, received)
                digest.check()
                output.flush()
                os.fsync(output.fileno())
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise SourceError(f"{file.url} is not a URL: check HF_ENDPOINT") from error
        except httpx.HTTPError as error:
            raise interrupted(error, file.url) from error
        except OSError as error:
            raise disk_error(partial, error) from error

    def _stream(self, file: RemoteFile, output: BinaryIO, digest: "_Digest", received: Callable[[int], None]) -> None:
        headers = {"Accept-Encoding": "identity"}
        if digest.length:
            headers["Range"] = f"bytes={digest.length}-"
        with self._client.stream("GET", file.url, headers=headers) as response:
            if not _continues(response, digest, file):
                output.truncate(0)
                digest.restart()
            for chunk in response.iter_raw():
                output.write(chunk)
                digest.add(chunk)
                received(digest.length)
                if file.size_bytes is not None and digest.length > file.size_bytes:
                    raise _DamagedError(f"more than the announced {file.size_bytes} bytes came")
                if self._stop.is_set():
                    raise UnavailableError(
                        f"the download of {file.target} was stopped; it goes on from there next time"
                    )
        if file.size_bytes is not None and digest.length < file.size_bytes:
            raise InterruptedDownloadError(f"the connection ended at byte {digest.length} of {file.size_bytes}")


class _Digest:
    """Length and hash of what is there so far."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self.restart()

    def restart(self) -> None:
        """Nothing is there."""
        self.length = 0
        git = self._file.sha256 is None and self._file.git_blob is not None
        self._hash = hashlib.sha1(usedforsecurity=False) if git else hashlib.sha256()
        if git:
            self._hash.update(f"blob {self._file.size_bytes}\0".encode())

    def add(self, chunk: bytes) -> None:
        """More is there."""
        self.length += len(chunk)
        self._hash.update(chunk)

    def read(self, source: BinaryIO) -> None:
        """All that an earlier attempt left is there."""
        source.seek(0)
        while chunk := source.read(_READ_SIZE):
            self.add(chunk)

    def is_whole(self) -> bool:
        """Whether nothing needs to come any more; what is there may still be wrong."""
        if self._file.size_bytes is not None:
            return self.length >= self._file.size_bytes
        return self._file.sha256 is not None and self._hash.hexdigest() == self._file.sha256

    def check(self) -> None:
        """Raises _DamagedError unless it is the announced content."""
        size, expected = self._file.size_bytes, self._file.sha256 or self._file.git_blob
        if size is not None and self.length != size:
            raise _DamagedError(f"{self.length} bytes came, {size} were announced")
        if expected is not None and self._hash.hexdigest() != expected:
            raise _DamagedError(f"checksum {self._hash.hexdigest()[:12]}… came, {expected[:12]}… was announced")


def _continues(response: httpx.Response, digest: _Digest, file: RemoteFile) -> bool:
    """Whether the reply goes on where the partial file ends; False when it starts over.

    Raises what an unusable reply means.
    """
    match response.status_code:
        case 200:
            announced = response.headers.get("Content-Length", "")
            if file.size_bytes is not None and announced.isdigit() and int(announced) != file.size_bytes:
                raise _DamagedError(f"the server sends {announced} bytes, the hub announced {file.size_bytes}")
            return digest.length == 0
        case 206:
            found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != digest.length:
                raise _DamagedError("the server answered with another part of the file than asked for")
            return True
        case 416:
            raise _DamagedError("the partial file is longer than the server's")
        case _:
            raise refused(response)


def refused(response: httpx.Response) -> Exception:
    """What a reply that is not a success means: worth another attempt, or not there."""
    status = response.status_code
    if status in (401, 403, 404, 410):
        return SourceError(f"{_without_query(response.request.url)} is not there (HTTP {status})", is_gone=True)
    wait = response.headers.get("Retry-After", "")
    return InterruptedDownloadError(f"HTTP {status}", min(float(wait), _LONGEST_WAIT) if wait.isdigit() else 0.0)


def _without_query(url: httpx.URL) -> httpx.URL:
    """For messages: what the hub redirects to is signed in its query."""
    return url.copy_with(query=None)
