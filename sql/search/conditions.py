"""Scope and filters as the data that `mesh.scope` and `mesh.filters` make conditions over Immich's tables of.

What has no meaning, or what this Immich lacks the column for, is refused here, where the front door can still leave
the search to Immich. The meaning of each filter is told with `mesh.filter` in the migration.
"""

from base64 import b16encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sql.filters import AssetFilters, Condition, Field, Op, Scope, UnsupportedFilterError
from sql.schema import ImmichSchema

Json = dict[str, Any]

ASSET_COLUMNS = {
    Field.ID: ("id", "uuid"),
    Field.LIBRARY_ID: ("libraryId", "uuid"),
    Field.DEVICE_ID: ("deviceId", "text"),
    Field.TYPE: ("type", "text"),
    Field.IS_FAVORITE: ("isFavorite", "boolean"),
    Field.IS_OFFLINE: ("isOffline", "boolean"),
    Field.ORIGINAL_FILE_NAME: ("originalFileName", "text"),
    Field.ORIGINAL_PATH: ("originalPath", "text"),
    Field.TAKEN_AT: ("fileCreatedAt", "timestamptz"),
    Field.CREATED_AT: ("createdAt", "timestamptz"),
    Field.UPDATED_AT: ("updatedAt", "timestamptz"),
    Field.TRASHED_AT: ("deletedAt", "timestamptz"),
    Field.CHECKSUM: ("checksum", "bytea"),
}
EXIF_COLUMNS = {
    Field.CITY: ("city", "text"),
    Field.STATE: ("state", "text"),
    Field.COUNTRY: ("country", "text"),
    Field.MAKE: ("make", "text"),
    Field.MODEL: ("model", "text"),
    Field.LENS_MODEL: ("lensModel", "text"),
    Field.DESCRIPTION: ("description", "text"),
    Field.RATING: ("rating", "double precision"),
    Field.FILE_SIZE_IN_BYTES: ("fileSizeInByte", "double precision"),
}
LINKS = {Field.ALBUM_IDS: "album_asset", Field.PERSON_IDS: "asset_face", Field.TAG_IDS: "tag_asset"}
PRESENCE = {
    Field.HAS_ALBUMS: ("album_asset", "assetId"),
    Field.HAS_TAGS: ("tag_asset", "assetId"),
    Field.HAS_PEOPLE: ("asset_face", "assetId"),
    Field.IS_MOTION: ("asset", "livePhotoVideoId"),
    Field.IS_STACKED: ("asset", "stackId"),
}
COMPARISONS = frozenset({Op.EQ, Op.NE, Op.LT, Op.LTE, Op.GT, Op.GTE})
PATTERNS = frozenset({Op.LIKE, Op.NOT_LIKE, Op.STARTS_WITH, Op.ENDS_WITH})
TYPES: dict[str, type | tuple[type, ...]] = {
    "uuid": UUID,
    "text": str,
    "boolean": bool,
    "timestamptz": datetime,
    "bytea": bytes,
    "double precision": (int, float),
}


def scope_data(scope: Scope) -> Json:
    """What of table `asset` the caller may see."""
    return {
        "owners": None if scope.owner_ids is None else [str(owner) for owner in scope.owner_ids],
        "visibilities": sorted(scope.visibilities),
        "deleted": scope.with_deleted,
    }


def filters_data(filters: AssetFilters, schema: ImmichSchema) -> Json:
    """The filters.

    Raises:
        UnsupportedFilterError: this combination of field, operator and value has no meaning, or this Immich lacks the
        column.
    """
    return {
        "all": [_filter(condition, schema) for condition in filters.conditions],
        "any": [[_filter(condition, schema) for condition in branch] for branch in filters.any_of],
    }


def _filter(condition: Condition, schema: ImmichSchema) -> Json:
    field, kind = condition.field.value, ""
    if condition.field in LINKS:
        schema.demand(LINKS[condition.field], "assetId")
        _check(condition, kind="uuid", ops=frozenset({Op.ANY, Op.ALL, Op.NONE}), listed=True)
    elif condition.field in PRESENCE:
        schema.demand(*PRESENCE[condition.field])
        _check(condition, kind="boolean", ops=frozenset({Op.EQ}))
    elif condition.field is Field.IS_ENCODED:
        field = "isEncoded" if schema.has("asset", "encodedVideoPath") else "isEncodedFile"
        _check(condition, kind="boolean", ops=frozenset({Op.EQ}))
    elif condition.field is Field.ENCODED_VIDEO_PATH:
        if not schema.has("asset", "encodedVideoPath"):
            schema.demand("asset_file", "isEdited")
            field = "encodedVideoFile"
        _check_comparison(condition, "text")
    elif condition.field is Field.VISIBILITY:
        _check_comparison(condition, "text")
    else:
        table, columns = ("asset", ASSET_COLUMNS) if condition.field in ASSET_COLUMNS else ("asset_exif", EXIF_COLUMNS)
        if condition.field not in columns:
            raise _unsupported(condition)
        name, kind = columns[condition.field]
        schema.demand(table, name)
        _check_comparison(condition, kind)
    return {"field": field, "op": condition.op.value, "value": _plain(condition.value)}


def _check_comparison(condition: Condition, kind: str) -> None:
    if condition.value is None and condition.op in (Op.EQ, Op.NE):
        return
    if condition.op in (Op.IN, Op.NOT_IN):
        _check(condition, kind=kind, ops=frozenset({condition.op}), listed=True)
    else:
        _check(condition, kind=kind, ops=COMPARISONS | (PATTERNS if kind == "text" else frozenset()))


def _check(condition: Condition, *, kind: str, ops: frozenset[Op], listed: bool = False) -> None:
    value = condition.value
    values: Sequence[Any] = [value]
    if listed:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise _unsupported(condition)
        values = value
    right = all(
        isinstance(one, TYPES[kind]) and (kind != "double precision" or not isinstance(one, bool)) for one in values
    )
    if condition.op not in ops or not right:
        raise _unsupported(condition)


def _plain(value: Any) -> Any:
    """The value as JSON has it and PostgreSQL reads it."""
    if isinstance(value, bytes):
        return f"\\x{b16encode(value).decode()}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value


def _unsupported(condition: Condition) -> UnsupportedFilterError:
    return UnsupportedFilterError(f"filter {condition.field} {condition.op} cannot be applied to this value")
