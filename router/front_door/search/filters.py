"""Immich's search filters as the database's conditions: the flat ones of every version and 3.2's structured `filter`.

A filter is applied or the search is left to Immich; none is ever ignored. So an unknown name, a value of the wrong
kind, or one that Immich guards itself (the locked folder) raises `UntranslatableError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from router.front_door.search.filter_values import (
    KINDS,
    Convert,
    UntranslatableError,
    as_checksum,
    as_flag,
    as_moment,
    as_rating,
    as_text,
    as_type,
    as_uuid,
)
from sql.filters import AssetFilters, Condition, Field, Op, Value, Visibility


@dataclass(frozen=True)
class Restriction:
    """What a request narrows its search to.

    Attributes:
        filters: conditions for the database.
        visibilities: which visibilities are searched; None where the request names none, and Immich's version decides.
        with_deleted: whether the trash is searched too.
    """

    filters: AssetFilters
    visibilities: frozenset[Visibility] | None = None
    with_deleted: bool = False

    @property
    def albums(self) -> tuple[UUID, ...]:
        """The albums that every result is in, each once."""
        named = [
            album
            for condition in self.filters.conditions
            if condition.field is Field.ALBUM_IDS and condition.op in (Op.ALL, Op.ANY)
            for album in condition.value  # type: ignore[union-attr]
        ]
        return tuple(dict.fromkeys(named))  # type: ignore[arg-type]


MAX_CONDITIONS = 100
MAX_VALUES = 1000
"""How much of a filter is applied here; a larger one is left to Immich."""

SEQUENCE_OPS = frozenset({Op.IN, Op.NOT_IN, Op.ANY, Op.ALL, Op.NONE})

FLAT: Mapping[str, tuple[Field, Op, Convert]] = {
    **{name: (Field(name), Op.EQ, KINDS[Field(name)]) for name in ("city", "state", "country", "make", "model")},
    "lensModel": (Field.LENS_MODEL, Op.EQ, as_text),
    "rating": (Field.RATING, Op.EQ, as_rating),
    "id": (Field.ID, Op.EQ, as_uuid),
    "libraryId": (Field.LIBRARY_ID, Op.EQ, as_uuid),
    "deviceId": (Field.DEVICE_ID, Op.EQ, as_text),
    "type": (Field.TYPE, Op.EQ, as_type),
    "isFavorite": (Field.IS_FAVORITE, Op.EQ, as_flag),
    "isMotion": (Field.IS_MOTION, Op.EQ, as_flag),
    "isOffline": (Field.IS_OFFLINE, Op.EQ, as_flag),
    "isEncoded": (Field.IS_ENCODED, Op.EQ, as_flag),
    "description": (Field.DESCRIPTION, Op.LIKE, as_text),
    "originalFileName": (Field.ORIGINAL_FILE_NAME, Op.LIKE, as_text),
    "originalPath": (Field.ORIGINAL_PATH, Op.LIKE, as_text),
    "encodedVideoPath": (Field.ENCODED_VIDEO_PATH, Op.EQ, as_text),
    "checksum": (Field.CHECKSUM, Op.EQ, as_checksum),
    **{
        f"{name}{edge}": (field, op, as_moment)
        for name, field in (
            ("taken", Field.TAKEN_AT),
            ("created", Field.CREATED_AT),
            ("updated", Field.UPDATED_AT),
            ("trashed", Field.TRASHED_AT),
        )
        for edge, op in (("After", Op.GTE), ("Before", Op.LTE))
    },
}
"""Flat filters that are one comparison."""

NULLABLE = frozenset({"city", "state", "country", "make", "model", "lensModel", "rating"})
"""Flat filters whose null asks for photos that have none."""

ID_LISTS: Mapping[str, Field] = {
    "personIds": Field.PERSON_IDS,
    "tagIds": Field.TAG_IDS,
    "albumIds": Field.ALBUM_IDS,
}
"""Flat filters that name things of which a photo must have all."""

REACH_TRASH = ("trashedAfter", "trashedBefore", "isOffline")
"""Flat filters that make Immich search the trash as well."""


def translate(body: Mapping[str, Any], paging: frozenset[str]) -> Restriction:
    """The restriction that a search's body asks for.

    Args:
        body: the request's JSON.
        paging: the keys of it that are no filters.

    Raises:
        UntranslatableError: with a sentence that names the filter.
    """
    conditions: list[Condition] = []
    for name, value in body.items():
        if name in paging or name in ("visibility", "withDeleted", "filter"):
            continue
        try:
            conditions.extend(_flat(name, value, body))
        except UntranslatableError as error:
            raise UntranslatableError(f"{name}: {error}") from error
    structured = body.get("filter")
    if structured is not None and not isinstance(structured, Mapping):
        raise UntranslatableError("filter: not an object")
    top, any_of, visibilities, trash = _structured(structured or {})
    if "visibility" in body:
        visibilities = frozenset({_visibility(body["visibility"])})
    with_deleted = trash or any(body.get(name) for name in REACH_TRASH)
    if "withDeleted" in body:
        with_deleted = as_flag(body["withDeleted"]) or with_deleted
    _demand_bounded((*conditions, *top), any_of)
    return Restriction(AssetFilters((*conditions, *top), any_of), visibilities, with_deleted)


def _demand_bounded(conditions: tuple[Condition, ...], any_of: tuple[tuple[Condition, ...], ...]) -> None:
    """A search that a few people could write; one with thousands of branches would keep the database from everybody."""
    every = [*conditions, *(condition for branch in any_of for condition in branch)]
    values = sum(len(condition.value) for condition in every if isinstance(condition.value, tuple))
    if len(every) + len(any_of) > MAX_CONDITIONS or values > MAX_VALUES:
        raise UntranslatableError(f"more than {MAX_CONDITIONS} conditions or {MAX_VALUES} values")


def _flat(name: str, value: Any, body: Mapping[str, Any]) -> list[Condition]:
    if name in ID_LISTS:
        return _id_list(name, value)
    if name == "isNotInAlbum":
        # With albums named as well, Immich lets those decide.
        wanted = as_flag(value) and not body.get("albumIds")
        return [Condition(Field.HAS_ALBUMS, Op.EQ, False)] if wanted else []
    if name == "withStacked":
        return [] if as_flag(value) else [Condition(Field.IS_STACKED, Op.EQ, False)]
    if name not in FLAT:
        raise UntranslatableError("not a filter known here")
    field, op, convert = FLAT[name]
    if value is None:
        if name == "libraryId":
            return []
        if name not in NULLABLE:
            raise UntranslatableError("null")
        return [Condition(field, op, None)]
    return [Condition(field, op, convert(value))]


def _id_list(name: str, value: Any) -> list[Condition]:
    if value is None and name == "tagIds":
        return [Condition(Field.HAS_TAGS, Op.EQ, False)]
    if not isinstance(value, list):
        raise UntranslatableError("not a list")
    return [Condition(ID_LISTS[name], Op.ALL, tuple(as_uuid(entry) for entry in value))] if value else []


def _named_visibility(value: Any) -> Visibility:
    try:
        return Visibility(as_text(value))
    except ValueError as error:
        raise UntranslatableError("visibility: unknown") from error


def _visibility(value: Any) -> Visibility:
    visibility = _named_visibility(value)
    if visibility is Visibility.LOCKED:
        raise UntranslatableError("visibility: Immich itself guards the locked folder")
    return visibility


Structured = tuple[tuple[Condition, ...], tuple[tuple[Condition, ...], ...], frozenset[Visibility] | None, bool]


def _structured(tree: Mapping[str, Any]) -> Structured:
    """Conditions that all hold, branches of which one holds, visibilities, and whether the trash is searched."""
    visibilities: frozenset[Visibility] | None = None
    top: list[Condition] = []
    any_of: list[tuple[Condition, ...]] = []
    trash = False
    for name, comparisons in tree.items():
        if name == "or":
            any_of = [_branch(branch) for branch in _branches(comparisons)]
        elif name == "visibility":
            visibilities = _visibilities(comparisons)
        else:
            conditions = _comparisons(name, comparisons)
            trash = trash or any(c.field is Field.TRASHED_AT and not _is_untrashed(c) for c in conditions)
            top.extend(conditions)
    return tuple(top), tuple(any_of), visibilities, trash


def _is_untrashed(condition: Condition) -> bool:
    return condition.op is Op.EQ and condition.value is None


def _branches(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(branch, Mapping) for branch in value):
        raise UntranslatableError("filter.or: not a list of objects")
    return value


def _branch(branch: Mapping[str, Any]) -> tuple[Condition, ...]:
    # Inside a branch these two would widen what the other branches may reach.
    if guarded := branch.keys() & {"visibility", "trashedAt", "or"}:
        raise UntranslatableError(f"filter.or.{min(guarded)}: only Immich can apply it there")
    return tuple(condition for name, value in branch.items() for condition in _comparisons(name, value))


def _comparisons(name: str, comparisons: Any) -> list[Condition]:
    try:
        field = Field(name)
        convert = KINDS[field]
    except (ValueError, KeyError) as error:
        raise UntranslatableError(f"filter.{name}: not a filter known here") from error
    if not isinstance(comparisons, Mapping) or not comparisons:
        raise UntranslatableError(f"filter.{name}: not an object")
    try:
        return [Condition(field, Op(op), _operand(Op(op), value, convert)) for op, value in comparisons.items()]
    except (UntranslatableError, ValueError) as error:
        raise UntranslatableError(f"filter.{name}: {error}") from error


def _operand(op: Op, value: Any, convert: Convert) -> Value:
    if op in SEQUENCE_OPS:
        if not isinstance(value, list) or not value:
            raise UntranslatableError(f"{op}: not a list")
        return tuple(convert(entry) for entry in value)  # type: ignore[return-value]
    if value is None and op in (Op.EQ, Op.NE):
        return None
    return convert(value)


def _visibilities(comparisons: Any) -> frozenset[Visibility]:
    if not isinstance(comparisons, Mapping) or not comparisons:
        raise UntranslatableError("filter.visibility: not an object")
    kept = frozenset(Visibility) - {Visibility.LOCKED}
    for op, value in comparisons.items():
        if op in ("eq", "in"):
            kept &= frozenset(_visibility(entry) for entry in _entries(op, value))
        elif op in ("ne", "notIn"):
            kept -= frozenset(_named_visibility(entry) for entry in _entries(op, value))
        else:
            raise UntranslatableError("filter.visibility: unknown comparison")
    return kept


def _entries(op: str, value: Any) -> list[Any]:
    if op in ("eq", "ne"):
        return [value]
    if not isinstance(value, list):
        raise UntranslatableError(f"filter.visibility.{op}: not a list")
    return value
