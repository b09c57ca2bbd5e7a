"""CLIP's text encoder: a search query becomes a vector of the same space as the photos'."""

from clip_service.tokenizer import ClipTokenizer
from mesh.serving.embedding import Embedding, embedding_of
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import Array


class TextualEncoder:
    """The `textual` part of one model.

    Args:
        engine: runs `textual/model.onnx` at interactive priority. Inputs (1, context length) of token numbers, and for
            M-CLIP the attention mask; first output (1, dimension).
        tokenizer: makes those numbers.
    """

    def __init__(self, engine: Engine, tokenizer: ClipTokenizer) -> None:
        self.engine = engine
        self._tokenizer = tokenizer

    async def encode(self, text: str, language: str = "") -> Embedding:
        """The embedding of a query; `language` is its BCP 47 tag, or empty.

        Raises:
            InvalidInputError: the text is empty.
            OverloadedError, DeadlineExceededError, UnavailableError: from the engine.
        """
        return embedding_of(await self.engine.infer(self._feeds(text, language)))

    def _feeds(self, text: str, language: str) -> dict[str, Array]:
        tokens, mask = self._tokenizer.encode(text, language)
        return {
            info.name: (mask if "mask" in info.name else tokens).astype(info.dtype, copy=False)
            for info in self.engine.inputs
        }
