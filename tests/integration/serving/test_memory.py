"""Memory really returns when a model is unloaded: measured on this process with a graph of 128 MB."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mesh.core.memory import resident_bytes
from mesh.hub.catalogue import Family
from mesh.hub.store import ModelStore
from mesh.serving.inference.compute import ComputePool
from mesh.serving.inference.engine import Engine
from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.lifecycle.slot import Loaded
from mesh.serving.runtimes.session import RuntimeSettings

WIDTH = 4000
MODEL_BYTES = 2 * 4 * WIDTH * WIDTH


def heavy_graph(path: Path) -> None:
    """Two dense layers of 64 MB each."""
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "a"], ["h"]), helper.make_node("MatMul", ["h", "b"], ["y"])],
        "heavy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, WIDTH])],
        [numpy_helper.from_array(weights, "a"), numpy_helper.from_array(weights + 1, "b")],
    )
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


async def test_unloading_gives_the_memory_back(tmp_path: Path) -> None:
    folder = tmp_path / "ocr" / "heavy"
    for part in ("detection", "recognition"):
        heavy_graph(folder / part / "model.onnx")
    compute = ComputePool(2)

    def read(files: PartFiles) -> Loaded[Engine]:
        graph = files.graph(fp16=False)
        engine = Engine(graph, RuntimeSettings(cores=2), compute, model=files.model, part=files.part)
        return Loaded(engine, engine)

    store = ModelStore(tmp_path, offline=True)
    detection = ModelPart("detection", read)
    parts = (detection, ModelPart("recognition", read))
    manager = ModelManager(Family.OCR, store, parts, compute, LifecyclePolicy("heavy"))
    loaded, unloaded = [], []
    for _ in range(4):
        async with manager.acquire(detection, "heavy") as engine:
            await engine.infer({"x": np.ones((1, WIDTH), np.float32)})
        del engine
        loaded.append(resident_bytes())
        await manager.unload()
        unloaded.append(resident_bytes())
    compute.close()
    # The first round also allocates what stays for good: thread stacks, allocator arenas, library state.
    for high, low in zip(loaded[1:], unloaded[1:], strict=True):
        assert high - low > 0.8 * MODEL_BYTES
        assert low - unloaded[0] < 0.2 * MODEL_BYTES
