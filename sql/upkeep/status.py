"""How things stand between Immich's database and schema `mesh`, for a person and for a probe."""

from dataclasses import dataclass
from typing import Any

from sql.migrate import applied, changed, migrations
from sql.schema import ImmichSchema, inspect
from sql.upkeep import guard, indexes

TABLES = {"ocr_document": 2, "stale": 3, "emptied": 3, "turn": 3, "role": 4}
"""Our tables, and the version from which on they are there."""

NO_BACKFILL = "no backfill has run"
"""The reason that a migration notes (0003) where it finds texts; searches are refused until a backfill took it away."""

TRIGGERS = ("mesh_insert", "mesh_delete", "mesh_update", "mesh_truncate")


@dataclass(frozen=True, slots=True)
class Status:
    """What `immich-mesh db status` shows.

    Attributes:
        schema: Immich's side.
        latest: newest migration of this program.
        changed: migrations of this program that are not those that were applied, by version.
        documents: photos with a document.
        photos_with_text: photos that Immich has text of.
        missing: photos with text and without a document.
        stale: changes that a trigger could not follow.
        stale_reason: why, of the last one.
        missing_triggers: as "table.trigger".
        missing_indexes: by name.
        bytes: of documents and indexes together.
        is_guarded: whether a restore of Immich's finds room.
        lost_tables: tables of ours that are gone.
        absent_roles: roles that were granted something and do not exist on this server.
    """

    schema: ImmichSchema
    latest: int
    changed: tuple[int, ...] = ()
    documents: int = 0
    photos_with_text: int = 0
    missing: int = 0
    stale: int = 0
    stale_reason: str | None = None
    missing_triggers: tuple[str, ...] = ()
    missing_indexes: tuple[str, ...] = ()
    bytes: int = 0
    is_guarded: bool = False
    lost_tables: tuple[str, ...] = ()
    absent_roles: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong and what to do, one sentence each; empty when all is well."""
        found = list(self.schema.problems)
        if not self.schema.migrated:
            return (*found, "schema mesh is not there: run `immich-mesh db migrate`")
        if self.lost_tables:
            found.append(
                f"tables of schema mesh are gone ({', '.join(self.lost_tables)}): "
                "`immich-mesh db uninstall`, then `db migrate` and `db backfill` (Immich's data stays)"
            )
        found += [changed(version) for version in self.changed]
        if self.schema.migrated < self.latest and not self.changed:
            found.append("schema mesh is older than this program: run `immich-mesh db migrate`")
        if self.missing_triggers:
            found.append(f"triggers are missing ({', '.join(self.missing_triggers)}): run `immich-mesh db backfill`")
        if self.missing_indexes:
            found.append(f"indexes are missing ({', '.join(self.missing_indexes)}): run `immich-mesh db backfill`")
        if self.missing:
            found.append(f"{self.missing} photos with text cannot be found yet: run `immich-mesh db backfill`")
        if self.stale_reason == NO_BACKFILL:
            found.append("searches are Immich's own until the texts are indexed: run `immich-mesh db backfill`")
        elif self.stale:
            found.append(
                f"{self.stale} changes could not be followed ({self.stale_reason}): run `immich-mesh db backfill`"
            )
        return tuple(found)


async def status(connection: Any) -> Status:
    """Look at both sides; counts every photo with text, which takes about a second per million lines."""
    schema = await inspect(connection)
    steps = migrations()
    latest = steps[-1].version
    if not schema.migrated:
        return Status(schema, latest)
    present = await applied(connection)
    if lost := await _lost_tables(connection, schema.migrated):
        return Status(schema, latest, lost_tables=lost)
    counts = await connection.fetchrow(
        """
        SELECT (SELECT count(*) FROM mesh.ocr_document) AS documents,
               (SELECT count(*) FROM mesh.stale) AS stale,
               (SELECT reason FROM mesh.stale ORDER BY noticed_at DESC LIMIT 1) AS reason,
               pg_total_relation_size('mesh.ocr_document') AS bytes
        """
    )
    with_text, missing = await _text(connection, schema)
    return Status(
        schema,
        latest,
        changed=tuple(step.version for step in steps if present.get(step.version, step.checksum) != step.checksum),
        documents=counts["documents"],
        photos_with_text=with_text,
        missing=missing,
        stale=counts["stale"],
        stale_reason=counts["reason"],
        missing_triggers=await _missing_triggers(connection, schema),
        missing_indexes=await indexes.missing(connection),
        bytes=counts["bytes"],
        is_guarded=await guard.is_there(connection),
        absent_roles=await _absent_roles(connection),
    )


async def _lost_tables(connection: Any, version: int) -> tuple[str, ...]:
    """Tables that a schema of this version has, and that somebody dropped."""
    wanted = [name for name, since in TABLES.items() if since <= version]
    rows = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass('mesh.' || name) IS NULL", wanted
    )
    return tuple(row["name"] for row in rows)


async def _absent_roles(connection: Any) -> tuple[str, ...]:
    if not await connection.fetchval("SELECT to_regclass('mesh.role') IS NOT NULL"):
        return ()
    rows = await connection.fetch(
        "SELECT name FROM mesh.role WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY 1"
    )
    return tuple(row["name"] for row in rows)


async def _text(connection: Any, schema: ImmichSchema) -> tuple[int, int]:
    parts = []
    if schema.has("asset_ocr", "assetId"):
        visible = ' WHERE "isVisible"' if schema.has("asset_ocr", "isVisible") else ""
        parts.append(f'SELECT DISTINCT "assetId" AS id FROM public.asset_ocr{visible}')  # noqa: S608 - constants
    if schema.has("ocr_info", "assetId"):
        parts.append('SELECT "assetId" AS id FROM public.ocr_info')
    if not parts:
        return 0, 0
    row = await connection.fetchrow(
        f"""
        SELECT count(*) AS photos, count(*) FILTER (WHERE asset_id IS NULL) AS missing
        FROM ({" UNION ".join(parts)}) AS photo LEFT JOIN mesh.ocr_document ON asset_id = photo.id
        """  # noqa: S608 - constants
    )
    return row["photos"], row["missing"]


async def _missing_triggers(connection: Any, schema: ImmichSchema) -> tuple[str, ...]:
    sources = [name for name in ("asset_ocr", "ocr_info") if name in schema.columns]
    rows = await connection.fetch(
        """
        SELECT tgrelid::regclass::text AS source, tgname::text AS name FROM pg_trigger
        WHERE tgname = ANY ($1::text[]) AND tgenabled IN ('O', 'A')
          AND tgrelid IN (to_regclass('public.asset_ocr'), to_regclass('public.ocr_info'))
        """,
        list(TRIGGERS),
    )
    present = {(row["source"].removeprefix("public."), row["name"]) for row in rows}
    return tuple(f"{source}.{name}" for source in sources for name in TRIGGERS if (source, name) not in present)
