"""OpenTelemetry traces, when `OTEL_EXPORTER_OTLP_ENDPOINT` (or its traces variant) is set and extra `otel` is there.

Without either, `span` costs one function call and nothing is imported.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from mesh.core.version import mesh_version

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = structlog.get_logger()

TRACEPARENT_HEADER = "traceparent"
_tracer: "Tracer | None" = None


def configure_tracing(service: str, exporter: Any | None = None) -> bool:
    """Starts exporting spans of this process and says whether it does.

    Args:
        service: `service.name` of its resource, e.g. `immich-mesh-ocr`; `OTEL_SERVICE_NAME` overrides it.
        exporter: a span exporter instead of OTLP (tests).
    """
    global _tracer  # noqa: PLW0603 - one tracer per process, as OpenTelemetry has it
    wanted = exporter is not None or any(
        os.environ.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )
    if not wanted:
        return False
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError:
        log.warning("traces are configured, but the extra 'otel' is not installed: no spans are exported")
        return False
    name = os.environ.get("OTEL_SERVICE_NAME", service)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name, SERVICE_VERSION: mesh_version()}))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = provider.get_tracer("immich_mesh", mesh_version())
    return True


@contextmanager
def span(name: str, **attributes: str | int | float | bool) -> Iterator[None]:
    """Times the enclosed work as a child of the current span; does nothing when traces are off."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield


def record_span(name: str, started_ns: int, ended_ns: int, **attributes: str | int | float | bool) -> None:
    """Adds a child of the current span for work that is already over, in nanoseconds since the epoch."""
    if _tracer is not None:
        _tracer.start_span(name, start_time=started_ns, attributes=attributes).end(ended_ns)


@contextmanager
def remote_span(name: str, headers: Mapping[str, str], **attributes: str | int | float | bool) -> Iterator[None]:
    """As `span`, continuing the trace of the `traceparent` among the headers when there is one."""
    if _tracer is None:
        yield
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(dict(headers))
    with _tracer.start_as_current_span(name, context=parent, kind=SpanKind.SERVER, attributes=attributes):
        yield


def trace_headers() -> dict[str, str]:
    """The headers that carry the current span on to the next process; empty when traces are off."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier
