"""Which CLIP models are in memory: reads their parts, lends them to calls."""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from clip_service.preprocessing import Preprocessing
from clip_service.textual import TextualEncoder
from clip_service.tokenizer import ClipTokenizer
from clip_service.visual import VisualEncoder
from mesh.core.errors import UnavailableError
from mesh.hub.catalogue import Family
from mesh.serving.inference.compute import Lane
from mesh.serving.inference.engine import Engine
from mesh.serving.lifecycle.family import FamilyModels, PartFiles

ClipPart = VisualEncoder | TextualEncoder

PINNED_PARTS = frozenset({"textual"})
"""A person who searches must not wait for a model to be read again."""


class ClipModels(FamilyModels[ClipPart]):
    """The models of the CLIP service."""

    family = Family.CLIP

    def visual(self, name: str) -> AbstractAsyncContextManager[VisualEncoder]:
        """Lends a model's image encoder, loaded first when needed; empty for the default. Raises as the manager."""
        return self.lend(name, "visual", VisualEncoder)

    def textual(self, name: str) -> AbstractAsyncContextManager[TextualEncoder]:
        """Lends a model's text encoder, loaded first when needed; empty for the default. Raises as the manager."""
        return self.lend(name, "textual", TextualEncoder)

    def read(self, files: PartFiles) -> ClipPart:
        """One encoder. Raises UnavailableError (a file is damaged). Blocking."""
        if files.part == "visual":
            preprocessing = Preprocessing.read(files.folder / "visual" / "preprocess_cfg.json")
            engine = self.engine(files)
            return VisualEncoder(engine, preprocessing, _dimension(engine, files.folder))
        tokenizer = ClipTokenizer(files.model, files.folder)
        engine = self.engine(files, lane=Lane.INTERACTIVE)
        return TextualEncoder(engine, tokenizer, _dimension(engine, files.folder))


def _dimension(engine: Engine, folder: Path) -> int:
    """Length of the embeddings: as the graph says, else as config.json does."""
    if size := engine.outputs[0].shape[-1]:
        return size
    try:
        return int(json.loads((folder / "config.json").read_text("utf-8"))["embed_dim"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"neither the graph nor {folder}/config.json says the embedding's length") from error
