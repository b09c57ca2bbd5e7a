"""The router's settings: listeners, routes and clusters, from one YAML file, the environment, or the defaults alone.

Built once by `router.config_file.load`; frozen; handed down. Environment beats file, file beats default. A field is
`ROUTER_<FIELD>`, nested by `__`: `ROUTER_LISTENERS__IMMICH_ML__PORT`, `ROUTER_CLUSTERS__CLIP__BALANCER`.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from common.logs import level_number
from common.settings import MAX_MESSAGE_BYTES, Frozen, LogFormat, MeshSettings, TlsSettings
from models.catalogue import clip_dimension
from router.photos.settings import PhotosSettings
from sql.immich_environment import immich_database_url

PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""Who may call when nothing else is said: this machine and private networks, never the internet."""

Network = IPv4Network | IPv6Network


def _split(value: Any) -> Any:
    """A comma-separated environment variable as a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class ListenerSettings(Frozen):
    """Where one API listens and who may call it."""

    enabled: bool = Field(True, description="Whether this listener is opened.")
    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - `allow` keeps the internet out
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        tuple(PRIVATE_NETWORKS),
        validate_default=True,
        description="Networks whose clients are answered; `0.0.0.0/0,::/0` for everyone.",
    )
    max_body_bytes: int = Field(MAX_MESSAGE_BYTES, ge=1, description="Larger bodies are answered 413.")
    body_timeout_seconds: float = Field(60.0, gt=0, description="How long a body may take to arrive; 408 after that.")
    header_timeout_seconds: float = Field(
        20.0, gt=0, description="How long a new connection may take to its first request."
    )
    keepalive_seconds: float = Field(
        75.0, gt=4, description="How long an idle connection stays open (Immich's own limit is 4)."
    )
    max_connections: int = Field(20_000, ge=1, description="Open connections; one more is closed at once.")

    @field_validator("allow", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return _split(value)


class ImmichMlListener(ListenerSettings):
    """Immich's machine-learning API."""

    port: int = Field(3003, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    secret_hosts: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="When set, only requests to one of these host names are answered: Immich can send no key.",
    )

    @field_validator("secret_hosts", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return _split(value)


class MtPhotosListener(ListenerSettings):
    """The MT Photos API."""

    port: int = Field(8060, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    api_key: SecretStr | None = Field(
        None, description="Value of the header `api-key`; without one the listener stays closed."
    )
    face_model: str = Field("buffalo_l", description="Pack of face models that the app is told of and served with.")
    face_min_score: float = Field(0.65, ge=0, le=1, description="Faces less certain than this are left out.")


class AdminListener(ListenerSettings):
    """The admin page and API."""

    host: str = Field("127.0.0.1", description="Address to listen on; the admin API has no key: keep it private.")
    port: int = Field(9901, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    names: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Host names by which the page may be called, besides localhost and addresses."
    )

    @field_validator("names", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return _split(value)


class PhotosListener(PhotosSettings, ListenerSettings):
    """The photo front door; it opens when `immich_url` is set."""

    port: int = Field(2283, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        (IPv4Network("0.0.0.0/0"), IPv6Network("::/0")),
        validate_default=True,
        description="Networks whose clients are answered; everyone, since Immich asks each for credentials itself.",
    )


class ListenersSettings(Frozen):
    """What speaks to the outside."""

    immich_ml: ImmichMlListener = ImmichMlListener()
    mt_photos: MtPhotosListener = MtPhotosListener()
    photos: PhotosListener = PhotosListener()
    admin: AdminListener = AdminListener()


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

    interval_seconds: float = Field(2.0, gt=0, description="Pause between checks of a healthy endpoint.")
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


class PoisonSettings(Frozen):
    """Payloads that kill the endpoints they are sent to."""

    deaths: int = Field(2, ge=1, description="Endpoints that may die during a payload's calls before it is refused.")
    remember_seconds: float = Field(3600.0, ge=0, description="How long such a payload is refused at once.")


class ClusterSettings(Frozen):
    """A named group of endpoints that answer the same calls."""

    protocol: Protocol = Field(
        Protocol.GRPC, description="grpc for services of the mesh, http for a native Immich ML server."
    )
    endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`host:port` each, `dns:///name:port` for every address behind a name, or URLs for http."
        " Empty in ocr, clip and face: their `*_endpoints` setting.",
    )
    dns_refresh_seconds: float = Field(5.0, gt=0, description="How often names are resolved again.")
    balancer: Balancer = Field(Balancer.LEAST_REQUEST, description="least_request (of two random ones) or round_robin.")
    health_check: HealthCheckSettings = HealthCheckSettings()
    outlier_detection: OutlierSettings = OutlierSettings()
    circuit_breakers: CircuitBreakerSettings = CircuitBreakerSettings()
    retry_budget: RetryBudgetSettings = RetryBudgetSettings()
    poison: PoisonSettings = PoisonSettings()
    tls: TlsSettings | None = Field(None, description="TLS to the endpoints; empty for the router's `upstream_tls`.")
    auth_token: SecretStr | None = Field(
        None, description="Bearer token of the calls; empty for the router's `auth_token`."
    )

    @field_validator("endpoints", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        return _split(value)


class RetrySettings(Frozen):
    """When a failed try is followed by another. Passing trouble (no endpoint, overload) is held and never counted."""

    max_retries: int = Field(1, ge=0, description="Further tries after an answer that is an internal error or broken.")
    backoff_base_ms: float = Field(
        25.0, gt=0, description="Upper end of the first random pause; doubles with every try."
    )
    backoff_max_ms: float = Field(1000.0, gt=0, description="Upper end of any random pause.")
    per_try_timeout_seconds: float | None = Field(
        None, gt=0, description="Time for one try; empty for the whole deadline."
    )


class WeightedCluster(Frozen):
    """One of the clusters a route splits its requests over."""

    cluster: str = Field(description="Name of the cluster.")
    weight: float = Field(1.0, ge=0, description="Share of the requests, relative to the others' weights.")


class MirrorSettings(Frozen):
    """A shadow cluster that gets copies of requests; its answers are compared and counted, never used."""

    cluster: str = Field(description="Name of the shadow cluster.")
    percent: float = Field(100.0, ge=0, le=100, description="Share of the requests that are copied.")
    max_concurrent: int = Field(8, ge=1, description="Copies under way at a time; more are left out.")


class RouteSettings(Frozen):
    """Which requests go where. Routes are tried from top to bottom, the default routes after those of the file."""

    task: str = Field("*", description="clip, facial-recognition, ocr, another task's name, or a pattern such as `*`.")
    type: str = Field("*", description="visual, textual, detection, recognition, or a pattern.")
    model: str = Field("*", description="Model name that the request asks for, or a pattern such as `ViT-*__openai`.")
    cluster: str = Field("", description="Name of the cluster; or `clusters`.")
    clusters: tuple[WeightedCluster, ...] = Field(
        (), description="Clusters by weight, e.g. a canary with 5 against 95."
    )
    served_model: str | None = Field(
        None, description="Model that answers; none for the one asked for, '' for the service's default."
    )
    timeout_seconds: float = Field(
        240.0, gt=0, le=290, description="Deadline, waiting included (Immich's Node gives up after 300)."
    )
    retry: RetrySettings = RetrySettings()
    hedge_ms: float | None = Field(
        None, gt=0, description="Send a second try when the first takes longer (text queries)."
    )
    mirror: MirrorSettings | None = Field(None, description="Shadow cluster.")
    fallback: str = Field("", description="http cluster of last resort, when the route's own stays down.")
    fallback_after_seconds: float = Field(60.0, ge=0, description="How long a request is held before the last resort.")

    @model_validator(mode="after")
    def _somewhere(self) -> "RouteSettings":
        if bool(self.cluster) == bool(self.clusters):
            raise ValueError("a route needs either `cluster` or `clusters`")
        if self.clusters and not any(choice.weight for choice in self.clusters):
            raise ValueError("at least one of `clusters` needs a weight above 0")
        return self

    @property
    def targets(self) -> tuple[WeightedCluster, ...]:
        """The clusters with their weights."""
        return self.clusters or (WeightedCluster(cluster=self.cluster, weight=1.0),)


class AliasedNames(PydanticBaseSettingsSource):
    """Reads names without the prefix: `RouterSettings.aliased_names`, by dotted path of the field they set."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Not used: values are found by path, not by field."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The nested values of all names that are set and not empty."""
        found: dict[str, Any] = {}
        values = {
            path: next((os.environ[name] for name in names if os.environ.get(name)), None)
            for path, names in RouterSettings.aliased_names.items()
        }
        values["listeners.photos.database.url"] = immich_database_url(os.environ)
        for path, value in values.items():
            if value is None:
                continue
            *parents, leaf = path.split(".")
            group = found
            for parent in parents:
                group = group.setdefault(parent, {})
            group[leaf] = value
        return found


class RouterSettings(MeshSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(env_prefix="ROUTER_", extra="forbid", validate_default=True)
    aliased_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "immich_api": ("IMMICH_API",),
        "auth_token": ("MESH_AUTH_TOKEN",),
        "clip_model": ("CLIP_MODEL",),
        "log_format": ("MESH_LOG_FORMAT",),
        "log_level": ("MESH_LOG_LEVEL", "IMMICH_LOG_LEVEL", "LOG_LEVEL"),
        "listeners.immich_ml.host": ("IMMICH_HOST",),
        "listeners.immich_ml.port": ("IMMICH_PORT",),
        "listeners.mt_photos.api_key": ("MT_PHOTOS_API_KEY", "API_AUTH_KEY"),
        "listeners.mt_photos.port": ("HTTP_PORT",),
        "listeners.mt_photos.face_model": ("RECOGNITION_MODEL",),
        "listeners.mt_photos.face_min_score": ("DETECTION_THRESH",),
        "listeners.photos.immich_url": ("IMMICH_URL",),
    }

    listeners: ListenersSettings = ListenersSettings()
    clusters: dict[str, ClusterSettings] = Field(
        {}, description="Clusters by name; ocr, clip and face exist by default."
    )
    routes: tuple[RouteSettings, ...] = Field((), description="Routes before the default ones.")

    ocr_endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:50051",), description="Endpoints of cluster ocr."
    )
    clip_endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:50052",), description="Endpoints of cluster clip."
    )
    face_endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:50053",), description="Endpoints of cluster face."
    )
    immich_api: str = Field(
        "", description="URL of a native Immich ML server for tasks that the mesh does not know; empty for none."
    )
    clip_model: str = Field("ViT-B-16__cn-clip", description="CLIP model that serves every CLIP name of its dimension.")
    upstream_tls: TlsSettings | None = Field(None, description="TLS to the services; empty for plain text.")
    auth_token: SecretStr | None = Field(None, description="Bearer token that the services demand.")

    drain_seconds: float = Field(30.0, ge=0, description="How long requests in flight may take after SIGTERM.")
    reload_interval_seconds: float = Field(
        2.0, gt=0, description="How often the configuration file is looked at for changes."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the Prometheus endpoint; 0.0.0.0 in a container.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of a Prometheus endpoint beside admin's; empty for none."
    )
    access_log: bool = Field(True, description="One line per request.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(LogFormat.PRETTY, description="pretty or json.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`ROUTER_*`, then the aliases, then what the file says (given as arguments)."""
        return env_settings, AliasedNames(settings_cls), init_settings

    @field_validator("ocr_endpoints", "clip_endpoints", "face_endpoints", mode="before")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level_number(value)
        return value

    @field_validator("clip_model")
    @classmethod
    def _seed_name(cls, value: str) -> str:
        """The seed system wrote cn-clip's models without the suffix that tells them from OpenAI's."""
        suffixed = f"{value}__cn-clip"
        return suffixed if clip_dimension(value) is None and clip_dimension(suffixed) else value

    @model_validator(mode="after")
    def _references(self) -> "RouterSettings":
        known = set(self.all_clusters())
        for number, route in enumerate(self.routes):
            named = [target.cluster for target in route.targets]
            named += [route.mirror.cluster] if route.mirror else []
            named += [route.fallback] if route.fallback else []
            for name in named:
                if name not in known:
                    raise ValueError(f"routes.{number}: no cluster {name!r}; there are {', '.join(sorted(known))}")
        for name, cluster in self.all_clusters().items():
            if not cluster.endpoints:
                raise ValueError(f"clusters.{name}: needs endpoints")
        return self

    def all_clusters(self) -> dict[str, ClusterSettings]:
        """The clusters of the file and the default ones, completed: endpoints, TLS and token filled in."""
        defaults: dict[str, tuple[str, ...]] = {
            "ocr": self.ocr_endpoints,
            "clip": self.clip_endpoints,
            "face": self.face_endpoints,
        }
        clusters = dict(self.clusters)
        if self.immich_api and "immich" not in clusters:
            clusters["immich"] = ClusterSettings(protocol=Protocol.HTTP, endpoints=(self.immich_api,))
        for name in defaults:
            clusters.setdefault(name, ClusterSettings())
        return {name: self._completed(cluster, defaults.get(name, ())) for name, cluster in clusters.items()}

    def _completed(self, cluster: ClusterSettings, endpoints: tuple[str, ...]) -> ClusterSettings:
        if cluster.protocol is Protocol.HTTP:
            return cluster
        return cluster.model_copy(
            update={
                "endpoints": cluster.endpoints or endpoints,
                "tls": cluster.tls or self.upstream_tls,
                "auth_token": cluster.auth_token or self.auth_token,
            }
        )

    def all_routes(self) -> tuple[RouteSettings, ...]:
        """The routes of the file, then the default ones."""
        fallback = "immich" if "immich" in self.all_clusters() else ""
        defaults = [
            RouteSettings(task="clip", cluster="clip", served_model=self.clip_model, fallback=fallback),
            RouteSettings(task="facial-recognition", cluster="face", fallback=fallback),
            RouteSettings(task="ocr", cluster="ocr", served_model="", fallback=fallback),
        ]
        if fallback:
            defaults.append(RouteSettings(cluster=fallback))
        return (*self.routes, *defaults)


DEFAULT_CONFIG_VARIABLE = "ROUTER_CONFIG"
"""Environment variable that names the YAML file."""


def config_path() -> Path | None:
    """The YAML file that the environment names, if any."""
    value = os.environ.get(DEFAULT_CONFIG_VARIABLE, "")
    return Path(value).expanduser() if value else None
