"""What is read out of the catalogues, and what is said about it."""

import pytest

from sql.filters import UnsupportedFilterError
from sql.schema import NEEDED, ImmichSchema, VectorIndex, _dimension, _lists

COMPLETE = {table: frozenset(columns) for table, columns in NEEDED.items()}


@pytest.mark.parametrize(("kind", "length"), [("vector(512)", 512), ("halfvec(1024)", 1024), ("vector", 0), (None, 0)])
def test_dimension(kind: str | None, length: int) -> None:
    assert _dimension(kind) == length


def test_lists_of_a_vectorchord_index() -> None:
    options = "options=\nresidual_quantization = false\n[build.internal]\nlists = [16, 400]\nspherical_centroids = true"
    assert _lists(options) == (16, 400)
    assert _lists("options=[build.internal]\nlists = []") == ()
    assert _lists(None) == ()


def test_problems_name_what_is_missing() -> None:
    assert ImmichSchema(COMPLETE, vector_index=VectorIndex.HNSW).problems == ()
    assert "no vector index" in ImmichSchema(COMPLETE).problems[0]
    assert "is this Immich's database" in ImmichSchema({}).problems[0]
    without = COMPLETE | {"asset_ocr": frozenset({"assetId"})}
    assert "asset_ocr lacks text, textScore" in ImmichSchema(without, vector_index=VectorIndex.HNSW).problems[0]


def test_a_missing_column_is_an_unsupported_filter() -> None:
    with pytest.raises(UnsupportedFilterError, match=r"asset\.deviceId"):
        ImmichSchema(COMPLETE).demand("asset", "deviceId")
