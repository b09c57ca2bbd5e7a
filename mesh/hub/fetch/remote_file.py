"""What is fetched, and how patiently: told by all of the hub, without a client of the network.

A service whose models are cached imports this and no more: the client and its like are a tenth of what it would import.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        url: where it is.
        target: where it belongs, a path below the folder that it is fetched into.
        size_bytes: its size, or None when the server does not say beforehand.
        sha256: of its content, hexadecimal, or None.
        git_blob: git's object id of its content (the hub's checksum of small files), hexadecimal, or None.

    A file without either checksum is refused: nobody could tell whether it is what it should be.
    """

    url: str
    target: str
    size_bytes: int | None = None
    sha256: str | None = None
    git_blob: str | None = None


@dataclass(frozen=True)
class Patience:
    """When to give up on a connection, and on a file.

    Attributes:
        connect_seconds: for a connection to be there.
        read_seconds: without a single byte.
        attempts: in a row that bring nothing; one that brings bytes starts the count again.
        pause_seconds: before the second attempt; doubled before each further one, 30 s at most.
    """

    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    attempts: int = 5
    pause_seconds: float = 1.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row."""
        return min(30.0, self.pause_seconds * 2.0 ** (failures - 1))
