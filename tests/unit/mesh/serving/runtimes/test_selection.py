"""The choice between onnxruntime and OpenVINO, on real sessions of both: what agrees and is fastest, and why."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mesh.core.errors import UnavailableError
from mesh.core.memory import return_memory
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes import openvino, selection
from mesh.serving.runtimes.compiled import CompiledFiles
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.selection import choose
from mesh.serving.runtimes.self_check import MakeCheck, SelfCheck, default_check
from mesh.serving.runtimes.session import RuntimeSettings, TensorInfo
from tests.builders.graph import Graph
from tests.unit.mesh.serving.runtimes.conftest import save_projection

CHECK: MakeCheck = partial(default_check, typical_axes=None)
ITEM = {"x": np.linspace(-1, 1, 64, dtype=np.float32)[None]}


def runtime_of(tmp_path: Path, device: Device, precision: Precision = Precision.AUTO) -> RuntimeSettings:
    return RuntimeSettings(device=device, precision=precision, cores=2, cache_folder=tmp_path)


def disagreeing(inputs: Sequence[TensorInfo]) -> SelfCheck:
    return SelfCheck([ITEM], judge=lambda exact, outputs: "it reads another text")


def no_check(inputs: Sequence[TensorInfo]) -> SelfCheck:
    raise AssertionError("compared again")


def compiled(tmp_path: Path) -> list[str]:
    return sorted(path.suffix for path in tmp_path.rglob("compiled/*"))


@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FP32])
def test_openvino_says_what_onnxruntime_says(tmp_path: Path, projection: Path, precision: Precision) -> None:
    runtime = runtime_of(tmp_path, Device.OPENVINO, precision)
    session = choose(projection, runtime, CHECK).open(1)
    exact = OnnxSession(projection, RuntimeSettings())
    (expected,), (given,) = exact.run(ITEM), session.run(ITEM)
    assert np.allclose(given, expected, atol=1e-4 if precision is Precision.FP32 else 0.1)
    assert session.inputs == exact.inputs
    assert [info.shape for info in session.outputs] == [info.shape for info in exact.outputs]
    assert session.metadata == exact.metadata == {"character": "a\nb\n "}
    assert session.provider.startswith("OpenVINO CPU ")


def test_the_comparison_is_made_once_for_a_graph(tmp_path: Path, projection: Path) -> None:
    runtime = runtime_of(tmp_path, Device.OPENVINO)
    first = choose(projection, runtime, CHECK)
    assert "x as fast as onnxruntime, cosine 1.0" in first.reason or "cosine 0.9999" in first.reason
    assert choose(projection, runtime, no_check).reason == first.reason
    assert compiled(tmp_path) == [".bin", ".json", ".xml"]


def test_another_graph_under_the_same_name_is_compared_anew_and_the_old_files_go(
    tmp_path: Path, projection: Path
) -> None:
    runtime = runtime_of(tmp_path, Device.OPENVINO)
    choose(projection, runtime, CHECK)
    old = set(tmp_path.rglob("compiled/*"))
    save_projection(projection, seed=1)
    session = choose(projection, runtime, CHECK).open(1)
    assert np.allclose(session.run(ITEM)[0], OnnxSession(projection, RuntimeSettings()).run(ITEM)[0], atol=0.1)
    assert not old & set(tmp_path.rglob("compiled/*"))


def test_a_precision_that_reads_another_text_is_never_served(tmp_path: Path, projection: Path) -> None:
    choice = choose(projection, runtime_of(tmp_path, Device.AUTO), disagreeing)
    assert choice.open(1).provider == "CPUExecutionProvider"
    assert "it reads another text" in choice.reason
    with pytest.raises(UnavailableError, match=r"cannot run .* rightly: .*another text"):
        choose(projection, runtime_of(tmp_path, Device.OPENVINO), disagreeing)


def test_fp32_is_taken_where_only_the_faster_precision_disagrees(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "fast_precision", lambda device: Precision.BF16)
    verdicts = iter(["it reads another text", ""])
    choice = choose(
        projection, runtime_of(tmp_path, Device.OPENVINO), lambda inputs: SelfCheck([ITEM], lambda *_: next(verdicts))
    )
    assert choice.open(1).provider == "OpenVINO CPU fp32"


@pytest.mark.parametrize(("speed", "provider"), [(0.5, "CPUExecutionProvider"), (2.0, "OpenVINO CPU fp32")])
def test_auto_takes_what_was_measured_to_be_faster(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch, speed: float, provider: str
) -> None:
    monkeypatch.setattr(openvino, "fast_precision", lambda device: Precision.FP32)
    monkeypatch.setattr(selection._Comparison, "_times_as_fast", lambda *_: speed)
    choice = choose(projection, runtime_of(tmp_path, Device.AUTO), CHECK)
    assert choice.open(1).provider == provider
    assert f"{speed:.1f}" in choice.reason


def test_auto_compares_nothing_where_the_usual_shapes_are_not_known(tmp_path: Path, projection: Path) -> None:
    choice = choose(projection, runtime_of(tmp_path, Device.AUTO), lambda inputs: None)
    assert choice.open(1).provider == "CPUExecutionProvider"
    assert "not known" in choice.reason


def test_auto_is_onnxruntime_where_nothing_else_is_installed(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    choice = choose(projection, runtime_of(tmp_path, Device.AUTO), no_check)
    assert choice.open(1).provider == "CPUExecutionProvider"
    assert choice.reason == "no other runtime is installed"


def test_a_precision_that_the_device_lacks_is_not_pretended(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "fast_precision", lambda device: Precision.FP32)
    runtime = runtime_of(tmp_path, Device.OPENVINO, Precision.BF16)
    assert choose(projection, runtime, CHECK).open(1).provider == "OpenVINO CPU fp32"


def test_a_folder_that_cannot_be_written_costs_memory_not_the_service(tmp_path: Path, projection: Path) -> None:
    (projection.parent / "compiled").write_text("in the way")
    session = choose(projection, runtime_of(tmp_path, Device.OPENVINO), CHECK).open(1)
    assert session.provider.startswith("OpenVINO")
    assert session.run(ITEM)[0].shape == (1, 32)


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [(Device.CPU, Precision.AUTO, 1.0), (Device.OPENVINO, Precision.FP32, 1.0), (Device.OPENVINO, None, 0.5)],
)
def test_a_session_counts_its_weights_whatever_else_the_process_does(
    tmp_path: Path, device: Device, precision: Precision | None, expected: float
) -> None:
    if precision is None and (precision := openvino.fast_precision(device)) is Precision.FP32:
        pytest.skip("this processor computes in fp32 alone")
    graph = save_heavy(tmp_path / "clip" / "heavy" / "visual" / "model.onnx")
    others: list[bytes] = []

    def check(inputs: Sequence[TensorInfo]) -> SelfCheck | None:
        others.append(b"x" * 2 * HEAVY_BYTES)  # a photo that is decoded meanwhile
        return default_check(inputs, None)

    choice = choose(graph, runtime_of(tmp_path, device, precision or Precision.AUTO), check)
    session = choice.open(1)
    others.append(b"y" * 2 * HEAVY_BYTES)
    assert 0.95 * expected * HEAVY_BYTES < session.memory_bytes < 1.1 * expected * HEAVY_BYTES


def test_a_damaged_file_is_made_again(tmp_path: Path, projection: Path) -> None:
    runtime = runtime_of(tmp_path, Device.OPENVINO)
    expected = choose(projection, runtime, CHECK).open(1).run(ITEM)[0]
    (graph,) = tmp_path.rglob("compiled/*.xml")
    graph.write_bytes(graph.read_bytes()[:100])
    assert np.array_equal(choose(projection, runtime, no_check).open(1).run(ITEM)[0], expected)


def count_compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Threads of every session that OpenVINO compiles from now on."""
    compiled_here: list[int] = []
    original = OpenVinoSession.__init__

    def init(self: OpenVinoSession, *arguments: Any) -> None:
        original(self, *arguments)
        if self.was_compiled:
            compiled_here.append(arguments[3])

    monkeypatch.setattr(OpenVinoSession, "__init__", init)
    return compiled_here


