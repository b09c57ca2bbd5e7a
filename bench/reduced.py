"""`python -m bench.reduced`: whether a CLIP embedding notices that its JPEG was decoded at reduced scale.

python -m bench.reduced --model ~/.cache/immich-mesh/models/clip/ViT-B-16__cn-clip --photos ~/Pictures

Prints, for every margin (short side that the decode keeps, in multiples of the model's), the lowest and the mean
cosine to the full decode, of the model's input and of its embedding, and the time that a photo takes to prepare. Random
weights react to less than trained ones: give a real model and real photos.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import photos, report
from bench.models import CLIP_MODEL, benchmark_cache
from clip_service.preprocessing import Preprocessing
from mesh.hub.catalogue import Family
from mesh.hub.layout import model_folder
from mesh.serving.images import ChannelOrder, decode
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.session import RuntimeSettings

MARGINS = (1.0, 1.5, 2.0, 3.0)
COLUMNS = {
    "margin": "margin",
    "reduced": "photos reduced",
    "input_min": "input, lowest",
    "input_mean": "input, mean",
    "embedding_min": "embedding, lowest",
    "embedding_mean": "embedding, mean",
    "prepare_ms": "prepare ms",
}
MAX_PIXELS = 10**9


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two arrays taken as vectors."""
    first, second = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def jpegs(folder: Path | None, limit: int) -> Iterator[bytes]:
    """Photos of a folder, or made ones."""
    if folder is None:
        yield from (photos.preview(seed) for seed in range(min(limit, 8)))
        return
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    yield from (path.read_bytes() for path in paths[:limit])


def compare(model: Path, pictures: Sequence[bytes]) -> list[dict[str, Any]]:
    """One row per margin."""
    preprocessing = Preprocessing.read(model / "visual" / "preprocess_cfg.json")
    session = OnnxSession(model / "visual" / "model.onnx", RuntimeSettings(), threads=RuntimeSettings().cores)
    name = session.inputs[0].name

    def prepare(data: bytes, min_short_side: int | None) -> tuple[np.ndarray, float]:
        image = decode(data, max_pixels=MAX_PIXELS, order=ChannelOrder.RGB, min_short_side=min_short_side)
        return preprocessing(image.pixels), image.scale

    full = [prepare(data, None)[0] for data in pictures]
    vectors = [session.run({name: tensor})[0] for tensor in full]
    rows = []
    for margin in MARGINS:
        started = time.process_time()
        prepared = [prepare(data, round(margin * preprocessing.size)) for data in pictures]
        milliseconds = (time.process_time() - started) * 1000 / len(pictures)
        inputs = [cosine(tensor, one) for tensor, (one, _) in zip(full, prepared, strict=True)]
        embeddings = [
            cosine(vector, session.run({name: one})[0]) for vector, (one, _) in zip(vectors, prepared, strict=True)
        ]
        rows.append(
            {
                "margin": margin,
                "reduced": sum(scale < 1 for _, scale in prepared),
                "input_min": f"{min(inputs):.6f}",
                "input_mean": f"{np.mean(inputs):.6f}",
                "embedding_min": f"{min(embeddings):.6f}",
                "embedding_mean": f"{np.mean(embeddings):.6f}",
                "prepare_ms": milliseconds,
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        "bench.reduced", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="folder of a CLIP model; random weights when left out")
    parser.add_argument("--photos", type=Path, help="folder of JPEG files; made ones when left out")
    parser.add_argument("--limit", type=int, default=50, help="photos at most (default: %(default)s)")
    options = parser.parse_args(arguments)
    model = options.model or model_folder(benchmark_cache(), Family.CLIP, CLIP_MODEL)
    pictures = list(jpegs(options.photos, options.limit))
    if not pictures:
        parser.error(f"no .jpg below {options.photos}")
    text = report.table(compare(model, pictures), COLUMNS)
    (report.OUT / "reduced.md").write_text(text, "utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
