"""A query's vector, by the CLIP model that Immich's photos were embedded with."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from router.front_door.recognition import ImmichModels, Recogniser
from sql.refresh import RefreshRepository

MODEL_SECONDS = 30.0
"""How long the model's name is believed; an administrator changes it once a year, and re-embeds the library then."""

REMEMBERED_QUERIES = 256


class ImmichTextEncoder:
    """Encodes queries; the most recent ones are remembered, since a second page repeats the first one's query."""

    def __init__(
        self,
        recogniser: Recogniser,
        repository: RefreshRepository,
        clip_model: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recogniser = recogniser
        self._repository = repository
        self._configured = clip_model
        self._clock = clock
        self._model = ""
        self._believed_until = float("-inf")
        self._vectors: OrderedDict[tuple[str, str, str], Sequence[float]] = OrderedDict()

    async def encode_text(self, text: str, language: str) -> Sequence[float]:
        """The embedding. Raises MeshError when the database or the mesh cannot tell."""
        model = self._configured or await self._current_model()
        key = (model, language, text)
        vector = self._vectors.pop(key, None)
        if vector is None:
            vector = await self._recogniser.embed_text(text, model, language)
        self._vectors[key] = vector
        if len(self._vectors) > REMEMBERED_QUERIES:
            self._vectors.popitem(last=False)
        return vector

    async def _current_model(self) -> str:
        if self._clock() >= self._believed_until:
            self._model = ImmichModels.of(await self._repository.ml_settings()).clip
            self._believed_until = self._clock() + MODEL_SECONDS
        return self._model
