"""The bearer token that router and services share: fixed, or in a file that may change while both sides run."""

import hmac
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from mesh.core.rpc.watched_files import WatchedFiles

Lines = tuple[str, ...]

FORMER_SECONDS = 300.0
"""How long a server takes the former token after its file has changed: the callers' files may be minutes behind, as
those of other pods are."""


class BearerToken:
    """A token to show, or to demand.

    A file holds one token a line. The first is shown; all are taken, so that a caller whose file changes first is let
    in where both are written down.
    """

    def __init__(self, lines: "WatchedFiles[Lines] | Lines", clock: Callable[[], float] = time.monotonic) -> None:
        self._lines = lines
        self._clock = clock
        self._known = self._read()
        self._former: Lines = ()
        self._former_until = float("-inf")

    @classmethod
    def of(cls, token: SecretStr | None, file: Path | None = None) -> "BearerToken | None":
        """From settings; the file counts. None where neither is set. Raises OSError: the file is no use."""
        if file is not None:
            return cls(WatchedFiles([file], lambda: _lines_of(file)))
        return cls((token.get_secret_value(),)) if token else None

    def current(self) -> str:
        """The token to show."""
        return self._read()[0]

    def header(self) -> tuple[str, str]:
        """It as metadata of a call."""
        return "authorization", f"Bearer {self.current()}"

    def accepts(self, header: str) -> bool:
        """Whether an `authorization` header shows a token that is, or was a moment ago, right."""
        return self._fits(header, self._read()) or self._fits(header, self._read(look=True))

    def _read(self, *, look: bool = False) -> Lines:
        return self._lines if isinstance(self._lines, tuple) else self._lines.current(look=look)

    def _fits(self, header: str, lines: Lines) -> bool:
        now = self._clock()
        if lines != self._known:
            self._former, self._former_until = self._known, now + FORMER_SECONDS
            self._known = lines
        taken = (*lines, *(self._former if now < self._former_until else ()))
        given = header.encode()
        return any(hmac.compare_digest(given, f"Bearer {one}".encode()) for one in taken)


def _lines_of(file: Path) -> Lines:
    lines = tuple(line.strip() for line in file.read_text("ascii", "replace").splitlines() if line.strip())
    if not lines:
        raise OSError(f"{file} holds no token")
    return lines
