"""Text and look together."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from mesh.core.errors import DimensionMismatchError, UnavailableError
from sql.filters import AssetFilters, Condition, Field, Op, Scope, UnsupportedFilterError
from sql.repository import SearchRepository
from sql.search import hybrid as module
from sql.search.results import Match
from sql.settings import HybridWeights
from tests.integration.sql.conftest import OWNER, STRANGER, ImmichDatabase, settings

SCOPE = Scope((OWNER,))


def direction(seed: int, near: Sequence[float] | None = None, noise: float = 1.0) -> list[float]:
    """A vector of 512 numbers at random, or one near another."""
    rng = random.Random(seed)
    vector = [rng.gauss(0, noise) for _ in range(512)]
    return [a + b for a, b in zip(vector, near, strict=True)] if near else vector


QUERY = direction(0)


async def look(database: ImmichDatabase, asset_id: UUID, vector: Sequence[float]) -> None:
    await database.connection.execute(
        "INSERT INTO smart_search VALUES ($1, $2::text::vector)", asset_id, str(list(vector))
    )


@pytest.fixture
async def photos(database: ImmichDatabase) -> dict[str, UUID]:
    """Forty photos that have nothing to do with the query, and one of each kind that has."""
    for number in range(40):
        await look(database, await database.photo("公司", str(number)), direction(number + 1))
    made = {
        "both": await database.photo("发票"),
        "said": await database.photo("发票"),
        "shown": await database.photo("公司"),
        "said, no vector": await database.photo("发票"),
    }
    await look(database, made["both"], direction(101, QUERY, 0.5))
    await look(database, made["said"], direction(102))
    await look(database, made["shown"], direction(103, QUERY, 0.5))
    await database.connection.execute("ANALYZE")
    return made


@pytest.mark.parametrize("few", [0, 2000])
async def test_both_sides_count_and_noise_is_cut(
    repository: SearchRepository, photos: dict[str, UUID], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(module, "FEW", few)
    page = await repository.search_hybrid("发票", QUERY, SCOPE)
    assert page.hits[0].asset_id == photos["both"]
    assert {hit.asset_id for hit in page.hits} == set(photos.values())
    by_id = {hit.asset_id: hit for hit in page.hits}
    shown, without = by_id[photos["shown"]], by_id[photos["said, no vector"]]
    assert (shown.match, shown.text_rank) == (Match.VECTOR, None)
    assert without.vector_distance is None
    assert without.score == by_id[photos["said"]].score


@pytest.mark.parametrize("few", [0, 2000])
async def test_vectors_of_zeros_say_nothing_and_hide_nothing(
    database: ImmichDatabase,
    repository: SearchRepository,
    photos: dict[str, UUID],
    monkeypatch: pytest.MonkeyPatch,
    few: int,
) -> None:
    """Their distance is NaN, which is neither above nor below a cut."""
    monkeypatch.setattr(module, "FEW", few)
    before = await repository.search_hybrid("发票", QUERY, SCOPE)
    said, silent = await database.photo("发票"), await database.photo("公司")
    # The first of all ids, so that it is in the sample of what is usual.
    first = UUID(int=0)
    await database.connection.execute("UPDATE asset SET id = $1 WHERE id = $2", first, silent)
    for asset_id in (said, first):
        await look(database, asset_id, [0.0] * 512)
    page = await repository.search_hybrid("发票", QUERY, SCOPE)
    assert [hit for hit in page.hits if hit.asset_id != said] == list(before.hits)
    (empty,) = [hit for hit in page.hits if hit.asset_id == said]
    assert (empty.match, empty.vector_distance) == (Match.HEADLINE, None)
    assert (await repository.search_hybrid("发票", [0.0] * 512, SCOPE)).hits[0].match is Match.HEADLINE


async def test_a_loose_match_counts_the_same_whichever_index_found_the_photo(
    database: ImmichDatabase, repository: SearchRepository, photos: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the best of the text index, a photo that its look has found is still scored by its text."""
    repository._settings = repository._settings.model_copy(update={"text_candidates": 1})
    loose = await database.photo("日期", "2018 0420")
    await look(database, loose, direction(104, QUERY, 0.5))
    await database.photo("2018-04-20")
    page = await repository.search_hybrid("2018-04-20", QUERY, SCOPE)
    (hit,) = [hit for hit in page.hits if hit.asset_id == loose]
    assert hit.match is Match.LOOSE
    (explained,) = await repository.explain("2018-04-20", SCOPE, [loose], QUERY)
    assert explained.hit == hit


