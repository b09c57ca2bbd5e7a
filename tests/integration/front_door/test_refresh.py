"""Refreshing writes what Immich itself would have written, in one transaction, for owners only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest

from mesh.core.errors import DimensionMismatchError
from sql.refresh import OcrLine, PhotoGoneError, RefreshRepository, WriteRefusedError
from sql.search.ocr_tokens import search_text, tokens
from sql.settings import DatabaseSettings
from tests.doubles.immich import DoubleKey, DoubleUser, ImmichDouble
from tests.integration.front_door.conftest import FORK, FrontDoorDatabase, RealDoor, new_database, real_door

KEY = {"x-api-key": "alice-key"}
BOX = (0.1, 0.2, 0.6, 0.2, 0.6, 0.3, 0.1, 0.3)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def line(text: str) -> OcrLine:
    return OcrLine(text, BOX, 0.95, 0.99)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def repository(database: FrontDoorDatabase) -> AsyncIterator[RefreshRepository]:
    async with RefreshRepository(DatabaseSettings(url=database.url)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("发票号码 INVOICE", ["发票", "票号", "号码", "INVOICE"]),
        ("Hello World 你好世界", ["Hello", "World", "你好", "好世", "世界"]),
        ("税", ["税"]),
        ("ABC税号123", ["ABC", "税号", "123"]),
        ("かな 한국어 㐀㐁", ["かな", "한국", "국어", "㐀㐁"]),
        ("ＡＢ　12 Ünï", ["ＡＢ\u300012", "Ünï"]),
        ("\t a\x00b \n", ["a", "b"]),
        ("𠀀𠀁", ["𠀀𠀁"]),
        ("", []),
    ],
)
def test_tokens_are_immichs(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected
    assert search_text([text, text]) == " ".join(expected * 2)


async def test_rows_as_immich_writes_them(
    database: FrontDoorDatabase, repository: RefreshRepository, immich: ImmichDouble
) -> None:
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo, "旧文本")
    change = await repository.replace_text(photo.id, [line("发票号码"), line("Total 12.50")], (1440, 1920), NOW)
    assert (change.before, change.after) == (("旧文本",), ("发票号码", "Total 12.50"))
    rows = await database.connection.fetch('SELECT * FROM asset_ocr WHERE "assetId" = $1', photo.id)
    assert [row["text"] for row in rows] == ["发票号码", "Total 12.50"]
    corners = [rows[0][name] for name in ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")]
    assert corners == pytest.approx(BOX)
    assert (rows[0]["boxScore"], rows[0]["textScore"]) == pytest.approx((0.95, 0.99))
    assert all(row["isVisible"] for row in rows)
    stored = await database.connection.fetchval('SELECT text FROM ocr_search WHERE "assetId" = $1', photo.id)
    assert stored == "发票 票号 号码 Total 12.50"
    at = await database.connection.fetchval('SELECT "ocrAt" FROM asset_job_status WHERE "assetId" = $1', photo.id)
    assert at == NOW


async def test_an_empty_result_clears_what_was_there(
    database: FrontDoorDatabase, repository: RefreshRepository, immich: ImmichDouble
) -> None:
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo)
    await repository.replace_text(photo.id, [line("发票")], (10, 10), NOW)
    await repository.replace_text(photo.id, [], (10, 10), NOW + timedelta(seconds=1))
    for table in ("asset_ocr", "ocr_search"):
        assert await database.connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    assert await database.connection.fetchval('SELECT "ocrAt" FROM asset_job_status') == NOW + timedelta(seconds=1)


async def test_a_failure_half_way_changes_nothing(
    database: FrontDoorDatabase, repository: RefreshRepository, immich: ImmichDouble
) -> None:
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo, "keep me")
    await database.connection.execute("ALTER TABLE asset_job_status ADD CHECK (\"ocrAt\" < '2000-01-01')")
    with pytest.raises(asyncpg.CheckViolationError):
        await repository.replace_text(photo.id, [line("new")], (10, 10), NOW)
    assert await database.connection.fetchval("SELECT text FROM asset_ocr") == "keep me"


async def test_the_forks_table(postgres: str, immich: ImmichDouble) -> None:
    drop = "DROP TABLE asset_ocr, ocr_search, asset_job_status"
    async with new_database(postgres, drop, FORK) as database:
        photo = immich.photo(immich.user("alice"))
        await database.photo(photo)
        async with RefreshRepository(DatabaseSettings(url=database.url)) as repository:
            await repository.replace_text(photo.id, [line("发票"), line("x")], (1000, 500), NOW)
            row = await database.connection.fetchrow("SELECT text, \"ocrJson\"->'boxes'->0 AS box FROM ocr_info")
            assert row["text"] == "发票 x"
            assert row["box"] == '{"x1": 100, "x2": 600, "y1": 100, "y2": 150}'
            change = await repository.replace_text(photo.id, [], (1000, 500), NOW)
            assert change.before == ("发票 x",)
            assert await database.connection.fetchval("SELECT text FROM ocr_info") == ""
            assert not [one for one in await repository.missing(photo.owner) if one.kind == "text"]


async def test_embeddings_of_the_columns_length_only(
    database: FrontDoorDatabase, repository: RefreshRepository, immich: ImmichDouble
) -> None:
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo)
    await repository.replace_embedding(photo.id, [0.0] * 511 + [1.0])
    await repository.replace_embedding(photo.id, [1.0] + [0.0] * 511)
    stored = await database.connection.fetchval("SELECT embedding::text FROM smart_search")
    assert stored.startswith("[1,0,0,")
    with pytest.raises(DimensionMismatchError, match=r"768 numbers.*512"):
        await repository.replace_embedding(photo.id, [0.0] * 768)


async def test_a_photo_that_is_gone(repository: RefreshRepository) -> None:
    with pytest.raises(PhotoGoneError):
        await repository.replace_text(UUID(int=1), [], (1, 1), NOW)
    with pytest.raises(PhotoGoneError):
        await repository.replace_embedding(UUID(int=1), [1.0] + [0.0] * 511)


@asynccontextmanager
async def role_of(database: FrontDoorDatabase, *, may_refresh: bool) -> AsyncIterator[str]:
    """A database role with the mesh's own grants: the URL to connect as it."""
    role = f"mesh_{uuid4().hex}"
    await database.connection.execute(f"CREATE ROLE {role} LOGIN")
    await database.connection.execute("SELECT mesh.grant_to($1, $2)", role, may_refresh)
    try:
        yield database.url.replace("//postgres:@", f"//{role}:@")
    finally:
        await database.connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_the_granted_role_may_refresh(database: FrontDoorDatabase, immich: ImmichDouble) -> None:
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo, "old")
    async with (
        role_of(database, may_refresh=True) as url,
        RefreshRepository(DatabaseSettings(url=url)) as repository,
    ):
        await repository.ml_settings()
        await repository.replace_text(photo.id, [line("发票")], (1, 1), NOW)
        await repository.replace_text(photo.id, [], (1, 1), NOW)
        await repository.replace_text(photo.id, [line("发票")], (1, 1), NOW)
        await repository.replace_embedding(photo.id, [1.0] + [0.0] * 511)
        assert {one.kind for one in await repository.missing(photo.owner)} == {"faces"}
        assert await repository.vector_length(photo.id) == 512
    assert await database.connection.fetchval("SELECT count(*) FROM mesh.ocr_document") == 1


