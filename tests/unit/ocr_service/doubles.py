"""Engines that answer without a graph."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import TensorInfo

T = TypeVar("T")
Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class FakeEngine:
    """Stands where `mesh.serving.inference.engine.Engine` stands; remembers the shapes it was asked for."""

    def __init__(self, answer: Answer, characters: str = "") -> None:
        self.inputs = (TensorInfo("x", (None, 3, None, None), "float32"),)
        self.on_cpu = True
        self.pads = False
        self.metadata = {"character": "\n".join(characters)}
        self.shapes: list[tuple[int, ...]] = []
        self.running = self.most_running = 0
        self._answer = answer

    async def infer(self, feeds: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        blob = feeds["x"]
        self.shapes.append(blob.shape)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return [await self.in_thread(lambda: self._answer(blob))]
        finally:
            self.running -= 1

    async def in_thread(self, work: Callable[[], T]) -> T:
        await asyncio.sleep(0)  # as a real one lets others go on
        return work()

    def as_engine(self) -> Engine:
        return cast("Engine", cast("Any", self))


def spell(text: str, characters: str, certainty: float = 0.9) -> NDArray[np.float32]:
    """What a recogniser answers for a text: probabilities of shape (1, steps, classes)."""
    classes = ["", *characters, " "]
    probabilities = np.full((1, 2 * len(text) + 1, len(classes)), 0.001, np.float32)
    probabilities[:, ::2, 0] = 1
    for place, character in enumerate(text):
        probabilities[0, 2 * place + 1, classes.index(character)] = certainty
    return probabilities
