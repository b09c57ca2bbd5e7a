"""The order in which a person reads lines of text, found in the frame of the text itself.

A photo may be rotated by any angle, so "top to bottom, left to right" is taken along the direction that most of the
text runs in, not along the photo's edges. Columns of vertical Chinese come out right to left the same way: turned so
that a column runs from left to right, the rightmost column is the top line.

Lines on one level are a row, like an item and its price. Three layouts are read part by part instead: columns of print,
a banner beside a receipt, and signs strewn over a panorama.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAME_ROW = 0.5
"""Two lines share a row when their middles are apart by less than this part of the lower one's height."""

STREWN = 3.0
"""Text that spreads this many times as wide as high, without rows, is read from left to right, sign by sign."""

COLUMN_LINES, COLUMN_ASPECT, COLUMN_FILL = 4, 7.0, 0.7
"""A column of print has this many lines or more, each this many times as wide as high, most nearly as wide as it is."""

BANNER = 2.0
"""Letters this many times as high as those beside them are a block of their own, left of them or right."""

PRICES = 3
"""So many large lines that are all level with small ones are no banner: each is a row's price."""

SPANNING = 0.6
"""A line this wide, relative to all the text, stands above or below columns, not within one."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Layout:
    """The lines, turned upright: extents and middles in pixels, slopes as rise over run; arrays of shape (N,)."""

    left: Floats
    right: Floats
    x: Floats
    y: Floats
    height: Floats
    slope: Floats


def reading_order(quads: Floats) -> list[int]:
    """Indices of the lines in reading order.

    Args:
        quads: shape (N, 4, 2), clockwise from each text's own top left.
    """
    if len(quads) < 2:
        return list(range(len(quads)))
    layout = _layout(_turned_upright(quads))
    everything = list(range(len(quads)))
    return _by_columns(layout, everything) or _by_signs(layout, everything) or _by_rows(layout, everything)


def _runs(quads: Floats) -> Floats:
    """The way each line runs, from the middle of its left edge to the middle of its right edge; shape (N, 2)."""
    return (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]) * np.float32(0.5)


def _turned_upright(quads: Floats) -> Floats:
    """The quads, turned about the origin so that most of the text runs from left to right."""
    runs = _runs(quads)
    quarter = np.round(np.degrees(np.arctan2(runs[:, 1], runs[:, 0])) / 90).astype(int) % 4
    lengths = np.linalg.norm(runs, axis=1)
    main = int(np.bincount(quarter, weights=lengths, minlength=4).argmax())
    x, y = runs[quarter == main].sum(axis=0)
    angle = np.arctan2(y, x)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    upright: Floats = quads @ turn
    return upright


def _layout(quads: Floats) -> _Layout:
    runs = _runs(quads)
    flat = np.abs(runs[:, 1]) < np.abs(runs[:, 0])  # a line across the main direction has no use for a slope
    edges = np.linalg.norm(quads[:, [3, 2]] - quads[:, [0, 1]], axis=2)
    middle = quads.mean(axis=1)
    return _Layout(
        left=quads[..., 0].min(axis=1),
        right=quads[..., 0].max(axis=1),
        x=middle[:, 0],
        y=middle[:, 1],
        height=edges.mean(axis=1),
        slope=np.divide(runs[:, 1], runs[:, 0], out=np.zeros(len(runs), np.float32), where=flat),
    )


def _by_rows(layout: _Layout, lines: Sequence[int]) -> list[int]:
    """Row by row from top to bottom, each from left to right."""
    rows: list[list[int]] = []
    for line in sorted(lines, key=lambda line: float(layout.y[line])):
        row = next((row for row in reversed(rows[-3:]) if _continues(layout, row, line)), None)
        if row is None:
            rows.append([line])
        else:
            row.append(line)
    rows.sort(key=lambda row: float(layout.y[row].mean()))
    return [line for row in rows for line in sorted(row, key=lambda line: float(layout.x[line]))]


def _continues(layout: _Layout, row: Sequence[int], line: int) -> bool:
    """Whether a line stands in a row: level with the row's nearest line, along the slope that both have."""
    nearest = min(row, key=lambda other: abs(float(layout.x[other] - layout.x[line])))
    return _level(layout, nearest, line)


