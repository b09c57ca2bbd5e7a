"""What a search asks for, read from its body: the text, the page, and the filters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.front_door.search.filter_values import UntranslatableError
from router.front_door.search.filters import Restriction, translate

DEFAULT_SIZE = 100
MAX_SIZE = 1000

METADATA_SIZE = 250
"""Results per page of `POST /api/search/metadata`, unless it says otherwise."""

PAGING = frozenset({"query", "language", "page", "size", "withExif", "withPeople", "order", "fuse"})
"""Keys of a search that are no filters."""

PREFIX = re.compile(r"\s*[oｏ][cｃ][rｒ]\s*[:：](.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class SearchQuery:
    """One search.

    Attributes:
        text: what to look for, without the prefix.
        language: of the text, as the client said; empty for none.
        page: 1 for the first.
        size: results per page, 1..1000.
        with_exif: whether results carry their EXIF data.
        with_people: whether results carry their people.
        restriction: which photos may be found at all.
    """

    text: str
    language: str
    page: int
    size: int
    with_exif: bool
    with_people: bool
    restriction: Restriction


def prefixed_text(query: Any) -> str | None:
    """The text after `ocr:` or `ocr：`, in any case, with spaces anywhere; None for a query without the prefix.

    One who types the prefix into Immich's own OCR search, or twice, means the same once.
    """
    if not isinstance(query, str):
        return None
    text = None
    while found := PREFIX.fullmatch(query if text is None else text):
        text = found.group(1).strip()
    return text


def without_prefix(text: str) -> str:
    """The text without the prefix, where it has it."""
    inner = prefixed_text(text)
    return text.strip() if inner is None else inner


def ocr_text(text: str, body: Mapping[str, Any]) -> str:
    """The text of an OCR search, narrowed by Immich's own `ocr` filter where the request has that as well."""
    also = body.get("ocr")
    return f"{text} {without_prefix(also)}".strip() if isinstance(also, str) and also else text


def read_text_query(text: str, body: Mapping[str, Any], default_size: int = DEFAULT_SIZE) -> SearchQuery:
    """Reads the body of a search for text; Immich's own `ocr` filter, if given as well, narrows the text.

    Raises UntranslatableError for whatever is better left to Immich, invalid values among it.
    """
    if not isinstance(body.get("ocr", ""), str):
        raise UntranslatableError("ocr: not a text")
    rest = {name: value for name, value in body.items() if name != "ocr"}
    return read_query(ocr_text(text, body), rest, default_size)


def read_query(text: str, body: Mapping[str, Any], default_size: int = DEFAULT_SIZE) -> SearchQuery:
    """Reads a search's body. Raises as `read_text_query`."""
    page, size = body.get("page", 1), body.get("size", default_size)
    if not _whole(page, 1, 2**31) or not _whole(size, 1, MAX_SIZE):
        raise UntranslatableError("page or size: out of range")
    for name in ("withExif", "withPeople"):
        if not isinstance(body.get(name, False), bool):
            raise UntranslatableError(f"{name}: not a boolean")
    if body.get("order", "desc") not in ("asc", "desc"):
        raise UntranslatableError("order: neither asc nor desc")
    language = body.get("language", "")
    if not isinstance(language, str):
        raise UntranslatableError("language: not a text")
    with_exif, with_people = body.get("withExif", False), body.get("withPeople", False)
    return SearchQuery(text, language, page, size, with_exif, with_people, translate(body, PAGING))


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
