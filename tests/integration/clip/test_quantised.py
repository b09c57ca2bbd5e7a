"""A CLIP model of one's own in int8: made by the command of a folder of photos, taken by the service when asked to."""

import asyncio
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from clip_service.__main__ import build
from clip_service.config import ClipSettings
from mesh.cli import app as cli
from mesh.cli.commands import models as models_commands
from mesh.core.settings import Device, Precision
from mesh.hub.store import ModelStore
from mesh.serving.inference.compute import ComputePool
from mesh.serving.lifecycle.statuses import ModelStatus
from mesh.serving.runtimes import compiled
from mesh.serving.runtimes.int8.files import Int8Files
from mesh.serving.runtimes.session import RuntimeSettings
from mesh.serving.server import ServiceContext
from tests.builders import write_clip
from tests.builders.graph import Graph

pytestmark = pytest.mark.usefixtures("restored_logs")

NAME = "ViT-B-16__cn-clip"
SIDE = 32


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose image encoder is four convolutions deep."""
    folder = write_clip(tmp_path / "cache", NAME, image_size=SIDE)
    random = np.random.default_rng(0)
    graph = Graph()
    tensor = graph.input("image", ["batch", 3, SIDE, SIDE])
    for wide, narrow in ((16, 3), (16, 16), (16, 16), (512, 16)):
        weights = (random.standard_normal((wide, narrow, 3, 3)) / np.sqrt(9 * narrow)).astype(np.float32)
        tensor = graph.op("Relu", graph.op("Conv", tensor, graph.weight(weights), pads=[1, 1, 1, 1]))
    graph.output(graph.op("ReduceMean", tensor, axes=[2, 3], keepdims=0), "embedding", ["batch", 512])
    graph.save(folder / "visual" / "model.onnx")
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(30):
        cv2.imwrite(str(folder / f"{number}.jpg"), random.integers(0, 256, (40, 50, 3), np.uint8))
    (folder / "torn.jpg").write_bytes(b"no photo")
    return folder


def quantise(model: Path, photos: Path, *options: str) -> int:
    if not any(group.name == "models" for group in cli.app.registered_groups):
        cli.app.add_typer(models_commands.app, name="models")
    cache = ["--cache-folder", str(model.parent.parent)]
    return cli.run(["models", "quantise", "cn-clip/ViT-B-16", str(photos), *cache, *options])


def loaded(model: Path, precision: Precision) -> dict[str, str]:
    """What runs each part of the model once the service has loaded it."""
    settings = ClipSettings(cache_folder=model.parent.parent, offline=True, precision=precision, device=Device.OPENVINO)

    async def load() -> list[ModelStatus]:
        runtime, compute = RuntimeSettings.of(settings), ComputePool(1)
        service = build(settings, ServiceContext(compute, runtime, ModelStore.of(settings)))
        await service.manager.load(NAME)
        statuses = await service.manager.statuses()
        await service.manager.close()
        compute.close()
        return statuses

    return {status.part: status.provider for status in asyncio.run(load()) if status.provider}


def test_the_command_makes_it_and_the_service_shows_its_cosine(
    model: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_flags", lambda: "flags : avx_vnni")
    assert quantise(model, photos, "--json") == 0
    (graph, made), *others = json.loads(capsys.readouterr().out)["graphs"].items()
    assert (graph, others) == ("visual/model.onnx", [])
    assert made["learned_from"] == "26 inputs of 31 photos"  # four are kept for the check, one is no photo
    assert 0.99 < made["cosine"] <= 1
    providers = loaded(model, Precision.INT8)
    assert providers["visual"].startswith("OpenVINO CPU int8 (")
    assert "cosine 0.99" in providers["visual"] or "cosine 1.0000" in providers["visual"]
    assert "int8: this graph has no int8 version" in providers["textual"]
    assert not loaded(model, Precision.AUTO)["visual"].startswith("OpenVINO CPU int8")


def test_few_photos_and_models_that_are_not_here_are_refused(
    model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantise(model, photos, "--photos", "3") != 0
    assert "and 20 are needed: give more photos" in capsys.readouterr().err
    assert not Int8Files.beside(model / "visual" / "model.onnx").graph.exists()
    assert cli.run(["models", "quantise", "buffalo_l", str(photos), "--cache-folder", str(model.parent.parent)]) != 0
    assert "buffalo_l is not in the cache: immich-mesh models pull buffalo_l" in capsys.readouterr().err
    assert cli.run(["models", "quantise", "PP-OCRv6_small", str(photos)]) != 0
    assert "comes with a package, and its int8 version with the service" in capsys.readouterr().err
