"""A download for a person's eyes: a bar in a terminal, a line now and then elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mesh.cli.output.language import tr
from mesh.hub.fetch.progress import DownloadProgress, FetchStage, ProgressListener

_STEP = 0.1
"""Outside a terminal, one line for each tenth."""


def _word(stage: FetchStage) -> str:
    words = {
        FetchStage.WAITING: tr("waiting for another download"),
        FetchStage.DOWNLOADING: tr("downloading"),
        FetchStage.ADAPTING: tr("converting"),
    }
    return words[stage]


@contextmanager
def download_bar(name: str, console: Console | None = None) -> Iterator[ProgressListener]:
    """Shows on standard error what the yielded listener is told, until the block ends."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _lines(name, console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)

        def show(progress: DownloadProgress) -> None:
            bar.update(
                task,
                description=f"{name}: {_word(progress.stage)}",
                completed=progress.done_bytes,
                total=progress.total_bytes or None,
            )

        yield show


def _lines(name: str, console: Console) -> ProgressListener:
    said: set[tuple[FetchStage, int]] = set()

    def show(progress: DownloadProgress) -> None:
        step = int(progress.fraction / _STEP)
        if (progress.stage, step) in said:
            return
        said.add((progress.stage, step))
        line = f"{name}: {_word(progress.stage)}"
        if progress.stage is FetchStage.DOWNLOADING:
            done, total = progress.done_bytes / 1e6, progress.total_bytes / 1e6
            line += ", " + tr("{done} of {total} MB").format(done=f"{done:.0f}", total=f"{total:.0f}")
        console.print(line, highlight=False)

    return show
