"""Which processor takes a graph's int8 version, and what keeps it from being served."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes import compiled, openvino, selection
from mesh.serving.runtimes.int8.files import Int8Files, Manifest, sha256
from mesh.serving.runtimes.selection import choose
from mesh.serving.runtimes.self_check import MakeCheck, SelfCheck, default_check
from mesh.serving.runtimes.session import RuntimeSettings
from tests.unit.mesh.serving.runtimes.conftest import save_projection

ITEM = {"x": np.linspace(-1, 1, 64, dtype=np.float32)[None]}
CHECK: MakeCheck = partial(default_check, typical_axes=None)
JUDGED: MakeCheck = lambda inputs: SelfCheck([ITEM], lambda exact, outputs: "")  # noqa: E731
ALDER_LAKE, SKYLAKE = "flags : avx2 avx_vnni", "flags : avx2"


@pytest.fixture(autouse=True)
def home_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with VNNI and without bf16, on which whatever is compared is twice as fast."""
    monkeypatch.setattr(compiled, "_flags", lambda: ALDER_LAKE)
    monkeypatch.setattr(openvino, "fast_precision", lambda device: Precision.FP32)
    monkeypatch.setattr(selection._Comparison, "_times_as_fast", lambda *_: 2.0)


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeSettings:
    return RuntimeSettings(device=Device.AUTO, cores=1, cache_folder=tmp_path, int8_folder=tmp_path / "service")


def write_version(graph: Path, files: Int8Files, *, made_of: Path | None = None, slope: float = 0.0) -> Int8Files:
    """A version of the graph whose weights are off by a slope; it is what its manifest says, and computes in fp32."""
    files.graph.parent.mkdir(parents=True, exist_ok=True)
    model = onnx.load(str(made_of or graph))
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    bent = weights + slope * np.arange(weights.size, dtype=np.float32).reshape(weights.shape) / weights.size
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(bent, model.graph.initializer[0].name))
    source = files.graph.parent / "bent.onnx"
    onnx.save(model, str(source))
    openvino.convert(source, files.graph, Precision.FP32)
    source.unlink()
    sums = (sha256(made_of or graph), sha256(files.graph), sha256(files.weights))
    files.write_manifest(Manifest(*sums, made_by="this test", learned_from="nothing"))
    return files


def served(graph: Path, runtime: RuntimeSettings, check: MakeCheck = JUDGED) -> tuple[str, str]:
    choice = choose(graph, runtime, check)
    return choice.open(1).provider, choice.reason


def test_auto_takes_the_version_that_comes_with_the_service(projection: Path, runtime: RuntimeSettings) -> None:
    write_version(projection, Int8Files.beside(projection, runtime.int8_folder))
    provider, reason = served(projection, runtime)
    assert provider == "OpenVINO CPU int8"
    assert reason == "2.0 x as fast as onnxruntime, same result"
    assert served(projection, runtime) == (provider, reason)  # as kept


def test_auto_leaves_the_users_own_version_alone(projection: Path, runtime: RuntimeSettings) -> None:
    write_version(projection, Int8Files.beside(projection))
    assert served(projection, runtime)[0] == "OpenVINO CPU fp32"
    assert served(projection, replace(runtime, precision=Precision.INT8))[0] == "OpenVINO CPU int8"


def test_auto_prefers_the_precision_that_needs_no_version(
    projection: Path, runtime: RuntimeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "fast_precision", lambda device: Precision.BF16)
    write_version(projection, Int8Files.beside(projection, runtime.int8_folder))
    assert served(projection, runtime)[0] == "OpenVINO CPU bf16"
    assert served(projection, replace(runtime, precision=Precision.INT8))[0] == "OpenVINO CPU int8"


