"""What can be seen of a request: spans, headers, metrics, the access line."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mesh.core.tracing
from tests.doubles.router import Front, front
from tests.doubles.services import Services
from tests.waiting import until

CLIP = '{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}'
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Lines:
    """Collects the access log."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def write(self, text: str) -> None:
        self.found.append(json.loads(text))


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    assert mesh.core.tracing.configure_tracing("test", exporter)
    yield exporter
    mesh.core.tracing._tracer = None


async def test_spans_of_a_request_belong_together_and_go_on_in_the_service(
    stage: Front, spans: InMemorySpanExporter
) -> None:
    headers = {"traceparent": PARENT}
    body = {"entries": CLIP, "image": "photo"}
    async with stage.client.post("/predict", data=body, headers=headers) as reply:
        assert reply.status == 200
    found: dict[str, ReadableSpan] = {span.name: span for span in spans.get_finished_spans()}
    assert {"immich_ml /predict", "parse", "route", "upstream", "try"} <= found.keys()
    contexts = [span.get_span_context() for span in found.values()]
    assert {f"{context.trace_id:032x}" for context in contexts if context} == {PARENT.split("-")[1]}
    tried = found["try"]
    assert tried.attributes is not None
    assert tried.attributes["endpoint"] == stage.services.address
    sent = stage.services.metadata[-1]["traceparent"].split("-")
    context = tried.get_span_context()
    assert context is not None
    assert sent[1:3] == [PARENT.split("-")[1], f"{context.span_id:016x}"]


async def test_waiting_is_a_span_of_its_own(stage: Front, spans: InMemorySpanExporter) -> None:
    await stage.services.set_serving(False)
    await until(lambda: not stage.router.status.can_serve)
    waiting = asyncio.create_task(stage.predict(CLIP))
    await until(lambda: stage.router.clusters.clusters["clip"].held_bytes() > 0)
    await stage.services.set_serving(True)
    assert (await waiting)[0] == 200
    assert "queue" in {span.name for span in spans.get_finished_spans()}


async def test_one_line_and_one_count_for_each_request(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "isEnabledFor", lambda level: level >= logging.INFO)
    lines = Lines()
    async with front(services, log_format="json") as stage:
        stage.router.access_log.stream = lines
        await stage.predict(CLIP)
        await stage.predict(CLIP.replace("ViT-B-32", "ViT-L-14"))
        await until(lambda: len(lines.found) == 2)
        check_lines_and_counts(stage, lines)


def check_lines_and_counts(stage: Front, lines: Lines) -> None:
    good, bad = lines.found
    assert (good["code"], good["task"], good["model"], good["tries"]) == (200, "clip visual", "ViT-B-32__openai", 1)
    assert good["endpoint"] == stage.services.address
    assert good["ms"] >= good["service_ms"] > 0
    assert good["bytes"] > 100
    assert stage.services.metadata[-1]["x-request-id"] == good["request_id"]
    assert (bad["code"], bad["tries"]) == (422, 0)
    assert stage.count("router_requests_total", listener="immich_ml", task="clip", code="200") == 1
    assert stage.count("router_requests_total", listener="immich_ml", task="clip", code="422") == 1
    assert stage.count("upstream_tries_total", cluster="clip", outcome="ok") == 1
    assert stage.count("router_in_flight_requests", listener="immich_ml") == 0


async def test_identical_requests_are_counted_as_shared(stage: Front) -> None:
    gate = asyncio.Event()

    async def wait(*_: Any) -> None:
        await gate.wait()

    stage.services.behave = wait
    running = [asyncio.create_task(stage.predict(CLIP)) for _ in range(3)]
    await until(lambda: stage.count("router_in_flight_requests", listener="immich_ml") == 3)
    await asyncio.sleep(0.05)
    gate.set()
    assert [status for status, _ in await asyncio.gather(*running)] == [200] * 3
    assert stage.services.calls == ["EncodeImage"]
    assert stage.count("upstream_shared_total", task="clip") == 2
