"""What `immich-mesh search` and `reprocess` show of photos: a bar while they are at it, then tables."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from mesh.cli.output.language import tr
from mesh.cli.output.phrases import localised

if TYPE_CHECKING:
    from mesh.cli.clients.front_door_client import Page
    from mesh.cli.commands.reprocess_run import ReprocessReport

SHOWN = 20
"""Rows of the report's tables; the file of `--report` has all."""
LONGEST_CELL = 120


@contextmanager
def reprocess_bar(total: int) -> Iterator[Callable[["ReprocessReport"], None]]:
    """A bar on standard error while a run is told about by the function that is yielded."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[tally]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(tr("reprocessing"), total=total, rate="", tally="")
        started = time.monotonic()

        def advance(report: "ReprocessReport") -> None:
            done = len(report.outcomes)
            per_second = (done - report.resumed) / max(0.001, time.monotonic() - started)
            tally = tr("{changed} changed, {failed} failed")
            tally = tally.format(changed=len(report.changed), failed=len(report.failed))
            progress.update(task, completed=done, rate=f"{per_second:.1f}/s", tally=tally)

        yield advance


def show_report(report: "ReprocessReport") -> None:
    """Which texts are others now, which photos failed and why, and one line of numbers."""
    console = Console()
    if report.changed:
        columns = (tr("photo"), "id", tr("old text"), tr("new text"))
        table = Table(*columns, title=tr("Changed text"), title_justify="left")
        for outcome in report.changed[:SHOWN]:
            texts = (Text(one_cell(outcome.before)), Text(one_cell(outcome.after)))
            table.add_row(Text(outcome.name), outcome.asset_id, *texts)
        console.print(table)
    if report.failed:
        table = Table(tr("photo"), "id", tr("why"), title=tr("Failed"), title_justify="left")
        for outcome in report.failed[:SHOWN]:
            table.add_row(Text(outcome.name), outcome.asset_id, Text(localised(outcome.error)))
        console.print(table)
    if max(len(report.changed), len(report.failed)) > SHOWN:
        console.print(tr("the first {count} are shown; --report FILE writes all").format(count=SHOWN))
    console.print(summary(report), soft_wrap=True, highlight=False)


def summary(report: "ReprocessReport") -> str:
    """A run in one line."""
    parts = [tr("{photos} reprocessed").format(photos=photos(len(report.outcomes) - len(report.failed)))]
    if report.resumed:
        parts.append(tr("{count} of them before the interruption").format(count=report.resumed))
    parts.append(tr("{count} with another text").format(count=len(report.changed)))
    parts.append(tr("{count} vectors renewed").format(count=sum(outcome.clip for outcome in report.outcomes)))
    parts.append(tr("{count} failed").format(count=len(report.failed)))
    return ", ".join(parts)


def photos(count: int) -> str:
    """A number of photos."""
    return tr("1 photo") if count == 1 else tr("{count} photos").format(count=count)


def one_cell(lines: tuple[str, ...] | None) -> str:
    """Lines of text in one cell, cut where they are long."""
    text = " / ".join(lines or ())
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def show_results(query: str, url: str, page: "Page", explained: dict[str, dict[str, Any]], took: float) -> None:
    """Photos of a search, the best first, and by what each was found."""
    served = page.served or tr("Immich's own smart search")
    heading = f"{query}: {photos(len(page.items))}, {1000 * took:.0f} ms, {served}"
    table = Table(title=Text(heading, style="table.title"), title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    for column in (tr("photo"), tr("taken"), tr("match")):
        table.add_column(column)
    for column in (tr("text"), tr("distance")):
        table.add_column(column, justify="right")
    table.add_column(tr("lines"))
    for number, item in enumerate(page.items, 1):
        found = explained.get(item["id"], {})
        name = Text(item["originalFileName"], style=f"link {url.rstrip('/')}/photos/{item['id']}")
        lines = one_cell(tuple(line["text"] for line in found.get("lines", ())))
        numbers = [_number(found.get(key)) for key in ("textRank", "vectorDistance")]
        table.add_row(
            str(number), name, item["localDateTime"][:10], localised(found.get("match", "")), *numbers, Text(lines)
        )
    console = Console()
    console.print(table)
    if page.next_page:
        console.print(tr("there are more: raise --limit"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
