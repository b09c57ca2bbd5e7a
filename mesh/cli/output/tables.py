"""Answers as a person reads them in a terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from mesh.cli.clients.results import ClipAnswer, FaceAnswer, OcrAnswer, length
from mesh.cli.output.language import tr


def show_text(answer: OcrAnswer, seconds: float) -> None:
    """The lines as a table."""
    table = Table(title=_size(answer, seconds), title_justify="left")
    table.add_column("#", justify="right", style="dim")
    table.add_column(tr("text"), overflow="fold")
    table.add_column(tr("certain"), justify="right")
    table.add_column(tr("box certain"), justify="right")
    table.add_column(tr("top left"), justify="right", style="dim")
    for number, line in enumerate(answer.lines, start=1):
        x, y = line.box[0]
        table.add_row(
            str(number),
            line.text.replace("[", r"\["),
            f"{line.recognition_score:.2f}",
            f"{line.detection_score:.2f}",
            f"{x:.0f}, {y:.0f}",
        )
    show(table if answer.lines else tr("No text ({size}).").format(size=_size(answer, seconds)))


def show_faces(answer: FaceAnswer, seconds: float) -> None:
    """The faces as a table."""
    table = Table(title=_size(answer, seconds), title_justify="left")
    for title in ("#", tr("certain"), tr("left, top"), tr("size"), tr("embedding")):
        table.add_column(title, justify="right")
    for number, found in enumerate(answer.faces, start=1):
        left, top, right, bottom = found.box
        table.add_row(
            str(number),
            f"{found.score:.2f}",
            f"{left:.0f}, {top:.0f}",
            f"{right - left:.0f} x {bottom - top:.0f}",
            tr("{count} numbers").format(count=len(found.embedding)),
        )
    show(table if answer.faces else tr("No face ({size}).").format(size=_size(answer, seconds)))


def show_vector(answer: ClipAnswer, seconds: float) -> None:
    """The vector's facts and its beginning."""
    begin = ", ".join(f"{value:+.4f}" for value in answer.embedding[:6])
    text = tr("{count} numbers, length {length}, {seconds} s: {begin}, ...")
    norm = f"{length(answer.embedding):.4f}"
    show(text.format(count=len(answer.embedding), length=norm, seconds=f"{seconds:.2f}", begin=begin))


def show_fits(sentence: str, fits: list[tuple[float, Path]]) -> None:
    """Photos, the best first."""
    table = Table(title=tr("How well photos fit “{sentence}”").format(sentence=sentence), title_justify="left")
    table.add_column(tr("cosine"), justify="right")
    table.add_column(tr("photo"), overflow="fold")
    for fit, path in fits:
        table.add_row(f"{fit:.4f}", str(path))
    show(table)


def _size(answer: OcrAnswer | FaceAnswer, seconds: float) -> str:
    text = tr("{width} x {height} pixels, {seconds} s")
    return text.format(width=answer.width, height=answer.height, seconds=f"{seconds:.2f}")


def show(content: Table | str) -> None:
    """Prints for a person; plain where the output is no terminal."""
    Console(highlight=False, markup=isinstance(content, Table)).print(content)
