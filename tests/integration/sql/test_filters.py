"""Each of Immich's filters, applied as Immich applies it."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from sql.filters import AssetFilters, Condition, Field, Op, Scope, UnsupportedFilterError, Value
from sql.migrate import migrate
from sql.repository import SearchRepository
from tests.integration.sql.conftest import OWNER, ImmichDatabase, Server, immich_database, settings

SCOPE = Scope((OWNER,), with_deleted=True)
LIBRARY, ALBUM, OTHER_ALBUM, PERSON, OTHER_PERSON, TAG, CHILD = (UUID(int=100 + number) for number in range(7))
EARLY, LATE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)


async def fill(database: ImmichDatabase) -> tuple[UUID, UUID]:
    """Two photos that say 发票: one has every property, the other none."""
    rich, plain = await database.photo("发票"), await database.photo("发票")
    connection = database.connection
    await connection.execute(
        """
        UPDATE asset SET "libraryId" = $2, "deviceId" = 'phone', type = 'VIDEO', "isFavorite" = true, "isOffline" =
        true,
          "originalFileName" = 'Été 100%.jpg', "originalPath" = '/photos/a.jpg', "fileCreatedAt" = $3, "createdAt" = $3,
          "updatedAt" = $3, "deletedAt" = $3, "livePhotoVideoId" = $4, "stackId" = $2, checksum = '\\x0102'
        WHERE id = $1
        """,
        rich, LIBRARY, LATE, plain,
    )  # fmt: skip
    await connection.execute(
        'UPDATE asset SET "fileCreatedAt" = $2, "createdAt" = $2, "updatedAt" = $2 WHERE id = $1', plain, EARLY
    )
    await connection.execute(
        "INSERT INTO asset_exif VALUES ($1, 'Canon', 'R6', 'RF50', '上海', '上海市', 'China', 'A day', 4, 1000)", rich
    )
    await connection.execute('INSERT INTO asset_exif ("assetId") VALUES ($1)', plain)
    await connection.executemany("INSERT INTO album (id) VALUES ($1)", [(ALBUM,), (OTHER_ALBUM,)])
    await connection.executemany("INSERT INTO person (id) VALUES ($1)", [(PERSON,), (OTHER_PERSON,)])
    await connection.executemany("INSERT INTO tag (id) VALUES ($1)", [(TAG,), (CHILD,)])
    await connection.executemany("INSERT INTO tag_closure VALUES ($1, $2)", [(TAG, TAG), (CHILD, CHILD), (TAG, CHILD)])
    await connection.execute("INSERT INTO album_asset VALUES ($1, $2)", ALBUM, rich)
    await connection.execute("INSERT INTO tag_asset VALUES ($1, $2)", CHILD, rich)
    await connection.execute('INSERT INTO asset_face ("assetId", "personId") VALUES ($1, $2)', rich, PERSON)
    await connection.execute(
        'INSERT INTO asset_face ("assetId", "personId", "isVisible") VALUES ($1, $2, false)', plain, PERSON
    )
    await connection.execute(
        "INSERT INTO asset_file (\"assetId\", type, path) VALUES ($1, 'encoded_video', '/v.mp4')", rich
    )
    return rich, plain


RICH: list[tuple[Field, Op, Value]] = [
    (Field.LIBRARY_ID, Op.EQ, LIBRARY),
    (Field.LIBRARY_ID, Op.NE, None),
    (Field.DEVICE_ID, Op.EQ, "phone"),
    (Field.TYPE, Op.EQ, "VIDEO"),
    (Field.TYPE, Op.NOT_IN, ["IMAGE"]),
    (Field.IS_FAVORITE, Op.EQ, True),
    (Field.IS_OFFLINE, Op.EQ, True),
    (Field.IS_MOTION, Op.EQ, True),
    (Field.IS_ENCODED, Op.EQ, True),
    (Field.IS_STACKED, Op.EQ, True),
    (Field.HAS_ALBUMS, Op.EQ, True),
    (Field.HAS_PEOPLE, Op.EQ, True),
    (Field.HAS_TAGS, Op.EQ, True),
    (Field.CITY, Op.EQ, "上海"),
    (Field.STATE, Op.IN, ["上海市", "x"]),
    (Field.COUNTRY, Op.NE, None),
    (Field.MAKE, Op.EQ, "Canon"),
    (Field.MODEL, Op.EQ, "R6"),
    (Field.LENS_MODEL, Op.EQ, "RF50"),
    (Field.DESCRIPTION, Op.LIKE, "DAY"),
    (Field.ORIGINAL_FILE_NAME, Op.STARTS_WITH, "Été"),
    (Field.ORIGINAL_FILE_NAME, Op.ENDS_WITH, ".JPG"),
    (Field.ORIGINAL_PATH, Op.LIKE, "photos"),
    (Field.RATING, Op.EQ, 4),
    (Field.RATING, Op.GTE, 4),
    (Field.FILE_SIZE_IN_BYTES, Op.GT, 999),
    (Field.TAKEN_AT, Op.GTE, LATE),
    (Field.CREATED_AT, Op.GT, EARLY),
    (Field.UPDATED_AT, Op.EQ, LATE),
    (Field.TRASHED_AT, Op.LTE, LATE),
    (Field.TRASHED_AT, Op.NE, None),
    (Field.PERSON_IDS, Op.ALL, [PERSON]),
    (Field.TAG_IDS, Op.ALL, [TAG]),
    (Field.TAG_IDS, Op.ANY, [CHILD]),
    (Field.TAG_IDS, Op.ALL, [TAG, CHILD]),
    (Field.ALBUM_IDS, Op.ANY, [ALBUM, OTHER_ALBUM]),
    (Field.CHECKSUM, Op.EQ, b"\x01\x02"),
    (Field.ENCODED_VIDEO_PATH, Op.EQ, "/v.mp4"),
]
PLAIN: list[tuple[Field, Op, Value]] = [
    (Field.LIBRARY_ID, Op.EQ, None),
    (Field.TYPE, Op.NE, "VIDEO"),
    (Field.IS_FAVORITE, Op.EQ, False),
    (Field.IS_ENCODED, Op.EQ, False),
    (Field.HAS_ALBUMS, Op.EQ, False),
    (Field.HAS_PEOPLE, Op.EQ, False),
    (Field.HAS_TAGS, Op.EQ, False),
    (Field.CITY, Op.EQ, None),
    (Field.RATING, Op.EQ, None),
    (Field.TAKEN_AT, Op.LT, LATE),
    (Field.TRASHED_AT, Op.EQ, None),
    (Field.ALBUM_IDS, Op.NONE, [ALBUM]),
    (Field.DESCRIPTION, Op.NOT_LIKE, "day"),
]
NEITHER: list[tuple[Field, Op, Value]] = [
    (Field.ALBUM_IDS, Op.ALL, [ALBUM, OTHER_ALBUM]),
    (Field.PERSON_IDS, Op.ALL, [PERSON, OTHER_PERSON]),
    (Field.VISIBILITY, Op.EQ, "archive"),
    (Field.ID, Op.EQ, uuid4()),
    (Field.CITY, Op.EQ, "'; DROP TABLE asset; --"),
    (Field.ORIGINAL_FILE_NAME, Op.LIKE, "') OR true --"),
]


async def test_each_filter(database: ImmichDatabase, repository: SearchRepository) -> None:
    rich, plain = await fill(database)
    for conditions, expected in ((RICH, {rich}), (PLAIN, {plain}), (NEITHER, set())):
        for condition in conditions:
            page = await repository.search_text("发票", SCOPE, AssetFilters((Condition(*condition),)))
            assert {hit.asset_id for hit in page.hits} == expected, condition


async def test_conditions_all_hold_and_one_branch_holds(database: ImmichDatabase, repository: SearchRepository) -> None:
    rich, plain = await fill(database)
    video, image = Condition(Field.TYPE, Op.EQ, "VIDEO"), Condition(Field.TYPE, Op.EQ, "IMAGE")
    shanghai, unrated = Condition(Field.CITY, Op.EQ, "上海"), Condition(Field.RATING, Op.EQ, None)
    for filters, expected in (
        (AssetFilters((video, shanghai)), {rich}),
        (AssetFilters((video, unrated)), set()),
        (AssetFilters(any_of=((video,), (image, unrated))), {rich, plain}),
        (AssetFilters((shanghai,), any_of=((image,), (video, shanghai))), {rich}),
    ):
        page = await repository.search_text("发票", SCOPE, filters)
        assert {hit.asset_id for hit in page.hits} == expected


@pytest.mark.parametrize(
    "condition",
    [
        Condition(Field.CITY, Op.ANY, "上海"),
        Condition(Field.PERSON_IDS, Op.EQ, [PERSON]),
        Condition(Field.PERSON_IDS, Op.ALL, "x"),
        Condition(Field.IS_FAVORITE, Op.LIKE, "x"),
        Condition(Field.HAS_TAGS, Op.EQ, "yes"),
        Condition(Field.RATING, Op.GT, None),
        Condition(Field.TYPE, Op.IN, "VIDEO"),
    ],
)
async def test_what_has_no_meaning_is_told(repository: SearchRepository, condition: Condition) -> None:
    with pytest.raises(UnsupportedFilterError):
        await repository.search_text("发票", SCOPE, AssetFilters((condition,)))


async def test_a_column_this_immich_lacks_is_told(database: ImmichDatabase, repository: SearchRepository) -> None:
    await database.connection.execute('ALTER TABLE asset DROP COLUMN "deviceId"')
    with pytest.raises(UnsupportedFilterError, match="deviceId"):
        await repository.search_text("发票", SCOPE, AssetFilters((Condition(Field.DEVICE_ID, Op.EQ, "x"),)))


async def test_encoded_videos_of_immich_2_2(postgres: Server) -> None:
    async with immich_database(postgres, "early.sql") as database:
        await migrate(database.connection)
        photo = await database.photo("发票")
        await database.connection.execute("UPDATE asset SET \"encodedVideoPath\" = '/v.mp4'")
        async with SearchRepository(settings(database.url)) as repository:
            for wanted, expected in ((True, [photo]), (False, [])):
                filters = AssetFilters((Condition(Field.IS_ENCODED, Op.EQ, wanted),))
                page = await repository.search_text("发票", SCOPE, filters)
                assert [hit.asset_id for hit in page.hits] == expected
