"""Settings of the clusters: endpoints, and what upstream does with them. Envoy's words and, mostly, its defaults."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from mesh.core.settings import Frozen, TlsSettings
from router.config.listeners import split_names

_KUBERNETES_SERVICE = re.compile(r"kubernetes:///[a-z0-9-]+\.[a-z0-9-]+:[0-9]+")


class Protocol(StrEnum):
    """How the endpoints of a cluster are spoken to."""

    GRPC = "grpc"
    HTTP = "http"


class Balancer(StrEnum):
    """How an endpoint is chosen for a request."""

    LEAST_REQUEST = "least_request"
    ROUND_ROBIN = "round_robin"


class HealthCheckSettings(Frozen):
    """Active health checking of every endpoint."""

    interval_seconds: float = Field(
        2.0,
        gt=0,
        description="Pause between checks of a healthy endpoint; five times that while nothing is asked of it.",
    )
    unhealthy_interval_seconds: float = Field(0.5, gt=0, description="Pause between checks of an unhealthy endpoint.")
    timeout_seconds: float = Field(3.0, gt=0, description="A check without an answer by then has failed.")
    unhealthy_threshold: int = Field(
        2, ge=1, description="Checks that time out in a row before an endpoint is unhealthy."
    )
    healthy_threshold: int = Field(
        1, ge=1, description="Checks that pass in a row before an endpoint is healthy again."
    )


class OutlierSettings(Frozen):
    """Ejection of endpoints that answer health checks but fail requests. Overload and client errors do not count."""

    consecutive_failures: int = Field(5, ge=1, description="Failures in a row that eject an endpoint.")
    interval_seconds: float = Field(
        10.0, gt=0, description="Time without ejection that shortens the next one by a step."
    )
    base_ejection_seconds: float = Field(
        30.0, gt=0, description="Length of the first ejection; the n-th lasts n times that."
    )
    max_ejection_seconds: float = Field(300.0, gt=0, description="Longest ejection.")


class CircuitBreakerSettings(Frozen):
    """Bounds of a cluster, for each lane (text, images) separately."""

    max_requests: int = Field(1024, ge=1, description="Requests at the endpoints at a time; more are held.")
    max_pending_requests: int = Field(1024, ge=0, description="Requests held at a time; one more is answered 503.")
    max_pending_bytes: int = Field(1 << 30, ge=0, description="Bytes of the requests held at a time.")
    max_retries: int = Field(256, ge=1, description="Retries at the endpoints at a time; more are held.")


class RetryBudgetSettings(Frozen):
    """How much of the traffic to a cluster may be retries, so that retries cannot bring it down."""

    percent: float = Field(
        20.0, ge=0, le=100, description="Retries at a time, in percent of the active and held requests."
    )
    min_retries: int = Field(3, ge=1, description="Retries at a time that are always allowed.")


class QuarantineSettings(Frozen):
    """Payloads that crash the endpoints they are sent to."""

    crashes: int = Field(
        2, ge=1, description="Crashes that nothing but the payload can explain, after which it is refused."
    )
    quiet_seconds: float = Field(
        10.0, ge=0, description="No endpoint may have come or gone for so long before a crash that counts."
    )
    remember_seconds: float = Field(300.0, ge=0, description="How long such a payload is suspected or refused.")


class ClusterSettings(Frozen):
    """A named group of endpoints that answer the same calls."""

    protocol: Protocol = Field(
        Protocol.GRPC, description="grpc for services of the mesh, http for a native Immich ML server."
    )
    endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`host:port` each, `dns:///name:port` for every address behind a name,"
        " `kubernetes:///service.namespace:port` for the pods of a Service, or URLs for http."
        " Empty in ocr, clip and face: their `*_endpoints` setting.",
    )
    dns_refresh_seconds: float = Field(5.0, gt=0, description="How often names are resolved again.")
    zone: str = Field("", description="Zone whose endpoints are preferred; empty for the router's `zone`.")
    balancer: Balancer = Field(Balancer.LEAST_REQUEST, description="least_request (of two random ones) or round_robin.")
    health_check: HealthCheckSettings = HealthCheckSettings()
    outlier_detection: OutlierSettings = OutlierSettings()
    circuit_breakers: CircuitBreakerSettings = CircuitBreakerSettings()
    retry_budget: RetryBudgetSettings = RetryBudgetSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    tls: TlsSettings | None = Field(None, description="TLS to the endpoints; empty for the router's `upstream_tls`.")
    auth_token: SecretStr | None = Field(
        None, description="Bearer token of the calls; empty for the router's `auth_token`."
    )
    auth_token_file: Path | None = Field(
        None, description="File of that token, read again when it changes; empty for the router's `auth_token_file`."
    )

    @field_validator("endpoints", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        return split_names(value)

    @field_validator("endpoints")
    @classmethod
    def _services(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_endpoints(value)


def checked_endpoints(value: tuple[str, ...]) -> tuple[str, ...]:
    """The same. Raises ValueError: one names no Service of Kubernetes."""
    for endpoint in value:
        if endpoint.startswith("kubernetes:") and not _KUBERNETES_SERVICE.fullmatch(endpoint):
            raise ValueError(f"{endpoint}: write kubernetes:///service.namespace:port")
    return value
