"""The int8 versions that come with the service: of the bundled graphs, whole, and taken where there is no bf16."""

from pathlib import Path

import pytest

from mesh.core.settings import Device, Precision
from mesh.hub import layout
from mesh.hub.catalogue import Family
from mesh.hub.store import ModelStore
from mesh.serving.runtimes import openvino, selection
from mesh.serving.runtimes.compiled import multiplies_bytes
from mesh.serving.runtimes.int8.files import Int8Files
from mesh.serving.runtimes.selection import choose
from mesh.serving.runtimes.session import RuntimeSettings
from ocr_service.config import DEFAULT_MODEL
from ocr_service.models import INT8_FOLDER
from ocr_service.self_check import detection_check, recognition_check

CHECKS = {"detection": detection_check, "recognition": recognition_check}
WITH_VERSION = ("detection",)
LARGEST_BYTES = 4 << 20
REPORTED_SEEDS = ("seed 1", "seed 2")


def graph_of(part: str) -> Path:
    folder = ModelStore(Path("/nonexistent"), offline=True).fetch(Family.OCR, DEFAULT_MODEL)
    graph = layout.part_file(Family.OCR, folder, part)
    assert graph is not None
    return graph


@pytest.mark.parametrize("part", WITH_VERSION)
def test_a_version_is_of_the_graph_that_the_package_has(part: str) -> None:
    graph = graph_of(part)
    files = Int8Files.find(graph, INT8_FOLDER)
    assert files is not None
    assert files.comes_with_service
    assert files.fault(graph) == ""


def test_the_versions_are_small_and_learned_from_other_photos_than_those_they_are_judged_by() -> None:
    assert sum(path.stat().st_size for path in INT8_FOLDER.iterdir()) < LARGEST_BYTES
    for part in WITH_VERSION:
        learned_from = Int8Files.beside(graph_of(part), INT8_FOLDER).manifest().learned_from
        assert "bench.ocr seed" in learned_from
        assert not learned_from.endswith(REPORTED_SEEDS)


@pytest.mark.skipif(not multiplies_bytes(), reason="this processor has no VNNI")
@pytest.mark.parametrize("part", WITH_VERSION)
def test_auto_takes_it_where_the_processor_has_no_bf16(
    tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes and text are compared for real; its speed is told, since this machine may be busy."""
    monkeypatch.setattr(openvino, "fast_precision", lambda device: Precision.FP32)
    monkeypatch.setattr(selection._Comparison, "_times_as_fast", lambda *_: 1.8)
    runtime = RuntimeSettings(device=Device.AUTO, cores=1, cache_folder=tmp_path, int8_folder=INT8_FOLDER)
    choice = choose(graph_of(part), runtime, CHECKS[part])
    assert choice.reason == "1.8 x as fast as onnxruntime, same result"
    session = choice.open(1)
    assert session.provider == "OpenVINO CPU int8"
    session.close()
