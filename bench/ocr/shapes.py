"""`python -m bench.ocr.shapes`: what a fixed set of sizes (`OCR_SHAPES`) changes and costs, photo by photo.

python -m bench.ocr.shapes                             the set of OCR_SHAPES=fixed against inputs as they are
python -m bench.ocr.shapes --previews 16               photos of 4:3 with ten lines, as the other benchmarks send
python -m bench.ocr.shapes --shapes 736x992,1600x1600,48x320,48x3200

Each photo is read both ways in turn, on one core. Texts and boxes are compared, and so is the CPU time of the pair.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np

from bench import report
from bench.ocr import dataset
from bench.ocr.evaluate import ReadLine
from bench.ocr.kinds import KINDS
from bench.ocr.readers import V4, V6, Reader, cpu_seconds, mesh
from bench.photos import preview
from ocr_service.shapes import FIXED


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


def compare(photos: Iterator[bytes], plain: Reader, padded: Reader) -> Comparison:
    """Reads each photo both ways, in turn first and second."""
    seconds: list[tuple[float, float]] = []
    lines = other_texts = moved_boxes = 0
    for number, data in enumerate(photos):
        if number == 0:
            plain(data), padded(data)  # the first run allocates
        readings: dict[Reader, list[ReadLine]] = {}
        spent: dict[Reader, float] = {}
        for reader in (plain, padded) if number % 2 else (padded, plain):
            before = cpu_seconds()
            readings[reader] = reader(data)
            spent[reader] = cpu_seconds() - before
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(
        "bench.ocr.shapes", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shapes", default=FIXED, help="as OCR_SHAPES (default: %(default)s)")
    parser.add_argument("--model", choices=(V6, V4), default=V6)
    parser.add_argument("--previews", type=int, metavar="N", help="so many previews instead of the rendered set")
    parser.add_argument("--limit", type=int, help="photos per class of the rendered set at most")
    options = parser.parse_args(arguments)
    if options.previews:
        photos = (preview(seed) for seed in range(options.previews))
    else:
        photos = (sample.data for sample in dataset.build(1, tuple(KINDS), options.limit))
    found = compare(photos, mesh(options.model), mesh(options.model, shapes=options.shapes))
    report.save("ocr_shapes", {"machine": report.machine(), "shapes": options.shapes, **asdict(found)})
    print(f"{found}\ncost of all: {found.cost:.1%}, of the median photo: {found.ratio - 1:.1%}")
    return int(found.other_texts > 0)


if __name__ == "__main__":
    sys.exit(main())
