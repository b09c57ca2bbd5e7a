"""`immich-mesh db`: prepares Immich's database for text search, shows how it stands, and takes everything away."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mesh.cli.output.help import HelpfulTyper
from mesh.cli.output.language import tr
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.cli.output.phrases import localised

if TYPE_CHECKING:
    from sql.upkeep.status import Status
    from sql.upkeep.trial import Trial

T = TypeVar("T")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

EXAMPLES = """Example: immich-mesh db migrate --database-url postgresql://postgres:...@localhost:5432/immich

A file .env in the folder in which it is called is read, Immich's own too.

The user needs to own Immich's tables (Immich's own database user does); searching needs much less, see --grant."""

app = HelpfulTyper(help="Prepare, inspect and clean Immich's database for text search.", epilog=EXAMPLES)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        envvar=["MESH_DATABASE_URL", "ROUTER_LISTENERS__PHOTOS__DATABASE__URL"],
        help="postgresql://user:password@host:port/database of Immich's database. "
        "Without it Immich's own DB_URL, or DB_HOSTNAME, DB_USERNAME, DB_PASSWORD ..., are read.",
        show_envvar=True,
    ),
]


@app.command()
def migrate(
    database_url: DatabaseUrl = None,
    grant: Annotated[
        str | None, typer.Option(metavar="ROLE", help="Let this database role search (it must exist).")
    ] = None,
    refresh: Annotated[
        bool, typer.Option(help="With --grant: let it also refresh single photos, in Immich's AI tables.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Create or update schema `mesh`; safe to repeat, and beside another migration."""
    from sql.migrate import migrate as run_migrations

    async def work(connection: Any) -> int:
        with _bar(tr("migrations")) as (bar, task):
            applied = await run_migrations(
                connection, lambda done, total: bar.update(task, completed=done, total=total)
            )
        if grant is not None:
            await connection.execute("SELECT mesh.grant_to($1, $2)", grant, refresh)
        return len(applied)

    count = _run(database_url, work)
    if as_json:
        typer.echo(json.dumps({"applied": count, "granted": grant}))
        return
    typer.echo(tr("{count} migrations applied").format(count=count) if count else tr("schema mesh is up to date"))
    if grant is not None:
        text = tr("role {role} may search and refresh") if refresh else tr("role {role} may search")
        typer.echo(text.format(role=grant))
    if count:
        typer.echo(tr("next: {command}").format(command="immich-mesh db backfill"))


@app.command()
def backfill(database_url: DatabaseUrl = None, as_json: JsonOption = False) -> None:
    """Make all photos' text searchable; after an interruption, run it again and it goes on."""
    from sql.upkeep.backfill import Backfilled
    from sql.upkeep.backfill import backfill as run_backfill

    async def work(connection: Any) -> Backfilled:
        with _bar(tr("photos")) as (bar, task):
            return await run_backfill(
                connection, lambda done, total, changed: bar.update(task, completed=done, total=total)
            )

    done = _run(database_url, work)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
        return
    text = tr("{photos} photos with text, {changed} documents changed")
    typer.echo(text.format(photos=done.photos, changed=done.changed))
    for text, names in ((tr("triggers made: {names}"), done.triggers), (tr("indexes made: {names}"), done.indexes)):
        if names:
            typer.echo(text.format(names=", ".join(names)))


