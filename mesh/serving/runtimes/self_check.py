"""Whether a graph computed in less than fp32 still says the same: the same inputs in both, and a judge."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mesh.serving.runtimes.session import Array, Feeds, ModelSession, StaticShapes, TensorInfo

LEAST_COSINE = 0.999
"""Between fp32's outputs and those of the precision."""
NEAR_ZERO = 1e-3
"""Outputs that nowhere differ by more have no direction worth comparing."""


@dataclass(frozen=True)
class Agreement:
    """How two runs on the same inputs compare.

    Attributes:
        cosine: the lowest of all outputs; -1 where numbers are not finite.
        fault: in what they differ too much; empty when they agree.
    """

    cosine: float
    fault: str = ""


Judge = Callable[[Sequence[Array], Sequence[Array]], str]
"""Compares fp32's outputs with the precision's: says in what they differ too much, or nothing."""


@dataclass(frozen=True)
class SelfCheck:
    """Inputs of the usual shape, and who judges the outputs.

    Attributes:
        feeds: what the graph is run on.
        judge: of a family's own meaning (boxes, text); None compares directions.
        least_cosine: what directions must agree to.
    """

    feeds: Sequence[Feeds]
    judge: Judge | None = None
    least_cosine: float = LEAST_COSINE

    def compare(self, exact: Sequence[Sequence[Array]], outputs: Sequence[Sequence[Array]]) -> Agreement:
        """Of the outputs for all feeds, in their order."""
        cosine = 1.0
        for wanted, given in zip(exact, outputs, strict=True):
            if not all_finite(given):
                return Agreement(-1.0, "its outputs are not finite")
            nearest = min(cosine_of(a, b) for a, b in zip(wanted, given, strict=True))
            cosine = min(cosine, nearest)
            fault = self.judge(wanted, given) if self.judge else self._direction(nearest)
            if fault:
                return Agreement(cosine, fault)
        return Agreement(cosine)

    @property
    def shapes(self) -> StaticShapes | None:
        """Of its feeds; None where they are not alike."""
        shapes = [{name: array.shape for name, array in feeds.items()} for feeds in self.feeds]
        return StaticShapes(shapes[0]) if all(one == shapes[0] for one in shapes) else None

    def run(self, session: ModelSession) -> list[list[Array]]:
        """The outputs for all feeds. Raises what the session raises."""
        return [session.run(feeds) for feeds in self.feeds]

    def _direction(self, cosine: float) -> str:
        if cosine >= self.least_cosine:
            return ""
        return f"its outputs have a cosine of {cosine:.4f} to fp32's, below {self.least_cosine:g}"


MakeCheck = Callable[[Sequence[TensorInfo]], SelfCheck | None]
"""The self-check of a graph with these inputs; None where the shapes that it usually gets are not known."""


def default_check(inputs: Sequence[TensorInfo], typical_axes: Mapping[int, int] | None) -> SelfCheck | None:
    """Noise and a ramp in the shapes that a graph usually gets; None where they are not known.

    Args:
        inputs: the graph's.
        typical_axes: size of the axes that the graph leaves open, by index; the first is 1 when it is not named.
    """
    axes = {0: 1, **(typical_axes or {})}
    if any(size is None and axis not in axes for info in inputs for axis, size in enumerate(info.shape)):
        return None
    shapes = {
        info: tuple(axes[axis] if size is None else size for axis, size in enumerate(info.shape)) for info in inputs
    }
    return SelfCheck([{info.name: make(info, shape) for info, shape in shapes.items()} for make in (_noise, _ramp)])


def all_finite(outputs: Sequence[Array]) -> bool:
    """Whether no output holds an infinity or a NaN. The sum tells, at a fraction of the price of looking at each."""
    return all(
        np.isfinite(output.sum(dtype=np.float64)) for output in outputs if np.issubdtype(output.dtype, np.floating)
    )


def cosine_of(a: Array, b: Array) -> float:
    """Cosine of two arrays as vectors; 1 where they are equal but for numbers near zero, -1 for other shapes."""
    if a.shape != b.shape:
        return -1.0
    first, second = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    if not first.size or float(np.abs(first - second).max()) <= NEAR_ZERO:
        return 1.0
    length = float(np.linalg.norm(first) * np.linalg.norm(second))
    return min(1.0, float(first @ second) / length) if length else 0.0


def _noise(info: TensorInfo, shape: tuple[int, ...]) -> Array:
    random = np.random.default_rng(0)
    if np.issubdtype(np.dtype(info.dtype), np.floating):
        return random.standard_normal(shape).astype(info.dtype)
    return random.integers(0, 2, shape).astype(info.dtype)


def _ramp(info: TensorInfo, shape: tuple[int, ...]) -> Array:
    if np.issubdtype(np.dtype(info.dtype), np.floating):
        return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape).astype(info.dtype)
    return np.ones(shape, info.dtype)
