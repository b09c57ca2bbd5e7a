"""`ps`, `unload`, `load` and `top` beside a running `immich-mesh up`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.cli.conftest import ONLY_FACES, Up, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def ask(up: Up, *words: str) -> str:
    """What the command prints, with the settings of the mesh that runs."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mesh.cli.app", *words],
        env=up.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(up: Up) -> set[tuple[str, str]]:
    """Models and their parts in memory."""
    return {(part["name"], part["part"]) for part in json.loads(ask(up, "ps", "--json"))["models"]}


def test_models_leave_memory_and_come_back(tmp_path: Path) -> None:
    with running(tmp_path, *ONLY_FACES) as up:
        up.wait_for(r"face +127\.0\.0\.1:\d+ +ready +buffalo_l")
        pack = {("buffalo_l", "detection"), ("buffalo_l", "recognition")}
        assert loaded(up) == pack
        assert "buffalo_l is out of memory" in ask(up, "unload", "buffalo_l")
        assert loaded(up) == set()
        assert "Nothing is loaded" in ask(up, "ps")
        assert "buffalo_l is loaded" in ask(up, "load", "buffalo_l")
        assert loaded(up) == pack
        assert "healthy" in ask(up, "top")
