"""Why a photo is where it is: its ranks, its vector distance, and the lines of its text that match, with their
boxes."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sql.search.conditions import scope_data
from sql.search.hybrid import HybridSearch
from sql.search.query.terms import FoldedTerm, any_of
from sql.search.results import Explanation, Hit, Match, MatchedLine
from sql.search.text_search import TextSearch


async def explain(
    connection: Any, text: TextSearch, hybrid: HybridSearch | None, asset_ids: Sequence[UUID]
) -> tuple[Explanation, ...]:
    """Explanations of those photos that are in scope and match, in the given order."""
    visible = {
        row["id"]
        for row in await connection.fetch(
            "SELECT mesh.visible($1, $2) AS id", list(asset_ids), json.dumps(scope_data(text.scope))
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
    wanted = text.query.wanted
    whole = any_of([way for term in wanted for way in (term.anyway(), term.read_as()) if way])
    parts = any_of([part for term in wanted for part in _parts(term)])
    rows = await connection.fetch(
        """
        WITH judged AS (SELECT *, words @@ $2::tsquery AS is_whole, words @@ $3::tsquery AS is_part FROM mesh.lines($1))
        SELECT *, bool_or(is_whole) OVER (PARTITION BY asset_id) AS has_whole FROM judged
        WHERE is_whole OR is_part ORDER BY asset_id, ordinal
        """,
        list(asset_ids),
        whole,
        parts,
    )
    for row in rows:
        if row["is_whole"] or not row["has_whole"]:
            box = tuple(row["box"]) if row["box"] else None
            found[row["asset_id"]].append(MatchedLine(row["content"], box, row["confidence"]))
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
