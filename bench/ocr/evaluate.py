"""How well a reader read one photo: characters, words, boxes, order."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.ocr.field.scripts import LOOK_ALIKES
from bench.ocr.geometry import area, rectangle, shared_area
from bench.ocr.scene import LabelledLine

BELONGS = 0.5
"""A read line belongs to a labelled one when they share this part of the smaller of the two."""

WRONG = 0.25
"""A text is wrong when this part of its characters is, or more."""

FOUND_IOU = 0.5
"""A box counts as found at this intersection over union with the outline of the line."""

_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


@dataclass(frozen=True)
class ReadLine:
    """One line as a reader gives it.

    Attributes:
        text: what it says.
        quad: corners, shape (4, 2), in pixels of the photo.
    """

    text: str
    quad: NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """Counts of one photo; sums of them give rates.

    Attributes:
        characters, errors: characters that stand in the photo; edits from what was read to them. Space is left out
            here (words measure it) and widths are folded (NFKC).
        words, right_words: Latin words of two letters or more; those read whole.
        labelled, read, found: lines that stand in the photo; boxes that were read; pairs of both at IoU >= 0.5.
        false_positives: boxes that share nothing much with any labelled line.
        wrong: boxes whose text, all of it read with a score over Immich's 0.8, is not what stands there.
        tau: Kendall's, of the order of matched lines; None with fewer than two.
    """

    characters: int
    errors: int
    words: int
    right_words: int
    labelled: int
    read: int
    found: int
    false_positives: int
    wrong: int
    tau: float | None


def evaluate(labelled: Sequence[LabelledLine], read: Sequence[ReadLine]) -> Score:
    """Compares what stands in a photo with what was read. Lines that are not legible need not be read."""
    legible = [label for label in labelled if label.legible]
    unknown = [label for label in labelled if not label.legible]
    within = [[bool(column.any()) for column in _belonging(lines, read).T] for lines in (unknown, legible)]
    foreign = [in_unknown and not in_legible for in_unknown, in_legible in zip(*within, strict=True)]
    score = _evaluate_legible(legible, [line for line, apart in zip(read, foreign, strict=True) if not apart])
    guessed = [line for line, apart in zip(read, foreign, strict=True) if apart]
    return replace(score, wrong=score.wrong + sum(not _says_so(line, unknown) for line in guessed))


def _says_so(line: ReadLine, unknown: Sequence[LabelledLine]) -> bool:
    """Whether a line in a script that the model lacks was read all the same, by letters that look alike."""
    there = _belonging(unknown, [line])[:, 0].tolist()
    stands, says = (
        _skeleton("".join(label.text for label, here in zip(unknown, there, strict=True) if here)),
        _skeleton(line.text),
    )
    return edit_distance(stands, says) < WRONG * len(stands)


def _skeleton(text: str) -> str:
    """The text without its accents, foreign letters as the Latin ones that look like them."""
    marked = unicodedata.normalize("NFKD", _folded(text))
    return "".join(letter for letter in marked if unicodedata.category(letter) != "Mn").translate(LOOK_ALIKES)


def _belonging(labelled: Sequence[LabelledLine], read: Sequence[ReadLine]) -> NDArray[np.bool_]:
    """Which lines lie where which labelled ones stand; shape (labelled, read)."""
    shared = _shared(labelled, read)
    label_areas = np.array([area(label.outline) for label in labelled])
    read_areas = np.array([area(line.quad) for line in read])
    smaller = np.minimum(label_areas[:, None], read_areas[None, :])
    belongs: NDArray[np.bool_] = shared > BELONGS * np.maximum(smaller, 1)
    return belongs


def _shared(labelled: Sequence[LabelledLine], read: Sequence[ReadLine]) -> NDArray[np.float64]:
    shared = np.array([[shared_area(label.outline, line.quad) for line in read] for label in labelled], np.float64)
    return shared.reshape(len(labelled), len(read))


def _evaluate_legible(labelled: Sequence[LabelledLine], read: Sequence[ReadLine]) -> Score:
    shared, belongs = _shared(labelled, read), _belonging(labelled, read)
    read_areas = np.array([area(line.quad) for line in read])
    errors = right_words = wrong = 0
    for rows, columns in _groups(belongs):
        truth = "".join(labelled[row].text + " " for row in rows)
        reading = "".join(read[column].text + " " for column in columns)
        edits = edit_distance(_folded(truth), _folded(reading))
        errors += edits
        if columns and edits >= WRONG * len(_folded(truth)):
            wrong += len(columns)
        right_words += (Counter(_words(truth)) & Counter(_words(reading))).total()
    # A reader answers with four corners, so what counts is the smallest rectangle around a line that may be curved.
    frames = [rectangle(label.outline) for label in labelled]
    within = np.array([[shared_area(frame, line.quad) for line in read] for frame in frames], np.float64)
    within = within.reshape(len(labelled), len(read))
    frame_areas = np.array([area(frame) for frame in frames])
    iou = within / np.maximum(frame_areas[:, None] + read_areas[None, :] - within, 1)
    pairs = _pairs(iou)
    order = _pairs(np.where(belongs, shared, 0), 0.0)
    return Score(
        characters=sum(len(_folded(label.text)) for label in labelled),
        errors=errors,
        words=sum(len(_words(label.text)) for label in labelled),
        right_words=right_words,
        labelled=len(labelled),
        read=len(read),
        found=len(pairs),
        false_positives=int((~belongs.any(axis=0)).sum()),
        wrong=wrong,
        tau=kendall_tau([column for _, column in sorted(order)]),
    )


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _words(text: str) -> list[str]:
    return _LATIN_WORD.findall(unicodedata.normalize("NFKC", text))


def _groups(belongs: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Labelled and read lines that belong together, each group in the order of label and reading; loners too."""
    rows_left, columns_left = set(range(belongs.shape[0])), set(range(belongs.shape[1]))
    groups = []
    while rows_left or columns_left:
        rows, columns = ({rows_left.pop()}, set()) if rows_left else (set[int](), {columns_left.pop()})
        grown = True
        while grown:
            more_columns = {c for c in columns_left if any(belongs[r, c] for r in rows)}
            columns |= more_columns
            columns_left -= more_columns
            more_rows = {r for r in rows_left if any(belongs[r, c] for c in columns)}
            rows |= more_rows
            rows_left -= more_rows
            grown = bool(more_rows or more_columns)
        groups.append((sorted(rows), sorted(columns)))
    return groups


def _pairs(likeness: NDArray[np.float64], least: float = FOUND_IOU) -> list[tuple[int, int]]:
    """Pairs (row, column) of greatest likeness first, each row and column at most once, above `least`."""
    pairs: list[tuple[int, int]] = []
    left = likeness.copy()
    while left.size and left.max() > least:
        row, column = (int(index) for index in np.unravel_index(left.argmax(), left.shape))
        pairs.append((row, column))
        left[row, :] = left[:, column] = 0
    return pairs


def kendall_tau(positions: Sequence[int]) -> float | None:
    """Pairs in order less pairs out of order, over all pairs: 1 for the right order, -1 for the reverse."""
    if len(positions) < 2:
        return None
    values = np.array(positions)
    signs = np.sign(values[None, :] - values[:, None])[np.triu_indices(len(values), 1)]
    return float(signs.mean())


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's: least insertions, deletions and replacements that make one text of the other."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (left != right))
    return row[-1]
