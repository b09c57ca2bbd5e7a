"""Small models with known answers, built in milliseconds, in the layouts the services read.

>>> write_clip(cache, "ViT-B-16__cn-clip")          # clip_service; embeddings from mean colours and token ids
>>> write_faces(cache, "buffalo_l")                 # face_service; fires on squares of a marker colour
"""

from tests.builders.clip import (
    CLIP_DIMENSION,
    clip_image_vector,
    clip_text_vector,
    write_clip,
)
from tests.builders.faces import (
    MARKERS,
    Marker,
    face_vector,
    marker_photo,
    write_faces,
    write_insightface,
)
from tests.builders.graph import Graph

__all__ = [
    "CLIP_DIMENSION",
    "MARKERS",
    "Graph",
    "Marker",
    "clip_image_vector",
    "clip_text_vector",
    "face_vector",
    "marker_photo",
    "write_clip",
    "write_faces",
    "write_insightface",
]