async def test_two_refreshes_at_once_leave_one_result(database: FrontDoorDatabase, immich: ImmichDouble) -> None:
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo, "old")
    async with RefreshRepository(DatabaseSettings(url=database.url)) as repository:
        results = [[line(f"text {number}"), line("发票")] for number in range(6)]
        await asyncio.gather(*(repository.replace_text(photo.id, lines, (1, 1), NOW) for lines in results))
    rows = await database.connection.fetch("SELECT text FROM asset_ocr ORDER BY ctid")
    assert len(rows) == 2
    stored = await database.connection.fetchval("SELECT text FROM ocr_search")
    assert stored == search_text(row["text"] for row in rows)


async def test_a_role_that_may_only_search(database: FrontDoorDatabase, immich: ImmichDouble) -> None:
    photo = immich.photo(immich.user("alice"))
    await database.photo(photo)
    async with (
        role_of(database, may_refresh=False) as url,
        RefreshRepository(DatabaseSettings(url=url)) as repository,
    ):
        with pytest.raises(WriteRefusedError, match="may not write"):
            await repository.replace_text(photo.id, [line("x")], (1, 1), NOW)


async def test_what_immich_dropped_is_missing(
    database: FrontDoorDatabase, repository: RefreshRepository, immich: ImmichDouble
) -> None:
    alice = immich.user("alice")
    names = ("never", "lost", "empty", "read", "trashed", "hidden")
    photos = {name: immich.photo(alice, name=name) for name in names}
    photos["trashed"].trashed, photos["hidden"].visibility = True, "hidden"
    for name, photo in photos.items():
        await database.photo(photo, *(["text"] if name == "read" else []))
    forced_run = NOW
    moments = {"lost": -60, "read": 5, "empty": 10}  # seconds around the moment Immich emptied its table
    for name, seconds in moments.items():
        moment = forced_run + timedelta(seconds=seconds)
        await database.connection.execute(
            'INSERT INTO asset_job_status ("assetId", "ocrAt") VALUES ($1, $2)', photos[name].id, moment
        )
    assert await missing(repository, alice, "text") == {photos["never"].id, photos["lost"].id}
    await repository.replace_embedding(photos["read"].id, [1.0] + [0.0] * 511)
    assert await missing(repository, alice, "vector") == {photos[name].id for name in ("never", "lost", "empty")}
    assert await repository.vector_length(photos["read"].id) == 512
    assert await repository.vector_length(photos["trashed"].id) is None
    assert await repository.missing(UUID(int=7)) == []


