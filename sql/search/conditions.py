"""Scope and filters as SQL over Immich's tables. Values travel as parameters; only names from the tables below are
text.

The meaning of each filter is Immich's own (`searchAssetBuilder` of 2.2 to 3.2, observed): fields of `asset_exif`
demand a row there, people count visible faces that are not deleted, tags include the tags nested below them, `all`
demands every id.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sql.schema import ImmichSchema
from sql.search.filters import AssetFilters, Condition, Field, Op, Scope, UnsupportedFilterError

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
COMPARISONS = {Op.EQ: "=", Op.NE: "<>", Op.LT: "<", Op.LTE: "<=", Op.GT: ">", Op.GTE: ">="}
PATTERNS = {
    Op.LIKE: ("ILIKE", "'%' || {} || '%'"),
    Op.NOT_LIKE: ("NOT ILIKE", "'%' || {} || '%'"),
    Op.STARTS_WITH: ("ILIKE", "{} || '%'"),
    Op.ENDS_WITH: ("ILIKE", "'%' || {}"),
}
LINKS = {
    Field.ALBUM_IDS: ("album_asset", 'link."albumId"', ""),
    Field.PERSON_IDS: ("asset_face", 'link."personId"', ' AND link."deletedAt" IS NULL AND link."isVisible"'),
    Field.TAG_IDS: ("tag_asset", "nested.id_ancestor", ""),
}
PRESENCE = {
    Field.HAS_ALBUMS: 'EXISTS (SELECT FROM public.album_asset AS link WHERE link."assetId" = asset.id)',
    Field.HAS_TAGS: 'EXISTS (SELECT FROM public.tag_asset AS link WHERE link."assetId" = asset.id)',
    Field.HAS_PEOPLE: (
        'EXISTS (SELECT FROM public.asset_face AS link WHERE link."assetId" = asset.id AND link."deletedAt" IS NULL'
        ' AND link."isVisible")'
    ),
    Field.IS_MOTION: '(asset."livePhotoVideoId" IS NOT NULL)',
    Field.IS_STACKED: '(asset."stackId" IS NOT NULL)',
}
ENCODED = (
    "EXISTS (SELECT FROM public.asset_file AS file WHERE file.\"assetId\" = asset.id AND file.type = 'encoded_video'{})"
)


class Arguments:
    """The values of one statement; gives out their placeholders."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any, kind: str) -> str:
        """The placeholder of a new value, with its PostgreSQL type."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


def scope_sql(scope: Scope, arguments: Arguments) -> str:
    """What of table `asset` the caller may see."""
    owners = ""
    if scope.owner_ids is not None:
        owners = f'asset."ownerId" = ANY ({arguments.add(list(scope.owner_ids), "uuid[]")}) AND '
    visible = arguments.add([str(visibility) for visibility in scope.visibilities], "text[]")
    deleted = "" if scope.with_deleted else ' AND asset."deletedAt" IS NULL'
    return f"{owners}asset.visibility::text = ANY ({visible}){deleted}"


def filters_sql(filters: AssetFilters, schema: ImmichSchema, arguments: Arguments) -> str:
    """The filters as one boolean expression over table `asset`; "true" for none.

    Raises:
        UnsupportedFilterError: this combination of field, operator and value has no meaning, or this Immich lacks the
        column.
    """
    build = _Builder(schema, arguments)
    parts = [build.condition(condition) for condition in filters.conditions]
    if filters.any_of:
        branches = (" AND ".join(map(build.condition, branch)) or "true" for branch in filters.any_of)
        parts.append("(" + " OR ".join(f"({branch})" for branch in branches) + ")")
    return " AND ".join(parts) or "true"


class _Builder:
    def __init__(self, schema: ImmichSchema, arguments: Arguments) -> None:
        self._schema = schema
        self._arguments = arguments

    def condition(self, condition: Condition) -> str:
        field = condition.field
        builders: tuple[tuple[object, Callable[[Condition], str]], ...] = (
            (ASSET_COLUMNS, self._asset),
            (EXIF_COLUMNS, self._exif),
            (LINKS, self._linked),
            (PRESENCE, self._present),
            ({Field.IS_ENCODED}, self._encoded),
            ({Field.ENCODED_VIDEO_PATH}, self._encoded_path),
            ({Field.VISIBILITY}, self._visibility),
        )
        for fields, build in builders:
            if field in fields:  # type: ignore[operator]
                try:
                    return build(condition)
                except (TypeError, ValueError) as error:
                    raise _unsupported(condition) from error
        raise _unsupported(condition)

    def _asset(self, condition: Condition) -> str:
        name, kind = ASSET_COLUMNS[condition.field]
        self._schema.demand("asset", name)
        return self._compare(f'asset."{name}"', kind, condition)

    def _exif(self, condition: Condition) -> str:
        name, kind = EXIF_COLUMNS[condition.field]
        self._schema.demand("asset_exif", name)
        inner = self._compare(f'exif."{name}"', kind, condition)
        return f'EXISTS (SELECT FROM public.asset_exif AS exif WHERE exif."assetId" = asset.id AND {inner})'

    def _visibility(self, condition: Condition) -> str:
        return self._compare("asset.visibility::text", "text", condition)

    def _present(self, condition: Condition) -> str:
        return f"{PRESENCE[condition.field]} = {self._boolean(condition)}"

    def _encoded(self, condition: Condition) -> str:
        found = ENCODED.format("")
        if self._schema.has("asset", "encodedVideoPath"):
            found = "(coalesce(asset.\"encodedVideoPath\", '') <> '')"
        return f"{found} = {self._boolean(condition)}"

    def _encoded_path(self, condition: Condition) -> str:
        if self._schema.has("asset", "encodedVideoPath"):
            return self._compare('asset."encodedVideoPath"', "text", condition)
        self._schema.demand("asset_file", "isEdited")
        return ENCODED.format(f' AND NOT file."isEdited" AND {self._compare("file.path", "text", condition)}')

    def _boolean(self, condition: Condition) -> str:
        if condition.op is not Op.EQ or not isinstance(condition.value, bool):
            raise _unsupported(condition)
        return self._arguments.add(condition.value, "boolean")

    def _compare(self, column: str, kind: str, condition: Condition) -> str:
        op, value = condition.op, condition.value
        if value is None and op in (Op.EQ, Op.NE):
            return f"{column} IS {'NOT ' if op is Op.NE else ''}NULL"
        if op in PATTERNS and kind == "text" and isinstance(value, str):
            return self._pattern(column, op, value)
        if op in (Op.IN, Op.NOT_IN):
            listed = self._arguments.add(_listed(value), f"{kind}[]")
            return f"{column} = ANY ({listed})" if op is Op.IN else f"{column} <> ALL ({listed})"
        if op in COMPARISONS and value is not None:
            return f"{column} {COMPARISONS[op]} {self._arguments.add(value, kind)}"
        raise _unsupported(condition)

    def _pattern(self, column: str, op: Op, value: str) -> str:
        operator, form = PATTERNS[op]
        unaccent = "public.f_unaccent({})" if self._schema.has_unaccent else "{}"
        sought = unaccent.format(self._arguments.add(value, "text"))
        return f"{unaccent.format(column)} {operator} ({form.format(sought)})"

    def _linked(self, condition: Condition) -> str:
        table, column, extra = LINKS[condition.field]
        self._schema.demand(table, "assetId")
        ids = _listed(condition.value)
        listed = self._arguments.add(ids, "uuid[]")
        nested = ""
        if condition.field is Field.TAG_IDS:
            nested = ' JOIN public.tag_closure AS nested ON nested.id_descendant = link."tagId"'
        source = (
            f'FROM public.{table} AS link{nested} WHERE link."assetId" = asset.id AND {column} = ANY ({listed}){extra}'
        )
        match condition.op:
            case Op.ANY:
                return f"EXISTS (SELECT {source})"
            case Op.NONE:
                return f"NOT EXISTS (SELECT {source})"
            case Op.ALL:
                return f"(SELECT count(DISTINCT {column}) {source}) = {self._arguments.add(len(set(ids)), 'bigint')}"
            case _:
                raise _unsupported(condition)


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError("a sequence is needed")
    return list(value)


def _unsupported(condition: Condition) -> UnsupportedFilterError:
    return UnsupportedFilterError(f"filter {condition.field} {condition.op} cannot be applied to this value")
