"""Immich's own flat search filters over a double's photos, as observed of 2.7.5 and 3.0.3; what it refuses is 400."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.doubles.immich_library import DoubleAsset

TYPES = {"IMAGE", "VIDEO", "AUDIO", "OTHER"}


class RefusedFilterError(Exception):
    """Immich answers 400; the message names the filter."""


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise RefusedFilterError("must be a Date instance") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise RefusedFilterError("must be a boolean value")
    return value


def _ids(value: Any) -> set[UUID]:
    try:
        return {UUID(entry) for entry in value}
    except (TypeError, ValueError) as error:
        raise RefusedFilterError("each value must be a UUID") from error


def _type(value: Any) -> str:
    if value not in TYPES:
        raise RefusedFilterError("type must be one of IMAGE, VIDEO, AUDIO, OTHER")
    return str(value)


def _rating(value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or value not in range(-1, 6)):
        raise RefusedFilterError("rating must not be greater than 5")
    return value


Test = Callable[[DoubleAsset, Any, Mapping[str, Any]], bool]

EXIF = {name: name for name in ("city", "state", "country", "make", "model")} | {"lensModel": "lens_model"}
FLAGS = {"isFavorite": "favorite", "isMotion": "motion", "isOffline": "offline"}
TEXTS = {"originalFileName": "name", "originalPath": "path", "description": "description"}
EDGES = {"taken": "taken", "created": "created", "updated": "updated", "trashed": "trashed_at"}


def _equals(attribute: str, read: Callable[[Any], Any] = lambda value: value) -> Test:
    return lambda asset, value, body: bool(getattr(asset, attribute) == read(value))


def _contains(attribute: str) -> Test:
    return lambda asset, value, body: value.lower() in getattr(asset, attribute).lower()


def _edge(attribute: str, *, after: bool) -> Test:
    def test(asset: DoubleAsset, value: Any, body: Mapping[str, Any]) -> bool:
        moment, limit = getattr(asset, attribute), _moment(value)
        return moment is not None and (moment >= limit if after else moment <= limit)

    return test


FILTERS: dict[str, Test] = {
    **{name: _equals(attribute) for name, attribute in EXIF.items()},
    **{name: _equals(attribute, _flag) for name, attribute in FLAGS.items()},
    **{name: _contains(attribute) for name, attribute in TEXTS.items()},
    **{f"{name}{edge}": _edge(at, after=edge == "After") for name, at in EDGES.items() for edge in ("After", "Before")},
    "rating": _equals("rating", _rating),
    "type": _equals("type", _type),
    "id": _equals("id", UUID),
    "libraryId": lambda asset, value, body: value is None or asset.library == UUID(value),
    "albumIds": lambda asset, value, body: _ids(value) <= asset.albums,
    "personIds": lambda asset, value, body: _ids(value) <= asset.people,
    "tagIds": lambda asset, value, body: not asset.tags if value is None else _ids(value) <= asset.tags,
    "isNotInAlbum": lambda asset, value, body: not (_flag(value) and not body.get("albumIds") and asset.albums),
    "withStacked": lambda asset, value, body: _flag(value) or asset.stack is None,
}
"""Whether a photo passes one filter of a request."""


def passes(asset: DoubleAsset, body: Mapping[str, Any]) -> bool:
    """Whether a photo passes all flat filters of a request. Raises RefusedFilterError."""
    trash = any(body.get(name) for name in ("withDeleted", "trashedAfter", "trashedBefore", "isOffline"))
    if asset.trashed and not trash:
        return False
    # No short cut: a wrong value is refused whether or not another filter has excluded the photo.
    passed = [FILTERS[name](asset, value, body) for name, value in body.items() if name in FILTERS]
    return all(passed)
