"""A load that failed: reported to further requests for a while, then tried again."""

import math
from dataclasses import dataclass

from mesh.core.errors import MeshError, ModelUnavailableError

FAILURE_MEMORY_SECONDS = 5.0
"""How long a failed load is reported to further requests without trying again, where the failure does not say it."""


@dataclass(frozen=True)
class Failure:
    """Why a load failed, and when it is due again.

    Attributes:
        error: the reason, without a traceback: that would keep alive every frame it went through, with its photo.
        due: the manager's clock from which on the next request tries again.
    """

    error: MeshError
    due: float

    @classmethod
    def of(cls, error: MeshError, now: float) -> "Failure":
        """The failure of a load that ended `now`."""
        wait = error.retry_after_seconds if isinstance(error, ModelUnavailableError) else FAILURE_MEMORY_SECONDS
        return cls(_fresh(error), now + wait)

    def to_error(self, now: float) -> MeshError:
        """The error for a caller, who hears when the model is tried next."""
        if isinstance(self.error, ModelUnavailableError):
            left = self.due - now
            text = f"{self.error.message}; it is tried again in {max(1, math.ceil(left))} s"
            return ModelUnavailableError(text, left)
        return _fresh(self.error)


def _fresh(error: MeshError) -> MeshError:
    if isinstance(error, ModelUnavailableError):
        return ModelUnavailableError(error.message, error.retry_after_seconds)
    return type(error)(error.message)
