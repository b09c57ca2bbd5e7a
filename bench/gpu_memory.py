"""What do runs work in, beside the weights? The sizes that `gpu.memoryLimit` of the chart's presets is computed from.

python -m bench.gpu_memory                     every graph at batches of 1, 8 and 32
python -m bench.gpu_memory --batch 4
python -m bench.gpu_memory --shapes            what all sizes of OCR_SHAPES=fixed take, each with memory of its own

Measured on the processor, since a run plans its tensors in the same way on a card: in an arena that grows as CUDA's is
told to, without the processor's own layouts. What cuDNN's convolutions work in, and what a CUDA process takes before
any session, comes on top and can only be seen on a card. Numbers are left in `bench/out/gpu_memory.json`.
"""

import argparse
import multiprocessing
import re
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench import report
from bench.models import CLIP_MODEL, FACE_MODEL, benchmark_cache
from mesh.core.settings import Device
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.serving.runtimes.session import size_with_external_data
from ocr_service.shapes import FIXED, sizes_for

BATCHES = (1, 8, 32)
MEGABYTE = 1_000_000
DTYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


@dataclass(frozen=True)
class Subject:
    """A graph, and the usual size of the axes that it leaves open, by index, the batch aside."""

    name: str
    path: Path
    axes: Mapping[int, int]
    can_stack: bool = True


@dataclass(frozen=True)
class Taken:
    """What one graph takes, in MB: its weights, and the tensors of a run with so many items."""

    name: str
    weights_mb: int
    batch: int
    run_mb: int


def subjects(cache_folder: Path) -> list[Subject]:
    """The graphs of the services' default models."""
    package = find_spec("rapidocr")
    if package is None or package.origin is None:
        raise RuntimeError("the package rapidocr, which brings OCR's models, is not installed: make setup")
    texts = Path(package.origin).parent / "models"
    clip = layout.model_folder(cache_folder, Family.CLIP, CLIP_MODEL)
    faces = layout.model_folder(cache_folder, Family.FACE, FACE_MODEL)
    return [
        Subject("OCR detection, 736 x 992", texts / "PP-OCRv6_det_small.onnx", {2: 736, 3: 992}),
        Subject("OCR recognition, 48 x 320", texts / "PP-OCRv6_rec_small.onnx", {2: 48, 3: 320}),
        Subject("OCR recognition, 48 x 1280", texts / "PP-OCRv6_rec_small.onnx", {2: 48, 3: 1280}),
        Subject("CLIP visual", clip / "visual" / layout.MODEL_FILE, {}),
        Subject("CLIP textual", clip / "textual" / layout.MODEL_FILE, {1: 52}),
        Subject("faces detection, 640 x 640", faces / "detection" / layout.MODEL_FILE, {2: 640, 3: 640}, False),
        Subject("faces recognition", faces / "recognition" / layout.MODEL_FILE, {}),
    ]


def of_shapes(cache_folder: Path) -> list[Subject]:
    """OCR's graphs at each size that its inputs are padded to, where a device compiles for each."""
    graphs = {one.name.split(",")[0]: one for one in subjects(cache_folder)}
    return [
        replace(graphs[f"OCR {part}"], name=f"OCR {part}, {rows} x {columns}", axes={2: rows, 3: columns})
        for part, sizes in sizes_for(FIXED, Device.TENSORRT).items()
        for rows, columns in sizes
    ]


def measure(subject: Subject, batch: int) -> Taken:
    """Opens and runs a graph in this process, which must be a fresh one."""
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_requested = 1
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(0, as_requested, -1, -1))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    session = onnxruntime.InferenceSession(subject.path, options, providers=["CPUExecutionProvider"])
    feeds = {
        node.name: np.zeros(
            [
                size if isinstance(size, int) else {**subject.axes, 0: batch}.get(axis, 1)
                for axis, size in enumerate(node.shape)
            ],
            DTYPES[node.type],
        )
        for node in session.get_inputs()
    }
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _status("VmRSS")
    for _ in range(2):  # the second run has its tensors planned
        session.run(None, feeds)
    weights = size_with_external_data(subject.path)
    return Taken(subject.name, round(weights / MEGABYTE), batch, round((_status("VmHWM") - before) / MEGABYTE))


def _status(field: str) -> int:
    """One of this process's sizes, in bytes."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {field}")
    return int(found[1]) * 1024


def main() -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_memory", description="What runs work in.")
    parser.add_argument("--batch", type=int, nargs="+", default=BATCHES, help="items in a run (1, 8 and 32)")
    parser.add_argument("--shapes", action="store_true", help="one picture or line in each size of OCR_SHAPES=fixed")
    arguments = parser.parse_args()
    rows = []
    for subject in of_shapes(benchmark_cache()) if arguments.shapes else subjects(benchmark_cache()):
        for batch in (1,) if arguments.shapes or not subject.can_stack else arguments.batch:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                rows.append(asdict(fresh.submit(measure, subject, batch).result()))
            print(rows[-1], file=sys.stderr)
    name = "gpu_memory_shapes" if arguments.shapes else "gpu_memory"
    report.save(name, {"machine": report.machine(), "graphs": rows})
    print(report.table(rows, {"name": "graph", "weights_mb": "weights MB", "batch": "batch", "run_mb": "run MB"}))
    for part in ("detection", "recognition") if arguments.shapes else ():
        print(f"OCR {part}, all sizes: {sum(row['run_mb'] for row in rows if part in row['name'])} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
