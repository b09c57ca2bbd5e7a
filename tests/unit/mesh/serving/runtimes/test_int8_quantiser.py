"""Int8 versions, made by NNCF of small graphs: what is in eight bits, what is not, and that it comes out the same."""

from pathlib import Path

import numpy as np
import pytest
from openvino import Core

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes.int8 import quantiser
from mesh.serving.runtimes.int8.files import Int8Files, sha256
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.session import Feeds, RuntimeSettings
from tests.builders.graph import Graph

RUNTIME = RuntimeSettings(device=Device.OPENVINO, cores=1)
LAYERS = ("first", "second", "third", "last")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Four convolutions, pictures in and maps of one channel out."""
    random = np.random.default_rng(0)
    built = Graph()
    tensor = built.input("x", ["batch", 3, "rows", "columns"])
    for name, (wide, narrow) in zip(LAYERS, [(16, 3), (16, 16), (16, 16), (1, 16)], strict=True):
        weights = built.weight((random.standard_normal((wide, narrow, 3, 3)) / np.sqrt(9 * narrow)).astype(np.float32))
        tensor = built.op("Conv", tensor, weights, name=name, pads=[1, 1, 1, 1])
        tensor = built.op("Relu" if name != "last" else "Sigmoid", tensor)
    built.output(tensor, "y", ["batch", 1, "rows", "columns"])
    return built.save(tmp_path / "model" / "model.onnx")


def pictures(count: int, seed: int = 0) -> list[Feeds]:
    random = np.random.default_rng(seed)
    return [{"x": random.standard_normal((1, 3, 24, 32)).astype(np.float32)} for _ in range(count)]


def eight_bit_layers(files: Int8Files) -> set[str]:
    """Names of the convolutions that multiply bytes."""
    return {
        node.get_friendly_name()
        for node in Core().read_model(str(files.graph)).get_ops()
        if node.get_type_name() == "Convolution" and node.input_value(0).get_node().get_type_name() == "FakeQuantize"
    }


def test_the_layers_between_the_ends_are_in_eight_bits(graph: Path) -> None:
    files = Int8Files.beside(graph)
    manifest = quantiser.quantise(graph, pictures(24), files, "24 pictures", pictures(3, seed=1))
    assert eight_bit_layers(files) == {"second", "third"}
    assert files.fault(graph) == ""
    assert manifest == files.manifest()
    assert manifest.learned_from == "24 inputs of 24 pictures"
    assert manifest.cosine is not None
    assert 0.99 < manifest.cosine < 1
    exact = OnnxSession(graph, RUNTIME).run(pictures(1, seed=2)[0])[0]
    given = OpenVinoSession(files.graph, RUNTIME, Precision.INT8).run(pictures(1, seed=2)[0])[0]
    assert 0 < np.abs(exact - given).max() < 0.1
    assert sorted(path.name for path in graph.parent.iterdir()) == [
        "model.int8.bin",
        "model.int8.json",
        "model.int8.npz",
        "model.int8.xml",
        "model.onnx",
    ]


def test_the_same_inputs_give_the_same_files(graph: Path, tmp_path: Path) -> None:
    made = [Int8Files.beside(graph, tmp_path / name) for name in ("one", "other")]
    for files in made:
        quantiser.quantise(graph, pictures(24), files, "24 pictures")
    for one, other in ((made[0].graph, made[1].graph), (made[0].weights, made[1].weights)):
        assert sha256(one) == sha256(other)
    assert made[0].manifest() == made[1].manifest()


def test_too_few_inputs_are_refused_and_leave_nothing(graph: Path) -> None:
    with pytest.raises(UnavailableError, match="ran 3 times on these photos, and 20 are needed"):
        quantiser.quantise(graph, pictures(3), Int8Files.beside(graph), "3 pictures")
    assert [path.name for path in graph.parent.iterdir()] == ["model.onnx"]


def test_without_nncf_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    quantiser.require()
    monkeypatch.setattr(quantiser, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="extras `quantise` and `openvino`"):
        quantiser.require()
