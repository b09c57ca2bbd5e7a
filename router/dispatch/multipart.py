"""`multipart/form-data` bodies, cut into parts by searching for the boundary with `bytes.find`.

The body is in memory as a whole (its length is bounded by the listener), so nothing walks over its bytes in Python: a
150 KB photo costs one search and one copy. Grammar: RFC 2046 section 5.1.1, with RFC 7578's use of it.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from mesh.core.errors import InvalidInputError

MAX_PARTS = 32
MAX_HEADER_BYTES = 8192

_CRLF = b"\r\n"
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.){1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(r';\s*name\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_FILENAME = re.compile(r';\s*filename\*?\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_QUOTED_PAIR = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form.

    Attributes:
        data: its bytes, as sent.
        filename: None when the field is no file.
        content_type: as sent, empty when absent.
    """

    data: bytes
    filename: str | None = None
    content_type: str = ""

    def text(self, name: str) -> str:
        """The data as UTF-8. Raises InvalidInputError, naming the field, when it is something else."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"the part {name!r} is not UTF-8 text") from error


def parse_form(body: bytes, content_type: str) -> dict[str, Part]:
    """The fields of a form by name, in the order of the body.

    Args:
        body: the whole body.
        content_type: the request's `Content-Type`: `multipart/form-data`, or `application/x-www-form-urlencoded`.

    Raises:
        InvalidInputError: another content type, or a body that does not follow the grammar.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=None)
        return {name: Part(value.encode()) for name, value in pairs[:MAX_PARTS]}
    if kind != "multipart/form-data":
        raise InvalidInputError(
            f"send the request as multipart/form-data, not as {kind or 'a body without Content-Type'!r}"
        )
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise InvalidInputError("the Content-Type multipart/form-data names no boundary")
    return split_parts(body, _unquoted(match).encode("utf-8", "surrogateescape"))


def split_parts(body: bytes, boundary: bytes) -> dict[str, Part]:
    """The named parts between the delimiters `--boundary`. Raises InvalidInputError."""
    delimiter = _CRLF + b"--" + boundary
    parts: dict[str, Part] = {}
    start = _after_first(body, delimiter)
    while start is not None:
        header, data_start = _header(body, start)
        end, following = _next_delimiter(body, delimiter, max(data_start - 2, start))
        name, part = _part(header, body[data_start : max(end, data_start)])
        if name in parts:
            raise InvalidInputError(f"the part {name!r} is given twice")
        if len(parts) == MAX_PARTS:
            raise InvalidInputError(f"the body has more than {MAX_PARTS} parts")
        parts[name] = part
        start = following
    return parts


def _unquoted(match: re.Match[str]) -> str:
    quoted, token = match.groups()
    return _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else str(token)


def _after_first(body: bytes, delimiter: bytes) -> int | None:
    """Where the first part's header begins, after an optional preamble; None for a body that closes at once."""
    opening = delimiter[2:]
    if body.startswith(opening):
        line_end = _line_end(body, len(opening))
        if line_end is not None:
            return None if line_end < 0 else line_end
    return _next_delimiter(body, delimiter, 0)[1]


def _next_delimiter(body: bytes, delimiter: bytes, position: int) -> tuple[int, int | None]:
    """Where the data before the next delimiter line ends, and where the part after it starts (None after the last)."""
    while (found := body.find(delimiter, position)) >= 0:
        after = _line_end(body, found + len(delimiter))
        if after is not None:
            return found, (None if after < 0 else after)
        position = found + len(_CRLF)
    raise InvalidInputError(
        "the multipart body ends before its closing boundary: it is truncated, or the boundary is another"
    )


def _line_end(body: bytes, position: int) -> int | None:
    """Where the line of a delimiter ends: the next part's start, -1 for the closing delimiter, None when the text that
    looked like a delimiter goes on and so is data.
    """
    if body.startswith(b"--", position):
        return -1
    while body[position : position + 1] in (b" ", b"\t"):  # transport padding, rarely there
        position += 1
    return position + 2 if body.startswith(_CRLF, position) else None


def _header(body: bytes, start: int) -> tuple[bytes, int]:
    """A part's header block, and where its data begins."""
    if body.startswith(_CRLF, start):
        return b"", start + 2
    end = body.find(b"\r\n\r\n", start, start + MAX_HEADER_BYTES)
    if end < 0:
        raise InvalidInputError(
            f"a part of the multipart body has no header, or one longer than {MAX_HEADER_BYTES} bytes"
        )
    return body[start:end], end + 4


def _part(header: bytes, data: bytes) -> tuple[str, Part]:
    disposition = content_type = ""
    for line in header.decode("utf-8", "replace").split("\r\n"):
        key, _, value = line.partition(":")
        key = key.strip().lower()
        if key == "content-disposition":
            disposition = value
        elif key == "content-type":
            content_type = value.strip()
        elif key == "content-transfer-encoding" and value.strip().lower() not in ("binary", "8bit", "7bit"):
            raise InvalidInputError(
                f"parts with Content-Transfer-Encoding {value.strip()!r} are not understood: send them binary"
            )
    match = _NAME.search(disposition)
    if match is None:
        raise InvalidInputError("a part of the multipart body has no name in its Content-Disposition")
    filename = _FILENAME.search(disposition)
    return _unquoted(match), Part(data, _unquoted(filename) if filename else None, content_type)


def join_parts(parts: dict[str, Part], boundary: bytes) -> bytes:
    """A body of these parts: what `split_parts` takes apart. `boundary` must not occur in the data."""
    pieces: list[bytes] = []
    for name, part in parts.items():
        disposition = f'form-data; name="{name}"' + (
            f'; filename="{part.filename}"' if part.filename is not None else ""
        )
        kind = f"Content-Type: {part.content_type}\r\n" if part.content_type else ""
        head = f"Content-Disposition: {disposition}\r\n{kind}\r\n".encode()
        pieces += [b"--", boundary, _CRLF, head, part.data, _CRLF]
    pieces += [b"--", boundary, b"--", _CRLF]
    return b"".join(pieces)
