"""The limit is measured on exactly what the service asks of its runtimes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bench import raw
from bench.photos import preview
from bench.recording import record
from mesh.core.settings import Device
from tests.builders.faces import write_faces


def test_recorded_runs_are_the_detector_and_two_faces(tmp_path: Path) -> None:
    folder = write_faces(tmp_path)
    first, second = record("face", tmp_path, [preview(0), preview(1)], Device.CPU)
    for job in (first, second):
        assert [run.graph.relative_to(folder).parts[0] for run in job] == ["detection", "recognition", "recognition"]
        assert [next(iter(run.feeds.values())).shape for run in job] == [
            (1, 3, 640, 640),
            (1, 3, 112, 112),
            (1, 3, 112, 112),
        ]
    one, other = (next(iter(job[0].feeds.values())) for job in (first, second))
    assert not np.array_equal(one, other)


def test_limit(tmp_path: Path) -> None:
    write_faces(tmp_path)
    limit = raw.measure("face", tmp_path, 0.1)
    assert limit.per_second == max(limit.settings.values())
    assert limit.settings[limit.setting] == limit.per_second
    assert 0 < limit.alone_ms < 5_000
    assert limit.cpu_ms > 0
    assert limit.providers


def test_settings() -> None:
    assert [str(setting) for setting in raw.settings_for(Device.CUDA, [1, 8])] == [
        "1 x 1 threads",
        "2 x 1 threads",
        "1 x 1 threads, batches of 8",
        "2 x 1 threads, batches of 8",
    ]
    assert all(setting.batch == 1 for setting in raw.settings_for(Device.CPU, [8]))


def test_batches_stack_what_can_be_stacked(tmp_path: Path) -> None:
    write_faces(tmp_path)  # the detector's batch axis is fixed, the recogniser's is open
    (job,) = record("face", tmp_path, [preview(0)], Device.CPU)
    with ThreadPoolExecutor(1) as threads:
        driver = raw.Driver(raw.Setting(1, 1, batch=3), Device.CPU, tmp_path, threads)
        per_second, cpu_seconds = driver.drive([job], 0.1)
    assert per_second > 0
    assert 0 < cpu_seconds < 5
    assert [next(iter(run.feeds.values())).shape[0] for run in driver.batched(job)] == [1, 1, 1, 3, 3]
