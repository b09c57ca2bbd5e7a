"""`immich-mesh reprocess` and `immich-mesh search`: a user's photos through the photo front door.

Imports what is heavy inside, so that `--help` comes at once.
"""

import asyncio
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from mesh.cli.output.outcome import CommandError, ExitCode

if TYPE_CHECKING:
    from mesh.cli.clients.front_door_client import Page
    from mesh.cli.commands.reprocess_run import Order, Report, Selection

REPROCESS_EXAMPLES = """Example: immich-mesh reprocess --missing --api-key ...

Interrupted? Run the same command again: it goes on where it stopped. Exit codes: 0 all done, 1 some photos failed."""

SEARCH_EXAMPLES = """Example: immich-mesh search "ocr:发票" --api-key ..."""

SHOWN = 20
"""Rows of the report's tables; the file of `--report` has all."""

UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="IMMICH_MESH_PHOTOS_URL",
        help="The photo front door; on this machine it is found at port 2284 or 2283.",
        show_default=False,
        rich_help_panel="Connection",
    ),
]
KeyOption = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="IMMICH_API_KEY",
        help="An API key of yours with user.read (Immich: Account settings, API keys).",
        rich_help_panel="Connection",
    ),
]


def reprocess(
    api_key: KeyOption,
    assets: Annotated[list[str] | None, typer.Argument(metavar="ASSET", help="Ids of photos.")] = None,
    query: Annotated[
        str, typer.Option(metavar="Q", help="What a search finds: all of it with ocr:, else the best 100.")
    ] = "",
    album: Annotated[str, typer.Option(metavar="A", help="An album, by name or id.")] = "",
    missing: Annotated[bool, typer.Option("--missing", help="What Immich never recognised, or silently lost.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every photo of yours.")] = False,
    ocr: Annotated[bool, typer.Option("--ocr", help="Their text (both when neither is named).")] = False,
    clip: Annotated[bool, typer.Option("--clip", help="Their CLIP vectors.")] = False,
    faces: Annotated[
        bool, typer.Option("--faces", help="With --missing: faces that Immich never looked for, by its own job.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="Photos at a time.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be done.")] = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write what changed as JSON lines.", dir_okay=False)
    ] = None,
    url: UrlOption = "",
) -> None:
    """Recognise photos again with the current models, and replace their text and vectors in Immich."""
    from mesh.cli.commands.reprocess_run import CLIP, OCR, Order, Report

    selection = _selection(assets or [], query, album, missing, everything)
    if faces and not missing:
        raise CommandError("--faces goes with --missing: Immich's own job finds what is missing", ExitCode.USAGE)
    named = frozenset(kind for kind, wanted in ((OCR, ocr), (CLIP, clip)) if wanted)
    everything_missing = missing and not named and not faces
    kinds = named or (frozenset() if faces else frozenset({OCR, CLIP}))
    report = Report()
    order = Order(selection, kinds, faces or everything_missing, concurrency, dry_run)
    try:
        asyncio.run(_reprocess(url, api_key, order, report))
    except KeyboardInterrupt:
        _print_report(report)
        message = "stopped; the same command goes on where it stopped"
        raise CommandError(message, ExitCode.INTERRUPTED) from None
    except CommandError:
        # What was done, and why photos failed, is worth more than the last straw alone.
        _print_report(report)
        raise
    if dry_run or not kinds:
        return
    if report_file is not None:
        lines = [json.dumps(asdict(outcome), ensure_ascii=False) for outcome in report.outcomes]
        report_file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    _print_report(report, finished=True)
    if report.failed:
        raise typer.Exit(ExitCode.FAILED)


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help='For example "ocr:发票".')],
    api_key: KeyOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Results.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    url: UrlOption = "",
) -> None:
    """Search as Immich's app does, and show why each photo was found."""
    door, page, explained, took = asyncio.run(_search(url, api_key, query, limit))
    if as_json:
        results = [
            {
                "assetId": item["id"],
                "originalFileName": item["originalFileName"],
                "takenAt": item["localDateTime"],
                **explained.get(item["id"], {}),
            }
            for item in page.items
        ]
        typer.echo(json.dumps({"query": query, "served": page.served, "results": results}, ensure_ascii=False))
        return
    _print_results(query, door, page, explained, took)


def _selection(assets: list[str], query: str, album: str, missing: bool, everything: bool) -> "Selection":
    from mesh.cli.commands.reprocess_run import Selection

    if sum(map(bool, (assets, query, album, missing, everything))) != 1:
        raise CommandError("say which photos: ids, --query, --album, --missing or --all (one of them)", ExitCode.USAGE)
    for asset in assets:
        try:
            UUID(asset)
        except ValueError:
            raise CommandError(f"{asset!r} is no id: copy it from the photo's address", ExitCode.USAGE) from None
    return Selection(tuple(dict.fromkeys(assets)), query, album, missing, everything)


