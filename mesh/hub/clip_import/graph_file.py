"""Graphs to and from disk, with their weights in memory once.

`onnx.load` holds the file's bytes beside what it makes of them, and `onnx.save` makes two copies of everything before
it writes: a graph of 1.6 GB takes 4 GB. But a protobuf message may come in pieces, which its reader merges; so here it
is read and written field by field.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import onnx

_GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER
_NUMBER, _EIGHT_BYTES, _MESSAGE, _FOUR_BYTES = 0, 1, 2, 5
"""What a field holds, in protobuf's wire format."""


class _Field(NamedTuple):
    """A field of a message: its number, and where it starts, where its content does, and where it ends in the file."""

    number: int
    start: int
    content: int
    end: int


def read(path: Path) -> onnx.ModelProto:
    """The model in a file, external data left where it is.

    Raises:
        ValueError, google.protobuf.message.DecodeError: it is no model.
    """
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path} is empty")
    model = onnx.ModelProto()
    with path.open("rb") as file:
        for outer in _fields(file, size):
            if outer.number == _GRAPH:
                file.seek(outer.content)
                for inner in _fields(file, outer.end):
                    model.MergeFromString(_wrapped(_GRAPH, _bytes(file, inner)))
            else:
                model.MergeFromString(_bytes(file, outer))
    return model


def write(model: onnx.ModelProto, path: Path) -> None:
    """Writes the model, which is spent afterwards: its weights are gone."""
    weights = list(model.graph.initializer)
    del model.graph.initializer[:]
    with path.open("wb") as file:
        file.write(model.SerializeToString())
        for tensor in weights:
            graph = onnx.GraphProto(initializer=[tensor])
            file.write(_wrapped(_GRAPH, graph.SerializeToString()))


def _wrapped(number: int, content: bytes) -> bytes:
    """A field that holds a message."""
    return _varint(number << 3 | _MESSAGE) + _varint(len(content)) + content


def _fields(file: BinaryIO, end: int) -> Iterator[_Field]:
    """The fields of the message that begins where the file stands and ends at `end`."""
    while (start := file.tell()) < end:
        tag = _read_varint(file)
        kind, content = tag & 7, file.tell()
        if kind == _NUMBER:
            _read_varint(file)
            last = file.tell()
        elif kind == _MESSAGE:
            length = _read_varint(file)
            content = file.tell()
            last = content + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            last = content + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"this is no graph: a field of kind {kind} at byte {start}")
        if last > end:
            raise ValueError("this is no graph, or its end is missing")
        yield _Field(tag >> 3, start, content, last)
        file.seek(last)


def _bytes(file: BinaryIO, field: _Field) -> bytes:
    file.seek(field.start)
    return file.read(field.end - field.start)


def _read_varint(file: BinaryIO) -> int:
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return value
    raise ValueError("this is no graph, or its end is missing")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