def test_a_later_start_takes_a_graph_as_it_was_compiled(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = runtime_of(tmp_path, Device.OPENVINO)
    expected = [choose(projection, runtime, CHECK).open(threads).run(ITEM)[0] for threads in (1, 2)]
    compilations = count_compilations(monkeypatch)
    later = [choose(projection, runtime, no_check).open(threads) for threads in (1, 2)]
    assert compilations == []
    for session, numbers in zip(later, expected, strict=True):
        assert np.array_equal(session.run(ITEM)[0], numbers)
        assert session.metadata == {"character": "a\nb\n "}
    choose(projection, replace(runtime, cores=4), no_check).open(1)  # another number of streams
    assert compilations == [1]


@pytest.mark.parametrize("damage", [b"", b"cut", None])
def test_what_was_compiled_and_is_damaged_is_compiled_again(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    runtime = runtime_of(tmp_path, Device.OPENVINO)
    expected = choose(projection, runtime, CHECK).open(1).run(ITEM)[0]
    (kept,) = tmp_path.rglob("compiled/*.blob")
    if damage is None:  # whole, but nothing that OpenVINO knows: of another make under the same version
        CompiledFiles(projection, tmp_path).store(kept, b"not a graph")
    else:
        kept.write_bytes(damage)
    compilations = count_compilations(monkeypatch)
    for _ in range(2):
        assert np.array_equal(choose(projection, runtime, no_check).open(1).run(ITEM)[0], expected)
    assert compilations == [1]


def test_what_belongs_to_a_package_is_kept_in_the_cache(tmp_path: Path, projection: Path) -> None:
    cache = tmp_path / "cache"
    choose(projection, replace(runtime_of(tmp_path, Device.OPENVINO), cache_folder=cache), CHECK)
    assert not (projection.parent / "compiled").exists()
    assert compiled(cache) == [".bin", ".json", ".xml"]


def test_sessions_of_onnxruntime_share_one_file_of_packed_weights(tmp_path: Path) -> None:
    graph = save_heavy(tmp_path / "clip" / "heavy" / "visual" / "model.onnx")
    item = {"x": np.linspace(-1, 1, HEAVY_WIDTH, dtype=np.float32)[None]}
    exact = OnnxSession(graph, RuntimeSettings())
    expected = exact.run(item)[0]
    exact.close()
    choice = choose(graph, runtime_of(tmp_path, Device.CPU), no_check, several=True)
    before = anonymous_bytes()
    sessions = [choice.open(threads) for threads in (1, 2)]
    for session in sessions:
        assert np.allclose(session.run(item)[0], expected, rtol=1e-4, atol=1e-3)
    assert anonymous_bytes() - before < 0.5 * HEAVY_BYTES
    assert choice.shares_weights
    for session in sessions:
        assert HEAVY_BYTES <= session.memory_bytes < 1.1 * HEAVY_BYTES
    assert sessions[0].metadata == {"character": "a"}
    assert compiled(tmp_path) == [".bin", ".onnx"]


def test_a_lone_session_of_onnxruntime_needs_no_file_of_its_own(tmp_path: Path, projection: Path) -> None:
    choose(projection, runtime_of(tmp_path, Device.CPU), no_check).open(1)
    assert compiled(tmp_path) == []


def test_where_packed_weights_cannot_be_kept_sessions_have_their_own(tmp_path: Path, projection: Path) -> None:
    (projection.parent / "compiled").write_text("in the way")
    choice = choose(projection, runtime_of(tmp_path, Device.CPU), no_check, several=True)
    assert [choice.open(threads).run(ITEM)[0].shape for threads in (1, 2)] == [(1, 32)] * 2


HEAVY_WIDTH = 3000
HEAVY_BYTES = 4 * HEAVY_WIDTH * HEAVY_WIDTH


def save_heavy(path: Path) -> Path:
    """A dense layer of 36 MB."""
    weights = np.random.default_rng(0).standard_normal((HEAVY_WIDTH, HEAVY_WIDTH), dtype=np.float32)
    graph = Graph()
    rows = graph.input("x", ["rows", HEAVY_WIDTH])
    graph.output(graph.op("MatMul", rows, graph.weight(weights)), "y", ["rows", HEAVY_WIDTH])
    model = graph.model()
    onnx.helper.set_model_props(model, {"character": "a"})
    path.parent.mkdir(parents=True)
    onnx.save(model, str(path))
    return path


def anonymous_bytes() -> int:
    """Memory of this process that no file stands for."""
    return_memory()
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))
