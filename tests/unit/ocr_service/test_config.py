"""The OCR service hears its own names and Immich ML's."""

import pytest
from pydantic import ValidationError

from ocr_service.config import OcrSettings


def test_defaults_are_immichs() -> None:
    settings = OcrSettings()
    assert (settings.port, settings.model_name) == (50051, "PP-OCRv6_small")
    assert (settings.min_detection_score, settings.min_recognition_score, settings.max_resolution) == (0.5, 0.8, 736)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_MAX_RESOLUTION", "1024")
    monkeypatch.setenv("OCR_MIN_RECOGNITION_SCORE", "0.6")
    monkeypatch.setenv("MACHINE_LEARNING_PRELOAD__OCR__RECOGNITION", "PP-OCRv4_mobile")
    settings = OcrSettings()
    assert (settings.max_resolution, settings.min_recognition_score) == (1024, 0.6)
    assert settings.preload == ["PP-OCRv4_mobile"]


@pytest.mark.parametrize(("name", "value"), [("OCR_MIN_DETECTION_SCORE", "7"), ("OCR_MAX_RESOLUTION", "8")])
def test_out_of_range(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        OcrSettings()
