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

from mesh.cli.output.language import tr
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.cli.output.phrases import localised

if TYPE_CHECKING:
    from mesh.cli.clients.front_door_client import Page
    from mesh.cli.commands.reprocess_run import ReprocessOrder, ReprocessReport, Selection

REPROCESS_EXAMPLES = """Example: immich-mesh reprocess --missing --api-key ...

Interrupted? Run the same command again: it goes on where it stopped. Exit codes: 0 all done, 1 some photos failed."""

SEARCH_EXAMPLES = """Example: immich-mesh search "ocr:发票" --api-key ..."""

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


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


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
    video_frames: Annotated[
        int,
        typer.Option(
            "--video-frames",
            min=0,
            max=32,
            metavar="N",
            help="The text of a video from N pictures of it beside its preview (needs the extra `video`).",
        ),
    ] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=32, help="Photos at a time.")] = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be done.")] = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write what changed as JSON lines.", dir_okay=False)
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = "",
) -> None:
    """Recognise photos again with the current models, and replace their text and vectors in Immich."""
    from mesh.cli.commands.reprocess_run import CLIP, OCR, ReprocessOrder, ReprocessReport
    from mesh.cli.video.frames import demand_decoder

    selection = _selection(assets or [], query, album, missing, everything)
    if faces and not missing:
        raise CommandError("--faces goes with --missing: Immich's own job finds what is missing", ExitCode.USAGE)
    if video_frames:
        demand_decoder()
    named = frozenset(kind for kind, wanted in ((OCR, ocr), (CLIP, clip)) if wanted)
    everything_missing = missing and not named and not faces
    kinds = named or (frozenset() if faces else frozenset({OCR, CLIP}))
    report = ReprocessReport()
    order = ReprocessOrder(selection, kinds, faces or everything_missing, concurrency, dry_run, video_frames)
    try:
        payload = asyncio.run(_reprocess(url, api_key, order, report, as_json))
    except KeyboardInterrupt:
        _report(report, as_json)
        message = "stopped; the same command goes on where it stopped"
        raise CommandError(message, ExitCode.INTERRUPTED) from None
    except CommandError:
        # What was done, and why photos failed, is worth more than the last straw alone.
        _report(report, as_json)
        raise
    if dry_run or not kinds:
        if as_json:
            typer.echo(json.dumps(payload))
        elif dry_run:
            _show_plan(order, payload["photos"])
        return
    if report_file is not None:
        lines = [json.dumps(asdict(outcome), ensure_ascii=False) for outcome in report.outcomes]
        report_file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    _report(report, as_json, payload, finished=True)
    if report.failed:
        raise typer.Exit(ExitCode.FAILED)


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help='For example "ocr:发票".')],
    api_key: KeyOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Results.")] = 20,
    as_json: JsonOption = False,
    url: UrlOption = "",
) -> None:
    """Search as Immich's app does, and show why each photo was found."""
    from mesh.cli.output.photo_rows import show_results

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
    show_results(query, door, page, explained, took)


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


async def _reprocess(
    url: str, api_key: str, order: "ReprocessOrder", report: "ReprocessReport", as_json: bool
) -> dict[str, Any]:
    """Does it; what was to be done, for `--json`."""
    from mesh.cli.clients.front_door_client import FrontDoorClient, find_front_door
    from mesh.cli.commands.reprocess_run import Journal, select, unreadable
    from mesh.cli.commands.reprocess_run import reprocess as run
    from mesh.cli.output.photo_rows import photos, reprocess_bar

    url = url or await find_front_door(api_key)
    async with FrontDoorClient(url, api_key) as client:
        work = await select(client, order.selection, order.kinds) if order.kinds else {}
        payload: dict[str, Any] = {"photos": len(work), "kinds": sorted(order.kinds), "faces": order.faces}
        if order.selection.missing and (count := await unreadable(client, order.kinds)):
            payload["no_preview"] = count
            text = tr("{photos} without a preview left out: Immich cannot read the file, or has yet to make one")
            typer.echo(text.format(photos=photos(count)), err=as_json)
        if order.dry_run:
            return payload
        if order.faces:
            reason = await client.find_missing_faces()
            payload["faces_problem"] = reason
            text = f"faces: {reason or 'Immich looks for missing ones by its own job'}"
            typer.echo(localised(text), err=as_json)
        if order.kinds:
            with reprocess_bar(len(work)) as advance:
                journal = Journal.of(url, order.selection, order.kinds, order.video_frames)
                await run(
                    client,
                    work,
                    journal,
                    concurrency=order.concurrency,
                    video_frames=order.video_frames,
                    advance=advance,
                    report=report,
                )
    return payload


def _show_plan(order: "ReprocessOrder", count: int) -> None:
    from mesh.cli.output.photo_rows import photos

    if order.kinds:
        text = tr("{photos} would be reprocessed ({kinds})")
        typer.echo(text.format(photos=photos(count), kinds=", ".join(sorted(order.kinds))))
    if order.faces:
        typer.echo(tr("faces: Immich's own job would look for missing ones"))


def _report(
    report: "ReprocessReport", as_json: bool, payload: dict[str, Any] | None = None, *, finished: bool = False
) -> None:
    """Shows what came of it; nothing of a run that ended before its first photo."""
    if not report.outcomes and not finished:
        return
    if as_json:
        outcomes = [asdict(outcome) | {"changed": outcome in report.changed} for outcome in report.outcomes]
        counts = {"resumed": report.resumed, "changed": len(report.changed), "failed": len(report.failed)}
        typer.echo(json.dumps({**(payload or {}), **counts, "outcomes": outcomes}, ensure_ascii=False))
        return
    from mesh.cli.output.photo_rows import show_report

    show_report(report)


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
