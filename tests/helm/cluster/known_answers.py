"""Writes models with known answers into a model cache, and says what they answer to the recorded requests.

    .venv/bin/python -m tests.helm.cluster.known_answers CACHE_FOLDER > answers.json

Run by the project's own Python, since it takes onnx, tokenizers and Pillow; the chart's tests read what it prints.
"""

import base64
import io
import json
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from clip_service.preprocessing import Preprocessing
from mesh.serving.images import ChannelOrder, decode
from tests.builders.clip import clip_image_vector, clip_text_vector, write_clip
from tests.builders.faces import MARKERS, face_vector, marker_photo, write_faces

REQUESTS = Path(__file__).resolve().parents[2] / "contract" / "requests"
FACE = (60, 40, 180, 160)


def photo_of(request: bytes) -> bytes:
    """The JPEG inside a recorded request."""
    return request[request.index(b"\xff\xd8\xff") : request.rindex(b"\xff\xd9") + 2]


def mean_colour(photo: bytes, model: Path) -> list[float]:
    """The mean colour, 0 to 255 per channel, of what the CLIP model is given of a photo."""
    preprocessing = Preprocessing.read(model / "visual/preprocess_cfg.json")
    decoded = decode(photo, max_pixels=10**8, order=ChannelOrder.RGB, min_short_side=preprocessing.min_short_side)
    pixels = (np.squeeze(preprocessing(decoded.pixels)) - preprocessing.offset) / preprocessing.scale
    return [float(value) for value in pixels.mean(axis=(1, 2))]


def text_of(request: bytes) -> str:
    """The search query inside a recorded request."""
    return request.split(b'name="text"\r\n\r\n')[1].split(b"\r\n")[0].decode()


def main(cache_folder: Path) -> None:
    """Writes the models and prints the answers."""
    clip = write_clip(cache_folder)
    write_faces(cache_folder)
    tokenizer = Tokenizer.from_file(str(files("mesh.hub.clip_import") / "tokenizer.json"))
    visual = (REQUESTS / "predict-clip-visual.raw").read_bytes()
    textual = (REQUESTS / "predict-clip-textual-language.raw").read_bytes()
    face_photo = io.BytesIO()
    Image.fromarray(marker_photo(320, 240, {"magenta": FACE})).save(face_photo, "PNG")
    vector = face_vector(MARKERS["magenta"].rgb)
    answers = {
        "clip_visual": clip_image_vector(mean_colour(photo_of(visual), clip)).tolist(),
        "clip_textual": clip_text_vector(tokenizer.encode(text_of(textual)).ids).tolist(),
        "face_photo": base64.b64encode(face_photo.getvalue()).decode(),
        "face_box": FACE,
        "face_vector": (vector / np.linalg.norm(vector)).tolist(),
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
