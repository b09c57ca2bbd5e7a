"""`python -m bench.ocr.quantise`: makes the int8 version of the OCR graph that has one.

python -m bench.ocr.quantise             makes them anew in ocr_service/int8, a few minutes
python -m bench.ocr.quantise --check     makes them elsewhere, and says whether they are what lies there

That is the detector: the recogniser in int8 is so much less certain of odd lines that they are left out, which costs
more than the 0.0005 of CER that is allowed (docs/benchmarks.md). It learns from photos of a seed of which no report
tells what int8 reads. A reader or a renderer that was changed since gives it other inputs, and so another file:
`--check` says how many it learned from. What is made is of use only if its self-check passes (`mesh v6 int8` of
`bench.ocr` says so).
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ocr_service.__main__
from bench.ocr import dataset
from mesh.serving.quantisation import inputs_of_photos
from mesh.serving.runtimes.int8 import quantiser
from mesh.serving.runtimes.int8.files import Int8Files, Manifest
from ocr_service.config import OcrSettings
from ocr_service.models import INT8_FOLDER

SEED = 7
PARTS = ("_det_",)
"""In the names of the graphs that are quantised."""
PHOTOS_PER_CLASS = 1


def make(folder: Path) -> dict[str, Manifest]:
    """Writes the versions into a folder; what each was made of, by the graph's name. Raises UnavailableError."""
    quantiser.require()
    photos = [sample.data for sample in dataset.build(SEED, limit=PHOTOS_PER_CLASS)]
    made = {}
    with tempfile.TemporaryDirectory() as empty:  # the bundled model, whatever this machine's cache has
        settings = OcrSettings(cache_folder=Path(empty), offline=True)
        inputs = asyncio.run(inputs_of_photos(settings, ocr_service.__main__.build, photos))
    for graph, feeds in sorted(
        (graph, feeds) for graph, feeds in inputs.items() if any(p in graph.stem for p in PARTS)
    ):
        learned_from = f"{len(photos)} photos, bench.ocr seed {SEED}"
        made[graph.stem] = quantiser.quantise(graph, feeds, Int8Files.beside(graph, folder), learned_from)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code: 1 where `--check` finds other files."""
    parser = argparse.ArgumentParser(
        "bench.ocr.quantise", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; compare")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as aside:
        made = make(Path(aside) if check else INT8_FOLDER)
    same = True
    for name, manifest in made.items():
        there = Int8Files(INT8_FOLDER / f"{name}.int8").manifest()
        same = same and manifest == there
        print(f"{name}: graph {manifest.xml_sha256}, weights {manifest.bin_sha256}")
        print(f"{name}: {'as it lies there' if manifest == there else f'not what lies there: {there}'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
