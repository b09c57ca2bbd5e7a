"""Domain errors on their way out: the HTTP column of the table in `mesh.core.errors`.

Every error body is `{"error": {"code", "message", "request_id"}}`, and every message says what to do.
"""

import math

import grpc
import orjson

from mesh.core.errors import (
    DeadlineExceeded,
    DimensionMismatch,
    InvalidInput,
    MeshError,
    ModelNotFound,
    Overloaded,
    Unauthenticated,
    Unavailable,
)


class InvalidEntries(InvalidInput):
    """The part `entries` of a request is missing, not JSON, of the wrong shape, or names what nobody serves."""


class BodyTooLarge(InvalidInput):
    """The body exceeds the listener's limit."""


class BodyTooSlow(InvalidInput):
    """The body did not arrive in time."""


class PoisonousPayload(InvalidInput):
    """Endpoints died while they worked on this payload; it is not sent to another one."""


class Forbidden(InvalidInput):
    """The caller's address or the name it used is not allowed."""


class MissingKey(InvalidInput):
    """The request has no key where one is demanded."""


class NoSuchPath(InvalidInput):
    """This listener has no such path."""


class WrongMethod(InvalidInput):
    """The path exists, the method does not."""


class UpstreamRefused(InvalidInput):
    """A native server answered with a client error of its own, which is passed on."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


# From the special to the general: the first that fits decides.
_TABLE: tuple[tuple[type[MeshError], int, str], ...] = (
    (InvalidEntries, 422, "invalid_entries"),
    (BodyTooLarge, 413, "body_too_large"),
    (BodyTooSlow, 408, "body_too_slow"),
    (PoisonousPayload, 422, "poisonous_payload"),
    (Forbidden, 403, "forbidden"),
    (MissingKey, 422, "missing_key"),
    (NoSuchPath, 404, "no_such_path"),
    (WrongMethod, 405, "method_not_allowed"),
    (UpstreamRefused, 400, "upstream_refused"),
    (InvalidInput, 400, "invalid_input"),
    (ModelNotFound, 404, "model_not_found"),
    (DimensionMismatch, 422, "dimension_mismatch"),
    (Overloaded, 503, "overloaded"),
    (Unavailable, 503, "unavailable"),
    (DeadlineExceeded, 504, "deadline_exceeded"),
    (Unauthenticated, 401, "unauthenticated"),
)

UNAVAILABLE_RETRY_AFTER_SECONDS = 5.0


def http_status(error: BaseException) -> tuple[int, str]:
    """The status and the `code` word of an error; 500 and `internal` for what is no domain error."""
    if isinstance(error, UpstreamRefused):
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
    if isinstance(error, Overloaded):
        return str(max(1, math.ceil(error.retry_after_seconds)))
    return str(int(UNAVAILABLE_RETRY_AFTER_SECONDS)) if isinstance(error, Unavailable) else None


_BY_GRPC_CODE: dict[grpc.StatusCode, type[MeshError]] = {
    error.code: error
    for error in (
        InvalidInput,
        ModelNotFound,
        DimensionMismatch,
        Overloaded,
        Unavailable,
        DeadlineExceeded,
        Unauthenticated,
    )
}


def from_grpc(code: grpc.StatusCode, message: str) -> MeshError:
    """The domain error of a service's status; a plain `MeshError` for codes outside of the table."""
    return _BY_GRPC_CODE.get(code, MeshError)(message)
