"""`immich-mesh db`, as a person types it."""

import asyncio
import json

import pytest

from mesh.cli.app import run
from mesh.cli.output.outcome import ExitCode
from tests.integration.sql.conftest import ImmichDatabase


async def command(*arguments: str) -> int:
    return await asyncio.to_thread(run, ["db", *arguments])


async def test_from_nothing_to_search_and_back(unmigrated: ImmichDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    await unmigrated.photo("发票")
    url = ("--database-url", unmigrated.url)
    assert await command("status", *url) == ExitCode.FAILED
    assert "run `immich-mesh db migrate`" in capsys.readouterr().out
    assert await command("status", "--json", *url) == ExitCode.FAILED
    assert "run `immich-mesh db migrate`" in json.loads(capsys.readouterr().out)["problems"][0]
    assert await command("migrate", *url) == ExitCode.DONE
    assert "next: immich-mesh db backfill" in capsys.readouterr().out
    assert await command("backfill", *url) == ExitCode.DONE
    assert "1 photos with text, 1 documents changed" in capsys.readouterr().out
    assert await command("status", *url) == ExitCode.DONE
    assert "documents         1" in capsys.readouterr().out
    assert await command("status", "--json", *url) == ExitCode.DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["documents"], told["problems"]) == (1, [])
    assert await command("migrate", *url) == ExitCode.DONE
    assert "up to date" in capsys.readouterr().out
    assert await command("uninstall", "--yes", *url) == ExitCode.DONE
    told_last = capsys.readouterr().out
    assert "schema mesh removed" in told_last
    assert "paused" not in told_last


async def test_queues_that_a_stop_has_paused_are_told_when_their_note_goes(
    unmigrated: ImmichDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ("--database-url", unmigrated.url)
    assert await command("migrate", *url) == ExitCode.DONE
    await unmigrated.connection.execute("SELECT mesh.note_paused(ARRAY['ocr', 'smartSearch'])")
    assert await command("uninstall", "--yes", *url) == ExitCode.DONE
    assert "queues ocr, smartSearch are paused" in capsys.readouterr().out


async def test_a_role_is_granted(unmigrated: ImmichDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    role = f"reader_{unmigrated.name}"
    await unmigrated.connection.execute(f"CREATE ROLE {role}")
    assert await command("migrate", "--grant", role, "--refresh", "--database-url", unmigrated.url) == ExitCode.DONE
    assert f"role {role} may search and refresh" in capsys.readouterr().out
    await unmigrated.connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_what_goes_wrong_is_one_line(unmigrated: ImmichDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("status", "--database-url", "postgresql://postgres@127.0.0.1:1/x") == ExitCode.UNREACHABLE
    assert await command("status", "--database-url", unmigrated.server.database("absent")) == ExitCode.REFUSED
    assert await command("migrate", "--grant", "absent", "--database-url", unmigrated.url) == ExitCode.FAILED
    assert len(capsys.readouterr().err.strip().splitlines()) >= 3


async def test_immichs_own_names_for_its_database_are_read(
    unmigrated: ImmichDatabase, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MESH_DATABASE_URL", "ROUTER_LISTENERS__PHOTOS__DATABASE__URL", "DB_URL", "DB_HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    assert await command("status") == ExitCode.USAGE
    assert "DB_HOSTNAME" in capsys.readouterr().err
    monkeypatch.setenv("DB_HOSTNAME", "127.0.0.1")
    monkeypatch.setenv("DB_PORT", "1")
    assert await command("status") == ExitCode.UNREACHABLE
    monkeypatch.setenv("DB_URL", unmigrated.url)
    assert await command("migrate") == ExitCode.DONE
    monkeypatch.setenv("DB_URL", "postgresql://postgres@127.0.0.1:1/x")
    assert await command("status", "--database-url", unmigrated.url) == ExitCode.DONE


async def test_a_role_is_tried(unmigrated: ImmichDatabase, capsys: pytest.CaptureFixture[str]) -> None:
    photo = await unmigrated.photo("发票")
    role = f"tried_{unmigrated.name}"
    url = ("--database-url", unmigrated.url)
    assert await command("migrate", *url) == ExitCode.DONE
    assert await command("backfill", *url) == ExitCode.DONE
    assert await command("status", "--role", role, *url) == ExitCode.FAILED
    assert f"CREATE ROLE {role}" in capsys.readouterr().out
    await unmigrated.connection.execute(f"CREATE ROLE {role} LOGIN")
    assert await command("status", "--role", role, *url) == ExitCode.FAILED
    assert f"db migrate --grant {role}" in capsys.readouterr().out
    assert await command("migrate", "--grant", role, *url) == ExitCode.DONE
    assert await command("status", "--role", role, *url) == ExitCode.DONE
    assert f"{role}: granted search, tried search" in capsys.readouterr().out
    assert await command("migrate", "--grant", role, "--refresh", *url) == ExitCode.DONE
    assert await command("status", "--role", role, *url) == ExitCode.DONE
    assert "granted search and refresh, tried search, refresh" in capsys.readouterr().out
    assert await unmigrated.body(photo) == "发票"
    # What Immich's own triggers refuse, a refresh is refused.
    await unmigrated.connection.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER refuse BEFORE DELETE ON asset_ocr FOR EACH ROW EXECUTE FUNCTION refuse()
        """
    )
    assert await command("status", "--role", role, *url) == ExitCode.FAILED
    assert f"role {role} cannot refresh: no" in capsys.readouterr().out
    assert await unmigrated.connection.fetchval("SELECT text FROM asset_ocr") == "发票"
    await unmigrated.connection.execute(f"DROP ROLE {role}")
