"""The domain errors of the mesh: raised anywhere, mapped once to gRPC (`mesh.serving.interceptors`) and once to HTTP
(`router.errors`).

The table (design decision: an error is the last resort, and it says what to do):

======================  ====================  =======================  =================
Error                   gRPC                  HTTP                     held and retried
======================  ====================  =======================  =================
InvalidInputError       INVALID_ARGUMENT      400 (422, 413)           no
ModelNotFoundError      NOT_FOUND             404                      no
DimensionMismatchError  FAILED_PRECONDITION   422                      no
OverloadedError         RESOURCE_EXHAUSTED    503 and `Retry-After`    yes
UnavailableError        UNAVAILABLE           503                      yes
ModelUnavailableError   UNAVAILABLE           503 and `Retry-After`    once at each endpoint
DeadlineExceededError   DEADLINE_EXCEEDED     504                      no
UnauthenticatedError    UNAUTHENTICATED       401                      no
anything else           INTERNAL              500                      once, elsewhere
======================  ====================  =======================  =================

A service's own UNAUTHENTICATED is about the router's token, which no caller can mend: the router holds the request, and
ends it as UnavailableError.

`mesh.core.rpc.status` says how an error's own word travels beside its gRPC code.
"""

from typing import ClassVar

import grpc


class MeshError(Exception):
    """Base of every error whose message may be shown to the caller.

    Attributes:
        code: the gRPC status code that carries this error between processes.
        word: this error among those of one code; travels in the status mark, and stands in HTTP bodies.
        message: one sentence for a person: what is wrong and what to do. Never holds a secret.
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    word: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInputError(MeshError):
    """The request can never succeed as it is: not an image, an option out of range, too large."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    word = "invalid_input"


class ModelNotFoundError(MeshError):
    """No such model, or it is not cached and cannot be fetched. The message names model, folder and remedy."""

    code = grpc.StatusCode.NOT_FOUND
    word = "model_not_found"


class DimensionMismatchError(MeshError):
    """The embedding would not have the length that the caller's model name promises."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    word = "dimension_mismatch"


class OverloadedError(MeshError):
    """A queue is full. Trying again after `retry_after_seconds` is worthwhile."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    word = "overloaded"

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(MeshError):
    """Passing trouble: starting, loading, downloading, draining, no endpoint."""

    code = grpc.StatusCode.UNAVAILABLE
    word = "unavailable"


class ModelUnavailableError(UnavailableError):
    """A model cannot be had at the moment: its source is blocked, the disk is full, its files cannot be read.

    Unlike a model on its way this is told at once. The message names reason and remedy; the service tries again when it
    is asked after `retry_after_seconds`.
    """

    word = "model_unavailable"

    def __init__(self, message: str, retry_after_seconds: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceededError(MeshError):
    """The caller's deadline passed before the answer was there."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    word = "deadline_exceeded"


class UnauthenticatedError(MeshError):
    """A key or token is missing or wrong."""

    code = grpc.StatusCode.UNAUTHENTICATED
    word = "unauthenticated"
