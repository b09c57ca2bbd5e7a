"""The device that was asked for and no other: provider options, and what happens when the provider is not there."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, ServiceSettings
from mesh.serving.runtimes.onnxruntime import OnnxSession
from mesh.serving.runtimes.providers import TINY_GRAPH, provider_options
from mesh.serving.runtimes.session import RuntimeSettings, StaticShapes
from tests.builders.graph import Graph


def options_of(runtime: RuntimeSettings) -> dict[str, dict[str, str]]:
    return dict(provider_options(runtime))


def test_a_cpu_has_nothing_beside_it() -> None:
    assert provider_options(RuntimeSettings()) == [("CPUExecutionProvider", {})]


def test_the_graph_that_tries_a_device_is_one_product() -> None:
    model = onnx.load_from_string(TINY_GRAPH)
    onnx.checker.check_model(model)
    assert [(node.op_type, list(node.input)) for node in model.graph.node] == [("MatMul", ["x", "x"])]


def test_a_card_takes_memory_as_asked_and_searches_no_algorithm_per_shape() -> None:
    runtime = RuntimeSettings(device=Device.CUDA, device_id=3, gpu_memory_limit_bytes=2**31)
    assert list(options_of(runtime)) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    cuda = options_of(runtime)["CUDAExecutionProvider"]
    assert cuda["device_id"] == "3"
    assert cuda["gpu_mem_limit"] == str(2**31)
    assert cuda["arena_extend_strategy"] == "kSameAsRequested"
    assert cuda["cudnn_conv_algo_search"] == "HEURISTIC"
    assert "gpu_mem_limit" not in options_of(RuntimeSettings(device=Device.CUDA))["CUDAExecutionProvider"]


def test_tensorrt_keeps_its_engines_beside_the_models(tmp_path: Path) -> None:
    settings = ServiceSettings(
        device=Device.TENSORRT, fp16=True, gpu_memory_limit_bytes=10**9, cache_folder=tmp_path, model_name="m"
    )
    providers = options_of(RuntimeSettings.of(settings))
    assert list(providers) == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    tensorrt = providers["TensorrtExecutionProvider"]
    assert tensorrt["trt_fp16_enable"] == "True"
    assert tensorrt["trt_engine_cache_path"] == tensorrt["trt_timing_cache_path"] == str(tmp_path / "tensorrt")
    assert tensorrt["trt_max_workspace_size"] == providers["CUDAExecutionProvider"]["gpu_mem_limit"] == str(10**9 // 2)


def test_tensorrt_builds_an_engine_for_one_size_and_a_range_of_batches(tmp_path: Path) -> None:
    runtime = RuntimeSettings(device=Device.TENSORRT, cache_folder=tmp_path)
    shapes = StaticShapes({"x": (1, 3, 48, 320), "mask": (1, 1, 1, 40)}, batches=(1, 4, 32))
    tensorrt = dict(provider_options(runtime, shapes))["TensorrtExecutionProvider"]
    assert tensorrt["trt_profile_min_shapes"] == "x:1x3x48x320,mask:1x1x1x40"
    assert tensorrt["trt_profile_opt_shapes"] == "x:4x3x48x320,mask:4x1x1x40"
    assert tensorrt["trt_profile_max_shapes"] == "x:32x3x48x320,mask:32x1x1x40"
    # Its names for engines say nothing of their shapes; what it measured of kernels holds for all.
    assert tensorrt["trt_engine_cache_path"] == str(tmp_path / "tensorrt" / "anyx3x48x320")
    assert tensorrt["trt_timing_cache_path"] == str(tmp_path / "tensorrt")
    assert "x_0" not in shapes.open_axes
    assert (shapes.open_axes["x_3"], shapes.open_axes["mask_3"]) == (320, 40)


def test_an_engine_for_one_shape_has_a_folder_of_its_own(tmp_path: Path) -> None:
    runtime = RuntimeSettings(device=Device.TENSORRT, cache_folder=tmp_path)
    shapes = StaticShapes({"x": (2, 3, 48, 320)})
    tensorrt = dict(provider_options(runtime, shapes))["TensorrtExecutionProvider"]
    assert tensorrt["trt_profile_min_shapes"] == tensorrt["trt_profile_max_shapes"] == "x:2x3x48x320"
    assert tensorrt["trt_engine_cache_path"] == str(tmp_path / "tensorrt" / "2x3x48x320")


@pytest.mark.parametrize(
    ("device", "provider"), [(Device.ROCM, "MIGraphXExecutionProvider"), (Device.COREML, "CoreMLExecutionProvider")]
)
def test_other_makers_devices_are_providers_too(device: Device, provider: str) -> None:
    assert list(options_of(RuntimeSettings(device=device))) == [provider, "CPUExecutionProvider"]


class FallenBack:
    """What onnxruntime gives when it could not load a card's libraries: a session on the CPU."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def disable_fallback(self) -> None: ...

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_a_card_that_is_not_active_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallenBack)
    with pytest.raises(
        UnavailableError, match=r"cuda was asked for, but onnxruntime runs m\.onnx on CPUExecutionProvider"
    ):
        OnnxSession(tmp_path / "m.onnx", RuntimeSettings(device=Device.CUDA))


def test_a_run_that_fails_never_moves_to_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disabled: list[bool] = []
    disable = onnxruntime.InferenceSession.disable_fallback

    def note(self: onnxruntime.InferenceSession) -> None:
        disabled.append(True)
        disable(self)

    monkeypatch.setattr(onnxruntime.InferenceSession, "disable_fallback", note)
    graph = Graph()
    graph.output(graph.op("Neg", graph.input("x", [1])), "y", [1])
    graph.save(tmp_path / "m.onnx")
    OnnxSession(tmp_path / "m.onnx", RuntimeSettings())
    assert disabled == [True]


def test_a_broken_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(UnavailableError, match=r"cannot read the model .*bad\.onnx"):
        OnnxSession(tmp_path / "bad.onnx", RuntimeSettings())


def test_threads_of_a_run_give_their_cores_back_when_it_is_over(tmp_path: Path) -> None:
    size = 512
    graph = Graph()
    number = graph.input("x", [size, size])
    graph.output(graph.op("MatMul", number, number), "y", [size, size])
    onnx.save(graph.model(), str(tmp_path / "square.onnx"))
    session = OnnxSession(tmp_path / "square.onnx", RuntimeSettings(), threads=2)
    feeds = {"x": np.ones((size, size), np.float32)}
    wasted = []
    for _ in range(3):
        session.run(feeds)
        before = time.process_time()
        time.sleep(0.02)  # a thread that spins on burns all of it
        wasted.append(time.process_time() - before)
    assert min(wasted) < 0.005
