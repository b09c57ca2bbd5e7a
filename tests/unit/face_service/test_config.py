"""The face service hears its own names, the predecessor's and Immich ML's."""

import pytest

from face_service.config import FaceSettings


def test_defaults() -> None:
    settings = FaceSettings()
    assert (settings.port, settings.model_name, settings.min_score) == (50053, "buffalo_l", 0.7)


def test_the_seed_systems_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOGNITION_MODEL", "antelopev2")
    monkeypatch.setenv("DETECTION_THRESH", "0.65")
    settings = FaceSettings()
    assert (settings.model_name, settings.min_score) == ("antelopev2", 0.65)


def test_immich_mls_preload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINE_LEARNING_PRELOAD__FACIAL_RECOGNITION__RECOGNITION", "buffalo_s")
    assert FaceSettings().preload == ["buffalo_s"]


def test_a_score_out_of_range_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_MIN_SCORE", "7")
    with pytest.raises(ValueError, match="less than or equal to 1"):
        FaceSettings()
