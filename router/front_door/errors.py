"""What can be wrong on Immich's side of the front door. All are answered 502, 504 or 508: nobody here can take over."""

from typing import ClassVar

from mesh.core.errors import UnavailableError

UNREACHABLE = "Immich cannot be reached: check that it runs and that IMMICH_URL is right"


class ImmichAwayError(UnavailableError):
    """Immich cannot be reached or fails."""

    status: ClassVar[int] = 502


class ImmichUnreachableError(ImmichAwayError):
    """No connection to Immich, or one that broke before it answered."""

    def __init__(self, message: str = UNREACHABLE) -> None:
        super().__init__(message)


class ImmichSlowError(ImmichAwayError):
    """Immich was reached and said nothing in time."""

    status = 504


class ImmichAnswerError(ImmichAwayError):
    """Immich answered what no Immich answers: another server, a proxy's error page, or a version that changed."""


class LoopError(ImmichAwayError):
    """`IMMICH_URL` leads back to the front door itself."""

    status = 508


LOOP = "IMMICH_URL leads back to the photo front door: give it the address of Immich itself"


def slow(seconds: float) -> str:
    """What to say of an Immich that was silent for so long."""
    return f"Immich is slow: it was reached and did not answer within {seconds:g} s; see what keeps it busy"
