"""Which CLIP models are in memory: how their encoders are read, and acquired by calls."""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from clip_service.preprocessing import Preprocessing
from clip_service.textual import TextualEncoder
from clip_service.tokenizer import ClipTokenizer
from clip_service.visual import VisualEncoder
from mesh.core.errors import UnavailableError
from mesh.hub.catalogue import Family
from mesh.serving.inference.compute import Priority
from mesh.serving.inference.engine import Engine
from mesh.serving.lifecycle.manager import ModelManager
from mesh.serving.lifecycle.part import ModelPart, PartFiles
from mesh.serving.lifecycle.policy import LifecyclePolicy
from mesh.serving.lifecycle.slot import Loaded
from mesh.serving.server import ServiceContext


class ClipModels:
    """The models of the CLIP service.

    Args:
        context: where files come from and graphs run.
        policy: when models leave memory.

    Attributes:
        manager: loads, hands out and unloads the encoders.
    """

    def __init__(self, context: ServiceContext, policy: LifecyclePolicy) -> None:
        self._context = context
        self._visual = ModelPart("visual", self._read_visual)
        # A person who searches must not wait for a model to be read again.
        self._textual = ModelPart("textual", self._read_textual, pinned=True)
        parts = (self._visual, self._textual)
        self.manager = ModelManager(Family.CLIP, context.store, parts, context.compute, policy)

    def visual(self, name: str) -> AbstractAsyncContextManager[VisualEncoder]:
        """Acquires a model's image encoder, loaded first when needed; empty for the default. Raises as the manager."""
        return self.manager.acquire(self._visual, name)

    def textual(self, name: str) -> AbstractAsyncContextManager[TextualEncoder]:
        """Acquires a model's text encoder, loaded first when needed; empty for the default. Raises as the manager."""
        return self.manager.acquire(self._textual, name)

    def _read_visual(self, files: PartFiles) -> Loaded[VisualEncoder]:
        preprocessing = Preprocessing.read(files.folder / "visual" / "preprocess_cfg.json")
        engine = self._engine(files, Priority.BULK)
        return Loaded(VisualEncoder(engine, preprocessing), engine, _dimension(engine, files.folder))

    def _read_textual(self, files: PartFiles) -> Loaded[TextualEncoder]:
        tokenizer = ClipTokenizer(files.model, files.folder)
        engine = self._engine(files, Priority.INTERACTIVE)
        return Loaded(TextualEncoder(engine, tokenizer), engine, _dimension(engine, files.folder))

    def _engine(self, files: PartFiles, priority: Priority) -> Engine:
        runtime, compute = self._context.runtime, self._context.compute
        graph = files.graph(fp16=runtime.fp16)
        return Engine(graph, runtime, compute, model=files.model, part=files.part, priority=priority)


def _dimension(engine: Engine, folder: Path) -> int:
    """Length of the embeddings: as the graph says, else as config.json does."""
    if size := engine.outputs[0].shape[-1]:
        return size
    try:
        return int(json.loads((folder / "config.json").read_text("utf-8"))["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"neither the graph nor {folder}/config.json says the embedding's length") from error
