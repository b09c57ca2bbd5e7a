"""OpenVINO's sessions: runs side by side, memory that is let go of, devices that do not work."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mesh.core.errors import UnavailableError
from mesh.core.settings import Device, Precision
from mesh.serving.runtimes import openvino
from mesh.serving.runtimes.openvino import OpenVinoSession
from mesh.serving.runtimes.session import RuntimeSettings

RUNTIME = RuntimeSettings(device=Device.OPENVINO, cores=2)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_run_has_arrays_of_its_own(projection: Path, threads: int) -> None:
    session = OpenVinoSession(projection, RUNTIME, Precision.FP32, threads)
    items = [np.full((1, 64), number, np.float32) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda item: session.run({"x": item})[0], items))
    for number, answer in enumerate(answers):
        assert np.allclose(answer, answers[1] * number, atol=1e-3)
    session.close()


def mapped_bytes(file: Path) -> int:
    """Memory of this process that is pages of the file."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.endswith(str(file)):
            inside = True
        elif inside and line.startswith("Rss:"):
            total, inside = total + int(line.split()[1]) * 1024, False
    return total


def test_the_files_pages_are_let_go_of_after_the_first_run(tmp_path: Path, projection: Path) -> None:
    source = tmp_path / "graph.xml"
    openvino.convert(projection, source, Precision.FP32)
    session = OpenVinoSession(source, RUNTIME, Precision.FP32)
    first = session.run({"x": np.ones((1, 64), np.float32)})[0]
    assert mapped_bytes(source.with_suffix(".bin")) == 0
    assert np.array_equal(session.run({"x": np.ones((1, 64), np.float32)})[0], first)


def test_memory_that_runs_work_in_is_given_back_and_taken_anew(projection: Path) -> None:
    session = OpenVinoSession(projection, RUNTIME, Precision.FP32)
    item = {"x": np.ones((1, 64), np.float32)}
    first = session.run(item)[0]
    assert session.release_memory()
    assert np.array_equal(session.run(item)[0], first)
    session.close()


def test_memory_is_not_given_back_under_a_run(projection: Path) -> None:
    session = OpenVinoSession(projection, RUNTIME, Precision.FP32)
    taken: list[bool] = []

    class DuringTheRun:
        @contextmanager
        def may_end(self, end: Callable[[], None]) -> Iterator[None]:
            taken.append(session.release_memory())
            yield

    session.run({"x": np.ones((1, 64), np.float32)}, DuringTheRun())
    assert taken == [False]
    assert session.release_memory()
    session.close()


def test_half_precision_weights_take_half_the_file(tmp_path: Path, projection: Path) -> None:
    sizes = []
    for precision in (Precision.FP32, Precision.BF16):
        source = tmp_path / f"{precision.value}.xml"
        openvino.convert(projection, source, precision)
        sizes.append(source.with_suffix(".bin").stat().st_size)
    assert sizes[1] <= 0.6 * sizes[0]


def test_a_broken_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(UnavailableError, match=r"cannot read the model .*bad\.onnx"):
        OpenVinoSession(tmp_path / "bad.onnx", RUNTIME, Precision.FP32)


def test_the_processor_runs_a_graph() -> None:
    openvino.require(Device.OPENVINO)
    assert openvino.fast_precision(Device.OPENVINO) in (Precision.FP32, Precision.BF16)


@pytest.mark.parametrize(("device", "name"), [(Device.OPENVINO_GPU, "GPU"), (Device.OPENVINO_NPU, "NPU")])
def test_a_device_that_is_not_there_is_refused_with_the_reason_and_the_remedy(device: Device, name: str) -> None:
    import openvino as package

    if name in package.Core().available_devices:
        pytest.skip(f"this machine has an Intel {name}")
    with pytest.raises(UnavailableError, match=rf"openvino:{name} cannot run a graph: .+: install Intel's"):
        openvino.require(device)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    with pytest.raises(UnavailableError, match="install the extra `openvino`"):
        openvino.require(Device.OPENVINO)
