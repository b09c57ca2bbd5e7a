"""What an Immich double holds: users, keys, photos, who may see which, and what they look like (as recorded)."""

import copy
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
"""When everything happens unless a test says otherwise."""

RECORDED = Path(__file__).parents[1] / "contract" / "immich-api"


def recorded(name: str) -> Any:
    """One of the recorded replies."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


@dataclass
class DoubleUser:
    """A user. `partners` maps the ids of those who share with this user to `inTimeline`."""

    name: str
    id: UUID = field(default_factory=uuid4)
    admin: bool = False
    partners: dict[UUID, bool] = field(default_factory=dict)


@dataclass
class DoubleAsset:
    """A photo."""

    owner: UUID
    text: str = ""
    name: str = "photo.jpg"
    id: UUID = field(default_factory=uuid4)
    visibility: str = "timeline"
    trashed_at: datetime | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    make: str | None = None
    model: str | None = None
    lens_model: str | None = None
    rating: int | None = None
    description: str = ""
    type: str = "IMAGE"
    path: str = "/data/photo.jpg"
    favorite: bool = False
    motion: bool = False
    offline: bool = False
    taken: datetime = MOMENT
    created: datetime = MOMENT
    updated: datetime = MOMENT
    library: UUID | None = None
    stack: UUID | None = None
    albums: set[UUID] = field(default_factory=set)
    people: set[UUID] = field(default_factory=set)
    tags: set[UUID] = field(default_factory=set)
    edited: bool = False
    preview: bytes | None = b"\xff\xd8preview"
    video: bytes = b""

    @property
    def trashed(self) -> bool:
        """Whether it lies in the trash."""
        return self.trashed_at is not None

    @trashed.setter
    def trashed(self, value: bool) -> None:
        self.trashed_at = MOMENT if value else None


@dataclass
class DoubleAlbum:
    """An album and those who may read it."""

    id: UUID
    readers: set[UUID]


@dataclass
class DoubleQueue:
    """A queue of jobs; `started` counts how often it was told to queue what is missing."""

    paused: bool = False
    jobs: int = 0
    started: int = 0


@dataclass
class DoubleKey:
    """What some credential stands for."""

    user: DoubleUser
    permissions: frozenset[str] = frozenset({"all"})
    is_api_key: bool = True
    elevated: bool = False


class ImmichLibrary:
    """Fill it with `user` and `photo`, and `keys` (by secret), `shared_links`; `refused` photos are shown to nobody.

    A link in `shared_albums` may search its album's metadata, as in Immich 3.0.3.
    """

    def __init__(self) -> None:
        self.keys: dict[str, DoubleKey] = {}
        self.shared_links: set[str] = set()
        self.shared_albums: dict[str, UUID] = {}
        self.assets: dict[UUID, DoubleAsset] = {}
        self.albums: dict[UUID, DoubleAlbum] = {}
        self.refused: set[UUID] = set()
        self.queues = {name: DoubleQueue() for name in ("ocr", "smartSearch", "faceDetection", "backgroundTask")}
        self.ml: dict[str, Any] = {
            "enabled": True,
            "urls": [],
            "clip": {"enabled": True, "modelName": "ViT-B-32__openai"},
            "ocr": {"enabled": True, "modelName": "PP-OCRv5_mobile"},
            "facialRecognition": {"enabled": True, "modelName": "buffalo_l"},
        }
        self.persons: list[dict[str, Any]] = []

    def user(self, name: str, secret: str | None = None) -> DoubleUser:
        """A new user, with a key of all permissions when a secret is given."""
        user = DoubleUser(name)
        if secret is not None:
            self.keys[secret] = DoubleKey(user)
        return user

    def photo(self, owner: DoubleUser, text: str = "", **more: Any) -> DoubleAsset:
        """A new photo."""
        if more.pop("trashed", False):
            more["trashed_at"] = MOMENT
        asset = DoubleAsset(owner.id, text, **more)
        self.assets[asset.id] = asset
        return asset

    def album(self, *readers: DoubleUser) -> DoubleAlbum:
        """A new album that these users may read."""
        album = DoubleAlbum(uuid4(), {reader.id for reader in readers})
        self.albums[album.id] = album
        return album

    def readable(self, key: DoubleKey, asset: DoubleAsset) -> bool:
        """Whether Immich shows this photo to this caller."""
        if asset.id in self.refused:
            return False
        if asset.owner == key.user.id:
            return asset.visibility != "locked" or key.elevated
        if any(key.user.id in self.albums[album].readers for album in asset.albums if album in self.albums):
            return asset.visibility != "locked"
        return asset.owner in key.user.partners and asset.visibility in ("timeline", "hidden") and not asset.trashed

    def detail(self, asset: DoubleAsset) -> dict[str, Any]:
        """`GET /api/assets/{id}`, as recorded."""
        shown: dict[str, Any] = copy.deepcopy(recorded("asset"))
        shown |= self._identity(asset)
        shown["owner"]["id"] = str(asset.owner)
        shown["exifInfo"]["city"] = asset.city
        shown["people"] = self.persons
        return shown

    def item(self, asset: DoubleAsset, *, with_exif: bool) -> dict[str, Any]:
        """One result of a search, as recorded."""
        shown: dict[str, Any] = copy.deepcopy(recorded("search-smart")["assets"]["items"][0])
        shown |= self._identity(asset)
        if with_exif:
            shown["exifInfo"] = self.detail(asset)["exifInfo"]
        return shown

    @staticmethod
    def _identity(asset: DoubleAsset) -> dict[str, Any]:
        return {
            "id": str(asset.id),
            "ownerId": str(asset.owner),
            "originalFileName": asset.name,
            "type": asset.type,
            "visibility": asset.visibility,
            "isArchived": asset.visibility == "archive",
            "isTrashed": asset.trashed,
        }
