"""The measures of ranking quality: precision@10, recall@50, nDCG@10."""

import math
from collections.abc import Mapping, Sequence


def precision(found: Sequence[int], relevant: Mapping[int, int], depth: int = 10) -> float:
    """Share of relevant photos among the first `depth` results (as many as there are). Nothing found is 0 when
    something is relevant, and 1 when nothing is."""
    first = found[:depth]
    if not first:
        return 0.0 if relevant else 1.0
    return sum(index in relevant for index in first) / len(first)


def recall(found: Sequence[int], relevant: Mapping[int, int], depth: int = 50) -> float:
    """Share of the relevant photos, as far as `depth` results can hold them, among the first `depth`."""
    if not relevant:
        return 1.0
    return sum(index in relevant for index in found[:depth]) / min(depth, len(relevant))


def ndcg(found: Sequence[int], relevant: Mapping[int, int], depth: int = 10) -> float:
    """Discounted cumulative gain (2^grade - 1) of the first `depth` results, relative to the best possible order."""
    if not relevant:
        return 1.0 if not found else 0.0
    ideal = _gain(sorted(relevant.values(), reverse=True)[:depth])
    return _gain([relevant.get(index, 0) for index in found[:depth]]) / ideal


def _gain(grades: Sequence[int]) -> float:
    return sum(float(2**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(grades))


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of the values lie (nearest rank); None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]