@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.INT8])
def test_a_processor_without_vnni_runs_no_int8(
    projection: Path, runtime: RuntimeSettings, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    monkeypatch.setattr(compiled, "_flags", lambda: SKYLAKE)
    write_version(projection, Int8Files.beside(projection, runtime.int8_folder))
    provider, reason = served(projection, replace(runtime, precision=precision))
    assert provider == "OpenVINO CPU fp32"
    assert ("int8: needs a processor with VNNI" in reason) == (precision is Precision.INT8)


def test_auto_takes_no_version_that_is_not_faster(
    projection: Path, runtime: RuntimeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection._Comparison, "_times_as_fast", lambda *_: 1.0)
    write_version(projection, Int8Files.beside(projection, runtime.int8_folder))
    provider, reason = served(projection, runtime)
    assert provider == "CPUExecutionProvider"
    assert "int8: 1.00 x as fast" in reason


def test_a_version_that_reads_another_text_is_not_served(projection: Path, runtime: RuntimeSettings) -> None:
    write_version(projection, Int8Files.beside(projection, runtime.int8_folder))
    verdicts = iter(["it reads another text than fp32", ""])
    provider, reason = served(
        projection,
        replace(runtime, precision=Precision.INT8),
        lambda inputs: SelfCheck([ITEM], lambda *_: next(verdicts)),
    )
    assert provider == "OpenVINO CPU fp32"
    assert "int8: it reads another text than fp32" in reason


def test_int8_without_a_version_is_fp32_and_says_what_to_do(projection: Path, runtime: RuntimeSettings) -> None:
    provider, reason = served(projection, replace(runtime, precision=Precision.INT8))
    assert provider == "OpenVINO CPU fp32"
    assert "has no int8 version: `immich-mesh models quantise`" in reason


def test_a_version_of_another_file_is_not_served(tmp_path: Path, projection: Path, runtime: RuntimeSettings) -> None:
    other = save_projection(tmp_path / "other.onnx", seed=1)
    write_version(projection, Int8Files.beside(projection, runtime.int8_folder), made_of=other)
    provider, reason = served(projection, replace(runtime, precision=Precision.INT8))
    assert provider == "OpenVINO CPU fp32"
    assert "was made of another file" in reason


@pytest.mark.parametrize("damaged", ["weights", "graph", "manifest_path"])
def test_a_damaged_version_is_not_served(projection: Path, runtime: RuntimeSettings, damaged: str) -> None:
    files = write_version(projection, Int8Files.beside(projection, runtime.int8_folder))
    getattr(files, damaged).write_bytes(b"cut")
    provider, reason = served(projection, replace(runtime, precision=Precision.INT8))
    assert provider == "OpenVINO CPU fp32"
    assert "damaged" in reason or "is no manifest" in reason


@pytest.mark.parametrize(("slope", "provider"), [(0.03, "OpenVINO CPU int8"), (4.0, "OpenVINO CPU fp32")])
def test_the_cosine_is_measured_on_the_inputs_that_are_kept(
    projection: Path, runtime: RuntimeSettings, slope: float, provider: str
) -> None:
    files = write_version(projection, Int8Files.beside(projection), slope=slope)
    files.write_inputs([ITEM, {"x": np.flip(ITEM["x"])}])
    given, reason = served(projection, replace(runtime, precision=Precision.INT8), CHECK)
    assert given == provider
    cosine = float(reason.split("cosine ")[1].split()[0].split(",")[0]) if slope < 1 else 0.0
    assert "below 0.99" in reason if slope > 1 else 0.99 <= cosine < 1 and not math.isclose(cosine, 1)


def test_damaged_inputs_are_a_reason_not_a_crash(projection: Path, runtime: RuntimeSettings) -> None:
    files = write_version(projection, Int8Files.beside(projection))
    files.inputs_path.write_bytes(b"no archive")
    with pytest.raises(UnavailableError, match="damaged"):
        files.own_check()
    assert served(projection, replace(runtime, precision=Precision.INT8), CHECK)[0] == "OpenVINO CPU fp32"


def test_a_new_version_is_compared_anew(projection: Path, runtime: RuntimeSettings) -> None:
    asked = replace(runtime, precision=Precision.INT8)
    first = write_version(projection, Int8Files.beside(projection))
    before = choose(projection, asked, JUDGED).open(1).run(ITEM)[0]
    write_version(projection, first, slope=0.5)
    after = choose(projection, asked, JUDGED).open(1).run(ITEM)[0]
    assert not np.allclose(before, after)


def test_the_manifest_is_json_with_every_checksum(projection: Path) -> None:
    files = write_version(projection, Int8Files.beside(projection))
    written = json.loads(files.manifest_path.read_text())
    assert written["bin_sha256"] == sha256(files.weights)
    assert files.fault(projection) == ""