async def missing(repository: RefreshRepository, owner: DoubleUser, kind: str) -> set[UUID]:
    return {one.photo for one in await repository.missing(owner.id) if one.kind == kind}


@pytest.fixture
def alice(immich: ImmichDouble) -> DoubleUser:
    return immich.user("alice", "alice-key")


async def jobs(
    http: aiohttp.ClientSession, door: RealDoor, name: str, ids: list[Any], headers: dict[str, str] = KEY
) -> tuple[int, Any]:
    body = {"assetIds": [str(each) for each in ids], "name": name}
    async with http.post(f"{door.url}/api/assets/jobs", json=body, headers=headers) as reply:
        return reply.status, await reply.json() if reply.content_type == "application/json" else None


async def test_jobs_through_the_door(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    photos = [immich.photo(alice), immich.photo(alice)]
    for photo in photos:
        await database.photo(photo, "old")
    stored = '{"machineLearning": {"ocr": {"modelName": "PP-OCRv6_small"}, "clip": {"modelName": "ViT-B-16__openai"}}}'
    await database.connection.execute("INSERT INTO system_metadata VALUES ('system-config', $1)", stored)
    async with real_door(immich, database.url) as door:
        assert await jobs(http, door, "refresh-ocr", [photo.id for photo in photos]) == (204, None)
        texts = await database.connection.fetch("SELECT text FROM asset_ocr")
        assert [row["text"] for row in texts] == ["发票号码 INVOICE"] * 2
        status, reply = await jobs(http, door, "refresh-smart-search", [photos[0].id])
        assert status == 422  # the stand-in's vector has 3 numbers
        assert "512" in reply["message"]
        assert sorted(set(door.mesh.asked)) == [("embed_image", "ViT-B-16__openai"), ("read_text", "PP-OCRv6_small")]


@pytest.mark.parametrize(
    ("whose", "status"), [("mine", 204), ("partner", 400), ("stranger", 400), ("locked", 400), ("mixed", 400)]
)
async def test_only_owners_may_refresh(
    database: FrontDoorDatabase,
    immich: ImmichDouble,
    alice: DoubleUser,
    http: aiohttp.ClientSession,
    whose: str,
    status: int,
) -> None:
    bob, eve = immich.user("bob"), immich.user("eve")
    alice.partners = {bob.id: True}
    mine, partner, stranger = immich.photo(alice), immich.photo(bob), immich.photo(eve)
    locked = immich.photo(alice, visibility="locked")
    for photo in (mine, partner, stranger, locked):
        await database.photo(photo)
    ids = {"mine": [mine], "partner": [partner], "stranger": [stranger], "locked": [locked], "mixed": [mine, partner]}
    async with real_door(immich, database.url) as door:
        got, reply = await jobs(http, door, "refresh-ocr", [photo.id for photo in ids[whose]])
    assert got == status
    if status == 400:
        assert reply == {"message": "Not found or no asset.update access", "error": "Bad Request", "statusCode": 400}
    rows = await database.connection.fetchval("SELECT count(*) FROM asset_ocr")
    assert rows == (1 if status == 204 else 0)


async def test_keys_that_may_not_start_jobs(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    photo = immich.photo(alice)
    await database.photo(photo)
    immich.keys["reader"] = DoubleKey(alice, frozenset({"asset.read", "asset.view", "user.read"}))
    immich.shared_links.add("link")
    async with real_door(immich, database.url) as door:
        assert (await jobs(http, door, "refresh-ocr", [photo.id], {"x-api-key": "reader"}))[0] == 403
        assert (await jobs(http, door, "refresh-ocr", [photo.id], {"x-api-key": "wrong"}))[0] == 401
        assert (await jobs(http, door, "refresh-ocr", [photo.id], {}))[0] == 401
        assert (await jobs(http, door, "refresh-ocr", ["no id"]))[0] == 400
        url = f"{door.url}/api/assets/jobs?key=link"
        async with http.post(url, json={"assetIds": [str(photo.id)], "name": "refresh-ocr"}) as reply:
            assert reply.status == 403
    assert await database.connection.fetchval("SELECT count(*) FROM asset_ocr") == 0


async def test_other_jobs_are_immichs(
    immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession, database: FrontDoorDatabase
) -> None:
    photo = immich.photo(alice)
    async with real_door(immich, database.url) as door:
        assert await jobs(http, door, "refresh-faces", [photo.id]) == (204, None)
        assert (await jobs(http, door, "unknown", [photo.id]))[0] == 400
    assert immich.paths() == ["POST /api/assets/jobs"] * 2


async def test_the_meshs_own_refresh_tells_what_changed(
    database: FrontDoorDatabase, immich: ImmichDouble, alice: DoubleUser, http: aiohttp.ClientSession
) -> None:
    photo, blind = immich.photo(alice), immich.photo(alice, preview=None)
    await database.photo(photo, "old")
    await database.photo(blind)
    async with real_door(immich, database.url) as door:
        url = f"{door.url}/mesh/refresh"
        async with http.post(url, json={"assetId": str(photo.id), "ocr": True}, headers=KEY) as reply:
            assert (await reply.json())["ocr"] == {"before": ["old"], "after": ["发票号码 INVOICE"]}
        async with http.post(url, json={"assetId": str(blind.id), "ocr": True}, headers=KEY) as reply:
            assert reply.status == 400
            assert "no preview" in (await reply.json())["message"]
        async with http.get(f"{url}/missing?ocr=true&clip=true", headers=KEY) as reply:
            told = {"ocr": [], "clip": [str(photo.id)], "noPreview": [str(blind.id)], "nothingFound": []}
            assert await reply.json() == told