@app.command()
def status(
    database_url: DatabaseUrl = None,
    role: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="Try a search, and a refresh where granted, as this role; nothing stays."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show versions, counts and what is missing. Exit code 0 when all is well, else 1."""
    from sql.upkeep.status import status as look
    from sql.upkeep.trial import trial

    found = _run(database_url, look)
    tried = _run(database_url, lambda connection: trial(connection, role)) if role is not None else None
    problems = [*found.problems, *(tried.problems if tried else ())]
    if as_json:
        payload = asdict(found) | {"role": asdict(tried) if tried else None, "problems": problems}
        typer.echo(json.dumps(payload, ensure_ascii=False, default=str))
    else:
        _show_status(found, tried)
        for problem in problems:
            typer.echo(f"! {localised(problem)}")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _show_status(found: "Status", tried: "Trial | None") -> None:
    schema = found.schema
    version = tr("version {have} of {newest}").format(have=schema.migrated, newest=found.latest)
    documents = tr("{count} ({size} MiB with indexes)").format(count=found.documents, size=f"{found.bytes / 2**20:.1f}")
    vectors = tr("{count} numbers, index {index}").format(count=schema.dimension, index=schema.vector_index)
    rows = [
        (tr("schema mesh"), version if schema.migrated else tr("not there")),
        (tr("photos with text"), f"{found.photos_with_text}"),
        (tr("documents"), documents),
        (tr("CLIP vectors"), vectors if schema.dimension else tr("none")),
        (tr("extensions used"), ", ".join(_used(schema.extensions, schema.has_zhparser)) or tr("none")),
        (
            tr("Immich's restore"),
            tr("finds room") if found.is_guarded else tr("needs `immich-mesh db uninstall` first"),
        ),
    ]
    if found.absent_roles:
        text = tr("{names} (granted once, not on this server)").format(names=", ".join(found.absent_roles))
        rows.append((tr("unknown roles"), text))
    if tried is not None:
        text = tr("{role}: granted {granted}, tried {tried}")
        done = ", ".join(tried.tried) or tr("nothing")
        rows.append((tr("role"), text.format(role=tried.role, granted=tried.granted, tried=done)))
    width = max(18, 2 + max(cell_len(name) for name, _ in rows))
    for name, value in rows:
        typer.echo(set_cell_size(name, width) + value)


@app.command()
def uninstall(
    database_url: DatabaseUrl = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove schema `mesh` and its triggers; Immich's own data stays as it is."""
    from sql.migrate import Removed
    from sql.migrate import uninstall as remove

    if not yes:
        typer.confirm(tr("Remove schema mesh with all documents (Immich's data stays)?"), abort=True)

    async def work(connection: Any) -> Removed:
        with _bar(tr("migrations")) as (bar, task):
            return await remove(connection, lambda done, total: bar.update(task, completed=done, total=total))

    removed = _run(database_url, work)
    if as_json:
        typer.echo(json.dumps({"undone": removed.steps, "paused": removed.paused}))
        return
    text = tr("{count} migrations undone, schema mesh removed") if removed.steps else tr("there was no schema mesh")
    typer.echo(text.format(count=removed.steps))
    if removed.paused:
        text = tr(
            "! Immich's queues {queues} are paused since the mesh stopped: resume them in Immich's administration"
        )
        typer.echo(text.format(queues=", ".join(removed.paused)))


def _used(extensions: dict[str, str], has_zhparser: bool) -> list[str]:
    used = [f"{name} {extensions[name]}" for name in ("vector", "vchord", "pg_trgm") if name in extensions]
    return [*used, "zhparser"] if has_zhparser else used


def _run(database_url: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    """The result of `work(connection)` in the database that was named. Raises CommandError."""
    from mesh.cli.clients.database import in_database
    from sql.immich_environment import immich_database_url

    url = database_url or immich_database_url(os.environ)
    if url is None:
        message = "say where Immich's database is: --database-url, or Immich's own DB_URL or DB_HOSTNAME"
        raise CommandError(message, ExitCode.USAGE)
    return asyncio.run(in_database(url, work))


class _bar:  # noqa: N801 - reads as a function: `with _bar("photos") as (bar, task)`
    """A progress bar on standard error; plain lines of text where nobody watches."""

    def __init__(self, noun: str) -> None:
        self._progress = Progress(
            TextColumn(noun),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> tuple[Progress, Any]:
        self._progress.start()
        return self._progress, self._progress.add_task("", total=None)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
