"""Text search in steps: large lines, all text, then (only while a page stays short) loosely, then with OCR errors.

A step is one statement: the text index gives at most `WINDOW` photos, they are ranked, and then, best first, those out
of scope are passed over until the page is full (the lateral join makes it one look-up per photo; left to itself, the
planner reads all photos). A page behind the window's end goes on with the next window. All later steps exclude what
earlier ones found, so the whole is one sequence, and pages are cut from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sql.schema import ImmichSchema
from sql.search.approximate import condition as approximate_condition
from sql.search.conditions import Arguments, filters_sql, scope_sql
from sql.search.filters import AssetFilters, Scope
from sql.search.query import TextQuery
from sql.search.results import Hit, Match, SearchPage

WINDOW = 2000
"""Photos that one statement ranks."""

BANDS = {
    Match.HEADLINE: (0.75, 0.25),
    Match.TEXT: (0.5, 0.25),
    Match.LOOSE: (0.3, 0.2),
    Match.FUZZY: (0.1, 0.2),
    Match.APART: (0.0, 0.1),
}
"""Where the scores of a step begin, and how far they reach."""

WEIGHTS = "{0.1,0.25,0.55,1}"
"""What a match counts in letters of unsure reading, small, middle and large (D to A): one large beats many small
ones."""

ONLY_IN_NEED = frozenset({Match.FUZZY, Match.APART})
"""Steps that are asked only when earlier ones found nothing: beside a real match, a likely one is noise."""


@dataclass(frozen=True, slots=True)
class TextSearch:
    """One query of one caller."""

    query: TextQuery
    scope: Scope
    filters: AssetFilters
    schema: ImmichSchema

    async def page(self, connection: Any, limit: int, offset: int, last: Match = Match.APART) -> SearchPage:
        """The hits from `offset` on, at most `limit`; no step after `last` is asked."""
        hits: list[Hit] = []
        wanted, skip, before = limit + 1, offset, 0
        for match in BANDS:
            if before and match in ONLY_IN_NEED:
                break
            window = 0
            while True:
                found, matches = await self._fetch(connection, match, window, wanted - len(hits), skip)
                hits += found
                if len(hits) == wanted:
                    return SearchPage(tuple(hits[:limit]), has_more=True)
                passed = skip + len(found) if found else 0
                if skip and matches and not found:
                    passed = await self._count(connection, match, window)
                skip -= min(skip, passed)
                before += passed
                if matches < WINDOW:
                    break
                window += WINDOW
            if match is last:
                break
        return SearchPage(tuple(hits), has_more=False)

    async def _fetch(
        self, connection: Any, match: Match, window: int, limit: int, offset: int
    ) -> tuple[list[Hit], int]:
        """Hits of one window of a step, and how many photos the index gave for it."""
        arguments = Arguments()
        found = self._found(match, window, arguments)
        if found is None:
            return [], 0
        statement = f"""
            WITH found AS MATERIALIZED ({found}), page AS (
              SELECT ranked.asset_id, ranked.rank
              FROM (SELECT * FROM found ORDER BY rank DESC, asset_id OFFSET 0) AS ranked
              CROSS JOIN LATERAL (
                SELECT FROM public.asset WHERE id = ranked.asset_id AND {scope_sql(self.scope, arguments)} LIMIT 1
              ) AS visible
              ORDER BY ranked.rank DESC, ranked.asset_id
              LIMIT {arguments.add(limit, "bigint")} OFFSET {arguments.add(offset, "bigint")}
            )
            SELECT asset_id, rank, NULL::bigint AS matches FROM page
            UNION ALL SELECT NULL, NULL, count(*) FROM found"""  # noqa: S608 - only names and placeholders
        rows = await connection.fetch(statement, *arguments.values)
        ranked = sorted((-row["rank"], row["asset_id"]) for row in rows[:-1])
        return [_hit(match, -rank, asset_id) for rank, asset_id in ranked], rows[-1]["matches"]

    async def _count(self, connection: Any, match: Match, window: int) -> int:
        """How many photos of a window are in scope."""
        arguments = Arguments()
        statement = f"""
            SELECT count(*) FROM ({self._found(match, window, arguments)}) AS found
            JOIN public.asset ON asset.id = found.asset_id WHERE {scope_sql(self.scope, arguments)}"""  # noqa: S608
        return int(await connection.fetchval(statement, *arguments.values))

    async def score(
        self, connection: Any, asset_ids: Sequence[UUID], steps: Sequence[Match] = (Match.HEADLINE, Match.TEXT)
    ) -> list[Hit]:
        """Those of these photos that the steps find, each by the first that does, scored as `page` scores them.

        Scope is not looked at.
        """
        if not self.query or not asset_ids:
            return []
        arguments = Arguments()
        ids = arguments.add(list(asset_ids), "uuid[]")
        parts = [
            f"SELECT asset_id, '{match}' AS match, {self.rank(match, arguments)} AS rank"  # noqa: S608
            f" FROM mesh.ocr_document AS document WHERE asset_id = ANY ({ids}) AND {where}"
            for match in steps
            if (where := self.where(match, arguments))
        ]
        rows = await connection.fetch(" UNION ALL ".join(parts), *arguments.values)
        hits = [_hit(Match(row["match"]), row["rank"], row["asset_id"]) for row in rows]
        # Later steps may find again what an earlier one has: `page` asks for them only when there is nothing else.
        best = sorted(hits, key=lambda hit: list(BANDS).index(hit.match), reverse=True)
        return list({hit.asset_id: hit for hit in best}.values())

    def _found(self, match: Match, window: int, arguments: Arguments) -> str | None:
        """The statement that takes a window of candidates from the text index and ranks them."""
        where = self.where(match, arguments)
        if where is None:
            return None
        owners = ""
        if self.scope.owner_ids is not None:
            owners = f"document.owner_id = ANY ({arguments.add(list(self.scope.owner_ids), 'uuid[]')}) AND "
        join = ""
        if self.filters:
            conditions = filters_sql(self.filters, self.schema, arguments)
            join = f"JOIN public.asset ON asset.id = document.asset_id AND {conditions}"
        return f"""
            SELECT document.asset_id, {self.rank(match, arguments)} AS rank
            FROM mesh.ocr_document AS document {join}
            WHERE {owners}{where}
            OFFSET {window} LIMIT {WINDOW}"""  # noqa: S608 - only names and placeholders

    def where(self, match: Match, arguments: Arguments) -> str | None:
        """Which documents a step finds, over `document`; None for none."""
        if match is Match.HEADLINE:
            # Large lines do not know what is excluded elsewhere.
            also = f" AND {self._in_words(arguments)}" if self.query.excludes else ""
            return self._in_headline(arguments) + also
        if match is Match.TEXT:
            return f"{self._in_words(arguments)} AND NOT {self._in_headline(arguments)}"
        found = approximate_condition(self.query, match, arguments, self.schema.trigram_schema)
        if found is None:
            return None
        earlier = [self._in_words(arguments)]
        if match is Match.FUZZY and (loose := approximate_condition(self.query, Match.LOOSE, arguments)):
            earlier.append(loose)
        return " AND ".join([*(f"NOT {condition}" for condition in earlier), found])

    def _in_words(self, arguments: Arguments) -> str:
        return f"document.words @@ {arguments.add(self.query.all_words(), 'tsquery')}"

    def _in_headline(self, arguments: Arguments) -> str:
        return f"document.headline @@ {arguments.add(self.query.all_words(exclude=False), 'tsquery')}"

    def rank(self, match: Match, arguments: Arguments) -> str:
        """The rank of a document within its step, real, 0 to about 1."""
        column = "headline" if match is Match.HEADLINE else "words"
        rank = self._ts_rank(column, self.query.all_words(exclude=False), arguments)
        if match not in (Match.HEADLINE, Match.TEXT):
            return f"({rank} + 0.1 / (1 + ln(1 + length(document.body))))::real"
        if self.query.goes_on:
            # The word itself before words that only begin with it.
            exact = self._ts_rank(column, self.query.all_words(prefix=False, exclude=False), arguments)
            rank = f"(0.6 * {rank} + 0.4 * {exact})"
        if any(len(group) > 1 for group in self.query.groups):
            # All words close together, best of all as they were typed.
            near = arguments.add(self.query.all_words(exclude=False), "tsquery")
            phrase = arguments.add(self.query.as_one_phrase(), "tsquery")
            closeness = f"ts_rank_cd('{WEIGHTS}', document.{column}, {near}, 32)"
            rank = f"(0.5 * {rank} + 0.3 * {closeness} + 0.2 * (document.{column} @@ {phrase})::integer)"
        return f"{rank}::real"

    def _ts_rank(self, column: str, query: str, arguments: Arguments) -> str:
        return f"ts_rank('{WEIGHTS}', document.{column}, {arguments.add(query, 'tsquery')}, 1)"


def _hit(match: Match, rank: float, asset_id: UUID) -> Hit:
    low, reach = BANDS[match]
    return Hit(asset_id, low + reach * min(rank, 1.0), match, text_rank=low + reach * min(rank, 1.0))
