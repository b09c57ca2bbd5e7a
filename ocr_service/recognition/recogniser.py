"""What a line of text says: a CTC recogniser (PP-OCR) behind its engine, with RapidOCR's decoding.

Lines are single items for the engine. Each is padded to the next of a few widths, so that lines of like width, of one
photo or of several, have equal shapes and can share a batch, without ever being padded to the widest of a group.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesh.serving.images import Pixels
from mesh.serving.images.transform import resize, to_tensor
from mesh.serving.inference.engine import Engine
from ocr_service.raw_input import as_wanted
from ocr_service.recognition.characters import (
    RARE_WEIGHT,
    half_known_letters,
    language_weights,
    rare_characters,
    read_characters,
)
from ocr_service.recognition.direction import has_right_to_left, logical_order

HEIGHT = 48
"""Height of the recogniser's input in pixels."""

MIN_WIDTH, MAX_WIDTH = 128, 3200
"""Widths of its input in pixels. A shorter line is padded: with nothing beside it, a worn 8.80 is read as 880. A longer
one is squeezed: it would hold some three hundred characters."""


class Widths(Enum):
    """How far apart the widths are that lines are padded to."""

    FINE = "fine"
    """A CPU runs lines one by one: every column of padding is work for nothing."""
    COARSE = "coarse"
    """A GPU wants equal shapes, to fill its batches and to keep the memory it has set aside for each; where the engine
    pads lines itself, without a say for the padding, they may come as they are."""


LONG = 4.0
SQUEEZE = 0.8
"""A line this many times as wide as high is read at this part of its width: there are more columns per character than
the recogniser needs, and its work grows with them. Short lines cost little, and small print in them would suffer."""

STRETCH = 1.3
"""A shorter line is read at so many times its width, up to `LONG`: columns for the points between its digits."""

WORN_POINT = 0.003
"""A space between two digits is a worn point where a point is at least this part as likely. Of 700 spaces, plain and
blurred, none had a third of that; of eight lost points of prices all had twice as much."""

LINES_OF_ONE_PHOTO = 32
"""Lines of one photo that are with the engine at the same time: enough for a batch, too few to hold others up."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a line says.

    Attributes:
        text: as decoded; may be empty.
        score: mean probability of its characters, 0 to 1; 0 for an empty text.
        places: where its characters stand, from left to right, as parts of the line's width, 0 to 1.
    """

    text: str
    score: float
    places: tuple[float, ...] = field(default=(), compare=False)


