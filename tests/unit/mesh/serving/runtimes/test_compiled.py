"""Files that runtimes make of a graph: kept whole or not at all, and gone when nobody has a use for them."""

import os
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mesh.core.settings import Device
from mesh.serving.runtimes import selection
from mesh.serving.runtimes.compiled import UNUSED_SECONDS, CompiledFiles
from mesh.serving.runtimes.selection import choose
from mesh.serving.runtimes.session import RuntimeSettings
from tests.unit.mesh.serving.runtimes.conftest import save_projection
from tests.unit.mesh.serving.runtimes.test_selection import CHECK, ITEM, compiled, no_check


def write_both(target: Path) -> None:
    target.write_text("graph")
    target.with_suffix(".bin").write_text("weights")


def hidden(projection: Path) -> list[str]:
    return [path.name for path in (projection.parent / "compiled").glob(".*")]


def test_what_a_killed_process_left_behind_goes_at_the_next_start(tmp_path: Path, projection: Path) -> None:
    files = CompiledFiles(projection, tmp_path)

    folder = projection.parent / "compiled"
    left = folder / ".making-killed"
    left.mkdir(parents=True)
    (left / "half.bin").write_text("half")

    def write(target: Path) -> None:
        CompiledFiles(projection, tmp_path)  # another process starts meanwhile
        write_both(target)

    assert files.make(files.path("xml"), write, ".bin")
    assert hidden(projection) == []
    assert compiled(tmp_path) == [".bin", ".xml"]


@pytest.mark.parametrize("days", [0, 15])
def test_files_of_another_version_go_when_nobody_used_them_for_two_weeks(
    tmp_path: Path, projection: Path, days: int
) -> None:
    files = CompiledFiles(projection, tmp_path)
    old, new = files.path("xml", "version 1"), files.path("xml", "version 2")
    for path in (old, new):
        files.make(path, write_both, ".bin")
        for one in (path, path.with_suffix(".bin")):
            os.utime(one, (time.time() - days * 24 * 3600,) * 2)
    files.remove_others({new})
    assert old.exists() is old.with_suffix(".bin").exists() is (days * 24 * 3600 < UNUSED_SECONDS)
    assert new.exists()
    assert time.time() - new.stat().st_mtime < UNUSED_SECONDS  # it is in use


@pytest.mark.parametrize(("speed", "kept"), [(0.5, {".json"}), (2.0, {".bin", ".json", ".xml"})])
def test_files_of_what_lost_the_comparison_go(
    tmp_path: Path, projection: Path, monkeypatch: pytest.MonkeyPatch, speed: float, kept: set[str]
) -> None:
    monkeypatch.setattr(selection._Comparison, "_times_as_fast", lambda *_: speed)
    choose(projection, RuntimeSettings(device=Device.AUTO, cores=2, cache_folder=tmp_path), CHECK)
    assert set(compiled(tmp_path)) == kept


def test_a_folder_that_cannot_be_written_is_told_once_and_its_model_is_served(tmp_path: Path) -> None:
    graph = save_projection(tmp_path / "clip" / "read-only" / "visual" / "model.onnx")
    (graph.parent / "compiled").write_text("in the way")
    runtime = RuntimeSettings(device=Device.CPU, cores=2, cache_folder=tmp_path)
    with capture_logs() as logs:
        for _ in range(2):
            choice = choose(graph, runtime, no_check, several=True)
            assert [choice.open(threads).run(ITEM)[0].shape for threads in (1, 2)] == [(1, 32)] * 2
    assert [line["event"] for line in logs] == ["compiled models cannot be kept: each start makes them anew"]
    assert not choice.shares_weights


def test_bytes_that_were_changed_on_disk_are_not_given_back(tmp_path: Path, projection: Path) -> None:
    files = CompiledFiles(projection, tmp_path)
    kept = files.path("blob")
    assert files.stored(kept) is None
    files.store(kept, b"compiled")
    assert files.stored(kept) == b"compiled"
    whole = kept.read_bytes()
    for damaged in (whole[:-1], whole[:10], b"", whole[:-1] + b"x"):
        kept.write_bytes(damaged)
        assert files.stored(kept) is None


def test_bytes_in_use_outlive_two_weeks(tmp_path: Path, projection: Path) -> None:
    files = CompiledFiles(projection, tmp_path)
    kept = files.path("blob")
    files.store(kept, b"compiled")
    os.utime(kept, (time.time() - 2 * UNUSED_SECONDS,) * 2)
    assert files.stored(kept) == b"compiled"
    files.remove_others(set())
    assert kept.exists()
    os.utime(kept, (time.time() - 2 * UNUSED_SECONDS,) * 2)
    files.remove_others(set())
    assert not kept.exists()
