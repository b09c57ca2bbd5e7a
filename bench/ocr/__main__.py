"""`python -m bench.ocr`: renders the set, lets readers read it, prints the table and draws the plot.

python -m bench.ocr                                   this service beside stock Immich's pipeline and RapidOCR
python -m bench.ocr --readers "mesh v6" --seed 2      another set, to see that nothing was fitted to the first
python -m bench.ocr --readers "mesh v6" --kinds receipt noise --show     every wrong line
python -m bench.ocr --render                          the set as JPEG files, outlines drawn
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from cv2.typing import MatLike

from bench.ocr import dataset
from bench.ocr.dataset import Sample
from bench.ocr.evaluate import ReadLine, Score, evaluate
from bench.ocr.kinds import KINDS
from bench.ocr.readers import READERS, Reader, cpu_seconds
from bench.ocr.report import Result, load, plot, save, summarise, table

SAMPLE_QUALITY = 50
"""JPEG quality of the photos that tests read: they live in the repository."""

DEFAULT_READERS = [name for name in READERS if "int8" not in name]
"""Those that run on every processor."""

TEXT_FREE = 0.8
"""Part of a library's photos that has no text, for `--mix`."""

OUT = Path(__file__).parent.parent / "out"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    options = _parser().parse_args(arguments)
    OUT.mkdir(exist_ok=True)
    kinds = tuple(kind for kind in KINDS if not options.kinds or kind.name in options.kinds)
    samples = list(dataset.build(options.seed, kinds, options.limit))
    if options.sample:
        return _write_sample(samples, options.sample)
    if options.render:
        return _render(samples, OUT / f"ocr-set-{options.seed}")
    stored = OUT / f"ocr-{options.seed}.json"
    summaries = load(stored) if options.merge else {}
    for name in options.readers:
        summaries[name] = summarise(_read_all(name, READERS[name](), samples, show=options.show))
        print(
            f"{name}: CER {summaries[name].mean_cer:.4f}, {summaries[name].cpu_seconds:.2f} s CPU per photo", flush=True
        )
        if options.mix:
            speed = summaries[name].photos_per_second(TEXT_FREE)
            print(f"{name}: {speed:.2f} photos per second and core where {TEXT_FREE:.0%} have no text", flush=True)
    save(summaries, stored)
    text = table(summaries)
    (OUT / f"ocr-{options.seed}.md").write_text(text)
    plot(summaries, OUT / f"ocr-{options.seed}.png")
    print(f"\n{len(samples)} photos, seed {options.seed}\n\n{text}\nPlot: {OUT / f'ocr-{options.seed}.png'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.ocr", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="which set (default: %(default)s)")
    parser.add_argument("--readers", nargs="+", choices=READERS, default=DEFAULT_READERS, metavar="READER")
    parser.add_argument("--kinds", nargs="+", choices=[kind.name for kind in KINDS], metavar="KIND")
    parser.add_argument("--limit", type=int, help="photos per class at most")
    parser.add_argument("--show", action="store_true", help="print every photo that was not read perfectly")
    parser.add_argument("--sample", type=Path, metavar="FOLDER", help="write photos and labels.json for the tests")
    parser.add_argument("--merge", action="store_true", help="keep the stored results of other readers in the table")
    parser.add_argument("--mix", action="store_true", help="photos per second of a library of which 80 %% has no text")
    parser.add_argument("--render", action="store_true", help="write the photos instead of reading them")
    return parser


def _read_all(name: str, reader: Reader, samples: Sequence[Sample], *, show: bool) -> list[Result]:
    reader(samples[0].data)  # the first run allocates
    results = []
    for sample in samples:
        before = cpu_seconds()
        lines = reader(sample.data)
        spent = cpu_seconds() - before
        score = evaluate(sample.lines, lines)
        results.append(Result(sample.kind.name, score, spent))
        if show:
            _show(name, sample, lines, score)
    return results


def _show(name: str, sample: Sample, lines: Sequence[ReadLine], score: Score) -> None:
    all_found = score.found == score.labelled == score.read and score.tau in (None, 1.0)
    if score.errors or score.wrong or not all_found:
        print(f"--- {name}, {sample.name}: {score}")
        print("    stands:", " | ".join(line.text for line in sample.lines))
        print("    read:  ", " | ".join(line.text for line in lines))


def _write_sample(samples: Sequence[Sample], folder: Path) -> int:
    """Photos and labels for tests, which run where no fonts are installed."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {}
    for sample in samples:
        file = f"{sample.kind.name.replace(' ', '-')}.jpg"
        cv2.imwrite(str(folder / file), _decoded(sample), [cv2.IMWRITE_JPEG_QUALITY, SAMPLE_QUALITY])
        labels[file] = [{"text": line.text, "outline": line.outline.round().tolist()} for line in sample.lines]
    (folder / "labels.json").write_text(json.dumps(labels, ensure_ascii=False))
    return 0


def _decoded(sample: Sample) -> MatLike:
    picture = cv2.imdecode(np.frombuffer(sample.data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def _render(samples: Sequence[Sample], folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        picture = _decoded(sample)
        for line in sample.lines:
            cv2.polylines(picture, [line.outline.astype(np.int32)], True, (0, 0, 255), 2)
        cv2.imwrite(str(folder / f"{sample.name.replace(' ', '-')}.jpg"), picture)
    print(f"{len(samples)} photos in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
