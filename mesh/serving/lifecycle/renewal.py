"""A service whose models have all left memory replaces itself: what runtimes keep of them goes with the old process.

oneDNN's compiled primitives and the runtimes' arenas are some 200 MB after a few photos, and nothing gives them back.
The process drains as for SIGTERM and runs its own program anew (`exec`): for whoever started it nothing has changed but
that it is away for a second, in which the router holds what comes. It loads no model before one is asked for.
"""

import fcntl
import os
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from mesh.core.memory import resident_bytes

VARIABLE = "IMMICH_MESH_RENEWED"
"""Tells the new process that it is one, and which descriptor holds its turn."""
FILE = ".renewing"
WORTHWHILE_BYTES = 32_000_000
"""A process that holds so much more than when it was young is replaced."""


class Renewal:
    """When a process is to be replaced.

    Args:
        holds_nothing: whether no model is in memory, on its way, or known in a way that a new process would not know.
        folder: shared by the services of this machine: they are away one after the other, or the router had none.
        resident: memory of this process, in bytes.
    """

    def __init__(
        self, holds_nothing: Callable[[], bool], folder: Path, *, resident: Callable[[], int] = resident_bytes
    ) -> None:
        self._holds_nothing = holds_nothing
        self._file = folder / FILE
        self._resident = resident
        self._young = resident()
        self._turn: int | None = None

    def is_due(self) -> bool:
        """Whether a new process would hold less, and no other service is away for it: then this one's turn begins."""
        if not self._holds_nothing() or self._resident() - self._young < WORTHWHILE_BYTES:
            return False
        try:
            turn = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:  # a folder that may be read only: nobody takes turns then
            turn = os.open(os.devnull, os.O_RDWR)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(turn)
            return False
        self._turn = turn
        return True

    def replace(self) -> NoReturn:
        """Runs this process's program anew, in its place."""
        assert self._turn is not None
        os.set_inheritable(self._turn, True)
        os.environ[VARIABLE] = str(self._turn)
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - what it was started with


class Renewed:
    """What the process before this one left: nothing, unless it replaced itself.

    Args:
        environment: where that is said, and no longer afterwards.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        turn = environment.pop(VARIABLE, "")
        self._turn = int(turn) if turn.isdigit() else None

    def __bool__(self) -> bool:
        return self._turn is not None

    def settled(self) -> None:
        """This process answers: others may be replaced."""
        if self._turn is not None:
            with suppress(OSError):
                os.close(self._turn)
