"""Which CLIP models are in memory: reads their parts, lends them to calls."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from clip_service.preprocessing import Preprocessing
from clip_service.textual import TextualEncoder
from clip_service.tokenizer import ClipTokenizer
from clip_service.visual import VisualEncoder
from common.errors import ModelNotFound, Unavailable
from models import layout
from models.catalogue import Family
from serving.compute import Lane
from serving.engine import Engine
from serving.gate import Gate
from serving.lifecycle import LifecyclePolicy, ModelManager
from serving.server import Foundation

ClipPart = VisualEncoder | TextualEncoder

PINNED_PARTS = frozenset({"textual"})
"""A person who searches must not wait for a model to be read again."""


class ClipModels:
    """The models of the CLIP service.

    Args:
        foundation: where files come from and graphs run.
        policy: when models leave memory.
    """

    def __init__(self, foundation: Foundation, policy: LifecyclePolicy) -> None:
        self._foundation = foundation
        self.gate = Gate.of(foundation.runtime)
        self.manager: ModelManager[ClipPart] = ModelManager(
            Family.CLIP, foundation.store, self._load, foundation.compute, policy
        )

    @asynccontextmanager
    async def visual(self, name: str) -> AsyncIterator[VisualEncoder]:
        """Lends a model's image encoder, loaded first when needed; empty for the default. Raises as the manager."""
        async with self.manager.use(name, "visual") as part:
            assert isinstance(part, VisualEncoder)
            yield part

    @asynccontextmanager
    async def textual(self, name: str) -> AsyncIterator[TextualEncoder]:
        """Lends a model's text encoder, loaded first when needed; empty for the default. Raises as the manager."""
        async with self.manager.use(name, "textual") as part:
            assert isinstance(part, TextualEncoder)
            yield part

    def _load(self, name: str, part: str, folder: Path) -> ClipPart:
        """Reads one part. Raises Unavailable (a file is damaged), ModelNotFound (it is missing). Blocking."""
        runtime, compute = self._foundation.runtime, self._foundation.compute
        graph = layout.part_file(Family.CLIP, folder, part, fp16=runtime.fp16)
        if graph is None:
            raise ModelNotFound(f"model {name} has no {part}/model.onnx in {folder}: fetch it again")
        if part == "visual":
            preprocessing = Preprocessing.read(folder / "visual" / "preprocess_cfg.json")
            engine = Engine(graph, runtime, compute, model=name, part=part)
            return VisualEncoder(engine, preprocessing, _dimension(engine, folder))
        tokenizer = ClipTokenizer(name, folder)
        engine = Engine(graph, runtime, compute, model=name, part=part, lane=Lane.INTERACTIVE)
        return TextualEncoder(engine, tokenizer, _dimension(engine, folder))


def _dimension(engine: Engine, folder: Path) -> int:
    """Length of the embeddings: as the graph says, else as config.json does."""
    if size := engine.outputs[0].shape[-1]:
        return size
    try:
        return int(json.loads((folder / "config.json").read_text("utf-8"))["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"neither the graph nor {folder}/config.json says the embedding's length") from error
