"""Calibration of distances, and what is sent to the vector index."""

import pytest

from mesh.core.errors import DimensionMismatchError
from sql.search.hybrid import MOST_VISUAL_EVIDENCE, Background, session_settings, vector_literal


def test_usual_distances_are_no_evidence_and_unusual_ones_are() -> None:
    background = Background(median=0.8, deviation=0.03)
    assert background.evidence(0.8) == background.evidence(0.7) == background.evidence(1.2) == 0
    assert 0 < background.evidence(0.65) < background.evidence(0.62) < MOST_VISUAL_EVIDENCE
    assert background.evidence(0.4) == MOST_VISUAL_EVIDENCE


def test_without_spread_what_is_clearly_nearer_counts() -> None:
    assert Background(0.9, 0.0).evidence(0.0) == MOST_VISUAL_EVIDENCE
    assert Background(0.9, 0.0).evidence(0.899) == 0
    assert Background(0.0, 0.0).evidence(0.0) == 0


def test_embeddings_are_checked_and_written_in_full() -> None:
    assert vector_literal([0.1, -2, 1e-9], 3) == "[0.1,-2.0,1e-09]"
    assert vector_literal([0.1], 0) == "[0.1]"
    with pytest.raises(DimensionMismatchError, match="2 numbers, Immich's photos have 3"):
        vector_literal([0.1, 0.2], 3)


def test_vectorchord_is_told_how_many_lists_to_look_into() -> None:
    assert session_settings((), 1) == {}
    assert session_settings((100,), 5)["vchordrq.probes"] == "10"
    assert session_settings((1,), 5)["vchordrq.probes"] == "1"
    assert session_settings((16, 400), 5)["vchordrq.probes"] == "4,20"
