"""cn-clip's two encoders as modules that answer with normalised vectors, and their conversion to ONNX."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from mesh.hub.clip_import import graph_file, tower
from mesh.hub.clip_import.companions import CONTEXT_LENGTH

OPSET = 18
_OUTPUT = "mesh_embedding"
"""Not yet `embedding`: torch calls a tensor inside the text graph that, and its exporter does not see the clash."""

_TALKATIVE = ("torch.onnx", "onnxscript.optimizer")
"""Of no use to whoever exports: they warn of torchvision, which is not needed, and of what they leave unoptimised."""


class ImageTower(torch.nn.Module):  # type: ignore[misc]
    """image float32 [batch, 3, size, size] -> embedding float32 [batch, dimension], length 1."""

    input_name = tower.IMAGE

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The vectors."""
        return _normalised(self.model.encode_image(image))

    def example(self) -> torch.Tensor:
        """A batch of two: torch takes an axis of length one for a fixed one."""
        size = self.model.visual.input_resolution
        return torch.zeros(2, 3, size, size)


class TextTower(torch.nn.Module):  # type: ignore[misc]
    """text int32 [batch, 52] -> embedding float32 [batch, dimension], length 1."""

    input_name = tower.TEXT

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """The vectors."""
        return _normalised(self.model.encode_text(text.long()))

    def example(self) -> torch.Tensor:
        """A batch of two texts, padded."""
        tokens = torch.zeros(2, CONTEXT_LENGTH, dtype=torch.int32)
        tokens[:, :3] = torch.tensor([101, 4318, 102])
        return tokens


def write_onnx(module: ImageTower | TextTower, path: Path) -> None:
    """Converts the module, as it is (float32 or half), with a free batch axis.

    Weights beyond protobuf's 2 GB go into `<path>.data`. The module must be in evaluation mode.
    """
    if module.training:
        raise ValueError("a module in training mode drops values at random: call eval() first")
    path.parent.mkdir(parents=True, exist_ok=True)
    given = module.input_name
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own deprecations, of no use to whoever exports
        torch.onnx.export(
            module,
            (module.example(),),
            os.fspath(path),
            input_names=[given],
            output_names=[_OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={given: {0: torch.export.Dim(tower.BATCH)}},
            external_data=True,
            verbose=False,
        )
    _finish(path)


def _finish(path: Path) -> None:
    """Names the output, drops torch's notes, and takes the weights into the file where they fit."""
    model = onnx.load(os.fspath(path), load_external_data=False)
    tower.rename(model, tower.EMBEDDING, f"{tower.EMBEDDING}_inside")
    tower.rename(model, _OUTPUT, tower.EMBEDDING)
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.value_info[:]
    data = path.with_name(f"{path.name}.data")
    if data.exists() and data.stat().st_size < tower.PROTOBUF_LIMIT_BYTES:
        onnx.load_external_data_for_model(model, os.fspath(path.parent))
        graph_file.write(model, path)
        data.unlink()
    else:
        onnx.save(model, os.fspath(path))


def _normalised(vectors: torch.Tensor) -> torch.Tensor:
    vectors = vectors.float()
    return vectors / vectors.norm(dim=-1, keepdim=True)
