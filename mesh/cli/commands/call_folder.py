"""`immich-mesh call ocr FOLDER`: every photo below a folder, with a progress bar, as one CSV file.

A photo that cannot be read has its reason in the file, and the others go on.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mesh.cli.clients.results import OcrAnswer
from mesh.cli.output.language import tr
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.cli.output.phrases import localised

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"})
COLUMNS = ("photo", "line", "text", "certain", "box_certain", "left", "top", "right", "bottom", "error")
"""Boxes in pixels of the photo as it is shown."""


def photos_below(folder: Path) -> list[Path]:
    """The photos of a folder and of all folders in it, by name. Raises CommandError where there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise CommandError(f"there is no photo in {folder}", ExitCode.USAGE)
    return found


def read_folder(folder: Path, read: Callable[[Path], OcrAnswer], target: Path | None, as_json: bool) -> None:
    """Writes the text of every photo below a folder to `target`, or to standard output.

    Raises CommandError, once all photos were tried: some could not be read; or at once: the mesh cannot be reached.
    """
    photos = photos_below(folder)
    failed = 0
    with _opened(target) as output:
        write = _json_lines(output) if as_json else _rows(output)
        for path in _counted(photos):
            name = str(path.relative_to(folder))
            try:
                write(name, read(path), "")
            except CommandError as error:
                if error.code is ExitCode.UNREACHABLE:
                    raise
                failed += 1
                write(name, None, str(error))
    summary = f"{len(photos) - failed} of {len(photos)} photos read"
    if target:
        summary = f"{len(photos) - failed} of {len(photos)} photos read into {target}"
    if failed:
        raise CommandError(f"{summary}; the column `error` says why the others were not", ExitCode.FAILED)
    typer.echo(localised(summary), err=True)


Write = Callable[[str, OcrAnswer | None, str], None]


def _rows(output: TextIO) -> Write:
    """One row for each line of text; one for a photo without text, or with an error."""
    table = csv.writer(output)
    table.writerow(COLUMNS)

    def write(name: str, answer: OcrAnswer | None, error: str) -> None:
        lines = answer.lines if answer else ()
        for number, line in enumerate(lines, start=1):
            across, down = [x for x, _ in line.box], [y for _, y in line.box]
            box = [f"{edge:.0f}" for edge in (min(across), min(down), max(across), max(down))]
            scores = [f"{line.recognition_score:.3f}", f"{line.detection_score:.3f}"]
            table.writerow([name, number, line.text, *scores, *box, ""])
        if not lines:
            table.writerow([name, "", "", "", "", "", "", "", "", error])
        output.flush()

    return write


def _json_lines(output: TextIO) -> Write:
    """One JSON document for each photo, on a line of its own."""

    def write(name: str, answer: OcrAnswer | None, error: str) -> None:
        record = {"photo": name} | (asdict(answer) if answer else {"error": error})
        print(json.dumps(record, ensure_ascii=False), file=output, flush=True)

    return write


def _counted(photos: list[Path]) -> Iterator[Path]:
    """The photos, with a bar on standard error where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(tr("reading"), total=len(photos))
        for path in photos:
            bar.update(task, description=path.name)
            yield path
            bar.advance(task)


@contextmanager
def _opened(target: Path | None) -> Iterator[TextIO]:
    """The file to write, in the form that spreadsheets read as UTF-8; standard output without one."""
    if target is None:
        yield sys.stdout
        return
    try:
        with target.open("w", encoding="utf-8-sig" if target.suffix == ".csv" else "utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise CommandError(f"cannot write {target}: {error.strerror or error}", ExitCode.USAGE) from None
