"""The whole configuration, from one YAML file, the environment, or the defaults alone."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from mesh.core.settings import LogFormat, LogLevel, MeshSettings, TlsSettings
from mesh.hub.catalogue import clip_dimension
from router.config.clusters import ClusterSettings, Protocol, checked_endpoints
from router.config.healing import HealingSettings
from router.config.listeners import ListenersSettings, split_names
from router.config.routes import RouteSettings
from sql.immich_environment import immich_database_url


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


DEFAULT_CLUSTERS = ("ocr", "clip", "face")
"""The mesh's own services, each a cluster when it is installed."""


class RouterSettings(MeshSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(env_prefix="ROUTER_", extra="forbid", validate_default=True)
    aliased_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "immich_api": ("IMMICH_API",),
        "auth_token": ("MESH_AUTH_TOKEN",),
        "auth_token_file": ("MESH_AUTH_TOKEN_FILE",),
        "clip_model": ("CLIP_MODEL_NAME", "CLIP_MODEL"),
        "ocr_model": ("OCR_MODEL_NAME",),
        "log_format": ("MESH_LOG_FORMAT",),
        "log_level": ("MESH_LOG_LEVEL", "IMMICH_LOG_LEVEL", "LOG_LEVEL"),
        "listeners.immich_ml.host": ("IMMICH_HOST",),
        "listeners.immich_ml.port": ("IMMICH_PORT", "PORT"),
        "listeners.mt_photos.api_key": ("MT_PHOTOS_API_KEY", "API_AUTH_KEY"),
        "listeners.mt_photos.port": ("HTTP_PORT",),
        "listeners.mt_photos.face_model": ("RECOGNITION_MODEL",),
        "listeners.mt_photos.face_min_score": ("DETECTION_THRESH",),
        "listeners.photos.immich_url": ("IMMICH_URL",),
        "healing.api_key": ("IMMICH_API_KEY",),
    }

    listeners: ListenersSettings = ListenersSettings()
    clusters: dict[str, ClusterSettings] = Field(
        {}, description="Clusters by name; ocr, clip and face exist by default."
    )
    routes: tuple[RouteSettings, ...] = Field((), description="Routes before the default ones.")

    healing: HealingSettings = Field(HealingSettings(), description="Self-healing of what Immich dropped.")

    ocr_endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:50051",), description="Endpoints of cluster ocr; empty where the mesh does not serve it."
    )
    clip_endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:50052",), description="Endpoints of cluster clip; empty where the mesh does not serve it."
    )
    face_endpoints: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1:50053",), description="Endpoints of cluster face; empty where the mesh does not serve it."
    )
    immich_api: str = Field(
        "", description="URL of a native Immich ML server for tasks that the mesh does not know; empty for none."
    )
    clip_model: str = Field("ViT-B-16__cn-clip", description="CLIP model that serves every CLIP name of its dimension.")
    ocr_model: str = Field(
        "PP-OCRv6_small",
        description="The OCR service's default model; it serves every OCR name but those of languages that it does not"
        " read.",
    )
    zone: str = Field(
        "", description="Zone that this router is in; endpoints of the same zone are preferred (kubernetes:///)."
    )
    upstream_tls: TlsSettings | None = Field(None, description="TLS to the services; empty for plain text.")
    auth_token: SecretStr | None = Field(None, description="Bearer token that the services demand.")
    auth_token_file: Path | None = Field(
        None, description="File of that token, read again when it changes. Of several lines the first is shown."
    )

    drain_seconds: float = Field(30.0, ge=0, description="How long requests in flight may take after SIGTERM.")
    reload_interval_seconds: float = Field(
        2.0, gt=0, description="How often the configuration file is looked at for changes."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the Prometheus endpoint; 0.0.0.0 in a container.")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of a Prometheus endpoint beside admin's; empty for none."
    )
    access_log: bool = Field(True, description="One line per request.")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(LogFormat.PRETTY, description="pretty or json.")

    @classmethod
    def other_names(cls, path: str) -> tuple[str, ...]:
        """The names without a prefix of the field at that dotted path."""
        return cls.aliased_names.get(path, ())

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
        return split_names(value)

    @field_validator("ocr_endpoints", "clip_endpoints", "face_endpoints")
    @classmethod
    def _services(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked_endpoints(value)

    @field_validator("clip_model")
    @classmethod
    def _short_name(cls, value: str) -> str:
        """The predecessor wrote cn-clip's models without the suffix that tells them from OpenAI's."""
        suffixed = f"{value}__cn-clip"
        return suffixed if clip_dimension(value) is None and clip_dimension(suffixed) else value

    @model_validator(mode="after")
    def _references(self) -> "RouterSettings":
        known = {*self.all_clusters(), *DEFAULT_CLUSTERS}
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
        """The clusters of the file and the default ones, completed: endpoints, TLS and token filled in.

        A default one without endpoints is left out, whatever else the file says of it: that service is not installed.
        """
        endpoints_of = (self.ocr_endpoints, self.clip_endpoints, self.face_endpoints)
        defaults = dict(zip(DEFAULT_CLUSTERS, endpoints_of, strict=True))
        clusters = dict(self.clusters)
        if self.immich_api and "immich" not in clusters:
            clusters["immich"] = ClusterSettings(protocol=Protocol.HTTP, endpoints=(self.immich_api,))
        for name, endpoints in defaults.items():
            if endpoints:
                clusters.setdefault(name, ClusterSettings())
        completed = {name: self._completed(cluster, defaults.get(name, ())) for name, cluster in clusters.items()}
        return {name: cluster for name, cluster in completed.items() if cluster.endpoints or name not in defaults}

    def _completed(self, cluster: ClusterSettings, endpoints: tuple[str, ...]) -> ClusterSettings:
        if cluster.protocol is Protocol.HTTP:
            return cluster
        return cluster.model_copy(
            update={
                "endpoints": cluster.endpoints or endpoints,
                "zone": cluster.zone or self.zone,
                "tls": cluster.tls or self.upstream_tls,
                "auth_token": cluster.auth_token or self.auth_token,
                "auth_token_file": cluster.auth_token_file or (None if cluster.auth_token else self.auth_token_file),
            }
        )

    def all_routes(self) -> tuple[RouteSettings, ...]:
        """The routes of the file, then the default ones; without those of services that are not installed."""
        clusters = self.all_clusters()
        fallback = "immich" if "immich" in clusters else ""
        defaults = [
            RouteSettings(task="clip", cluster="clip", served_model=self.clip_model, fallback=fallback),
            RouteSettings(task="facial-recognition", cluster="face", fallback=fallback),
            RouteSettings(task="ocr", cluster="ocr", served_model="", fallback=fallback),
        ]
        if fallback:
            defaults.append(RouteSettings(cluster=fallback))
        return tuple(served for route in (*self.routes, *defaults) if (served := route.served_by(clusters)))


DEFAULT_CONFIG_VARIABLE = "ROUTER_CONFIG"
"""Environment variable that names the YAML file."""


def config_path() -> Path | None:
    """The YAML file that the environment names, if any."""
    value = os.environ.get(DEFAULT_CONFIG_VARIABLE, "")
    return Path(value).expanduser() if value else None
