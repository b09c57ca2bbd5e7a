"""No process of the mesh but the command imports rich; the command finds it whole."""

import subprocess
import sys

import pytest

PROCESSES = ("ocr_service", "clip_service", "face_service", "router")


def modules_after(script: str) -> set[str]:
    """The modules that a fresh interpreter holds at the end of a script."""
    script += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_imports_no_rich(process: str) -> None:
    modules = modules_after(f"import {process}.__main__")
    assert "structlog" in modules
    assert not {"rich", "rich.traceback", "pygments"} & modules


def test_rich_can_be_imported_afterwards() -> None:
    assert "rich.table" in modules_after("import router.__main__\nfrom rich.table import Table")


def test_rich_that_is_there_already_stays() -> None:
    assert "rich" in modules_after("import rich\nimport router.__main__")
