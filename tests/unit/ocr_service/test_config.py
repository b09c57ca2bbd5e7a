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


def test_immichs_names_of_the_next_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MACHINE_LEARNING_MAX_BATCH_SIZE__OCR": "6",
        "MACHINE_LEARNING_PRELOAD__OCR__MAX_RESOLUTION": "1088",
        "MACHINE_LEARNING_MODEL_REVISION": "v2",
    }.items():
        monkeypatch.setenv(name, value)
    settings = OcrSettings()
    assert (settings.batching.max_batch_size, settings.max_resolution, settings.model_revision) == (6, 1088, "v2")
    assert settings.batching.max_queue_size == 256
    monkeypatch.setenv("OCR_BATCHING__MAX_BATCH_SIZE", "3")
    assert OcrSettings().batching.max_batch_size == 3
    monkeypatch.setenv("MACHINE_LEARNING_MODEL_REVISION", "../../etc")
    with pytest.raises(ValidationError):
        OcrSettings()


@pytest.mark.parametrize("value", ["auto", "dynamic", "FIXED", "736x992, 992x736,48x320"])
def test_sizes_that_inputs_are_padded_to(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OCR_SHAPES", value)
    assert OcrSettings().shapes == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("always", "auto, dynamic, fixed, or sizes"),
        ("736", "auto, dynamic, fixed, or sizes"),
        ("700x992", "multiples of 32"),
        ("32x16384", "at most 8192"),
        ("48x100", "a multiple of 8 wide"),
        ("48x4000", "at most 3200"),
        ("0x32", "multiples of 32"),
    ],
)
def test_what_is_no_size_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch, value: str, reason: str) -> None:
    monkeypatch.setenv("OCR_SHAPES", value)
    with pytest.raises(ValidationError, match=reason):
        OcrSettings()
