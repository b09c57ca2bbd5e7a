"""The models that benchmarks run on: true sizes, random weights, made once into `bench/out/models`.

python -m bench.models        makes them and says what they cost

CLIP ViT-B-16 (345 MB and 409 MB), SCRFD-10GF (17 MB) and ArcFace R50 (174 MB). OCR runs on its real models, which come
with the packages.
"""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import networks, report
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.hub.clip_import.companions import write_companions

CLIP_MODEL = "ViT-B-16__cn-clip"
FACE_MODEL = "buffalo_l"

_GRAPHS: Mapping[tuple[Family, str], Mapping[str, Callable[[], networks.Network]]] = {
    (Family.CLIP, CLIP_MODEL): {"visual": networks.clip_visual, "textual": networks.clip_textual},
    (Family.FACE, FACE_MODEL): {"detection": networks.face_detector, "recognition": networks.face_recogniser},
}


def benchmark_cache(folder: Path = report.OUT / "models") -> Path:
    """A cache folder with the models under their usual names; made when they are not there."""
    for (family, name), graphs in _GRAPHS.items():
        target = layout.model_folder(folder, family, name)
        if not layout.is_complete(family, target):
            _make(target, family, graphs)
    return folder


def _make(target: Path, family: Family, graphs: Mapping[str, Callable[[], networks.Network]]) -> None:
    staging = target.with_name(f"{target.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    for part, build in graphs.items():
        build().save(staging / part / layout.MODEL_FILE)
    if family is Family.CLIP:
        write_companions(staging, dimension=networks.CLIP_DIMENSION, image_size=networks.IMAGE_SIZE)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def main() -> int:
    """The command. Returns its exit code."""
    started = time.perf_counter()
    folder = benchmark_cache()
    print(f"{folder}: made in {time.perf_counter() - started:.0f} s")
    for family, name in _GRAPHS:
        for graph in sorted(layout.model_folder(folder, family, name).rglob("*.onnx")):
            print(f"{graph.stat().st_size / 1e6:7.1f} MB  {graph.relative_to(folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
