"""The HTTP column of the table of errors."""

import grpc
import orjson
import pytest

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
from router.errors import (
    BodyTooLargeError,
    InvalidEntriesError,
    QuarantinedPayloadError,
    UpstreamRefusedError,
    error_body,
    from_grpc,
    http_status,
    retry_after,
)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInputError("x"), 400, "invalid_input"),
        (InvalidEntriesError("x"), 422, "invalid_entries"),
        (BodyTooLargeError("x"), 413, "body_too_large"),
        (QuarantinedPayloadError("x"), 422, "quarantined_payload"),
        (ModelNotFoundError("x"), 404, "model_not_found"),
        (DimensionMismatchError("x"), 422, "dimension_mismatch"),
        (OverloadedError("x"), 503, "overloaded"),
        (UnavailableError("x"), 503, "unavailable"),
        (ModelUnavailableError("x", 40), 503, "model_unavailable"),
        (DeadlineExceededError("x"), 504, "deadline_exceeded"),
        (UnauthenticatedError("x"), 401, "unauthenticated"),
        (UpstreamRefusedError("x", 418), 418, "upstream_refused"),
        (MeshError("x"), 500, "internal"),
        (ValueError("x"), 500, "internal"),
    ],
)
def test_status_and_code(error: Exception, status: int, code: str) -> None:
    assert http_status(error) == (status, code)
    assert orjson.loads(error_body(error, "id"))["error"]["code"] == code


def test_the_body_says_what_to_do_and_where_to_look() -> None:
    assert orjson.loads(error_body(OverloadedError("try later"), "abc")) == {
        "error": {"code": "overloaded", "message": "try later", "request_id": "abc"}
    }


def test_what_is_no_domain_error_shows_nothing_of_itself() -> None:
    body = error_body(KeyError("secret"), "abc")
    assert b"secret" not in body
    assert b"abc" in body


def test_only_passing_trouble_is_worth_another_try() -> None:
    assert retry_after(OverloadedError("x", 2.2)) == "3"
    assert retry_after(OverloadedError("x", 0.1)) == "1"
    assert retry_after(UnavailableError("x")) == "5"
    assert retry_after(ModelUnavailableError("x", 40)) == "40"
    assert retry_after(InvalidInputError("x")) is None
    assert retry_after(DeadlineExceededError("x")) is None


def test_grpc_codes_become_the_domain_errors_they_came_from() -> None:
    for kind in (
        InvalidInputError,
        ModelNotFoundError,
        DimensionMismatchError,
        OverloadedError,
        UnavailableError,
        DeadlineExceededError,
        UnauthenticatedError,
    ):
        assert type(from_grpc(kind.code, "x")) is kind
        assert type(from_grpc(kind.code, "x", kind.word)) is kind
        assert type(from_grpc(kind.code, "x", "a word of a newer version")) is kind
    assert type(from_grpc(grpc.StatusCode.DATA_LOSS, "x")) is MeshError


def test_the_word_tells_errors_of_one_code_apart_and_the_time_to_wait_comes_along() -> None:
    error = from_grpc(grpc.StatusCode.UNAVAILABLE, "no hub", ModelUnavailableError.word, 40)
    assert isinstance(error, ModelUnavailableError)
    assert error.retry_after_seconds == 40
