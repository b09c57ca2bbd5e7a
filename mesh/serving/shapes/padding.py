"""What an engine has where its pictures are padded to a few shapes: how its sessions open, run and get ready."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from mesh.serving import metrics
from mesh.serving.runtimes.onnxruntime import ReferenceRun
from mesh.serving.runtimes.selection import RuntimeChoice
from mesh.serving.runtimes.self_check import MakeCheck, SelfCheck
from mesh.serving.runtimes.session import RuntimeSettings, TensorInfo
from mesh.serving.shapes.graphs import MaskedGraph, masked_graph
from mesh.serving.shapes.growth import PictureInput, UnmaskableGraphError
from mesh.serving.shapes.masked import MASK
from mesh.serving.shapes.padded import PaddedRuns
from mesh.serving.shapes.per_shape import BothForms, PerShapeSessions
from mesh.serving.shapes.shape_set import Shape, ShapeSet
from mesh.serving.shapes.warm_up import WarmUp, keep_wanted, wanted_before

log = structlog.get_logger()

Choose = Callable[[Path, MakeCheck], RuntimeChoice]


class Padding:
    """The shapes of one engine.

    Args:
        graph: the masked form of what it runs.
        shapes: the set.
        plain, masked: how sessions of both forms open.
        runtime: where they run.
        is_calm: whether nobody waits for anything on this machine.
        axis_names: what the graph as it was calls the axes of its input.
        which: the graph, for the log and the metrics: model and part.

    Raises:
        UnavailableError: the first shape cannot be compiled. Blocking.

    Attributes:
        runs: what puts pictures into shapes.
        choice: how the engine's sessions open, of both forms.
    """

    def __init__(
        self,
        graph: MaskedGraph,
        shapes: ShapeSet,
        plain: RuntimeChoice,
        masked: RuntimeChoice,
        runtime: RuntimeSettings,
        is_calm: Callable[[], bool],
        axis_names: Mapping[str, Sequence[str]],
        which: Mapping[str, str],
    ) -> None:
        self._records = plain.records
        self._sessions: PerShapeSessions | None = None
        self._warm_up: WarmUp | None = None
        wanted = wanted_before(self._records)
        if runtime.device.compiles_per_shape and plain.open_for and masked.open_for:
            first = Shape(1, *shapes.largest)  # holds whatever comes until the others are there
            sessions = self._sessions = PerShapeSessions(
                graph,
                masked.open_for,
                plain.open_for,
                first,
                batches=shapes.batches_of if runtime.device.compiles_for_batches else None,
                axis_names=axis_names,
                which=which,
            )
            self.choice = replace(plain, open=lambda threads: sessions)
            self._warm_up = WarmUp(
                shapes, sessions, wanted, is_calm, metrics.SHAPES_READY.labels(*which.values()), which
            )
        else:
            self.choice = replace(plain, open=lambda threads: BothForms(plain.open(threads), masked.open(threads)))
        self.runs = PaddedRuns(graph, shapes, self._sessions, wanted)

    @classmethod
    def of(
        cls,
        path: Path,
        runtime: RuntimeSettings,
        shapes: ShapeSet,
        choose: Choose,
        check: MakeCheck,
        is_calm: Callable[[], bool],
        which: Mapping[str, str],
    ) -> "Padding | None":
        """For a graph; None for one whose inputs keep their shapes: with the reason in the log where sizes were given.

        Args:
            path: its .onnx file.
            runtime: where it runs.
            shapes: the set; without sizes there is one where the graph fixes its pictures' size.
            choose: how a graph's sessions open.
            check: what a precision must agree on.
            is_calm: whether nobody waits for anything on this machine.
            which: the graph, for the log and the metrics: model and part.

        Raises:
            UnavailableError: it cannot be read or compiled. Blocking.
        """
        original = ReferenceRun(path)
        heights = {rows for rows, _ in shapes.sizes}
        try:
            picture = PictureInput.of(original.inputs, heights.pop() if len(heights) == 1 else None)
            if not picture.open_sides:
                shapes = replace(shapes, sizes=(picture.sized((0, 0)),))
                graph = MaskedGraph(path, picture, (0, 0), tuple({} for _ in original.outputs))
            elif shapes.sizes:
                graph = masked_graph(path, runtime.cache_folder, picture)
            else:
                return None
        except UnmaskableGraphError as error:
            log.warning("inputs keep their shapes, each of which may be compiled anew", **which, reason=str(error))
            return None
        if picture.info.shape[0] is not None:
            shapes = replace(shapes, batches=(1,))
        plain = choose(path, check)
        masked = choose(graph.path, _with_mask(check, graph)) if graph.takes_mask else plain
        return cls(graph, shapes, plain, masked, runtime, is_calm, original.axis_names, which)

    @property
    def memory_bytes(self) -> int | None:
        """Of all sessions that are open now; None where that does not change."""
        return self._sessions.memory_bytes if self._sessions else None

    def start(self) -> None:
        """Compiles what is not ready in the background, on the running loop."""
        if self._warm_up:
            self._warm_up.start()

    async def stop(self) -> None:
        """Returns when nothing is compiled any more."""
        if self._warm_up:
            await self._warm_up.stop()

    def keep_wanted(self) -> None:
        """Notes for the next process what was wanted. Blocking."""
        if self._sessions:
            keep_wanted(self._records, self.runs.wanted)


def _with_mask(make_check: MakeCheck, graph: MaskedGraph) -> MakeCheck:
    """The check of a graph, for its masked form: the pictures of its inputs fill them."""

    def make(inputs: Sequence[TensorInfo]) -> SelfCheck | None:
        check = make_check([info for info in inputs if info.name != MASK])
        if check is None:
            return None
        feeds = []
        for one in check.feeds:
            batch, size = next(iter(one.values())).shape[0], graph.picture.size_of(next(iter(one.values())).shape)
            feeds.append({**one, MASK: graph.masks([size], size, batch)})
        return replace(check, feeds=feeds)

    return make