def _level(layout: _Layout, one: int, other: int) -> bool:
    slope = (layout.slope[one] + layout.slope[other]) / 2
    apart = layout.y[other] - layout.y[one] - slope * (layout.x[other] - layout.x[one])
    return bool(abs(apart) < SAME_ROW * min(layout.height[one], layout.height[other]))


def _by_signs(layout: _Layout, lines: Sequence[int]) -> list[int]:
    """From left to right, group by group, where text is strewn over a panorama; empty for any other layout."""
    wide = float(layout.right.max() - layout.left.min())
    high = float((layout.y + layout.height / 2).max() - (layout.y - layout.height / 2).min())
    groups = _split(layout, lines, gap=2 * float(np.median(layout.height)))
    if wide < STREWN * high or len(groups) < 2:
        return []
    in_rows = 0
    for place, group in enumerate(groups):
        near = [line for beside in groups[max(0, place - 1) : place + 2] for line in beside]
        in_rows += sum(any(_level(layout, one, other) for other in near if other != one) for one in group)
    if in_rows > len(lines) / 2:
        return []
    return [line for group in groups for line in _by_rows(layout, group)]


def _by_columns(layout: _Layout, lines: Sequence[int]) -> list[int]:
    """Column by column, with the lines that span them where they stand; empty where there are none: of print, or of
    letters of another size."""
    whole = float(layout.right.max() - layout.left.min())
    spanning = [line for line in lines if layout.right[line] - layout.left[line] > SPANNING * whole]
    rest = [line for line in lines if line not in spanning]
    columns = _split(layout, rest, gap=float(np.median(layout.height)) / 2)
    if not (all(_is_print(layout, column) for column in columns) and _side_by_side(layout, columns)):
        columns = _by_size(layout, columns)
    if len(columns) < 2:
        return []
    ordered: list[int] = []
    edges = sorted(float(layout.y[line]) for line in spanning)
    for top, bottom in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
        for column in columns:
            ordered += _by_rows(layout, [line for line in column if top <= layout.y[line] < bottom])
        ordered += [line for line in spanning if layout.y[line] == bottom]
    return ordered


def _side_by_side(layout: _Layout, columns: Sequence[list[int]]) -> bool:
    """Whether most lines have another column's beside them; messages of a chat, left and right, have none."""
    rows = [(layout.y[column], layout.height[column] / 2) for column in columns]
    beside = [
        any(
            (np.abs(y - layout.y[line]) < half + layout.height[line] / 2).any()
            for y, half in rows[:own] + rows[own + 1 :]
        )
        for own, column in enumerate(columns)
        for line in column
    ]
    return sum(beside) > len(beside) / 2


def _by_size(layout: _Layout, columns: Sequence[list[int]]) -> list[list[int]]:
    """Neighbouring columns as one, unless their letters differ much in height."""
    blocks: list[list[int]] = []
    for column in columns:
        if blocks and not _is_banner(layout, blocks[-1], column):
            blocks[-1] = blocks[-1] + column
        else:
            blocks.append(column)
    return blocks


def _is_banner(layout: _Layout, one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether one of two blocks is a banner beside the other."""
    small, large = sorted((one, other), key=lambda block: float(np.median(layout.height[block])))
    if np.median(layout.height[large]) < BANNER * np.median(layout.height[small]):
        return False
    in_rows = sum(any(_level(layout, line, beside) for beside in small) for line in large)
    return not in_rows == len(large) >= PRICES


def _is_print(layout: _Layout, column: Sequence[int]) -> bool:
    widths = layout.right[column] - layout.left[column]
    long = float(np.median(widths / layout.height[column])) >= COLUMN_ASPECT
    return len(column) >= COLUMN_LINES and long and float(np.median(widths)) >= COLUMN_FILL * float(widths.max())


def _split(layout: _Layout, lines: Sequence[int], gap: float) -> list[list[int]]:
    """The lines in groups from left to right, parted by upright gaps of `gap` pixels or more."""
    groups: list[list[int]] = []
    reach = -np.inf
    for line in sorted(lines, key=lambda line: float(layout.left[line])):
        if layout.left[line] > reach + gap:
            groups.append([])
        groups[-1].append(line)
        reach = max(reach, float(layout.right[line]))
    return groups
