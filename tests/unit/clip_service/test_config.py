"""The CLIP service hears its own names, the predecessor's and Immich ML's."""

import pytest

from clip_service.config import ClipSettings


def test_defaults() -> None:
    settings = ClipSettings()
    assert (settings.port, settings.model_name) == (50052, "ViT-B-16__cn-clip")


def test_the_seed_systems_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP_MODEL", "ViT-L-14")
    assert ClipSettings().model_name == "ViT-L-14__cn-clip"
    monkeypatch.setenv("CLIP_MODEL_NAME", "ViT-B-32__openai")
    assert ClipSettings().model_name == "ViT-B-32__openai"


def test_immich_mls_preload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACHINE_LEARNING_PRELOAD__CLIP__TEXTUAL", "ViT-B-32__openai,XLM-Roberta-Large-Vit-B-32")
    assert ClipSettings().preload == ["ViT-B-32__openai", "XLM-Roberta-Large-Vit-B-32"]


def test_batching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIP_BATCHING__MAX_BATCH_SIZE", "16")
    assert ClipSettings().batching.max_batch_size == 16
