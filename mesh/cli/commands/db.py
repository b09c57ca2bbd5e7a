"""`immich-mesh db`: prepares Immich's database for text search, shows how it stands, and takes everything away."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mesh.cli.output.help import HelpfulTyper
from mesh.cli.output.outcome import CommandError, ExitCode

if TYPE_CHECKING:
    from sql.upkeep.status import Status
    from sql.upkeep.trial import Trial

T = TypeVar("T")

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
) -> None:
    """Create or update schema `mesh`; safe to repeat, and beside another migration."""
    from sql.migrate import migrate as run_migrations

    async def work(connection: Any) -> int:
        with _bar("migrations") as (bar, task):
            applied = await run_migrations(
                connection, lambda done, total: bar.update(task, completed=done, total=total)
            )
        if grant is not None:
            await connection.execute("SELECT mesh.grant_to($1, $2)", grant, refresh)
        return len(applied)

    count = _run(database_url, work)
    typer.echo(f"{count} migrations applied" if count else "schema mesh is up to date")
    if grant is not None:
        typer.echo(f"role {grant} may search{' and refresh' if refresh else ''}")
    if count:
        typer.echo("next: immich-mesh db backfill")


@app.command()
def backfill(database_url: DatabaseUrl = None) -> None:
    """Make all photos' text searchable; after an interruption, run it again and it goes on."""
    from sql.upkeep.backfill import Backfilled
    from sql.upkeep.backfill import backfill as run_backfill

    async def work(connection: Any) -> Backfilled:
        with _bar("photos") as (bar, task):
            return await run_backfill(
                connection, lambda done, total, changed: bar.update(task, completed=done, total=total)
            )

    done = _run(database_url, work)
    typer.echo(f"{done.photos} photos with text, {done.changed} documents changed")
    for kind, names in (("triggers", done.triggers), ("indexes", done.indexes)):
        if names:
            typer.echo(f"{kind} made: {', '.join(names)}")


@app.command()
def status(
    database_url: DatabaseUrl = None,
    role: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="Try a search, and a refresh where granted, as this role; nothing stays."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show versions, counts and what is missing. Exit code 0 when all is well, else 1."""
    from sql.upkeep.status import status as look
    from sql.upkeep.trial import trial

    found = _run(database_url, look)
    tried = _run(database_url, lambda connection: trial(connection, role)) if role is not None else None
    problems = [*found.problems, *(tried.problems if tried else ())]
    if as_json:
        told = asdict(found) | {"role": asdict(tried) if tried else None, "problems": problems}
        typer.echo(json.dumps(told, ensure_ascii=False, default=str))
    else:
        _show_status(found, tried)
        for problem in problems:
            typer.echo(f"! {problem}")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _show_status(found: "Status", tried: "Trial | None") -> None:
    index = found.schema.vector_index
    rows = (
        ("schema mesh", f"version {found.schema.migrated} of {found.latest}" if found.schema.migrated else "not there"),
        ("photos with text", f"{found.photos_with_text}"),
        ("documents", f"{found.documents} ({found.bytes / 2**20:.1f} MiB with indexes)"),
        ("CLIP vectors", f"{found.schema.dimension} numbers, index {index}" if found.schema.dimension else "none"),
        ("extensions used", ", ".join(_used(found.schema.extensions, found.schema.has_zhparser)) or "none"),
        ("Immich's restore", "finds room" if found.is_guarded else "needs `immich-mesh db uninstall` first"),
    )
    for name, value in rows:
        typer.echo(f"{name:<18}{value}")
    if found.absent_roles:
        typer.echo(f"{'unknown roles':<18}{', '.join(found.absent_roles)} (granted once, not on this server)")
    if tried is not None:
        typer.echo(f"{'role':<18}{tried.role}: granted {tried.granted}, tried {' and '.join(tried.tried) or 'nothing'}")


@app.command()
def uninstall(
    database_url: DatabaseUrl = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove schema `mesh` and its triggers; Immich's own data stays as it is."""
    from sql.migrate import uninstall as remove

    if not yes:
        typer.confirm("Remove schema mesh with all documents (Immich's data stays)?", abort=True)

    async def work(connection: Any) -> int:
        with _bar("migrations") as (bar, task):
            return await remove(connection, lambda done, total: bar.update(task, completed=done, total=total))

    count = _run(database_url, work)
    typer.echo(f"{count} migrations undone, schema mesh removed" if count else "there was no schema mesh")


def _used(extensions: dict[str, str], has_zhparser: bool) -> list[str]:
    used = [f"{name} {extensions[name]}" for name in ("vector", "vchord", "pg_trgm") if name in extensions]
    return [*used, "zhparser"] if has_zhparser else used


def _run(database_url: str | None, work: Callable[[Any], Awaitable[T]]) -> T:
    """The result of `work(connection)`; what goes wrong with the database is one line and a code."""
    import asyncpg

    from sql.immich_environment import immich_database_url

    url = database_url or immich_database_url(os.environ)
    if url is None:
        message = "say where Immich's database is: --database-url, or Immich's own DB_URL or DB_HOSTNAME"
        raise CommandError(message, ExitCode.USAGE)

    async def connected() -> T:
        connection = await asyncpg.connect(url, timeout=10, server_settings={"application_name": "immich-mesh db"})
        try:
            return await work(connection)
        finally:
            connection.terminate()

    try:
        return asyncio.run(connected())
    except asyncpg.InsufficientPrivilegeError as error:
        raise CommandError(f"{error}: use Immich's own database user", ExitCode.REFUSED) from error
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise CommandError(f"the database refuses: {error}", ExitCode.REFUSED) from error
    except (asyncpg.PostgresConnectionError, TimeoutError, ConnectionError, OSError) as error:
        raise CommandError(f"the database cannot be reached: {error or 'no answer'}", ExitCode.UNREACHABLE) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise CommandError(f"{error}") from error


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
