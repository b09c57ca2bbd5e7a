"""Compares a graph whose batch axis was opened with the one it was made of.

Runs in the converter's own process; nothing that serves imports this.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

Vectors = npt.NDArray[np.float32]

_ITEMS = 3
_LEAST_COSINE = 0.99999


def agrees(original: Path, opened: Path) -> bool:
    """Whether a batch through `opened` gives, row by row, what single items give through `original`."""
    before = _session(original)
    (given,) = before.get_inputs()
    items = _items(given.shape[1:], tokens="int" in given.type)
    singles = [before.run(None, {given.name: item[None]})[0] for item in items.astype(_kind(given.type))]
    del before  # one model in memory at a time
    after = _session(opened)
    (wanted,) = after.get_inputs()
    try:
        together = after.run(None, {wanted.name: items.astype(_kind(wanted.type))})[0]
    except (Fail, InvalidArgument, RuntimeException):
        return False
    return bool((_cosines(np.concatenate(singles), together) > _LEAST_COSINE).all())


def _session(path: Path) -> "onnxruntime.InferenceSession":
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # For three runs, optimised and repacked copies of the weights are not worth their memory.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _items(shape: list[int], *, tokens: bool) -> npt.NDArray[np.generic]:
    """Different items: noise images, or token lists of different lengths."""
    random = np.random.default_rng(0)
    if not tokens:
        return random.standard_normal((_ITEMS, *shape)).astype(np.float32)
    items = random.integers(1, 256, (_ITEMS, *shape))
    for row, length in enumerate((2, shape[0] // 2, shape[0])):
        items[row, length:] = 0
    return items


def _kind(name: str) -> np.dtype[np.generic]:
    return np.dtype({"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(int64)": np.int64}[name])


def _cosines(left: Vectors, right: Vectors) -> Vectors:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines: Vectors = (left * right).sum(axis=1) / lengths
    return cosines
