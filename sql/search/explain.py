"""Why a photo is where it is: its ranks, its vector distance, and the lines of its text that match, with their
boxes."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sql.schema import ImmichSchema
from sql.search.conditions import Arguments, scope_sql
from sql.search.hybrid import HybridSearch
from sql.search.query import FoldedTerm
from sql.search.results import Explanation, Hit, Match, MatchedLine
from sql.search.text_search import TextSearch

BOX = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")


async def explain(
    connection: Any, text: TextSearch, hybrid: HybridSearch | None, asset_ids: Sequence[UUID]
) -> tuple[Explanation, ...]:
    """Explanations of those photos that are in scope and match, in the given order."""
    arguments = Arguments()
    ids = arguments.add(list(asset_ids), "uuid[]")
    visible = {
        row["id"]
        for row in await connection.fetch(
            f"SELECT id FROM public.asset WHERE id = ANY ({ids}) AND {scope_sql(text.scope, arguments)}",  # noqa: S608
            *arguments.values,
        )
    }
    wanted = [asset_id for asset_id in asset_ids if asset_id in visible]
    if hybrid:
        hits = await hybrid.score(connection, wanted)
    else:
        hits = await text.score(connection, wanted, tuple(step for step in Match if step is not Match.VECTOR))
    found: dict[UUID, Hit] = {hit.asset_id: hit for hit in hits}
    lines = await _lines(connection, text, list(found))
    return tuple(Explanation(found[asset_id], tuple(lines[asset_id])) for asset_id in wanted if asset_id in found)


async def _lines(connection: Any, text: TextSearch, asset_ids: Sequence[UUID]) -> dict[UUID, list[MatchedLine]]:
    """The lines that hold one of the query's terms, or, where no line holds a whole one, a part of it."""
    found: dict[UUID, list[MatchedLine]] = defaultdict(list)
    if not text.query or not asset_ids:
        return found
    whole = " | ".join(f"({term.phrase()})" for term in text.query.wanted)
    parts = " | ".join(f"({part})" for term in text.query.wanted for part in _parts(term))
    rows = await connection.fetch(
        f"""
        WITH line AS ({_source(text.schema)}),
        cut AS (
          SELECT line.*, (mesh.document(ARRAY[ROW(asset_id, 1, content, confidence, 1)::mesh.line])).words FROM line),
        judged AS (SELECT *, words @@ $2::tsquery AS is_whole, words @@ $3::tsquery AS is_part FROM cut)
        SELECT *, bool_or(is_whole) OVER (PARTITION BY asset_id) AS has_whole FROM judged
        WHERE is_whole OR is_part ORDER BY asset_id, ordinal
        """,  # noqa: S608 - the source is one of two constants
        list(asset_ids),
        whole,
        parts,
    )
    for row in rows:
        if row["is_whole"] or not row["has_whole"]:
            box = tuple(row[corner] for corner in BOX)
            found[row["asset_id"]].append(MatchedLine(row["content"], None if None in box else box, row["confidence"]))
    return found


def _parts(term: FoldedTerm) -> list[str]:
    """What is left of a term when it is misread or broken: neighbouring characters, the beginning of a word."""
    parts = []
    for run in term.runs:
        if run.unsegmented and run.length > 2:
            parts += [f"'{run.text[start : start + 2]}'" for start in range(run.length - 1)]
        elif run.unsegmented:
            parts.append(f"'{run.text[0]}':*")
        else:
            parts.append(f"'{run.text[: max(3, len(run.text) // 2)]}':*")
    return parts


def _source(schema: ImmichSchema) -> str:
    """Lines of the photos `$1`, with boxes where the table has them."""
    if "asset_ocr" in schema.columns:
        visible = ' AND "isVisible"' if schema.has("asset_ocr", "isVisible") else ""
        return f"""
            SELECT "assetId" AS asset_id, row_number() OVER (ORDER BY y1, x1) AS ordinal, text AS content,
                   "textScore" AS confidence, {", ".join(BOX)}
            FROM public.asset_ocr WHERE "assetId" = ANY ($1::uuid[]){visible}"""  # noqa: S608
    empty = ", ".join(f"NULL::real AS {corner}" for corner in BOX)
    return f"SELECT asset_id, reading AS ordinal, content, confidence, {empty} FROM mesh.fork_lines($1::uuid[])"  # noqa: S608
