"""Which photos a search may return: the caller's scope, and Immich's own search filters as a tree of conditions.

The names of fields and operators are those of Immich 3.2's structured `filter`, so that the front door translates a
request field by field. A flat filter of earlier versions is one condition (`city: null` is `city eq None`,
`isNotInAlbum: true` is `hasAlbums eq False`, `tagIds: null` is `hasTags eq False`, `takenAfter` is `takenAt gte`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from mesh.core.errors import InvalidInputError


class UnsupportedFilterError(InvalidInputError):
    """A filter that this database or this code cannot apply; the front door then leaves the search to Immich."""


class Visibility(StrEnum):
    """Immich's visibility of a photo."""

    TIMELINE = "timeline"
    ARCHIVE = "archive"
    HIDDEN = "hidden"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Scope:
    """What the caller may see, as Immich itself said; applied to every search whatever the filters say.

    Attributes:
        owner_ids: the caller, and the partners whose photos are in the caller's timeline. Empty finds nothing; None
            stands for everyone, and is only for searches in albums that Immich lets the caller read.
        visibilities: the visibilities that are searched.
        with_deleted: whether photos in the trash are searched too.
    """

    owner_ids: tuple[UUID, ...] | None
    visibilities: frozenset[Visibility] = frozenset({Visibility.TIMELINE})
    with_deleted: bool = False


class Field(StrEnum):
    """What a condition is about: Immich 3.2's names."""

    ID = "id"
    LIBRARY_ID = "libraryId"
    DEVICE_ID = "deviceId"
    TYPE = "type"
    VISIBILITY = "visibility"
    IS_FAVORITE = "isFavorite"
    IS_MOTION = "isMotion"
    IS_OFFLINE = "isOffline"
    IS_ENCODED = "isEncoded"
    IS_STACKED = "isStacked"
    HAS_ALBUMS = "hasAlbums"
    HAS_PEOPLE = "hasPeople"
    HAS_TAGS = "hasTags"
    CITY = "city"
    STATE = "state"
    COUNTRY = "country"
    MAKE = "make"
    MODEL = "model"
    LENS_MODEL = "lensModel"
    DESCRIPTION = "description"
    ORIGINAL_FILE_NAME = "originalFileName"
    ORIGINAL_PATH = "originalPath"
    RATING = "rating"
    FILE_SIZE_IN_BYTES = "fileSizeInBytes"
    TAKEN_AT = "takenAt"
    CREATED_AT = "createdAt"
    UPDATED_AT = "updatedAt"
    TRASHED_AT = "trashedAt"
    PERSON_IDS = "personIds"
    TAG_IDS = "tagIds"
    ALBUM_IDS = "albumIds"
    CHECKSUM = "checksum"
    ENCODED_VIDEO_PATH = "encodedVideoPath"


class Op(StrEnum):
    """How a condition compares: Immich 3.2's names."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "notIn"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    LIKE = "like"
    NOT_LIKE = "notLike"
    STARTS_WITH = "startsWith"
    ENDS_WITH = "endsWith"
    ANY = "any"
    ALL = "all"
    NONE = "none"


Scalar = str | bool | int | float | datetime | UUID | bytes | None
Value = Scalar | Sequence[str] | Sequence[float] | Sequence[UUID] | Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison, for example `Condition(Field.CITY, Op.EQ, "上海")` or `Condition(Field.TAG_IDS, Op.ALL, ids)`.

    Values: UUID for ids (a sequence of them for `any`, `all`, `none`), str for texts, bool for `is…` and `has…` (with
    `eq`), int or float for numbers, an aware datetime for dates, bytes (SHA-1) for `checksum`; a sequence for `in` and
    `notIn`; None with `eq` and `ne` where Immich allows null. Tags are matched with the tags nested below them.
    """

    field: Field
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class AssetFilters:
    """Conditions that all hold, and, when there are branches, at least one branch of which all conditions hold."""

    conditions: tuple[Condition, ...] = ()
    any_of: tuple[tuple[Condition, ...], ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.conditions or self.any_of)
