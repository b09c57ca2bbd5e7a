"""The values in Immich's filters: JSON as it came, checked and made what the database compares with."""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sql.filters import Field, Scalar


class UntranslatableError(Exception):
    """A filter that only Immich can apply (or refuse)."""


TYPES = frozenset({"IMAGE", "VIDEO", "AUDIO", "OTHER"})


def as_text(value: Any) -> str:
    """A text that PostgreSQL can hold."""
    if not isinstance(value, str):
        raise UntranslatableError("not a text")
    if "\x00" in value:
        raise UntranslatableError("holds a NUL character")
    return value


def as_type(value: Any) -> str:
    """A type of asset; Immich refuses any other."""
    if as_text(value) not in TYPES:
        raise UntranslatableError("no type of asset")
    return str(value)


def as_flag(value: Any) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise UntranslatableError("not a boolean")
    return value


def as_number(value: Any) -> int | float:
    """A number; booleans are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UntranslatableError("not a number")
    return value


def as_rating(value: Any) -> int:
    """Stars as Immich takes them, 1 to 5, or -1 for rejected and 0 for none; it refuses any other number."""
    if as_number(value) not in range(-1, 6):
        raise UntranslatableError("no rating")
    return int(value)


def as_uuid(value: Any) -> UUID:
    """An id."""
    try:
        return UUID(as_text(value))
    except ValueError as error:
        raise UntranslatableError("not an id") from error


def as_moment(value: Any) -> datetime:
    """A moment in UTC, which one without a time zone is already."""
    try:
        moment = datetime.fromisoformat(as_text(value))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        # The ends of time: a date of year 1 east of Greenwich is before the first one there is.
        raise UntranslatableError("not a date") from error


def as_checksum(value: Any) -> bytes:
    """A SHA-1, in base64 or hexadecimal, as bytes."""
    text = as_text(value)
    try:
        return base64.b64decode(text, validate=True) if len(text) == 28 else bytes.fromhex(text)
    except (binascii.Error, ValueError) as error:
        raise UntranslatableError("not a checksum") from error


Convert = Callable[[Any], Scalar]

KINDS: Mapping[Field, Convert] = {
    **dict.fromkeys((Field.ID, Field.LIBRARY_ID, Field.PERSON_IDS, Field.TAG_IDS, Field.ALBUM_IDS), as_uuid),
    **dict.fromkeys((Field.IS_FAVORITE, Field.IS_MOTION, Field.IS_OFFLINE, Field.IS_ENCODED), as_flag),
    **dict.fromkeys((Field.HAS_ALBUMS, Field.HAS_PEOPLE, Field.HAS_TAGS), as_flag),
    **dict.fromkeys((Field.CITY, Field.STATE, Field.COUNTRY, Field.MAKE, Field.MODEL, Field.LENS_MODEL), as_text),
    **dict.fromkeys((Field.DESCRIPTION, Field.ORIGINAL_FILE_NAME, Field.ORIGINAL_PATH), as_text),
    Field.TYPE: as_type,
    **dict.fromkeys((Field.RATING, Field.FILE_SIZE_IN_BYTES), as_number),
    **dict.fromkeys((Field.TAKEN_AT, Field.CREATED_AT, Field.UPDATED_AT, Field.TRASHED_AT), as_moment),
    Field.CHECKSUM: as_checksum,
    Field.ENCODED_VIDEO_PATH: as_text,
}
"""The fields of a structured filter and what their values are."""
