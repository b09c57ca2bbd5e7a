"""Domain errors on their way out: the HTTP column of the table in `mesh.core.errors`.

Every error body is `{"error": {"code", "message", "request_id"}}`, and every message says what to do.
"""

import math

import grpc
import orjson

from mesh.core.errors import (
    DeadlineExceededError,
    DimensionMismatchError,
    InvalidInputError,
    MeshError,
    ModelNotFoundError,
    ModelUnavailableError,
    OverloadedError,
    UnauthenticatedError,
    UnavailableError,
)


class InvalidEntriesError(InvalidInputError):
    """The part `entries` of a request is missing, not JSON, of the wrong shape, or names what nobody serves."""


class BodyTooLargeError(InvalidInputError):
    """The body exceeds the listener's limit."""


class BodyTooSlowError(InvalidInputError):
    """The body did not arrive in time."""


class QuarantinedPayloadError(InvalidInputError):
    """Services crashed while they worked on this payload and nothing else; it is not sent to another one."""


class ForbiddenError(InvalidInputError):
    """The caller's address or the name it used is not allowed."""


class MissingKeyError(InvalidInputError):
    """The request has no key where one is demanded."""


class NoSuchPathError(InvalidInputError):
    """This listener has no such path."""


class WrongMethodError(InvalidInputError):
    """The path exists, the method does not."""


class UpstreamRefusedError(InvalidInputError):
    """A native server answered with a client error of its own, which is passed on."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


# From the special to the general: the first that fits decides.
_TABLE: tuple[tuple[type[MeshError], int, str], ...] = (
    (InvalidEntriesError, 422, "invalid_entries"),
    (BodyTooLargeError, 413, "body_too_large"),
    (BodyTooSlowError, 408, "body_too_slow"),
    (QuarantinedPayloadError, 422, "quarantined_payload"),
    (ForbiddenError, 403, "forbidden"),
    (MissingKeyError, 422, "missing_key"),
    (NoSuchPathError, 404, "no_such_path"),
    (WrongMethodError, 405, "method_not_allowed"),
    (UpstreamRefusedError, 400, "upstream_refused"),
    (InvalidInputError, 400, "invalid_input"),
    (ModelNotFoundError, 404, "model_not_found"),
    (DimensionMismatchError, 422, "dimension_mismatch"),
    (OverloadedError, 503, "overloaded"),
    (ModelUnavailableError, 503, "model_unavailable"),
    (UnavailableError, 503, "unavailable"),
    (DeadlineExceededError, 504, "deadline_exceeded"),
    (UnauthenticatedError, 401, "unauthenticated"),
)

UNAVAILABLE_RETRY_AFTER_SECONDS = 5.0


def http_status(error: BaseException) -> tuple[int, str]:
    """The status and the `code` word of an error; 500 and `internal` for what is no domain error."""
    if isinstance(error, UpstreamRefusedError):
        return error.status, "upstream_refused"
    for kind, status, code in _TABLE:
        if isinstance(error, kind):
            return status, code
    return 500, "internal"


def error_body(error: BaseException, request_id: str) -> bytes:
    """The JSON body. What is no domain error shows no exception text, only the id to look for in the logs."""
    _, code = http_status(error)
    message = (
        error.message if isinstance(error, MeshError) else f"internal error; the logs tell more under {request_id}"
    )
    return orjson.dumps({"error": {"code": code, "message": message, "request_id": request_id}})


def retry_after(error: BaseException) -> str | None:
    """The value of `Retry-After`, in whole seconds, for errors after which trying again is worthwhile."""
    if isinstance(error, OverloadedError | ModelUnavailableError):
        return str(max(1, math.ceil(error.retry_after_seconds)))
    return str(int(UNAVAILABLE_RETRY_AFTER_SECONDS)) if isinstance(error, UnavailableError) else None


_ANSWERS: tuple[type[MeshError], ...] = (
    InvalidInputError,
    ModelNotFoundError,
    DimensionMismatchError,
    OverloadedError,
    UnavailableError,
    ModelUnavailableError,
    DeadlineExceededError,
    UnauthenticatedError,
)
_BY_WORD = {error.word: error for error in _ANSWERS}
_BY_GRPC_CODE = {error.code: error for error in reversed(_ANSWERS)}


def from_grpc(
    code: grpc.StatusCode, message: str, word: str = "", retry_after_seconds: float | None = None
) -> MeshError:
    """The domain error of a service's status; a plain `MeshError` for codes outside of the table.

    Args:
        word: of the status mark; the code decides where it is empty, or unknown because the service is a newer one.
        retry_after_seconds: when the service asked to be tried again.
    """
    kind = _BY_WORD.get(word) or _BY_GRPC_CODE.get(code, MeshError)
    if retry_after_seconds is not None and issubclass(kind, OverloadedError | ModelUnavailableError):
        return kind(message, retry_after_seconds)
    return kind(message)
