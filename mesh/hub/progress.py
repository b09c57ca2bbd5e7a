"""How far a model is on its way into the cache: told to status lines, progress bars and held requests."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
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
    stage: Stage
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
