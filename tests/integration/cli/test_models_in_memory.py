"""Models of `immich-mesh up` come and go: under a memory budget, and after a load that failed."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mesh.cli.clients.router_client import RouterClient
from mesh.cli.output.outcome import CommandError
from tests.builders.faces import recogniser, write_faces
from tests.integration.cli.conftest import ONLY_FACES, Up, running
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

MB = 1_000_000
BALLAST_BYTES = 160 * MB
BUDGET_BYTES = 400 * MB
"""Room for two packs with their ballast, not for three."""


def write_heavy_faces(cache_folder: Path, name: str) -> None:
    """A pack whose recogniser carries 160 MB of weights that its answers do not show."""
    folder = write_faces(cache_folder, name)
    model = recogniser().model()
    graph = model.graph
    made = graph.node[-1].input[0]
    ballast = np.random.default_rng(0).random(BALLAST_BYTES // 4, np.float32)
    graph.initializer.append(numpy_helper.from_array(ballast, "ballast"))
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "nothing"))
    graph.node[-1].input[0] = "weighed"
    weighing = [
        helper.make_node("Shape", ["input.1"], ["position"], start=0, end=1),  # known at run time alone
        helper.make_node("Gather", ["ballast", "position"], ["some"]),
        helper.make_node("Mul", ["some", "nothing"], ["zero"]),
        helper.make_node("Add", [made, "zero"], ["weighed"]),
    ]
    for node in weighing:
        graph.node.insert(len(graph.node) - 1, node)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "recognition/model.onnx"))


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def recognisers(up: Up) -> dict[str, str]:
    """State of each pack's recogniser, as the router's admin page shows it."""
    listed = up.admin("/models")["clusters"]["face"]["models"]
    return {model["name"]: model["state"] for model in listed if model["part"] == "recognition"}


def test_a_budget_puts_the_least_recently_used_pack_out(tmp_path: Path, photo: Path) -> None:
    for name in ("buffalo_l", "buffalo_m", "buffalo_s"):
        write_heavy_faces(tmp_path / "cache", name)
    settings = {
        "FACE_MEMORY_BUDGET_BYTES": str(BUDGET_BYTES),
        "FACE_LOW_LATENCY_SESSIONS": "false",
        "FACE_DEVICE": "cpu",  # `auto` may take another runtime for each pack, and what their runs hold differs
    }
    with (
        running(tmp_path, *ONLY_FACES, settings=settings) as up,
        RouterClient(up.url, timeout_seconds=PATIENCE_SECONDS) as client,
    ):
        up.wait_for(r"face +127\.0\.0\.1:\d+ +ready +buffalo_l")
        service = up.children()["face_service"]

        def detect(pack: str) -> int:
            assert len(client.detect(photo.read_bytes(), pack, None).faces) == 2
            return resident_bytes(service)

        one = detect("buffalo_l")
        two = detect("buffalo_m")
        assert recognisers(up) == {"buffalo_l": "loaded", "buffalo_m": "loaded", "buffalo_s": "cached"}
        assert two - one > 0.8 * BALLAST_BYTES
        detect("buffalo_l")  # now buffalo_m is the one that nobody used for longest
        after = detect("buffalo_s")
        assert recognisers(up) == {"buffalo_l": "loaded", "buffalo_m": "cached", "buffalo_s": "loaded"}
        assert after - two < 0.5 * BALLAST_BYTES
        assert 'immich_mesh_model_evictions_total{reason="budget"} 1.0' in up.metrics("face")
        assert service == up.children()["face_service"]
        emptied = up.order("/models/unload", cluster="face")
        assert {model["state"] for model in emptied["models"]} == {"cached"}
        assert after - resident_bytes(service) > 0.8 * 2 * BALLAST_BYTES


def damage(graph: Path) -> bytes:
    """Cuts a graph's file in half, as a disk that ran full does; returns what it was."""
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    return whole


def test_a_failed_load_is_retried_then_told_and_nothing_cached_is_lost(tmp_path: Path, photo: Path) -> None:
    folders = {name: write_faces(tmp_path / "cache", name) for name in ("buffalo_l", "buffalo_s")}
    graphs = {name: folder / "recognition/model.onnx" for name, folder in folders.items()}
    whole = {name: damage(graph) for name, graph in graphs.items()}
    before = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.onnx")}
    with running(tmp_path, *ONLY_FACES) as up, RouterClient(up.url, timeout_seconds=PATIENCE_SECONDS) as client:
        # The default model: tried three times at start, then told where a person looks.
        up.wait_for(r"face +127\.0\.0\.1:\d+ +not ready +buffalo_l: cannot read the model ")
        attempts = re.findall(
            r"model load failed, trying again +attempt=(\d) model=buffalo_l part=recognition", up.output
        )
        assert attempts == ["1", "2"]
        assert recognisers(up)["buffalo_l"] == "failed"
        assert {path: path.read_bytes() for path in before} == before

        # Who asks meanwhile is told at once, and when it is tried again.
        with pytest.raises(CommandError, match=r"cannot read the model .* it is tried again in \d+ s \(HTTP 503"):
            client.detect(photo.read_bytes(), "buffalo_l", None)

        def answered() -> bool:
            with suppress(CommandError):
                return len(client.detect(photo.read_bytes(), "buffalo_l", None).faces) == 2
            return False

        # Mended, it serves without a restart.
        graphs["buffalo_l"].write_bytes(whole["buffalo_l"])
        wait_until(answered)

        # A fault that passes while it is tried again is seen by nobody.
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(client.detect, photo.read_bytes(), "buffalo_s", None)
            up.wait_for(r"model load failed, trying again +attempt=1 model=buffalo_s")
            graphs["buffalo_s"].write_bytes(whole["buffalo_s"])
            assert len(asked.result().faces) == 2
        assert recognisers(up) == {"buffalo_l": "loaded", "buffalo_s": "loaded"}
        assert up.children()["face_service"]
