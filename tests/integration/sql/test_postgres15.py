"""Debian's PostgreSQL 15 with contrib: what Immich's own database has and PyPI's has not (pg_trgm, unaccent)."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from sql.filters import AssetFilters, Condition, Field, Op, Scope
from sql.migrate import migrate, uninstall
from sql.repository import SearchRepository, add_words, fold_query
from sql.search.results import Match
from sql.upkeep.backfill import backfill
from sql.upkeep.status import status
from tests.integration.sql.conftest import OWNER, ImmichDatabase, Server, immich_database, settings

pytestmark = pytest.mark.postgres15

SCOPE = Scope((OWNER,))
EXTENSIONS = """
CREATE EXTENSION pg_trgm; CREATE EXTENSION unaccent;
CREATE FUNCTION f_unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
  RETURN unaccent('unaccent', $1);
"""
ZHPARSER = """
CREATE TEXT SEARCH PARSER zhparser (
  START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, HEADLINE = prsd_headline, LEXTYPES = prsd_lextype)
"""


@pytest.fixture
async def immich(postgres_15: Server) -> AsyncIterator[ImmichDatabase]:
    async with immich_database(postgres_15, vectors=False) as database:
        await database.connection.execute(EXTENSIONS)
        await migrate(database.connection)
        yield database


@pytest.fixture
async def search(immich: ImmichDatabase) -> AsyncIterator[SearchRepository]:
    async with SearchRepository(settings(immich.url)) as repository:
        yield repository


async def test_everything_is_well_but_vectors(immich: ImmichDatabase) -> None:
    await immich.photo("增值税電子普通發票")
    await backfill(immich.connection)
    assert (await status(immich.connection)).problems == (
        "table smart_search is missing: hybrid search ranks by text alone",
    )
    await uninstall(immich.connection)


@pytest.mark.parametrize("query", ["发票", "電子", "５６７８", "no", "12345678", "creme", "iphone 价格", "票"])
async def test_text_is_found(immich: ImmichDatabase, search: SearchRepository, query: str) -> None:
    photo = await immich.photo("增值税電子普通發票", "NO.12345678", "Crème iPhone15 价格")
    await immich.photo("火车站")
    assert [hit.asset_id for hit in (await search.search_text(query, SCOPE)).hits] == [photo]


async def test_with_pg_trgm_two_errors_in_a_long_word_are_forgiven(
    immich: ImmichDatabase, search: SearchRepository
) -> None:
    photo = await immich.photo("lnternatianal exhibition")
    await immich.photo("interesting station")
    page = await search.search_text("international", SCOPE)
    assert [(hit.asset_id, hit.match) for hit in page.hits] == [(photo, Match.FUZZY)]
    await immich.connection.execute("SET enable_seqscan = off")
    plan = await immich.connection.fetch("EXPLAIN SELECT FROM mesh.ocr_document WHERE 'international' <% body")
    assert "ocr_document_trigrams" in str(plan)


async def test_pg_trgm_that_comes_later_gets_its_index(postgres_15: Server) -> None:
    async with immich_database(postgres_15, vectors=False) as database:
        await migrate(database.connection)
        await database.connection.execute("CREATE EXTENSION pg_trgm")
        assert (await status(database.connection)).missing_indexes == ("ocr_document_trigrams",)
        assert (await backfill(database.connection)).indexes == ("ocr_document_trigrams",)
        await database.connection.execute("DROP EXTENSION pg_trgm CASCADE")
        assert (await status(database.connection)).missing_indexes == ()


async def test_file_names_are_compared_without_accents_as_immich_does(
    immich: ImmichDatabase, search: SearchRepository
) -> None:
    photo = await immich.photo("发票")
    await immich.connection.execute("UPDATE asset SET \"originalFileName\" = 'Été.jpg'")
    filters = AssetFilters((Condition(Field.ORIGINAL_FILE_NAME, Op.LIKE, "ete"),))
    assert [hit.asset_id for hit in (await search.search_text("发票", SCOPE, filters)).hits] == [photo]


async def make_zhparser(connection: asyncpg.Connection) -> bool:
    """zhparser itself where it is installed (docker/database builds it), and whether it is; else PostgreSQL's default
    parser under its name."""
    real = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'zhparser')")
    await connection.execute("CREATE EXTENSION zhparser" if real else ZHPARSER)
    return bool(real)


async def test_zhparser_is_found_by_looking_and_asked(immich: ImmichDatabase) -> None:
    async with SearchRepository(settings(immich.url)) as repository:
        assert not (await repository.schema()).has_zhparser
    real = await make_zhparser(immich.connection)
    photo = await immich.photo("增值税電子普通發票")
    async with SearchRepository(settings(immich.url)) as repository:
        assert (await repository.schema()).has_zhparser
        assert [hit.asset_id for hit in (await repository.search_text("增值税发票", SCOPE)).hits] == [photo]
    folded = await fold_query(immich.connection, "增值税发票")
    cut = (await add_words(immich.connection, folded)).wanted[0].runs[0].words
    assert "".join(cut) == "增值税发票"
    assert not real or cut == ("增值税", "发票")
