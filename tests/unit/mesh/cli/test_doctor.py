"""What the doctor says of sick machines."""

import socket
from pathlib import Path

import pytest

from mesh.cli.commands.doctor import database_of, examine
from mesh.cli.doctor import database, hardware, installation, mesh, running
from mesh.cli.doctor.finding import Verdict
from mesh.cli.doctor.parts import Parts
from mesh.cli.machine.plan import Plan, Port
from mesh.cli.machine.plans import plan_machine
from mesh.core.settings import Device
from ocr_service.config import OcrSettings

HEADLESS = ("opencv-python-headless", "5.0")


def verdicts(packages: list[tuple[str, str]]) -> dict[str, Verdict]:
    return {finding.subject: finding.verdict for finding in installation.check_packages(packages)}


def test_one_onnxruntime_and_one_opencv_are_good() -> None:
    packages = [("onnxruntime", "1.32"), ("onnxruntime-extensions", "0.1"), HEADLESS, ("numpy", "2")]
    assert verdicts(packages) == {"onnxruntime": Verdict.GOOD, "OpenCV": Verdict.GOOD}


@pytest.mark.parametrize(
    "packages",
    [
        [("onnxruntime", "1.32"), ("onnxruntime-gpu", "1.32"), HEADLESS, ("opencv-python", "4.11")],
        [("numpy", "2")],
    ],
)
def test_two_or_none_of_a_kind_are_bad_and_named(packages: list[tuple[str, str]]) -> None:
    findings = list(installation.check_packages(packages))
    assert [finding.verdict for finding in findings] == [Verdict.BAD, Verdict.BAD]
    assert all(finding.remedy for finding in findings)
    if len(packages) > 1:
        assert "onnxruntime 1.32, onnxruntime-gpu 1.32" in findings[0].text


def test_an_opencv_with_windows_is_worth_a_note() -> None:
    packages = [("onnxruntime", "1.32"), ("opencv-python", "4.11")]
    assert [finding.verdict for finding in installation.check_packages(packages)][-1] is Verdict.NOTE


def test_this_environment_has_exactly_one_of_each() -> None:
    assert {finding.verdict for finding in installation.check_packages()} == {Verdict.GOOD}


