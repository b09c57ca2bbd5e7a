"""A masked graph of one convolution, and sessions of it that count."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.session import (
    NOTHING_ENDS_IT,
    Array,
    Feeds,
    Interruption,
    RuntimeSettings,
    StaticShapes,
    TensorInfo,
)
from mesh.serving.shapes.graphs import MaskedGraph, masked_graph
from mesh.serving.shapes.growth import PictureInput
from mesh.serving.shapes.shape_set import ShapeSet
from tests.builders.graph import Graph

PICTURES = (None, 3, None, None)
INFO = (TensorInfo("x", PICTURES, "float32"),)
SET = ShapeSet(((64, 96), (96, 64), (128, 160)), (1, 4))


def convolved(graph: Graph, x: str) -> str:
    """Its mean beside each pixel's neighbourhood: padding would have a say in both."""
    weights = np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32)
    near = graph.op("Conv", x, graph.weight(weights), pads=[1, 1, 1, 1])
    return graph.op("Add", near, graph.op("GlobalAveragePool", near))


def save_convolution(folder: Path) -> Path:
    """The graph, from (batch, 3, rows, columns) to (batch, 4, rows, columns)."""
    graph = Graph()
    graph.output(convolved(graph, graph.input("x", PICTURES)), "y", [None, 4, None, None])
    return graph.save(folder / "model.onnx")


def save_fixed_convolution(folder: Path, size: tuple[int, int] = (32, 32)) -> Path:
    """The same for pictures of one size: only the batch is open."""
    graph = Graph()
    x = graph.input("x", ["count", 3, *size])
    graph.output(convolved(graph, x), "y", ["count", 4, *size])
    return graph.save(folder / "model.onnx")


def masked_convolution(folder: Path) -> MaskedGraph:
    """The graph and its masked form."""
    return masked_graph(save_convolution(folder), folder, PictureInput.of(INFO))


class CountingSession(OnnxSession):
    """Notes the shapes that it is run on."""

    def __init__(self, path: Path, ran: list[tuple[int, ...]]) -> None:
        super().__init__(path, RuntimeSettings(device=Device.CPU))
        self._ran = ran

    def run(self, feeds: Feeds, interruption: Interruption = NOTHING_ENDS_IT) -> list[Array]:
        """As onnxruntime does."""
        self._ran.append(feeds["x"].shape)
        return super().run(feeds, interruption)


class Compiler:
    """Opens sessions for one shape each, and may refuse."""

    def __init__(self, path: Path) -> None:
        self.compiled: list[tuple[int, ...]] = []
        self.ran: list[tuple[int, ...]] = []
        self.refused: set[tuple[int, ...]] = set()
        self.meanwhile: Callable[[], None] = lambda: None
        self._path = path

    def __call__(self, shapes: StaticShapes) -> CountingSession:
        """A session for these shapes."""
        shape = shapes.inputs["x"]
        self.compiled.append(shape)
        self.meanwhile()
        if shape in self.refused:
            raise UnavailableError("too large")
        return CountingSession(self._path, self.ran)


def picture(size: tuple[int, int], seed: int = 0) -> dict[str, Array]:
    """One of that size, as an engine gets it."""
    return {"x": np.random.default_rng(seed).uniform(-1, 1, (1, 3, *size)).astype(np.float32)}


def approximately(array: Array) -> object:
    """What a few roundings may change."""
    return pytest.approx(array, abs=1e-5)
