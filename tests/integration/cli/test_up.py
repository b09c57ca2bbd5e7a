"""`immich-mesh up` for real: processes, ports, a crash, and the end, with models whose answers are known.

One life of the mesh serves all of it, since its start costs seconds.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.cli.clients.router_client import RouterClient
from tests.integration.cli.conftest import ONLY_FACES, Up, call, running
from tests.waiting import PATIENCE_SECONDS


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_one_machine_from_start_to_end(up: Up, photo: Path) -> None:
    up.wait_for(r"face +127\.0\.0\.1:\d+ +ready +buffalo_l")
    assert re.search(r"clip +127\.0\.0\.1:\d+ +ready +ViT-B-16__cn-clip", up.output)
    up.wait_for("URL: http://")
    assert set(up.children()) == {"ocr_service", "clip_service", "face_service", "router"}

    called = call(up, "face", str(photo), "--json", "--url", up.url)
    assert called.returncode == 0, called.stderr
    assert [face["score"] for face in json.loads(called.stdout)["faces"]] == pytest.approx([0.95, 0.75], abs=0.01)

    # A service that is killed is started again; a request in between is held, not lost.
    before = up.children()["face_service"]
    os.kill(before, signal.SIGKILL)
    with RouterClient(up.url, timeout_seconds=PATIENCE_SECONDS) as client:
        assert len(client.detect(photo.read_bytes(), None, None).faces) == 2
    assert up.children()["face_service"] != before
    up.wait_for(r"mesh +\| face: not ready: ended \(SIGKILL from outside\), is started again")

    # A second mesh on the same ports is told who has them.
    second = subprocess.run(
        [sys.executable, "-P", "-m", "mesh.cli.app", "up"],
        env=up.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert re.search(
        rf"port {up.ports['CLIP_PORT']} is in use by .* \(pid \d+\): stop that, or set CLIP_PORT", second.stderr
    )

    children = up.children().values()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(PATIENCE_SECONDS) == 0
    assert "mesh     | everything has ended" in up.output
    drained = list(re.findall(r"(?m)^(router-2|router|ocr|clip|face) .*(?:stopping|draining)", up.output))
    assert set(drained[:2]) == {"router", "router-2"}
    assert set(drained[2:]) == {"ocr", "clip", "face"}
    assert re.search(r"mesh +\| draining: new requests are refused .* Immich drops a job that is refused", up.output)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_model_that_cannot_be_had_is_told_and_the_rest_goes_on(tmp_path: Path, photo: Path) -> None:
    up = Up(tmp_path, "--without", "ocr", clip=False)
    try:
        up.wait_for(r"clip +127\.0\.0\.1:\d+ +not ready +ViT-B-16__cn-clip: ")
        up.wait_for("immich-mesh doctor")
        called = call(up, "face", str(photo), "--url", up.url)
        assert called.returncode == 0, called.stderr
        called = call(up, "clip", str(photo), "--url", up.url)
        assert called.returncode == 4
        assert re.search(r"immich-mesh: .*ViT-B-16__cn-clip.*\(HTTP 404", called.stderr)
    finally:
        up.end()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_terminal_that_closes_ends_the_mesh_in_order(tmp_path: Path) -> None:
    """A terminal has a live line; when it closes, nothing can be written any more, and nothing is left behind."""
    terminal, far_end = os.openpty()
    up = Up(tmp_path, "--without", "ocr", output=far_end)
    os.close(far_end)
    try:
        shown = b""
        while b"mesh" not in shown:
            shown += os.read(terminal, 4096)
        children = up.children().values()
        os.close(terminal)
        assert up.process.wait(PATIENCE_SECONDS) == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)
    finally:
        up.end()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_lies_in_the_folder_it_starts_in_is_not_imported(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for name in ("mesh", "router", "face_service", "models"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    for name in ("common.py", "structlog.py", "grpc.py"):
        (folder / name).write_text("raise SystemExit('the wrong module')\n")
    with running(tmp_path, *ONLY_FACES, cwd=folder) as up:
        up.wait_for(r"mesh +\| face: ready: buffalo_l")
        up.wait_for(r"mesh +\| router-2: ready")
    assert "the wrong" not in up.output
