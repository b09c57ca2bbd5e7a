"""Form bodies by their content type: which parser, and how much of it may be sent."""

from typing import Protocol
from urllib.parse import parse_qsl

from mesh.core.errors import InvalidInputError
from router.dispatch.wire.multipart import MAX_PARTS, MultipartParser, Part, boundary_of
from router.errors import BodyTooLargeError

MAX_URLENCODED_BYTES = 128 * 1024
"""Room for `entries` and a text; photos are never sent url-encoded."""

_PIECE_BYTES = 256 * 1024


class FormParser(Protocol):
    """Takes a body piece by piece."""

    def feed(self, piece: bytes) -> None:
        """The next bytes of the body. Raises InvalidInputError."""

    def finish(self) -> dict[str, Part]:
        """The fields by name, in the order of the body. Raises InvalidInputError."""


class UrlencodedParser:
    """`application/x-www-form-urlencoded`: no photos, so a small body."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, piece: bytes) -> None:
        """Raises BodyTooLargeError."""
        if len(self._body) + len(piece) > MAX_URLENCODED_BYTES:
            raise BodyTooLargeError(
                f"an url-encoded body may have {MAX_URLENCODED_BYTES} bytes: send photos as multipart/form-data"
            )
        self._body += piece

    def finish(self) -> dict[str, Part]:
        """Raises InvalidInputError: too many fields."""
        text = self._body.decode("utf-8", "replace")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARTS)
        except ValueError:
            raise InvalidInputError(f"the body has more than {MAX_PARTS} fields") from None
        return {name: Part(value.encode()) for name, value in pairs}


def form_parser(content_type: str) -> FormParser:
    """The parser of a request's `Content-Type`. Raises InvalidInputError: it is no form."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return UrlencodedParser()
    if kind == "multipart/form-data":
        return MultipartParser(boundary_of(content_type))
    raise InvalidInputError(
        f"send the request as multipart/form-data, not as {kind[:64] or 'a body without Content-Type'!r}"
    )


def parse_form(body: bytes, content_type: str) -> dict[str, Part]:
    """The fields of a form that is there as a whole. Raises InvalidInputError."""
    parser = form_parser(content_type)
    for start in range(0, len(body), _PIECE_BYTES):
        parser.feed(body[start : start + _PIECE_BYTES])
    return parser.finish()
