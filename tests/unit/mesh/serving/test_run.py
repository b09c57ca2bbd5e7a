"""What a service says when it cannot even start."""

import pytest

from mesh.serving.server import Service, ServiceContext, run
from ocr_service.config import OcrSettings

pytestmark = pytest.mark.usefixtures("restored_logs")


def no_service(*_: object) -> Service:
    raise AssertionError("it must not get this far")


def test_wrong_settings_are_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCR_PORT", "seventy")
    monkeypatch.setenv("MESH_AUTH_TOKEN", "s3cret")
    assert run(OcrSettings, no_service, "ocr") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("immich-mesh ocr: OCR_PORT: ")
    assert "s3cret" not in line


def test_a_group_of_settings_that_is_not_json_is_told_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCR_BATCHING", "{max_queue_size")
    assert run(OcrSettings, no_service, "ocr") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("immich-mesh ocr: OCR_BATCHING: is not JSON (")


@pytest.mark.parametrize("name", ["OCR_LOG_LEVEL", "MESH_LOG_LEVEL"])
def test_an_unknown_log_level_is_a_wrong_setting(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "loud")
    assert run(OcrSettings, no_service, "ocr") == 2
    assert capsys.readouterr().err.startswith(f"immich-mesh ocr: {name}: unknown log level 'loud': use one of ")


def test_a_gpu_that_is_not_there_is_a_refusal_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEVICE", "cuda")
    monkeypatch.setenv("OCR_PORT", "0")
    assert run(OcrSettings, no_service, "ocr") == 1
    output = capsys.readouterr().err
    assert "CUDAExecutionProvider" in output
    assert "install the extra `cuda`" in output


def test_the_context_is_built_for_devices_that_are_there() -> None:
    context = ServiceContext.of(OcrSettings(offline=True))
    context.compute.close()
    assert context.store.offline
