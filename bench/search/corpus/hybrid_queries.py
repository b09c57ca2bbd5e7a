"""Queries for hybrid search: said only, shown only, and both; a photo is relevant when it says or shows what is
asked."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.search.corpus import lexicon as words
from bench.search.corpus.photo import Photo
from bench.search.corpus.queries import QueryMaker
from bench.search.corpus.relevance import Query, Truth, judge

PER_KIND = 30


@dataclass(slots=True)
class HybridQuery:
    """A query, and the concept that its embedding carries (None: the model knows nothing of it)."""

    query: Query
    concept: str | None


def hybrid_queries(photos: Sequence[Photo], library: dict[int, Truth], maker: QueryMaker) -> list[HybridQuery]:
    """All kinds, judged. Photos without a vector cannot be found by what they show, so they count by their text
    alone."""
    rng = random.Random(67)
    made = []
    for word, concept in words.SHOWN_AND_WRITTEN.items():
        made.append(HybridQuery(Query(word, "said and shown", (word,)), concept))
    for concept in rng.sample(words.CONCEPTS, PER_KIND):
        text = f"a photo of {concept.replace('-', ' ')}"
        made.append(HybridQuery(Query(text, "shown", (text.replace(" ", ""),)), concept))
    seen: set[str] = set()
    while len(seen) < PER_KIND:
        drawn = maker.phrase() if rng.random() < 0.6 else maker.several_words()
        if drawn and drawn[0] not in seen and drawn[0] not in words.SHOWN_AND_WRITTEN:
            seen.add(drawn[0])
            made.append(HybridQuery(Query(drawn[0], "said", drawn[1]), None))
    showing: dict[str, list[int]] = {}
    for index, photo in enumerate(photos):
        if photo.searchable and photo.owner != 2 and photo.has_vector:
            for concept in photo.concepts:
                showing.setdefault(concept, []).append(index)
    for hybrid in made:
        judge(hybrid.query, library)
        for index in showing.get(hybrid.concept or "", ()):
            hybrid.query.relevant[index] = min(3, hybrid.query.relevant.get(index, 0) + 2)
    return [hybrid for hybrid in made if hybrid.query.relevant]
