"""How far a model is on its way into the cache: told to status lines, progress bars and held requests."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mesh.hub.fetch.remote_file import RemoteFile

_TELL_EVERY_SECONDS = 0.1


class FetchStage(StrEnum):
    """What is being done."""

    WAITING = "waiting"
    """Another download has its turn."""
    DOWNLOADING = "downloading"
    ADAPTING = "converting"
    """Converting what was downloaded into Immich's layout."""


@dataclass(frozen=True)
class DownloadProgress:
    """A moment of a download.

    Attributes:
        model: name of the model.
        stage: what is being done.
        done_bytes: how much is there, what an earlier attempt left included.
        total_bytes: of all files of the model.
        file: the one in work.
    """

    model: str
    stage: FetchStage
    done_bytes: int
    total_bytes: int
    file: str = ""

    @property
    def fraction(self) -> float:
        """Share that is there, 0 to 1."""
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else 0.0


ProgressListener = Callable[[DownloadProgress], None]


def ignore(_: DownloadProgress) -> None:
    """A listener for those who do not care."""


class ProgressReport:
    """Adds up what has come of all files and tells the listener, ten times a second at most."""

    def __init__(self, model: str, estimate_bytes: int, listener: ProgressListener) -> None:
        self.model = model
        self._listener = listener
        self._received: dict[str, int] = {}
        self._announced: dict[str, int] = {}
        self._reported_at = 0.0
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
            if now - self._reported_at >= _TELL_EVERY_SECONDS or size == file.size_bytes:
                self._reported_at = now
                self._tell(FetchStage.DOWNLOADING, file.target)

        return received

    def stage(self, stage: FetchStage) -> None:
        """Something else than downloading is done."""
        self._tell(stage, "")

    def _tell(self, stage: FetchStage, file: str) -> None:
        done = sum(self._received.values())
        self._listener(DownloadProgress(self.model, stage, done, max(done, self.total_bytes), file))
