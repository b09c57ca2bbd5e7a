"""What makes room for a restore of Immich's: where schema public, or Immich's table of photos, is dropped, schema
`mesh` goes as well.

Immich restores a backup by dropping schema public and running the dump, all or nothing. The dump also holds schema
`mesh` as it was then, and drops what it knows of it; anything that came later would stand in its way. An event trigger
is the only thing that PostgreSQL tells of a drop, and only a superuser (Immich's own user, as its image makes it) may
create one. Its name carries the version of the schema, so that an older dump does not drop it before it is needed.
"""

from typing import Any

FUNCTION = """
CREATE OR REPLACE FUNCTION mesh.leave_with_immich() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects()
             WHERE (object_type, object_identity) IN (('schema', 'public'), ('table', 'public.asset'))) THEN
    DROP SCHEMA mesh CASCADE;
  END IF;
EXCEPTION WHEN OTHERS THEN
  -- Whatever is being dropped, it is not ours to hold up.
  RAISE WARNING 'immich-mesh: schema mesh stays: %', SQLERRM;
END
$$
"""
TRIGGERS = """
SELECT quote_ident(evtname) AS name FROM pg_event_trigger
WHERE evtfoid = to_regprocedure('mesh.leave_with_immich()') AND evtenabled IN ('O', 'A')
"""


async def ensure(connection: Any, version: int) -> None:
    """Create the event trigger of this version in place of those of others; nothing without a superuser's rights."""
    if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        return
    name = f"mesh_{version}"
    present = [row["name"] for row in await connection.fetch(TRIGGERS)]
    for other in present:
        if other != name:
            await connection.execute(f"DROP EVENT TRIGGER {other}")
    if name not in present:
        await connection.execute(FUNCTION)
        await connection.execute("REVOKE ALL ON FUNCTION mesh.leave_with_immich() FROM PUBLIC")
        await connection.execute(
            f"CREATE EVENT TRIGGER {name} ON sql_drop WHEN TAG IN ('DROP SCHEMA', 'DROP TABLE')"
            " EXECUTE FUNCTION mesh.leave_with_immich()"
        )


async def is_there(connection: Any) -> bool:
    """Whether a restore of Immich's finds room."""
    return bool(await connection.fetch(TRIGGERS))
