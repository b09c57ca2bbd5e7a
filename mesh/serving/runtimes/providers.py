"""onnxruntime's execution providers for a device: their names and options, and a graph to try them on."""

from pathlib import Path

from mesh.core.settings import Device
from mesh.serving.runtimes.session import RuntimeSettings, StaticShapes

CPU_PROVIDER = "CPUExecutionProvider"
PROVIDERS = {
    Device.CUDA: "CUDAExecutionProvider",
    Device.TENSORRT: "TensorrtExecutionProvider",
    Device.ROCM: "MIGraphXExecutionProvider",
    Device.COREML: "CoreMLExecutionProvider",
}
# `y = x @ x` for a float32 x of shape (2, 2): written by hand, since images that serve have no `onnx`.
TINY_GRAPH = (
    b'\x08\x08:D\n\x11\n\x01x\n\x01x\x12\x01y"\x06MatMul\x12\x05probe'
    b"Z\x13\n\x01x\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x02\n\x02\x08\x02"
    b"b\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x02\n\x02\x08\x02B\x04\n\x00\x10\x11"
)
"""A graph of one operator: whether a device runs anything at all, before any model is read."""


def provider_options(runtime: RuntimeSettings, shapes: StaticShapes | None = None) -> list[tuple[str, dict[str, str]]]:
    """onnxruntime's providers for a device, the wanted one first.

    The CPU stands last for a graph's few nodes that a GPU provider has no kernel for (shape arithmetic); a GPU provider
    that is not active at all is refused by `open_on_device`.

    Args:
        runtime: the device and its limits.
        shapes: the only ones that will be run; None for any, each new range of which TensorRT builds an engine for.
    """
    cpu: tuple[str, dict[str, str]] = (CPU_PROVIDER, {})
    if runtime.device not in PROVIDERS:
        return [cpu]
    device_id = {"device_id": str(runtime.device_id)}
    limit = {"gpu_mem_limit": str(runtime.gpu_memory_limit_bytes)} if runtime.gpu_memory_limit_bytes else {}
    provider = PROVIDERS[runtime.device]
    if runtime.device is Device.COREML:
        return [(provider, {}), cpu]
    if runtime.device is Device.ROCM:
        return [(provider, {**device_id, "migraphx_fp16_enable": str(int(runtime.fp16))}), cpu]
    cuda = (
        PROVIDERS[Device.CUDA],
        {
            **device_id,
            # Shapes vary (OCR): grow by what is asked, not by powers of two, and do not search algorithms per shape.
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",
            "cudnn_conv_use_max_workspace": "1",
            **limit,
        },
    )
    if runtime.device is Device.CUDA:
        return [cuda, cpu]
    workspace = {"trt_max_workspace_size": limit["gpu_mem_limit"]} if limit else {}
    tensorrt = {
        **device_id,
        "trt_fp16_enable": str(runtime.fp16),
        # An engine is built for minutes, for every new range of shapes: kept beside the models, not built again.
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(engine_cache(runtime, shapes)),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(engine_cache(runtime)),
        **(_profile(shapes) if shapes else {}),
        **workspace,
    }
    return [(provider, tensorrt), cuda, cpu]


def engine_cache(runtime: RuntimeSettings, shapes: StaticShapes | None = None) -> Path:
    """Where TensorRT's engines lie. Its names for them say nothing of shapes: each has a folder of its own."""
    folder = runtime.cache_folder / "tensorrt"
    return folder / shapes.name if shapes else folder


def _profile(shapes: StaticShapes) -> dict[str, str]:
    """TensorRT's optimisation profile: one size of picture, so many of them as a batch may hold."""
    least, usual, most = shapes.batches or (None, None, None)
    return {
        f"trt_profile_{which}_shapes": ",".join(
            f"{name}:{'x'.join(str(size) for size in (batch or shape[0], *shape[1:]))}"
            for name, shape in shapes.inputs.items()
        )
        for which, batch in (("min", least), ("opt", usual), ("max", most))
    }
