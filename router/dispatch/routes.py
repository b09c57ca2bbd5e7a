"""Routes: which cluster answers a task, with which model, until when, with which retries. The first that fits decides.

By default every CLIP name is served by the configured CLIP model. That is sound only while the vectors have the length
that Immich expects of the name it asked for; where they would not, the answer is an error that names those which do.
Likewise the configured OCR model serves every OCR name but those of languages that it does not read: their own
recognisers do.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from mesh.core.errors import DimensionMismatchError
from mesh.hub.catalogue import Family, clip_dimension, clip_names, find, stands_in
from router.config import ClusterSettings, Protocol, RouterSettings, RouteSettings
from router.domain.tasks import CLIP, FACE, OCR, ForeignTask, Task
from router.errors import InvalidEntriesError


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one task goes.

    Attributes:
        cluster: its name.
        served_model: the model that answers; empty for the service's default.
        served_dimension: length of that model's vectors, None when unknown.
        asked_dimension: length that the name asked for promises, None when unknown or not CLIP.
        route: timeout, retries and the rest.
        fallback: cluster of last resort, empty for none.
    """

    cluster: str
    served_model: str
    served_dimension: int | None
    asked_dimension: int | None
    route: RouteSettings
    fallback: str


TASKS = {
    CLIP: "clip (visual, textual)",
    FACE: "facial-recognition (detection, recognition)",
    OCR: "ocr (detection, recognition)",
}
"""The tasks that Immich knows, with their types."""


class RouteTable:
    """The routes of one configuration."""

    def __init__(self, settings: RouterSettings, rng: random.Random) -> None:
        self.routes: Sequence[RouteSettings] = settings.all_routes()
        self._clusters: dict[str, ClusterSettings] = settings.all_clusters()
        self._rng = rng
        self._ocr_model = settings.ocr_model
        self._resolve = lru_cache(maxsize=1024)(self._resolve_uncached)

    def find(self, task: Task) -> Destination:
        """The destination of a task.

        Raises:
            InvalidEntriesError: no route fits.
            DimensionMismatchError: the model that would answer gives vectors of another length than Immich expects.
        """
        choices, weights = self._resolve(task.task, task.type, task.model_name, isinstance(task, ForeignTask))
        return choices[0] if len(choices) == 1 else self._rng.choices(choices, weights)[0]

    def _resolve_uncached(
        self, task: str, kind: str, model: str, foreign: bool
    ) -> tuple[tuple[Destination, ...], tuple[float, ...]]:
        for route in self.routes:
            if self._fits(route, task, kind, model) and self._understood(route, foreign):
                targets = route.targets
                made = tuple(self._destination(route, target.cluster, task, model) for target in targets)
                return made, tuple(target.weight for target in targets)
        served = {route.task for route in self.routes}
        known = ", ".join(words for name, words in TASKS.items() if name in served) or "none"
        raise InvalidEntriesError(
            f"entries.{task[:64]}.{kind[:64]}: nobody serves this task; the mesh answers {known}."
            " For others set ROUTER_IMMICH_API to a native Immich ML server"
        )

    @staticmethod
    def _fits(route: RouteSettings, task: str, kind: str, model: str) -> bool:
        return fnmatchcase(task, route.task) and fnmatchcase(kind, route.type) and fnmatchcase(model, route.model)

    def _understood(self, route: RouteSettings, foreign: bool) -> bool:
        # What the mesh has no message for, only a native server can answer.
        if not foreign:
            return True
        return all(self._clusters[target.cluster].protocol is Protocol.HTTP for target in route.targets)

    def _destination(self, route: RouteSettings, cluster: str, task: str, model: str) -> Destination:
        if self._clusters[cluster].protocol is Protocol.HTTP:
            return Destination(cluster, model, None, None, route, "")
        served = model if route.served_model is None else route.served_model
        fallback = route.fallback
        asked_dimension = served_dimension = None
        if task == CLIP:
            asked_dimension, served_dimension = self._dimensions(route, model, served)
            # A native server's vectors mean something else: only the very model asked for may stand in.
            fallback = fallback if served == model else ""
        elif task == FACE and (pack := find(Family.FACE, served)) is not None:
            served_dimension = pack.dimension
        elif task == OCR and not served and not stands_in(self._ocr_model, model):
            served = model
        return Destination(cluster, served, served_dimension, asked_dimension, route, fallback)

    @staticmethod
    def _dimensions(route: RouteSettings, asked: str, served: str) -> tuple[int | None, int | None]:
        """Lengths of the vectors asked for and served. Raises DimensionMismatchError."""
        promised, given = clip_dimension(asked), clip_dimension(served)
        if promised == given or given is None:
            return promised, given
        if promised is None and route.model == asked:
            return None, given  # a route of the configuration names it: somebody knows what they do
        choices = ", ".join(clip_names(given)) or served
        reason = "is not known here" if promised is None else f"has {promised} dimensions"
        raise DimensionMismatchError(
            f"Immich is set to the CLIP model {asked}, which {reason}, but {served} serves with {given}."
            f" In Immich's machine learning settings choose one of: {choices}"
        )
