"""Settings of the listeners: where each API is, who may call it, and how patient it is."""

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from mesh.core.settings import MAX_MESSAGE_BYTES, Frozen
from mesh.core.sockets import bare_host
from router.config.front_door import FrontDoorSettings

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

_PATH = re.compile(r"[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*")


def split_names(value: Any) -> Any:
    """A comma-separated environment variable as a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class ListenerSettings(Frozen):
    """Where one API listens and who may call it."""

    enabled: bool = Field(True, description="Whether this listener is opened.")
    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - `allow` keeps the internet out
    port: int = Field(0, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    fd: int | None = Field(
        None,
        ge=0,
        description="Descriptor of a socket that listens already, as `immich-mesh up` hands down; none to open one.",
    )
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

    @field_validator("host")
    @classmethod
    def _bare(cls, value: str) -> str:
        return bare_host(value)

    @field_validator("allow", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return split_names(value)


class BufferingListenerSettings(ListenerSettings):
    """A listener whose requests are held in memory until they are answered."""

    max_buffered_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1,
        description="Bytes of all bodies that are being read or answered; more wait, and where bodies half read are in"
        " the way, the largest of them is answered 503.",
    )


class ImmichMlListener(BufferingListenerSettings):
    """Immich's machine-learning API."""

    port: int = Field(3003, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    secret_hosts: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="When set, only requests to one of these host names are answered: Immich can send no key.",
    )

    urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses of all routers as Immich reaches them, for the admin page to show, without the secret"
        " path; `immich-mesh up` sets it. Empty: this listener's own, by the name that the page was opened with.",
    )
    path: SecretStr | None = Field(
        None,
        description="Secret path, the only key that Immich (3 or later) can carry: with `SECRET` here Immich's URL is"
        " `http://router:3003/SECRET/`, and requests to any other path but `/ping` are answered 404.",
    )

    @field_validator("path")
    @classmethod
    def _path(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        path = value.get_secret_value().strip("/")
        if path and not _PATH.fullmatch(path):
            raise ValueError("a path has letters, digits and . _ ~ - and / between its parts")
        return SecretStr(path) if path else None

    @field_validator("secret_hosts", "urls", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return split_names(value)


class MtPhotosListener(BufferingListenerSettings):
    """The MT Photos API."""

    port: int = Field(8060, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    api_key: SecretStr | None = Field(
        None, description="Value of the header `api-key`; without one the listener stays closed."
    )
    face_model: str = Field("buffalo_l", description="Pack of face models that the app is told of and served with.")
    face_min_score: float = Field(0.65, ge=0, le=1, description="Faces less certain than this are left out.")


class AdminListener(BufferingListenerSettings):
    """The admin page and API."""

    host: str = Field("127.0.0.1", description="Address to listen on; the admin API has no key: keep it private.")
    port: int = Field(9901, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    names: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Host names by which the page may be called, besides localhost and addresses."
    )
    hub_mirrors: Annotated[tuple[str, ...], NoDecode] = Field(
        ("https://hf-mirror.com",),
        validate_default=True,
        description="Mirrors of the model hub that the page offers where a model cannot be downloaded.",
    )

    @field_validator("names", "hub_mirrors", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return split_names(value)


class FrontDoorListener(FrontDoorSettings, ListenerSettings):
    """The photo front door; it opens when `immich_url` is set."""

    port: int = Field(2283, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        (IPv4Network("0.0.0.0/0"), IPv6Network("::/0")),
        validate_default=True,
        description="Networks whose clients are answered; everyone, since Immich asks each for credentials itself.",
    )

    @model_validator(mode="after")
    def _not_itself(self) -> "FrontDoorListener":
        """This machine's own name and the port that this listener takes: no Immich can be there."""
        immich = urlsplit(self.immich_url)
        if self.port and immich.port == self.port and immich.hostname in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(
                f"immich_url: {self.immich_url} leads back to the photo front door itself: give it Immich's own "
                "address, or another port"
            )
        return self


class ListenersSettings(Frozen):
    """What speaks to the outside."""

    immich_ml: ImmichMlListener = ImmichMlListener()
    mt_photos: MtPhotosListener = MtPhotosListener()
    photos: FrontDoorListener = FrontDoorListener()
    admin: AdminListener = AdminListener()
