"""Settings of the photo front door; `router.config.listeners` adds where it listens."""

from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from mesh.core.settings import Frozen
from sql.settings import DatabaseSettings

TRUSTED_PROXIES = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")
"""Loopback, private and link-local networks: the peers that Immich itself trusts with `X-Forwarded-*`."""


class FrontDoorSettings(Frozen):
    """What the front door does with the requests it changes, and how it reaches Immich."""

    immich_url: str = Field(
        "", description="Immich's address, e.g. http://immich-server:2283; empty closes the front door."
    )
    database: DatabaseSettings = DatabaseSettings()
    max_body_bytes: int = Field(1 << 20, ge=1024, description="Larger bodies of changed calls pass through unread.")
    body_timeout_seconds: float = Field(
        60.0, gt=0, description="How long the body of a changed call may take to arrive."
    )
    hybrid: bool = Field(
        False, description="Rank plain queries by text and look together, without `fuse` being asked for."
    )
    immich_page: bool = Field(
        True,
        description="Put one script into Immich's page: its menus then refresh text and vectors, and its search says"
        " that `ocr:` works.",
    )
    clip_model: str = Field("", description="CLIP model that Immich is set to; empty to read it in Immich's database.")
    ocr_model: str = Field("", description="OCR model that Immich is set to; empty to read it in Immich's database.")
    connect_timeout_seconds: float = Field(5.0, gt=0, description="Limit of opening a connection to Immich.")
    idle_timeout_seconds: float = Field(
        600.0, gt=0, description="How long Immich may stay silent within a proxied reply."
    )
    api_timeout_seconds: float = Field(15.0, gt=0, description="Limit of one question to Immich on a search's behalf.")
    api_concurrency: int = Field(
        16, ge=1, le=256, description="Photos of one page that are fetched from Immich at a time."
    )
    refresh_max_assets: int = Field(1000, ge=1, le=100_000, description="Photos that one job call may name.")
    refresh_concurrency: int = Field(2, ge=1, le=64, description="Photos that are refreshed at a time.")
    refresh_patience_seconds: float = Field(
        25.0,
        ge=0,
        le=280,
        description="How long a job call waits for its work; what is left goes on behind the answer.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        TRUSTED_PROXIES, description="Networks of proxies in front, whose X-Forwarded-* headers are believed."
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @field_validator("immich_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        # Immich's own clients are given the address with /api, so people write it here as well.
        return value.rstrip("/").removesuffix("/api").rstrip("/")
