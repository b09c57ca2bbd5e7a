"""`multipart/form-data` bodies, taken apart as they arrive.

Every piece is searched for the delimiter with `bytes.find` and kept as it came, so nothing walks over a photo's bytes
in Python and no step takes longer than its piece. What a client can make expensive is capped: parts, headers, padding,
and text that looks like a delimiter and is none. Grammar: RFC 2046 section 5.1.1, with RFC 7578's use of it.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from mesh.core.errors import InvalidInputError

MAX_PARTS = 32
MAX_HEADER_BYTES = 8192
MAX_BOUNDARY_BYTES = 70
"""RFC 2046's own limit."""
MAX_PADDING_BYTES = 64
"""Spaces and tabs after a boundary; hardly anybody sends one."""
MAX_FALSE_DELIMITERS = 100
"""How often the delimiter may stand in the data without ending it; RFC 2046 allows it never."""

_CRLF = b"\r\n"
_HEADER_END = b"\r\n\r\n"
_NAME = re.compile(r';\s*name\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_FILENAME = re.compile(r';\s*filename\*?\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)+)"|([^\s;"]+))', re.IGNORECASE)
_QUOTED_PAIR = re.compile(r"\\(.)")
_LINE_END = re.compile(rb"--|[ \t]{0,%d}\r\n" % MAX_PADDING_BYTES)
_LINE_END_BEGUN = re.compile(rb"-|[ \t]{0,%d}\r?" % MAX_PADDING_BYTES)


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


class _State(Enum):
    PREAMBLE = auto()
    HEADER = auto()
    DATA = auto()
    END = auto()


class MultipartParser:
    """Takes a body piece by piece; `finish` gives its parts.

    Args:
        boundary: as the Content-Type names it, at most `MAX_BOUNDARY_BYTES` long.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = _CRLF + b"--" + boundary
        self._state = _State.PREAMBLE
        self._buffer = _CRLF  # the first delimiter may stand at the very start
        self._searched = 0
        self._not_data = 0
        self._false_delimiters = 0
        self._name = ""
        self._part = Part(b"")
        self._data: list[bytes] = []
        self._done: dict[str, tuple[Part, list[bytes]]] = {}

    def feed(self, piece: bytes) -> None:
        """The next bytes of the body. Raises InvalidInputError."""
        if self._state is _State.END:
            return
        self._buffer = self._buffer + piece if self._buffer else piece
        more = True
        while more:
            more = self._header() if self._state is _State.HEADER else self._until_delimiter()

    def finish(self) -> dict[str, Part]:
        """The named parts, in the order of the body; copies the data. Raises InvalidInputError."""
        if self._state is _State.HEADER:
            raise _no_header()
        if self._state is not _State.END:
            raise InvalidInputError(
                "the multipart body ends before its closing boundary: it is truncated, or the boundary is another"
            )
        return {
            name: Part(data[0] if len(data) == 1 else b"".join(data), part.filename, part.content_type)
            for name, (part, data) in self._done.items()
        }

    def _header(self) -> bool:
        """Reads a part's header; says whether it was all there."""
        end = 0 if self._buffer.startswith(_CRLF) else self._buffer.find(_HEADER_END, 0, MAX_HEADER_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEADER_BYTES:
                raise _no_header()
            return False
        self._name, self._part = _named(self._buffer[:end])
        if self._name in self._done:
            raise InvalidInputError(f"the part {self._name[:64]!r} is given twice")
        if len(self._done) == MAX_PARTS:
            raise InvalidInputError(f"the body has more than {MAX_PARTS} parts")
        # The line end before the data may be that of the delimiter, when there is no data.
        self._buffer = self._buffer[end + len(_CRLF) :]
        self._data, self._not_data, self._searched = [], len(_CRLF), 0
        self._state = _State.DATA
        return True

    def _until_delimiter(self) -> bool:
        """Keeps data up to the next delimiter; says whether it was there."""
        while (found := self._buffer.find(self._delimiter, self._searched)) >= 0:
            after = found + len(self._delimiter)
            line_end = _LINE_END.match(self._buffer, after)
            if line_end is not None:
                self._keep(found)
                self._end_part()
                self._state = _State.END if line_end.group() == b"--" else _State.HEADER
                self._buffer = b"" if self._state is _State.END else self._buffer[line_end.end() :]
                return self._state is _State.HEADER
            if _LINE_END_BEGUN.fullmatch(self._buffer, after):
                self._drop(found)
                return False
            self._false_delimiters += 1
            if self._false_delimiters > MAX_FALSE_DELIMITERS:
                raise InvalidInputError("the boundary stands in the data of a part again and again: choose another one")
            self._searched = found + len(_CRLF)
        self._drop(max(self._searched, len(self._buffer) - len(self._delimiter) + 1, 0))
        return False

    def _drop(self, end: int) -> None:
        """Goes on after the first `end` bytes, which are data."""
        self._keep(end)
        self._buffer = self._buffer[end:]
        self._searched = 0

    def _keep(self, end: int) -> None:
        """The first `end` bytes are data of the part, if there is one."""
        start = min(self._not_data, end)
        self._not_data -= start
        if self._state is _State.DATA and end > start:
            self._data.append(self._buffer[start:end])

    def _end_part(self) -> None:
        if self._state is _State.DATA:
            self._done[self._name] = (self._part, self._data)


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names. Raises InvalidInputError: none, or one that is too long."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise InvalidInputError("the Content-Type multipart/form-data names no boundary")
    boundary = _unquoted(match).encode("utf-8", "surrogateescape")
    if len(boundary) > MAX_BOUNDARY_BYTES:
        raise InvalidInputError(f"the boundary is longer than {MAX_BOUNDARY_BYTES} characters")
    return boundary


def _unquoted(match: re.Match[str]) -> str:
    quoted, token = match.groups()
    return _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else str(token)


def _no_header() -> InvalidInputError:
    return InvalidInputError(f"a part of the multipart body has no header, or one longer than {MAX_HEADER_BYTES} bytes")


def _named(header: bytes) -> tuple[str, Part]:
    """A part's name, and the part without its data. Raises InvalidInputError."""
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
                f"parts with Content-Transfer-Encoding {value.strip()[:64]!r} are not understood: send them binary"
            )
    match = _NAME.search(disposition)
    if match is None:
        raise InvalidInputError("a part of the multipart body has no name in its Content-Disposition")
    filename = _FILENAME.search(disposition)
    return _unquoted(match), Part(b"", _unquoted(filename) if filename else None, content_type)


def join_parts(parts: dict[str, Part], boundary: bytes) -> bytes:
    """A body of these parts: what `MultipartParser` takes apart. `boundary` must not occur in the data."""
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
