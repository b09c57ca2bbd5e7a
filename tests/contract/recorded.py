"""Requests recorded from a real Immich 2.7.5 server, byte for byte."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "requests"
PREDICTIONS = (
    "predict-clip-visual",
    "predict-clip-textual-language",
    "predict-clip-textual-ocr-prefix",
    "predict-facial-recognition",
    "predict-ocr",
)


@dataclass(frozen=True)
class RecordedRequest:
    """One HTTP/1.1 request."""

    raw: bytes
    head: str
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header."""
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name:
                return value
        raise KeyError(name)


def recorded(name: str) -> RecordedRequest:
    """The request of that name."""
    raw = (FOLDER / f"{name}.raw").read_bytes()
    head, _, body = raw.partition(b"\r\n\r\n")
    return RecordedRequest(raw, head.decode(), body)
