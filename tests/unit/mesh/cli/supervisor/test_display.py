"""What `up` shows, and how it judges a service's models."""

import io
import re
import sys
from pathlib import Path

import pytest
from immich_mesh.model.v1 import model_pb2
from pydantic import SecretStr
from rich.console import Console

from mesh.cli.machine.plan import Plan
from mesh.cli.machine.plans import MachinePlan
from mesh.cli.machine.ports import interface_address
from mesh.cli.machine.routers import router_plans
from mesh.cli.machine.supervisor_settings import SupervisorSettings
from mesh.cli.supervisor.display import Display, describe, typed_command
from mesh.cli.supervisor.door import DoorCheck
from mesh.cli.supervisor.probes import Level, ProcessCondition, judge
from mesh.core.settings import LogFormat
from router.config import ImmichMlListener, ListenersSettings, MtPhotosListener, RouterSettings

ONE_ROUTER = SupervisorSettings(second_router_port=None)
READY = ProcessCondition(Level.READY, "PP-OCRv6_small")


def display(
    settings: RouterSettings | None = None,
    log_format: LogFormat = LogFormat.PRETTY,
    own: SupervisorSettings | None = None,
    services: tuple[str, ...] = ("ocr", "clip"),
) -> tuple[Display, io.StringIO]:
    ports = {"ocr": 50051, "clip": 50052, "face": 50053}
    plans = tuple(Plan(name, name, f"127.0.0.1:{ports[name]}", (), 1.0) for name in services)
    settings = settings or RouterSettings()
    output = io.StringIO()
    machine = MachinePlan(plans, router_plans(settings, own or ONE_ROUTER, {}))
    return Display(Console(file=output, width=200), machine, log_format), output


def test_lines_carry_the_name_of_their_process_and_no_markup() -> None:
    shown, output = display()
    shown.line("ocr", "loaded [bold]model[/bold]")
    assert output.getvalue() == "ocr    | loaded [bold]model[/bold]\n"


def test_json_lines_stay_json() -> None:
    shown, output = display(log_format=LogFormat.JSON)
    shown.line("ocr", '{"event": "ready"}')
    assert output.getvalue() == '{"event": "ready"}\n'


def test_a_download_is_told_in_steps() -> None:
    shown, output = display()
    for share in (0.01, 0.02, 0.05, 0.11, 0.12, 0.99):
        shown.condition("clip", ProcessCondition(Level.COMING, "downloading ViT-B-16__cn-clip", share))
    shown.condition("clip", READY)
    told = [line.removeprefix("mesh   | clip: ") for line in output.getvalue().splitlines()]
    assert told == [
        "downloading ViT-B-16__cn-clip (0%)",
        "downloading ViT-B-16__cn-clip (10%)",
        "downloading ViT-B-16__cn-clip (90%)",
        "ready: PP-OCRv6_small",
    ]


def test_the_summary_says_what_is_ready_what_is_not_and_what_next() -> None:
    shown, output = display()
    shown.condition("ocr", READY)
    shown.condition("router", ProcessCondition(Level.READY, "answers Immich"))
    shown.condition("clip", ProcessCondition(Level.FAILED, "ViT-B-16__cn-clip: offline"))
    before = len(output.getvalue())
    shown.summary()
    text = output.getvalue()[before:]
    assert re.search(r"ocr +127\.0\.0\.1:50051 +ready +PP-OCRv6_small", text)
    assert re.search(r"clip +127\.0\.0\.1:50052 +not ready +ViT-B-16__cn-clip: offline", text)
    assert "Machine Learning > URL: http://" in text
    assert ":3003" in text
    assert re.search(r"MT Photos API +closed +opens when MT_PHOTOS_API_KEY is set", text)
    assert "immich-mesh doctor" in text


def test_what_to_try_next_can_be_typed_as_it_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = tmp_path / ".venv/bin/immich-mesh"
    installed.parent.mkdir(parents=True)
    installed.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mesh.cli.supervisor.display.sys.executable", str(installed.with_name("python")))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert typed_command() == ".venv/bin/immich-mesh"
    shown, output = display(RouterSettings(listeners=ListenersSettings(immich_ml=ImmichMlListener(port=4004))))
    shown.summary()
    assert "Try:  .venv/bin/immich-mesh call ocr PHOTO --url http://127.0.0.1:4004" in output.getvalue()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert typed_command() == str(installed)
    monkeypatch.setenv("PATH", str(installed.parent))
    assert typed_command() == "immich-mesh"


@pytest.mark.parametrize("service", ["ocr", "clip", "face"])
def test_what_to_try_is_a_service_that_is_there(service: str) -> None:
    shown, output = display(services=(service,))
    shown.summary()
    assert f"immich-mesh call {service} PHOTO" in output.getvalue()