def test_a_containers_limit_counts_before_the_machines_memory(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 32000000 kB\nMemAvailable: 16000000 kB\n")
    assert hardware.available_memory_gb(meminfo, tmp_path) == pytest.approx(16.384)
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    assert hardware.available_memory_gb(meminfo, tmp_path) == pytest.approx(1.5)
    (tmp_path / "memory.max").write_text("max\n")
    assert hardware.available_memory_gb(meminfo, tmp_path) == pytest.approx(16.384)
    (tmp_path / "memory.max").write_text("2000000000\n")
    (finding,) = hardware.check_memory(meminfo, tmp_path)
    assert finding.verdict is Verdict.NOTE


def test_a_device_that_is_not_there_is_bad_and_says_how_to_get_it() -> None:
    findings = list(hardware.check_device({"ocr": OcrSettings(device=Device.CUDA)}))
    assert [finding.subject for finding in findings] == ["runtimes", "ocr device"]
    assert findings[1].verdict is Verdict.BAD
    assert "onnxruntime" in findings[1].text


def test_the_ocr_model_is_there_without_a_download(tmp_path: Path) -> None:
    (finding,) = mesh.check_models({"ocr": OcrSettings(cache_folder=tmp_path, offline=True)})
    assert finding.verdict is Verdict.GOOD


def test_a_missing_model_of_an_offline_mesh_is_bad_with_the_remedy(tmp_path: Path) -> None:
    settings = OcrSettings(cache_folder=tmp_path, offline=True, model_name="PP-OCRv5_mobile")
    (finding,) = mesh.check_models({"ocr": settings})
    assert finding.verdict is Verdict.BAD
    assert "models pull PP-OCRv5_mobile" in finding.remedy


def test_a_missing_model_and_a_hub_out_of_reach_is_bad(tmp_path: Path) -> None:
    settings = OcrSettings(cache_folder=tmp_path, model_name="PP-OCRv5_mobile", hf_endpoint="http://127.0.0.1:9")
    (finding,) = mesh.check_models({"ocr": settings})
    assert finding.verdict is Verdict.BAD
    assert "http://127.0.0.1:9 cannot be reached" in finding.text


@pytest.mark.parametrize("inside", ["", "models"])
def test_a_cache_that_cannot_be_written_to_is_told_with_the_remedy(tmp_path: Path, inside: str) -> None:
    """A file stands where the folder should be: it stops root too, as a read-only file system does."""
    file = tmp_path / "taken"
    file.touch()
    folder = file / inside if inside else file
    (disk,) = hardware.check_disk(folder)
    assert disk.verdict is Verdict.BAD
    assert "MESH_CACHE_FOLDER" in disk.remedy
    findings = list(mesh.check_models({"ocr": OcrSettings(cache_folder=folder, model_name="PP-OCRv5_mobile")}))
    assert [finding.verdict for finding in findings] == [Verdict.BAD]


def test_the_whole_report_comes_whatever_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    monkeypatch.setenv("MESH_CACHE_FOLDER", str(tmp_path / "taken/models"))
    monkeypatch.setenv("MESH_OFFLINE", "true")
    monkeypatch.setenv("OCR_HOST", "[::]")
    monkeypatch.setenv("IMMICH_HOST", "203.0.113.1")
    monkeypatch.setenv("OCR_MODLE", "PP-OCRv5_mobile")
    findings = list(examine())
    subjects = {finding.subject for finding in findings}
    assert {"Python", "imports", "memory", "settings", "model cache", "ocr", "clip", "face", "router"} <= subjects
    texts = [finding.text for finding in findings]
    assert "OCR_MODLE is no setting: did you mean OCR_MODEL_NAME?" in texts
    assert any("cannot listen on 203.0.113.1:3003" in text for text in texts)
    assert all(finding.remedy for finding in findings if finding.verdict is Verdict.BAD)


def test_a_module_that_cannot_be_imported_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_library.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    (finding,) = installation.check_imports(["json", "broken_library"])
    assert finding.verdict is Verdict.BAD
    assert "broken_library cannot be imported: libGL.so.1" in finding.text
    assert [finding.verdict for finding in installation.check_imports(Parts().modules)] == [Verdict.GOOD]


def test_wrong_settings_are_named_without_their_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_PORT", "secret-value")
    findings, services, machine = mesh.check_settings(Parts())
    assert machine is None
    assert "ocr" not in services
    (fault,) = [finding for finding in findings if finding.verdict is Verdict.BAD]
    assert fault.text.startswith("OCR_PORT: ")
    assert "secret-value" not in fault.text


def test_a_foreign_process_on_a_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        plan = Plan("ocr", "ocr_service", f"127.0.0.1:{number}", (Port("127.0.0.1", number, "OCR_PORT"),), 1.0)
        (finding,) = running._judge(plan, None)
    assert finding.verdict is Verdict.NOTE
    assert f"port {number} is held by " in finding.text
    assert "OCR_PORT" in finding.remedy


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://immich", "write it like postgresql://"),
        ("postgresql://postgres:postgres@127.0.0.1:port/immich", "write it like postgresql://"),
        ("postgresql://postgres:postgres@127.0.0.1:9/immich", "the database cannot be reached"),
    ],
)
async def test_a_database_that_cannot_be_used_is_told_with_the_remedy(url: str, said: str) -> None:
    (finding,) = await database.check_database(url)
    assert finding.verdict is Verdict.BAD
    assert said in finding.text
    assert "DB_URL" in finding.remedy


async def test_no_database_is_told_only_where_there_is_a_front_door(monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = await database.check_database(None)
    assert finding.verdict is Verdict.NOTE
    assert database_of(None) == (None, False)
    monkeypatch.setenv("DB_HOSTNAME", "database")
    assert database_of(None) == ("postgresql://postgres:postgres@database:5432/immich", False)
    monkeypatch.setenv("IMMICH_URL", "http://127.0.0.1:9")
    assert database_of(plan_machine()) == ("postgresql://postgres:postgres@database:5432/immich", True)


def test_in_an_image_only_its_own_process_is_looked_at() -> None:
    face = Parts.here({"MESH_IMAGE": "face"})
    assert (face.processes, face.services, face.whole) == (("face",), ("face",), False)
    assert "onnxruntime" in face.modules
    assert not {"aiohttp", "tokenizers", "pyclipper"} & set(face.modules)
    router = Parts.here({"MESH_IMAGE": "router"})
    assert router.services == ()
    assert not {"onnxruntime", "numpy", "cv2"} & set(router.modules)
    assert Parts.here({}) == Parts.here({"MESH_IMAGE": "something else"}) == Parts()
    findings, services, machine = mesh.check_settings(face)
    assert (list(services), machine) == (["face"], None)
    assert [finding.text for finding in findings] == ["of face are valid"]
