"""Runs of a masked graph: pictures of any size are put into one of a few shapes, and taken out again.

Who waits for a photo waits for no compilation where it can be helped: a picture goes into the smallest size that is
ready, and a batch into runs of the sizes that are.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mesh.serving.runtimes.session import NOTHING_ENDS_IT, Array, Feeds, Interruption, ModelSession
from mesh.serving.shapes.graphs import MaskedGraph
from mesh.serving.shapes.masked import MASK
from mesh.serving.shapes.per_shape import PerShapeSessions
from mesh.serving.shapes.shape_set import Shape, ShapeSet, Size


class PaddedRuns:
    """Puts the pictures of an engine into the shapes of a set.

    Args:
        graph: what is run.
        shapes: the set.
        sessions: those for each shape; None where one session takes all shapes alike.
        wanted: how often each shape would have been the best, so far.
    """

    def __init__(
        self,
        graph: MaskedGraph,
        shapes: ShapeSet,
        sessions: PerShapeSessions | None = None,
        wanted: Counter[Shape] | None = None,
    ) -> None:
        self.shapes = shapes
        self.wanted: Counter[Shape] = Counter() if wanted is None else wanted
        self._graph = graph
        self._sessions = sessions
        self._name = graph.picture.info.name

    def place_for(self, feeds: Feeds) -> Size:
        """The size that one picture, with a batch axis of 1, is padded to."""
        size = self._graph.filled(self._graph.picture.size_of(feeds[self._name].shape))
        best = self.shapes.place_for(size)
        if self._is_ready(Shape(1, *best)):
            return best
        return self.shapes.holding(size, lambda one: self._is_ready(Shape(1, *one))) or best

    def run(
        self, session: ModelSession, batch: Sequence[Feeds], place: Size, interruption: Interruption = NOTHING_ENDS_IT
    ) -> list[list[Array]]:
        """The outputs of each picture as the graph gives them for it alone, with a batch axis of 1.

        Args:
            session: runs the graph.
            batch: pictures whose place is `place`.
            place: from `place_for`.
            interruption: may end it.

        Raises:
            InterruptedRunError: it was ended.
        """
        self._note(batch)
        results: list[list[Array]] = []
        while len(results) < len(batch):
            left = batch[len(results) :]
            count = self._batch_for(len(left), place)
            results += self._run_one(session, left[:count], Shape(count, *place), interruption)
        return results

    def _run_one(
        self, session: ModelSession, pictures: Sequence[Feeds], shape: Shape, interruption: Interruption
    ) -> list[list[Array]]:
        graph = self._graph
        sizes = [graph.picture.size_of(one[self._name].shape) for one in pictures]
        feeds = {self._name: self._fed(pictures, sizes, shape)}
        filled = all(size == shape.size for size in sizes) and self._is_ready(shape._replace(is_filled=True))
        if graph.takes_mask and not filled:
            feeds[MASK] = graph.masks(sizes, shape.size, shape.batch)
        outputs = session.run(feeds, interruption)
        return [
            [graph.cropped(output, number, index, size) for number, output in enumerate(outputs)]
            for index, size in enumerate(sizes)
        ]

    def _fed(self, pictures: Sequence[Feeds], sizes: Sequence[Size], shape: Shape) -> Array:
        """The pictures in the corners of an input of this shape."""
        first, whole = pictures[0][self._name], self._graph.picture.shape(shape.batch, shape.size)
        if first.shape == whole:
            return first
        fed = np.zeros(whole, first.dtype)
        rows, columns = self._graph.picture.axes
        for index, (one, size) in enumerate(zip(pictures, sizes, strict=True)):
            place = [slice(index, index + 1), *[slice(None)] * 3]
            place[rows], place[columns] = slice(0, size[0]), slice(0, size[1])
            fed[tuple(place)] = one[self._name]
        return fed

    def _batch_for(self, count: int, place: Size) -> int:
        """How many pictures the next run is for: all where any number is alike, else a batch that is ready, or one."""
        if self._sessions is None:
            return count
        if self._sessions.takes_any_batch:
            return min(count, self.shapes.batches_of(place)[-1])
        return self.shapes.batch_for(count, place, lambda batch: self._is_ready(Shape(batch, *place)))

    def _is_ready(self, shape: Shape) -> bool:
        return self._sessions is None or self._sessions.is_ready(shape)

    def _note(self, batch: Sequence[Feeds]) -> None:
        sizes = [self._graph.picture.size_of(one[self._name].shape) for one in batch]
        best = [self.shapes.place_for(self._graph.filled(size)) for size in sizes]
        for place, count in Counter(best).items():
            filled = all(size == place for size, one in zip(sizes, best, strict=True) if one == place)
            self.wanted[Shape(self.shapes.batch_for(count, place), *place, filled)] += 1
