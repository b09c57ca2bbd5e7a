"""What `call` asks of the mesh, whichever way it asks: see `router_client` (HTTP) and `service_client` (gRPC)."""

from dataclasses import dataclass
from typing import Protocol

from mesh.cli.clients.results import ClipAnswer, FaceAnswer, OcrAnswer


@dataclass(frozen=True)
class OcrOptions:
    """Options of one OCR call; None leaves the server's default."""

    model: str | None = None
    min_detection_score: float | None = None
    min_recognition_score: float | None = None
    max_resolution: int | None = None


class MeshClient(Protocol):
    """What `call` needs of a client. All calls block, and raise CommandError."""

    def recognize(self, photo: bytes, options: OcrOptions) -> OcrAnswer:
        """The text of a photo."""
        ...

    def detect(self, photo: bytes, model: str | None, min_score: float | None) -> FaceAnswer:
        """The faces of a photo."""
        ...

    def encode_image(self, photo: bytes, model: str | None) -> ClipAnswer:
        """The vector of a photo."""
        ...

    def encode_text(self, text: str, model: str | None, language: str) -> ClipAnswer:
        """The vector of a sentence."""
        ...

    def close(self) -> None:
        """Closes its connections."""
        ...
