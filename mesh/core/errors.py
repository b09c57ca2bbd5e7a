"""The domain errors of the mesh: raised anywhere, mapped once to gRPC (`mesh.serving.interceptors`) and once to HTTP
(`router.errors`).

The table (design decision: an error is the last resort, and it says what to do):

=====================  ====================  =======================  =================
Error                  gRPC                  HTTP                     held and retried
=====================  ====================  =======================  =================
InvalidInputError           INVALID_ARGUMENT      400 (422, 413)           no
ModelNotFoundError          NOT_FOUND             404                      no
DimensionMismatchError      FAILED_PRECONDITION   422                      no
OverloadedError             RESOURCE_EXHAUSTED    503 and `Retry-After`    yes
UnavailableError            UNAVAILABLE           503                      yes
DeadlineExceededError       DEADLINE_EXCEEDED     504                      no
UnauthenticatedError        UNAUTHENTICATED       401                      no
anything else          INTERNAL              500                      once, elsewhere
=====================  ====================  =======================  =================
"""

from typing import ClassVar

import grpc


class MeshError(Exception):
    """Base of every error whose message may be shown to the caller.

    Attributes:
        code: the gRPC status code that carries this error between processes.
        message: one sentence for a person: what is wrong and what to do. Never holds a secret.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInputError(MeshError):
    """The request can never succeed as it is: not an image, an option out of range, too large."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class ModelNotFoundError(MeshError):
    """No such model, or it is not cached and cannot be fetched. The message names model, folder and remedy."""

    code = grpc.StatusCode.NOT_FOUND


class DimensionMismatchError(MeshError):
    """The embedding would not have the length that the caller's model name promises."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class OverloadedError(MeshError):
    """A queue is full. Trying again after `retry_after_seconds` is worthwhile."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(MeshError):
    """Passing trouble: starting, loading, downloading, draining, no endpoint."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceededError(MeshError):
    """The caller's deadline passed before the answer was there."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class UnauthenticatedError(MeshError):
    """A key or token is missing or wrong."""

    code = grpc.StatusCode.UNAUTHENTICATED
