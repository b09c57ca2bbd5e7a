"""How a command of `immich-mesh` ends: its exit code, and what says why."""

import re
from collections.abc import Sequence
from enum import IntEnum

from mesh.core.errors import (
    DeadlineExceededError,
    DimensionMismatchError,
    InvalidInputError,
    MeshError,
    ModelNotFoundError,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
)

EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 not reachable or not ready (try again), "
    "4 refused (the input or model cannot work as it is), 130 stopped by Ctrl-C. "
    "An error is one line on standard error; several wrong settings have a line each."
)


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends a command with `code` and one line on standard error, and below it a line for each of several faults.

    Attributes:
        faults: what is wrong; the message itself when that says it.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.faults = tuple(faults) or (message,)

    @classmethod
    def of(cls, faults: Sequence[str], code: ExitCode = ExitCode.FAILED) -> "CommandError":
        """Of one fault or more, each told once."""
        different = tuple(dict.fromkeys(faults))
        if len(different) == 1:
            return cls(different[0], code)
        return cls(f"{len(different)} things are wrong", code, different)


_CODES: dict[type[MeshError], ExitCode] = {
    InvalidInputError: ExitCode.REFUSED,
    ModelNotFoundError: ExitCode.REFUSED,
    DimensionMismatchError: ExitCode.REFUSED,
    UnauthenticatedError: ExitCode.REFUSED,
    OverloadedError: ExitCode.UNREACHABLE,
    UnavailableError: ExitCode.UNREACHABLE,
    DeadlineExceededError: ExitCode.UNREACHABLE,
}


def exit_code(error: MeshError) -> ExitCode:
    """The exit code of a domain error."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ExitCode.FAILED)


def one_line(message: str) -> str:
    """A message without line breaks or runs of blanks, so that an error is one line whatever caused it."""
    return re.sub(r"\s+", " ", message).strip()
