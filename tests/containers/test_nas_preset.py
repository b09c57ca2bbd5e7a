"""`docker/nas.env`, the settings of a small NAS: each is read, and says what the page says of it."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from clip_service.config import ClipSettings
from face_service.config import FaceSettings
from mesh.core.settings import Device, ServiceSettings
from mesh.core.settings.unknown import known_names
from mesh.hub import catalogue
from mesh.hub.catalogue import Family
from ocr_service.config import OcrSettings

PRESET = Path(__file__).parents[2] / "docker" / "nas.env"
OF_GLIBC = {"MALLOC_ARENA_MAX"}
SERVICES: list[tuple[type[ServiceSettings], Family]] = [
    (OcrSettings, Family.OCR),
    (ClipSettings, Family.CLIP),
    (FaceSettings, Family.FACE),
]


@pytest.fixture
def preset(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    values = dotenv_values(PRESET)
    monkeypatch.delenv("DEVICE", raising=False)  # the tests' own
    for name, value in values.items():
        monkeypatch.setenv(name, value or "")
    return values


def test_every_name_is_read(preset: dict[str, str | None]) -> None:
    read = set().union(*(known_names(kind)[0] for kind, _ in SERVICES))
    assert set(preset) - read == OF_GLIBC


@pytest.mark.parametrize(("kind", "family"), SERVICES)
def test_a_service_has_one_core_and_room_for_one_model(
    preset: dict[str, str | None], kind: type[ServiceSettings], family: Family
) -> None:
    settings = kind()
    assert settings.threads == 1
    assert 0 < settings.model_ttl_seconds < ServiceSettings.model_fields["model_ttl_seconds"].default
    entry = catalogue.find(family, settings.model_name)
    assert entry is not None
    # OCR's languages share a detector, so that several are one model's worth.
    models = 4 if family is Family.OCR else 2
    assert entry.size_bytes <= settings.memory_budget_bytes < models * entry.size_bytes
    assert settings.photo_memory_bytes < ServiceSettings.model_fields["photo_memory_bytes"].default


def test_text_is_read_by_onnxruntime(preset: dict[str, str | None]) -> None:
    assert (OcrSettings().device, ClipSettings().device) == (Device.CPU, Device.AUTO)
