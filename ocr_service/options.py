"""How to read one photo: travels with the request, is written to nothing shared."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How to read one photo. The defaults are Immich's own.

    Attributes:
        min_detection_score: least certainty of a box, 0 to 1.
        min_recognition_score: least certainty of a text, 0 to 1.
        max_resolution: limit of the photo's short side during detection, in pixels.
        language: BCP 47 tag of the expected language, a hint; empty for none.
    """

    min_detection_score: float = 0.5
    min_recognition_score: float = 0.8
    max_resolution: int = 736
    language: str = ""
