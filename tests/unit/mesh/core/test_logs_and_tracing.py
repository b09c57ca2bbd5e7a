"""Log lines and spans carry the request that they belong to."""

import json
import logging

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.core import context, tracing
from mesh.core.logs import configure_logs, set_level
from mesh.core.settings import LogFormat, level_number

pytestmark = pytest.mark.usefixtures("restored_logs")


def test_json_lines_name_service_and_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", LogFormat.JSON, "ocr")
    context.request_id.set("r-1")
    structlog.get_logger().info("发票", ms=3)
    logging.getLogger("library").warning("careful with %s", "this")
    own, foreign = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert own["event"] == "发票"
    assert (own["service"], own["request_id"], own["ms"], own["level"]) == ("ocr", "r-1", 3, "info")
    assert foreign["event"] == "careful with this"


@pytest.mark.parametrize("fmt", LogFormat)
def test_tracebacks_show_where_and_no_local_variables(fmt: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", fmt, "ocr")

    def read(photo: str) -> None:
        raise ValueError("cannot be read")

    try:
        read("s3cret")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed too")
    output = capsys.readouterr().err
    assert output.count("cannot be read") >= 2
    assert "test_logs_and_tracing.py" in output
    assert "s3cret" not in output.replace('read("s3cret")', "")
    if fmt is LogFormat.JSON:
        own, foreign = map(json.loads, output.splitlines())
        for line in (own, foreign):
            (raised,) = line["exception"]
            assert (raised["exc_type"], raised["exc_value"]) == ("ValueError", "cannot be read")
            assert not any(frame.get("locals") for frame in raised["frames"])


def test_levels_change_at_run_time_and_immichs_names_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", LogFormat.PRETTY, "ocr")
    structlog.get_logger().debug("hidden")
    set_level("verbose")
    structlog.get_logger().debug("shown")
    output = capsys.readouterr().err
    assert "shown" in output
    assert "hidden" not in output
    with pytest.raises(ValueError, match="unknown log level 'loud'"):
        level_number("loud")


def test_a_trace_goes_on_from_one_process_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_tracer", None)
    assert tracing.trace_headers() == {}
    assert tracing.configure_tracing("test", exporter)
    with tracing.span("route", task="ocr"):
        headers = tracing.trace_headers()
    with tracing.remote_span("Recognize", headers):
        pass
    route, call = exporter.get_finished_spans()
    assert (route.name, call.name) == ("route", "Recognize")
    assert call.context.trace_id == route.context.trace_id
    assert call.parent is not None
    assert call.parent.span_id == route.context.span_id
    assert route.attributes == {"task": "ocr"}


def test_without_an_endpoint_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert tracing.configure_tracing("test") is False
