"""Nobody is told anything: a service writes nothing into its home and asks for no name but those it was given."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesh.core.privacy import NO_REPORTS
from tests.builders import write_clip, write_faces
from tests.doubles.sealed_network import SEALED, available

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at namespaces and /proc")

IMPORTERS = ("mesh", "ocr_service", "clip_service", "face_service", "bench", "tests.conftest")


def plain(folder: Path) -> dict[str, str]:
    """An environment that says nothing about reports, with an empty home."""
    (folder / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in NO_REPORTS and "PROXY" not in name.upper()}
    kept = {name: value for name, value in kept.items() if not name.startswith(("XDG_", "OTEL_"))}
    return kept | {"HOME": str(folder / "home"), "MESH_CACHE_FOLDER": str(folder / "cache")}


@contextmanager
def serving(command: list[str], environment: Mapping[str, str]) -> Iterator[Iterator[str]]:
    """A service until the block ends, which gets its log's lines; ended by SIGTERM, and waited for."""
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stderr is not None
        try:
            yield iter(process.stderr)
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def asked(folder: Path, service: str, settings: Mapping[str, str], until: str) -> set[str]:
    """The names that a service asked for from its start to its end, in a network of its own."""
    if not available():
        pytest.skip("no user namespaces here: the service cannot be given a network of its own")
    names = folder / "names"
    sealed = [*SEALED, sys.executable, "-m", "tests.doubles.sealed_network", str(names)]
    command = [*sealed, sys.executable, "-m", f"{service}_service"]
    variables = {"PORT": "0", "METRICS_PORT": "", "LOG_FORMAT": "json", **settings}
    environment = plain(folder) | {f"{service.upper()}_{name}": value for name, value in variables.items()}
    with serving(command, environment) as lines:
        assert any(until in line for line in lines), "it ended before"
    return set(names.read_text().splitlines())


def written(home: Path) -> list[Path]:
    """The files under a home."""
    return [path for path in home.rglob("*") if not path.is_dir()]


@pytest.mark.parametrize("service", ["ocr", "clip", "face"])
def test_a_service_asks_for_no_name_and_leaves_no_file(service: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "cache")
    write_faces(tmp_path / "cache")
    assert asked(tmp_path, service, {"OFFLINE": "true"}, until='"ready"') == set()
    assert written(tmp_path / "home") == []


def test_a_service_asks_for_the_hub_that_was_configured_and_nothing_else(tmp_path: Path) -> None:
    hub = {"HF_ENDPOINT": "http://hub.example.test"}
    assert asked(tmp_path, "face", hub, until="hub.example.test") == {"hub.example.test"}


@pytest.mark.parametrize("module", IMPORTERS)
def test_reports_are_off_before_anything_else_is_imported(module: str, tmp_path: Path) -> None:
    script = f"import {module}, os; print(*(os.environ.get(name) for name in {tuple(NO_REPORTS)}))"
    done = subprocess.run([sys.executable, "-c", script], env=plain(tmp_path), capture_output=True, text=True)
    assert done.stdout.split() == list(NO_REPORTS.values()), done.stderr


def test_onnxruntime_is_never_imported_before_reports_are_off(tmp_path: Path) -> None:
    """rapidocr_onnxruntime imports it, for the first recogniser; a service that has read no model does without."""
    script = (
        "import builtins, os, sys\n"
        "real = builtins.__import__\n"
        "def watched(name, *rest):\n"
        "    if name.partition('.')[0] == 'onnxruntime' and 'ORT_DISABLE_TELEMETRY' not in os.environ: sys.exit(9)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = watched\n"
        "import ocr_service.__main__, types\n"
        "from pathlib import Path\n"
        "from ocr_service.recognition.recogniser import TextRecogniser\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "engine = types.SimpleNamespace(inputs=[None], metadata={'character': 'a\\nb.'}, on_cpu=True, pads=False)\n"
        "TextRecogniser(engine, Path())\n"
        "assert 'onnxruntime' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=plain(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