async def test_weights(repository: SearchRepository, photos: dict[str, UUID]) -> None:
    page = await repository.search_hybrid("发票", QUERY, SCOPE, weights=HybridWeights(text=0, vector=1))
    assert {hit.asset_id for hit in page.hits} == {photos["both"], photos["shown"]}
    page = await repository.search_hybrid("发票", QUERY, SCOPE, weights=HybridWeights(text=1, vector=0))
    assert photos["shown"] not in {hit.asset_id for hit in page.hits}


async def test_pages_are_cut_from_one_sequence(repository: SearchRepository, photos: dict[str, UUID]) -> None:
    whole = (await repository.search_hybrid("发票", QUERY, SCOPE)).hits
    pages = [
        await repository.search_hybrid("发票", QUERY, SCOPE, limit=1, offset=offset) for offset in range(len(whole))
    ]
    assert tuple(hit for page in pages for hit in page.hits) == whole
    assert [page.has_more for page in pages] == [True] * (len(whole) - 1) + [False]


async def test_where_neither_side_knows_anything_distance_orders(
    repository: SearchRepository, photos: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NOISE", 6.0)
    hits = (await repository.search_hybrid("nothing of this", direction(999), SCOPE)).hits
    assert len(hits) == 43
    assert [hit.vector_distance for hit in hits] == sorted(hit.vector_distance or 9 for hit in hits)


async def test_a_small_share_of_a_large_library_is_found(
    database: ImmichDatabase, repository: SearchRepository, photos: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many photos of others that are nearer must not use up the candidates."""
    monkeypatch.setattr(module, "FEW", 0)
    for number in range(20):
        other = await database.photo("公司", owner=STRANGER)
        await look(database, other, direction(2000 + number, QUERY, 0.2))
    repository._settings = repository._settings.model_copy(update={"vector_candidates": 10})
    page = await repository.search_hybrid("发票", QUERY, SCOPE)
    assert photos["shown"] in {hit.asset_id for hit in page.hits}


async def test_filters_hold_on_both_sides(
    database: ImmichDatabase, repository: SearchRepository, photos: dict[str, UUID]
) -> None:
    await database.connection.execute('UPDATE asset SET "isFavorite" = true WHERE id = $1', photos["shown"])
    filters = AssetFilters((Condition(Field.IS_FAVORITE, Op.EQ, True),))
    page = await repository.search_hybrid("发票", QUERY, SCOPE, filters)
    assert [hit.asset_id for hit in page.hits] == [photos["shown"]]
    assert (await repository.search_hybrid("发票", QUERY, Scope((STRANGER,)))).hits == ()


async def test_a_wrong_dimension_is_told(repository: SearchRepository) -> None:
    with pytest.raises(DimensionMismatchError, match="768 numbers, Immich's photos have 512"):
        await repository.search_hybrid("发票", [0.1] * 768, SCOPE)


async def test_what_fails_on_both_sides_is_told_once(database: ImmichDatabase, repository: SearchRepository) -> None:
    await database.connection.execute("ALTER TABLE asset DROP COLUMN checksum")
    filters = AssetFilters((Condition(Field.CHECKSUM, Op.EQ, b"x"),))
    with pytest.raises(UnsupportedFilterError, match="checksum"):
        await repository.search_hybrid("发票", QUERY, SCOPE, filters)
    await database.connection.execute('ALTER TABLE asset DROP COLUMN "deletedAt"')
    with pytest.raises(UnavailableError, match="db status"):
        await repository.search_hybrid("发票", QUERY, SCOPE)


async def test_more_searches_than_connections_wait_for_each_other(
    database: ImmichDatabase, photos: dict[str, UUID]
) -> None:
    async with SearchRepository(settings(database.url, pool_size=1)) as alone:
        pages = await asyncio.gather(*(alone.search_hybrid("发票", QUERY, SCOPE) for _ in range(8)))
    assert all(page == pages[0] for page in pages)
    assert pages[0].hits[0].asset_id == photos["both"]


async def test_with_one_connection_the_two_sides_do_not_wait_for_each_other(
    database: ImmichDatabase, photos: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_text = module.HybridSearch.by_text

    async def slow(self: module.HybridSearch, connection: Any) -> tuple[module.Candidates, module.Background]:
        await connection.execute("SELECT pg_sleep(0.5)")
        return await by_text(self, connection)

    monkeypatch.setattr(module.HybridSearch, "by_text", slow)
    async with SearchRepository(settings(database.url, pool_size=1, connect_timeout_seconds=0.25)) as alone:
        assert (await alone.search_hybrid("发票", QUERY, SCOPE)).hits[0].asset_id == photos["both"]


@pytest.mark.parametrize(("few", "told"), [(0, True), (2000, False)])
async def test_a_vectorchord_index_is_told_only_when_it_is_asked(
    database: ImmichDatabase, photos: dict[str, UUID], monkeypatch: pytest.MonkeyPatch, few: int, told: bool
) -> None:
    monkeypatch.setattr(module, "FEW", few)
    async with SearchRepository(settings(database.url, pool_size=1)) as alone:
        alone._schema = replace(await alone.schema(), vector_lists=(100,))
        await alone.search_hybrid("发票", QUERY, SCOPE)
        probes = await alone.database.read(
            lambda connection: connection.fetchval("SELECT current_setting('vchordrq.probes', true)")
        )
    assert probes == ("10" if told else None)


async def test_without_a_vector_table_text_ranks_alone(database: ImmichDatabase, repository: SearchRepository) -> None:
    photo = await database.photo("发票")
    await database.connection.execute("DROP TABLE smart_search")
    page = await repository.search_hybrid("发票", QUERY, SCOPE)
    assert [hit.asset_id for hit in page.hits] == [photo]


async def test_explanations(database: ImmichDatabase, repository: SearchRepository, photos: dict[str, UUID]) -> None:
    await database.lines(photos["both"], "增值稅電子普通發票", "備註", "發票號碼")
    asked = [photos["shown"], photos["both"], UUID(int=9)]
    shown, both = await repository.explain("发票", SCOPE, asked, QUERY)
    assert (shown.hit.asset_id, shown.lines) == (photos["shown"], ())
    assert [line.text for line in both.lines] == ["增值稅電子普通發票", "發票號碼"]
    assert both.lines[0].box == pytest.approx((0.1, 0.05, 0.9, 0.05, 0.9, 0.11, 0.1, 0.11))
    assert both.lines[0].confidence == pytest.approx(0.97)
    assert both.hit.vector_distance is not None
    page = await repository.search_hybrid("发票", QUERY, SCOPE)
    assert both.hit in page.hits
    (text,) = await repository.explain("号码", SCOPE, asked)
    assert (text.hit.match, [line.text for line in text.lines]) == (Match.TEXT, ["發票號碼"])
    assert await repository.explain("发票", Scope((STRANGER,)), asked) == ()


async def test_explanations_are_of_the_step_that_found_the_photo(
    database: ImmichDatabase, repository: SearchRepository
) -> None:
    photo = await database.photo("日期", "2018 0420")
    (hit,) = (await repository.search_text("2018-04-20", SCOPE)).hits
    (explained,) = await repository.explain("2018-04-20", SCOPE, [photo])
    assert hit.match is Match.LOOSE
    assert explained.hit == hit
    assert [line.text for line in explained.lines] == ["2018 0420"]
    (both,) = (await repository.search_hybrid("2018-04-20", QUERY, SCOPE)).hits
    (explained,) = await repository.explain("2018-04-20", SCOPE, [photo], QUERY)
    assert explained.hit == both