def test_a_router_on_loopback_is_told_with_the_setting_that_opens_it() -> None:
    listeners = ListenersSettings(
        immich_ml=ImmichMlListener(host="127.0.0.1"), mt_photos=MtPhotosListener(api_key=SecretStr("key"))
    )
    shown, output = display(RouterSettings(listeners=listeners))
    shown.summary()
    assert "ROUTER_LISTENERS__IMMICH_ML__HOST=0.0.0.0" in output.getvalue()
    assert "MT_PHOTOS_API_KEY" not in output.getvalue()
    assert "key" not in output.getvalue().replace("keys", "")


def model(state: model_pb2.ModelState.ValueType, part: str = "visual", **fields: object) -> model_pb2.Model:
    return model_pb2.Model(name="ViT-B-16__cn-clip", part=part, state=state, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("serving", "models", "expected"),
    [
        (False, [], ProcessCondition(Level.COMING, "starting")),
        (True, [], ProcessCondition(Level.READY, "loads its model on first use")),
        (True, [model(model_pb2.MODEL_STATE_LOADED)], ProcessCondition(Level.READY, "ViT-B-16__cn-clip")),
        (False, [model(model_pb2.MODEL_STATE_LOADING)], ProcessCondition(Level.COMING, "loading ViT-B-16__cn-clip")),
        (
            False,
            [
                model(model_pb2.MODEL_STATE_DOWNLOADING, download_progress=0.5),
                model(model_pb2.MODEL_STATE_DOWNLOADING, "textual", download_progress=0.25),
            ],
            ProcessCondition(Level.COMING, "downloading ViT-B-16__cn-clip", 0.25),
        ),
        (
            True,
            [model(model_pb2.MODEL_STATE_FAILED, error="offline\nand not cached")],
            ProcessCondition(Level.FAILED, "ViT-B-16__cn-clip: offline and not cached"),
        ),
        (
            True,
            [model(model_pb2.MODEL_STATE_LOADED), model(model_pb2.MODEL_STATE_LOADING, "textual")],
            ProcessCondition(Level.READY, "ViT-B-16__cn-clip"),
        ),
        (
            True,
            [
                model(model_pb2.MODEL_STATE_LOADED),
                model_pb2.Model(name="other", state=model_pb2.MODEL_STATE_DOWNLOADING, download_progress=0.5),
            ],
            ProcessCondition(Level.READY, "ViT-B-16__cn-clip; downloading other", 0.5),
        ),
        (
            True,
            [
                model(model_pb2.MODEL_STATE_LOADED),
                model_pb2.Model(name="other", state=model_pb2.MODEL_STATE_FAILED, error="no network"),
            ],
            ProcessCondition(Level.READY, "ViT-B-16__cn-clip; not other: no network"),
        ),
    ],
)
def test_a_services_condition_is_that_of_its_models(
    serving: bool, models: list[model_pb2.Model], expected: ProcessCondition
) -> None:
    assert judge(serving, models) == expected


def test_a_condition_in_words() -> None:
    assert describe(ProcessCondition(Level.COMING, "loading x")) == "on its way: loading x"
    assert describe(ProcessCondition(Level.FAILED, "no")) == "not ready: no"


def test_both_routers_are_told_as_what_to_enter_in_immich() -> None:
    shown, output = display(own=SupervisorSettings(second_router_port=3014, second_router_admin_port=None))
    shown.condition("router-2", ProcessCondition(Level.READY, "answers Immich"))
    shown.summary()
    text = output.getvalue()
    assert text.startswith("mesh     | router-2: ready: answers Immich\n")
    assert re.search(r"URL: http://\S+:3003 and http://\S+:3014 \(enter both", text)
    assert re.search(r"Immich ML API +http://\S+:3014 +ready", text)
    assert len(re.findall("admin page", text)) == 1


@pytest.mark.parametrize(
    ("bridge", "told"),
    [
        ("172.17.0.1", "http://172.17.0.1:3003, or with Docker Desktop http://host.docker.internal:3003"),
        ("", "the same"),
    ],
)
def test_an_immich_in_docker_is_told_an_address_that_it_can_reach(
    bridge: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh.cli.supervisor.display.interface_address", lambda name: bridge)
    shown, output = display()
    shown.summary()
    assert f"Immich in Docker here: {told}" in output.getvalue()


def test_nothing_is_said_of_docker_where_only_this_machine_reaches_the_router() -> None:
    shown, output = display(
        RouterSettings(listeners=ListenersSettings(immich_ml=ImmichMlListener(host="127.0.0.1", port=3003)))
    )
    shown.summary()
    assert "Docker" not in output.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_an_interface_has_the_address_that_the_kernel_gives() -> None:
    assert interface_address("lo") == "127.0.0.1"
    assert interface_address("no-such-bridge") == ""


def test_the_summary_says_how_immich_is_behind_the_front_door() -> None:
    shown, output = display()
    shown.summary(
        [
            DoorCheck(subject="Immich", ok=True, text="3.0.3 at http://immich"),
            DoorCheck(subject="database", ok=False, text="schema [mesh] is not there", remedy="immich-mesh db migrate"),
        ]
    )
    text = output.getvalue()
    assert re.search(r"Immich +well +3\.0\.3 at http://immich", text)
    assert re.search(r"database +to mend +schema \[mesh\] is not there\n +immich-mesh db migrate", text)
