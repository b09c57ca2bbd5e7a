"""Settings: where a value is read from, and what is refused."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from mesh.core.settings import Device, ServiceSettings, TlsSettings


class Settings(ServiceSettings):
    """A service's settings."""

    model_config = SettingsConfigDict(env_prefix="OCR_")
    port: int = Field(50051)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEVICE", "MESH_DEVICE", "OCR_DEVICE", "MACHINE_LEARNING_MODEL_TTL", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def test_the_services_own_name_wins_over_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", "cuda")
    assert Settings().device is Device.CUDA
    monkeypatch.setenv("OCR_DEVICE", "tensorrt")
    assert Settings().device is Device.TENSORRT
    assert Settings(device=Device.CPU).device is Device.CPU


def test_immich_mls_own_names_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINE_LEARNING_MODEL_TTL", "17")
    monkeypatch.setenv("MACHINE_LEARNING_CACHE_FOLDER", "~/cache")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings = Settings()
    assert (settings.model_ttl_seconds, settings.offline) == (17.0, True)
    assert settings.cache_folder == Path("~/cache").expanduser()


def test_lists_are_comma_separated_and_groups_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_PRELOAD", "a, b,")
    monkeypatch.setenv("OCR_BATCHING__MAX_QUEUE_SIZE", "7")
    settings = Settings()
    assert settings.preload == ["a", "b"]
    assert settings.batching.max_queue_size == 7


def test_an_empty_metrics_port_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_METRICS_PORT", "")
    assert Settings().metrics_port is None


def test_nonsense_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_PORT", "seventy")
    with pytest.raises(ValidationError, match="port"):
        Settings()


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValidationError, match="set both or none"):
        TlsSettings(cert_file=Path("cert.pem"))


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "port", 1)  # noqa: B010 - what is tested is the refusal at run time


def test_the_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_AUTH_TOKEN", "s3cret")
    settings = Settings()
    assert "s3cret" not in repr(settings)
    assert settings.auth_token is not None
    assert settings.auth_token.get_secret_value() == "s3cret"
