"""What a search asks for, read from its body: the text, the page, and the filters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.gateway.search.filter_values import UntranslatableError
from router.gateway.search.filters import Restriction, translate

DEFAULT_SIZE = 100
MAX_SIZE = 1000

PAGING = frozenset(
    {"query", "language", "page", "size", "withExif", "withPeople", "order", "orderBy", "fuse", "queryAssetId"}
)
"""Keys of a search that are no filters."""

PREFIX = re.compile(r"\s*[oｏ][cｃ][rｒ]\s*[:：](.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Wanted:
    """One search.

    Attributes:
        text: what to look for, without the prefix.
        language: of the text, as the client said; empty for none.
        page: 1 for the first.
        size: results per page, 1..1000.
        with_exif: whether results carry their EXIF data.
        restriction: which photos may be found at all.
    """

    text: str
    language: str
    page: int
    size: int
    with_exif: bool
    restriction: Restriction


def prefixed_text(query: Any) -> str | None:
    """The text after `ocr:` or `ocr：`, in any case, with spaces anywhere; None for a query without the prefix."""
    if not isinstance(query, str):
        return None
    found = PREFIX.fullmatch(query)
    return found.group(1).strip() if found else None


def ocr_text(text: str, body: Mapping[str, Any]) -> str:
    """The text of an OCR search, narrowed by Immich's own `ocr` filter where the request has that as well."""
    also = body.get("ocr")
    return f"{text} {also}".strip() if isinstance(also, str) and also else text


def wanted_text(text: str, body: Mapping[str, Any]) -> Wanted:
    """Reads the body of a search for text; Immich's own `ocr` filter, if given as well, narrows the text.

    Raises UntranslatableError for whatever is better left to Immich, invalid values among it.
    """
    rest = {name: value for name, value in body.items() if name != "ocr"}
    return wanted(ocr_text(text, body), rest)


def wanted(text: str, body: Mapping[str, Any]) -> Wanted:
    """Reads a search's body. Raises as `wanted_text`."""
    page, size, with_exif = body.get("page", 1), body.get("size", DEFAULT_SIZE), body.get("withExif", False)
    if not _whole(page, 1, 2**31) or not _whole(size, 1, MAX_SIZE) or not isinstance(with_exif, bool):
        raise UntranslatableError("page, size or withExif: out of range")
    language = body.get("language") or ""
    return Wanted(text, str(language), page, size, with_exif, translate(body, PAGING))


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