async def _reprocess(url: str, api_key: str, order: "Order", report: "Report") -> None:
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

    from mesh.cli.clients.front_door_client import FrontDoorClient, find_front_door
    from mesh.cli.commands.reprocess_run import Journal, select
    from mesh.cli.commands.reprocess_run import reprocess as run

    url = url or await find_front_door(api_key)
    async with FrontDoorClient(url, api_key) as client:
        work = await select(client, order.selection, order.kinds) if order.kinds else {}
        if order.dry_run:
            if order.kinds:
                typer.echo(f"{_photos(len(work))} would be reprocessed ({', '.join(sorted(order.kinds))})")
            if order.faces:
                typer.echo("faces: Immich's own job would look for missing ones")
            return
        if order.faces:
            reason = await client.find_missing_faces()
            typer.echo(f"faces: {reason or 'Immich looks for missing ones by its own job'}")
        if not order.kinds:
            return
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
            task = progress.add_task("reprocessing", total=len(work), rate="", tally="")
            started = time.monotonic()

            def advance(report: "Report") -> None:
                done = len(report.outcomes)
                per_second = (done - report.resumed) / max(0.001, time.monotonic() - started)
                tally = f"{len(report.changed)} changed, {len(report.failed)} failed"
                progress.update(task, completed=done, rate=f"{per_second:.1f}/s", tally=tally)

            journal = Journal.of(url, order.selection, order.kinds)
            await run(client, work, journal, concurrency=order.concurrency, advance=advance, report=report)


def _print_report(report: "Report", *, finished: bool = False) -> None:
    if not report.outcomes and not finished:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if report.changed:
        table = Table("photo", "id", "old text", "new text", title="Changed text", title_justify="left")
        for outcome in report.changed[:SHOWN]:
            texts = (Text(_one_cell(outcome.before)), Text(_one_cell(outcome.after)))
            table.add_row(Text(outcome.name), outcome.asset_id, *texts)
        console.print(table)
    if report.failed:
        table = Table("photo", "id", "why", title="Failed", title_justify="left")
        for outcome in report.failed[:SHOWN]:
            table.add_row(Text(outcome.name), outcome.asset_id, Text(outcome.error))
        console.print(table)
    if max(len(report.changed), len(report.failed)) > SHOWN:
        console.print(f"the first {SHOWN} are shown; --report FILE writes all")
    vectors = sum(outcome.clip for outcome in report.outcomes)
    typer.echo(_summary(report, vectors))


def _summary(report: "Report", vectors: int) -> str:
    parts = [f"{_photos(len(report.outcomes) - len(report.failed))} reprocessed"]
    if report.resumed:
        parts.append(f"{report.resumed} of them before the interruption")
    parts += [f"{len(report.changed)} with another text", f"{vectors} vectors renewed", f"{len(report.failed)} failed"]
    return ", ".join(parts)


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"


def _one_cell(lines: tuple[str, ...] | None) -> str:
    text = " / ".join(lines or ())
    return text if len(text) <= 120 else text[:119] + "…"


async def _search(
    url: str, api_key: str, query: str, limit: int
) -> "tuple[str, Page, dict[str, dict[str, Any]], float]":
    from mesh.cli.clients.front_door_client import FrontDoorClient, find_front_door, no_front_door

    url = url or await find_front_door(api_key)
    body = {"query": query, "size": limit, "page": 1}
    async with FrontDoorClient(url, api_key) as client:
        started = time.monotonic()
        page = await client.search(body)
        took = time.monotonic() - started
        if not page.served and query.strip().lower().startswith("ocr") and not await client.is_front_door():
            raise no_front_door(client.url)
        explained = {} if page.served.startswith("native") or not page.served else await client.explain(body)
    return client.url, page, explained, took


def _print_results(query: str, url: str, page: "Page", explained: dict[str, dict[str, Any]], took: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    served = page.served or "Immich's own smart search"
    table = Table(title=f"{query}: {_photos(len(page.items))}, {1000 * took:.0f} ms, {served}", title_justify="left")
    for column in ("#", "photo", "taken", "match", "text", "distance", "lines"):
        table.add_column(
            column, justify="right" if column in ("#", "text", "distance") else "left", no_wrap=column == "#"
        )
    for number, item in enumerate(page.items, 1):
        found = explained.get(item["id"], {})
        name = Text(item["originalFileName"], style=f"link {url.rstrip('/')}/photos/{item['id']}")
        lines = _one_cell(tuple(line["text"] for line in found.get("lines", ())))
        numbers = [_number(found.get(key)) for key in ("textRank", "vectorDistance")]
        table.add_row(str(number), name, item["localDateTime"][:10], found.get("match", ""), *numbers, Text(lines))
    Console().print(table)
    if page.next_page:
        typer.echo("there are more: raise --limit")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
