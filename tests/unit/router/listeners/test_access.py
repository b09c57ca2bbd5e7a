"""The access line, in both shapes."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mesh.core.settings import LogFormat
from router.listeners.server.access import AccessLog
from router.listeners.server.recent import AnsweredRequest

REQUEST = AnsweredRequest(
    at=datetime(2026, 11, 22, 12, 0, 0, 123456, UTC),
    request_id="abc",
    listener="immich_ml",
    method="POST",
    path="/predict",
    task="ocr",
    model="PP-OCRv5_mobile",
    endpoint="10.0.0.1:50051",
    code=200,
    tries=2,
    ms=12.5,
    held_ms=3.0,
    service_ms=9.0,
    bytes=150_000,
)


@pytest.fixture(autouse=True)
def _info() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(level)


def written(fmt: LogFormat, request: AnsweredRequest = REQUEST, *, enabled: bool = True) -> str:
    stream = io.StringIO()
    log = AccessLog(fmt, stream)
    log.enabled = enabled
    log.write(request)
    return stream.getvalue()


def test_json_has_all_that_is_known() -> None:
    line = json.loads(written(LogFormat.JSON))
    assert line == {
        "event": "request",
        "level": "info",
        "timestamp": "2026-11-22T12:00:00.123456Z",
        "service": "immich-mesh-router",
        "listener": "immich_ml",
        "method": "POST",
        "path": "/predict",
        "code": 200,
        "task": "ocr",
        "model": "PP-OCRv5_mobile",
        "endpoint": "10.0.0.1:50051",
        "tries": 2,
        "ms": 12.5,
        "queue_ms": 3.0,
        "service_ms": 9.0,
        "bytes": 150000,
        "request_id": "abc",
    }


def test_pretty_is_one_line_for_a_person() -> None:
    line = written(LogFormat.PRETTY, replace(REQUEST, shared=True))
    assert line.count("\n") == 1
    assert line.startswith("2026-11-22T12:00:00.123456Z [info     ] request ")
    for part in ("code=200", "tries=2", "request_id=abc", "shared=True"):
        assert part in line


def test_a_line_break_in_a_model_name_makes_no_second_line() -> None:
    assert written(LogFormat.JSON, replace(REQUEST, model="a\nb")).count("\n") == 1
    assert written(LogFormat.PRETTY, replace(REQUEST, model="a\nb")).count("\n") == 1


def test_it_can_be_switched_off() -> None:
    assert written(LogFormat.JSON, enabled=False) == ""
    logging.getLogger().setLevel(logging.WARNING)
    assert written(LogFormat.JSON) == ""
