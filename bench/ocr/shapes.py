"""`python -m bench.ocr.shapes`: what a fixed set of sizes (`OCR_SHAPES`) changes and costs, photo by photo.

python -m bench.ocr.shapes                             the set of OCR_SHAPES=fixed against inputs as they are
python -m bench.ocr.shapes --previews 16               photos of 4:3 with ten lines, as the other benchmarks send
python -m bench.ocr.shapes --shapes 736x992,1600x1600,48x320,48x3200
python -m bench.ocr.shapes --sets                      how many pixels more sets of so many sizes would be

Each photo is read both ways in turn, on one core. Texts and boxes are compared, and so is the CPU time of the pair.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from unittest.mock import patch

import numpy as np

from bench import report
from bench.ocr import dataset
from bench.ocr.evaluate import ReadLine
from bench.ocr.kinds import KINDS
from bench.ocr.readers import V4, V6, Reader, cpu_seconds, mesh
from bench.photos import preview
from mesh.core.settings import Device
from mesh.serving.inference.engine import Engine
from mesh.serving.runtimes.session import Array, Feeds
from mesh.serving.shapes.shape_set import ShapeSet, Size
from ocr_service.shapes import FIXED, LINE_HEIGHT, sizes_for

COUNTS = (3, 6, 10, 14)
"""Of sizes, for `--sets`."""


@dataclass(frozen=True)
class Comparison:
    """All photos, both ways.

    Attributes:
        photos, lines: how many were read.
        other_texts, moved_boxes: photos of which anything reads otherwise, or stands elsewhere.
        seconds, padded_seconds: of CPU, of all photos as they are and padded.
        ratio: median over the photos of padded to as they are.
    """

    photos: int
    lines: int
    other_texts: int
    moved_boxes: int
    seconds: float
    padded_seconds: float
    ratio: float

    @property
    def cost(self) -> float:
        """What padding costs of all CPU time."""
        return self.padded_seconds / self.seconds - 1


def compare(
    photos: Iterator[bytes], plain: Reader, padded: Reader, clock: Callable[[], float] = cpu_seconds
) -> Comparison:
    """Reads each photo both ways, in turn first and second."""
    seconds: list[tuple[float, float]] = []
    lines = other_texts = moved_boxes = 0
    for number, data in enumerate(photos):
        if number == 0:
            plain(data), padded(data)  # the first run allocates
        readings: dict[Reader, list[ReadLine]] = {}
        spent: dict[Reader, float] = {}
        for reader in (plain, padded) if number % 2 else (padded, plain):
            before = clock()
            readings[reader] = reader(data)
            spent[reader] = clock() - before
        seconds.append((spent[plain], spent[padded]))
        one, other = readings[plain], readings[padded]
        lines += len(one)
        same_texts = [line.text for line in one] == [line.text for line in other]
        other_texts += not same_texts
        moved_boxes += not same_texts or any(
            not np.array_equal(a.quad, b.quad) for a, b in zip(one, other, strict=True)
        )
    of_plain, of_padded = (sum(times) for times in zip(*seconds, strict=True))
    ratio = median(after / before for before, after in seconds)
    return Comparison(len(seconds), lines, other_texts, moved_boxes, of_plain, of_padded, ratio)


def inputs(photos: Iterator[bytes], reader: Callable[[], Reader]) -> dict[str, Counter[Size]]:
    """How often each size was an input of each part, as they are."""
    seen: dict[str, Counter[Size]] = {"detection": Counter(), "recognition": Counter()}
    infer = Engine.infer

    async def noted(self: Engine, feeds: Feeds) -> list[Array]:
        rows, columns = next(iter(feeds.values())).shape[2:]
        seen["recognition" if rows == LINE_HEIGHT else "detection"][rows, columns] += 1
        return await infer(self, feeds)

    with patch.object(Engine, "infer", noted):
        read = reader()
        for data in photos:
            read(data)
    return seen


def more_pixels(seen: Counter[Size], sizes: Sequence[Size]) -> float:
    """What padding to the sizes adds, as a part of all pixels."""
    shapes = ShapeSet(tuple(sizes))
    places = {size: shapes.place_for(size) for size in seen}
    padded, plain = (
        sum(times * place[0] * place[1] for times, place in ((seen[size], of(size)) for size in seen))
        for of in (places.__getitem__, lambda size: size)
    )
    return padded / plain - 1


def best_sizes(seen: Counter[Size], sizes: Sequence[Size], count: int) -> list[Size]:
    """So many of the sizes, the others left out one after the other, each time the one that is missed least."""
    left = list(sizes)
    while len(left) > count:
        without = [[one for one in left if one != size] for size in left if size != ShapeSet(tuple(left)).largest]
        left = min(without, key=lambda some: more_pixels(seen, some))
    return left


def _tell_sets(photos: Iterator[bytes], model: str) -> None:
    seen = inputs(photos, lambda: mesh(model))
    rows = []
    for part, sizes in sizes_for(FIXED, Device.CPU).items():
        for count in (count for count in COUNTS if count <= len(sizes)):
            more = more_pixels(seen[part], best_sizes(seen[part], sizes, count))
            rows.append({"part": part, "sizes": count, "inputs": seen[part].total(), "more": f"{more:.1%}"})
        all_of_them = more_pixels(seen[part], sizes)
        rows.append({"part": part, "sizes": len(sizes), "inputs": seen[part].total(), "more": f"{all_of_them:.1%}"})
    print(report.table(rows, {"part": "part", "sizes": "sizes", "inputs": "inputs", "more": "more pixels"}))
    report.save("ocr_shape_sets", {"sets": rows})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        "bench.ocr.shapes", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shapes", default=FIXED, help="as OCR_SHAPES (default: %(default)s)")
    parser.add_argument("--model", choices=(V6, V4), default=V6)
    parser.add_argument("--previews", type=int, metavar="N", help="so many previews instead of the rendered set")
    parser.add_argument("--limit", type=int, help="photos per class of the rendered set at most")
    parser.add_argument("--sets", action="store_true", help="only what sets of so many sizes would add")
    options = parser.parse_args(arguments)
    if options.previews:
        photos = (preview(seed) for seed in range(options.previews))
    else:
        photos = (sample.data for sample in dataset.build(1, tuple(KINDS), options.limit))
    if options.sets:
        _tell_sets(photos, options.model)
        return 0
    found = compare(photos, mesh(options.model), mesh(options.model, shapes=options.shapes))
    report.save("ocr_shapes", {"machine": report.machine(), "shapes": options.shapes, **asdict(found)})
    print(f"{found}\ncost of all: {found.cost:.1%}, of the median photo: {found.ratio - 1:.1%}")
    return int(found.other_texts > 0)


if __name__ == "__main__":
    sys.exit(main())