class TextRecogniser:
    """The recognition half of a PP-OCR model, as the model manager holds it."""

    def __init__(self, engine: Engine, folder: Path, lines_at_once: int = 128, name: str = "") -> None:
        """Reads the model's characters.

        Args:
            engine: the model behind its batcher.
            folder: where the model lies; its character dictionary may lie beside it.
            lines_at_once: lines of all photos that are with the engine at the same time; fewer than its queue takes, so
                that a photo which was let in is never refused half-way.
            name: the model's.

        Raises:
            ModelNotFoundError: the model has no character dictionary.
        """
        self.engine = engine
        self.name = name
        self._input = engine.inputs[0]
        from rapidocr_onnxruntime.ch_ppocr_rec.utils import CTCLabelDecode  # onnxruntime and more come with it

        self._decoder = CTCLabelDecode(character=read_characters(engine.metadata, folder))
        self._right_to_left = has_right_to_left(self._decoder.character)
        self.half_known = half_known_letters(self._decoder.character)
        self._rare = rare_characters(self._decoder.character)
        self._space, self._point = (self._class_of(character) for character in (" ", "."))
        self._widths = Widths.FINE if engine.on_cpu or engine.pads else Widths.COARSE
        self._places = asyncio.Semaphore(lines_at_once)
        self._weights = lru_cache(maxsize=8)(lambda language: language_weights(language, self._decoder.character))

    async def read(self, lines: Sequence[Pixels], language: str = "", *, squeeze: float = SQUEEZE) -> list[Reading]:
        """Reads lines of text, each upright and running from left to right.

        Args:
            lines: arrays of shape (rows, columns, 3), uint8, BGR; any sizes.
            language: BCP 47 tag of the expected language, or empty.
            squeeze: at which part of their width long lines are read; 1 for all of it.

        Returns:
            One reading per line, in the order of `lines`.

        Raises:
            OverloadedError, DeadlineExceededError: from the engine.
        """
        # Neighbours in the queue are of like width, so that the engine finds equal shapes to stack; the longest line
        # comes first, so that no core still works on it when the others have run out of lines.
        by_width = sorted(range(len(lines)), key=lambda index: lines[index].shape[0] / lines[index].shape[1])
        places = asyncio.Semaphore(LINES_OF_ONE_PHOTO)
        tasks = {
            index: asyncio.create_task(self._read_line(lines[index], language, squeeze, places)) for index in by_width
        }
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()  # when one line fails, or the caller leaves, nobody waits for the others
        return [tasks[index].result() for index in range(len(lines))]

    async def _read_line(self, line: Pixels, language: str, squeeze: float, places: asyncio.Semaphore) -> Reading:
        async with places, self._places:
            blob = await self.engine.in_thread(lambda: to_input(line, self._widths, squeeze))
            outputs = await self.engine.infer({self._input.name: as_wanted(blob, self._input)})
            filled = scaled_width(line, squeeze) / blob.shape[3]
            if len(outputs) == 2:  # such a graph has chosen the classes itself
                return self._reading(outputs[0], outputs[1].astype(np.float32, copy=False), filled)
            probabilities = outputs[0].astype(np.float32, copy=False)
            return await self.engine.in_thread(lambda: self._decode(probabilities, language, filled))

    def _decode(self, probabilities: NDArray[np.float32], language: str, filled: float = 1.0) -> Reading:
        """From probabilities of shape (1, steps, classes) to text: best class per step, repeats and blanks dropped."""
        weights = self._weights(language)
        weighted = probabilities if weights is None else probabilities * weights
        best = weighted.argmax(axis=2)
        certainty = np.take_along_axis(probabilities, best[..., None], axis=2)[..., 0]
        if (rare := self._rare[best[0]]).any():
            # The look-alike in everyday use, if it comes close; that some such character stands there is as certain, so
            # that the blank, class 0, has no part in the choice.
            best[0, rare] = 1 + (weighted[0, rare, 1:] * np.where(self._rare[1:], RARE_WEIGHT, 1)).argmax(axis=1)
        if self._space and self._point:
            self._mend_points(probabilities[0], best[0])
        return self._reading(best, certainty, filled)

    def _class_of(self, character: str) -> int:
        """Its class; 0, which is the blank, for one that the model lacks."""
        known = self._decoder.character
        return known.index(character) if character in known else 0

    def _mend_points(self, probabilities: NDArray[np.float32], best: NDArray[np.integer[Any]]) -> None:
        """Turns spaces that are worn points into points; that something stands there stays as certain.

        Args:
            probabilities: shape (steps, classes).
            best: shape (steps,), the class of each step.
        """
        spoken = np.nonzero(best)[0]
        of_spaces = best[spoken] == self._space
        for run in np.split(np.arange(len(spoken)), np.nonzero(np.diff(of_spaces))[0] + 1):
            first, last = int(run[0]) if len(run) else 0, int(run[-1]) if len(run) else 0
            if not of_spaces[first : last + 1].any() or first == 0 or last + 1 == len(spoken):
                continue
            beside = (self._decoder.character[int(best[spoken[place]])] for place in (first - 1, last + 1))
            steps = spoken[run]
            likely = probabilities[steps, self._point] >= WORN_POINT * probabilities[steps, self._space]
            if likely.any() and all(character.isdecimal() for character in beside):
                best[steps] = self._point

    def _reading(self, best: NDArray[np.integer[Any]], certainty: NDArray[np.float32], filled: float) -> Reading:
        """From class and probability of each step, both of shape (1, steps); the line fills this part of them."""
        text, score = self._decoder.decode(best, certainty, is_remove_duplicate=True)[0]
        begins = (best[0] != 0) & (np.diff(best[0], prepend=0) != 0)
        places = (np.nonzero(begins)[0] + 0.5) / (len(best[0]) * filled)
        return Reading(logical_order(text) if self._right_to_left else text, float(score), tuple(places.tolist()))


def to_input(line: Pixels, widths: Widths = Widths.FINE, squeeze: float = SQUEEZE) -> NDArray[np.float32]:
    """A line as the recogniser's input: 48 high, values in -1 to 1, padded with 0 on the right; (1, 3, 48, width)."""
    width = scaled_width(line, squeeze)
    scaled = resize(np.ascontiguousarray(line), (width, HEIGHT))
    padded = np.zeros((1, 3, HEIGHT, padded_width(width, widths)), np.float32)
    padded[:, :, :, :width] = to_tensor(scaled, mean=127.5, std=127.5)
    return padded


def scaled_width(line: Pixels, squeeze: float = SQUEEZE) -> int:
    """Width of a line in the recogniser's input, without the padding."""
    aspect = float(line.shape[1] / line.shape[0])
    return min(MAX_WIDTH, max(1, math.ceil(HEIGHT * max(min(STRETCH * aspect, LONG), squeeze * aspect))))


def padded_width(width: int, widths: Widths = Widths.FINE) -> int:
    """The next of the widths that lines are padded to.

    Fine: multiples of 8, of 16 from 1024 on, of 32 from 2048 on. Coarse: of 32, of 64 from 512 on, and so forth.
    """
    octave = width.bit_length()
    step = max(32, 1 << max(0, octave - 4)) if widths is Widths.COARSE else max(8, 1 << max(0, octave - 7))
    return max(MIN_WIDTH, math.ceil(width / step) * step)
