"""Settings of Immich ML and of the predecessor that have a meaning here are read under their own names."""

import pytest

from clip_service.config import ClipSettings
from mesh.core.settings import Device, Precision
from ocr_service.config import OcrSettings
from router.config import RouterSettings


@pytest.mark.parametrize(("given", "device"), [("CUDA", Device.CUDA), ("Cpu", Device.CPU)])
def test_a_device_in_capitals(monkeypatch: pytest.MonkeyPatch, given: str, device: Device) -> None:
    monkeypatch.setenv("DEVICE", given)
    assert OcrSettings().device is device


def test_the_precision_of_immichs_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINE_LEARNING_OPENVINO_PRECISION", "FP16")
    assert OcrSettings().precision is Precision.FP16


@pytest.mark.parametrize("name", ["DEVICE_ID", "MACHINE_LEARNING_DEVICE_ID", "MACHINE_LEARNING_DEVICE_IDS"])
def test_the_first_of_several_gpus(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1,2")
    assert OcrSettings().device_id == 1


@pytest.mark.parametrize(("given", "seconds"), [("-1", 0.0), ("0", 0.0), ("600", 600.0)])
def test_a_model_that_never_leaves_memory(monkeypatch: pytest.MonkeyPatch, given: str, seconds: float) -> None:
    monkeypatch.setenv("MACHINE_LEARNING_MODEL_TTL", given)
    assert OcrSettings().model_ttl_seconds == seconds


@pytest.mark.parametrize("host", ["[::]", "::"])
def test_every_address_as_a_url_has_it(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("IMMICH_HOST", host)
    monkeypatch.setenv("OCR_HOST", host)
    assert RouterSettings().listeners.immich_ml.host == OcrSettings().host == "::"


def test_the_predecessors_port_and_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8080")
    monkeypatch.setenv("CLIP_DOWNLOAD_ROOT", "/models")
    assert RouterSettings().listeners.immich_ml.port == 8080
    assert str(ClipSettings().cache_folder) == "/models"
    monkeypatch.setenv("IMMICH_PORT", "3003")
    assert RouterSettings().listeners.immich_ml.port == 3003


def test_one_name_sets_the_clip_model_of_router_and_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP_MODEL_NAME", "ViT-L-14")
    assert RouterSettings().clip_model == ClipSettings().model_name == "ViT-L-14__cn-clip"
    monkeypatch.setenv("ROUTER_CLIP_MODEL", "ViT-B-16__cn-clip")
    assert RouterSettings().clip_model == "ViT-B-16__cn-clip"


@pytest.mark.parametrize("part", ["TEXTUAL", "VISUAL"])
def test_preloading_immichs_name_loads_what_answers_for_it(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setenv(f"MACHINE_LEARNING_PRELOAD__CLIP__{part}", "ViT-B-32__openai")
    assert ClipSettings().preload == ["ViT-B-16__cn-clip"]
    monkeypatch.setenv("CLIP_MODEL_NAME", "ViT-L-14__cn-clip")  # of another dimension
    assert ClipSettings().preload == ["ViT-B-32__openai"]
    monkeypatch.setenv("CLIP_PRELOAD", "ViT-B-16__openai")  # by our own name: what it says
    assert ClipSettings().preload == ["ViT-B-16__openai"]
