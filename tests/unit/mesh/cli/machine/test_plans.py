"""What one machine runs, and whether its ports are free."""

import os
import socket
from pathlib import Path

import pytest

from mesh.cli.doctor import installation
from mesh.cli.machine import plans, ports, preflight
from mesh.cli.machine.plan import Plan, Port, reachable
from mesh.cli.machine.settings import unknown_names
from mesh.cli.output.outcome import CommandError
from router.config import RouterSettings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings of ours."""
    for name in list(os.environ):
        if name.startswith(("OCR_", "CLIP_", "FACE_", "ROUTER_", "MESH_")):
            monkeypatch.delenv(name)
    return monkeypatch


def test_every_process_has_ports_of_its_own(environment: pytest.MonkeyPatch) -> None:
    machine = plans.plan_machine()
    numbers = [port.number for plan in machine.plans for port in plan.ports]
    assert len(numbers) == len(set(numbers))
    assert {50051, 50052, 50053, 9464, 9465, 9466, 3003, 9901, 3004, 9902} <= set(numbers)
    assert [plan.module for plan in machine.services] == ["ocr_service", "clip_service", "face_service"]


def test_the_router_is_told_where_a_moved_service_is(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLIP_PORT", "7777")
    machine = plans.plan_machine()
    assert machine.router_settings.clip_endpoints == ("127.0.0.1:7777",)
    assert machine.routers[0].environment["ROUTER_CLIP_ENDPOINTS"] == "127.0.0.1:7777"


def test_each_router_is_told_the_addresses_of_both(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ROUTER_LISTENERS__IMMICH_ML__HOST", "192.0.2.7")
    first, second = plans.plan_machine().routers
    assert first.settings.listeners.immich_ml.urls == ("http://192.0.2.7:3003", "http://192.0.2.7:3004")
    assert second.settings.listeners.immich_ml.urls == first.settings.listeners.immich_ml.urls
    environment.setenv("ROUTER_LISTENERS__IMMICH_ML__URLS", "http://mesh.lan:3003")
    assert plans.plan_machine().routers[1].settings.listeners.immich_ml.urls == ("http://mesh.lan:3003",)


def test_what_the_user_set_is_left_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLIP_METRICS_PORT", "1234")
    environment.setenv("ROUTER_OCR_ENDPOINTS", "10.0.0.1:50051")
    machine = plans.plan_machine()
    assert {port.number for port in machine.services[1].ports} == {50052, 1234}
    assert machine.router_settings.ocr_endpoints == ("10.0.0.1:50051",)


def test_a_service_can_be_left_out_and_unknown_names_are_refused(environment: pytest.MonkeyPatch) -> None:
    assert [plan.name for plan in plans.plan_machine(frozenset({"face"})).services] == ["ocr", "clip"]
    assert set(plans.plan_machine(frozenset({"face"})).router_settings.all_clusters()) == {"ocr", "clip"}
    with pytest.raises(CommandError, match="--without knows ocr, clip, face, not faces"):
        plans.plan_machine(frozenset({"faces"}))


def test_planning_leaves_this_process_as_it_is(environment: pytest.MonkeyPatch) -> None:
    before = dict(os.environ)
    machine = plans.plan_machine(frozenset({"ocr"}))
    assert dict(os.environ) == before
    assert machine.services[0].environment["CLIP_METRICS_PORT"] == "9465"
    assert machine.routers[0].environment["ROUTER_OCR_ENDPOINTS"] == ""
    assert all(plan.environment["PYTHONSAFEPATH"] == "1" for plan in machine.plans)


def test_a_name_that_nothing_reads_is_not_passed_on(environment: pytest.MonkeyPatch) -> None:
    """Each process would name it again."""
    environment.setenv("OCR_MODLE", "PP-OCRv5_mobile")
    assert [found.name for found in unknown_names()] == ["OCR_MODLE"]
    assert not any("OCR_MODLE" in plan.environment for plan in plans.plan_machine().plans)


@pytest.mark.parametrize("number", [0, 1])
def test_a_router_reads_in_its_environment_what_its_plan_says(environment: pytest.MonkeyPatch, number: int) -> None:
    environment.setenv("ROUTER_METRICS_PORT", "9470")
    environment.setenv("MT_PHOTOS_API_KEY", "key")
    plan = plans.plan_machine(frozenset({"face"})).routers[number]
    for name, value in plan.environment.items():
        environment.setenv(name, value)
    assert RouterSettings().model_dump() == plan.settings.model_dump()
    assert plan.settings.metrics_port == 9470 + number


def test_both_routers_note_paused_queues_in_one_folder(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("XDG_STATE_HOME", str(tmp_path))
    folders = {plan.settings.healing.state_folder for plan in plans.plan_machine().routers}
    assert folders == {tmp_path / "immich-mesh" / "routers"}
    environment.setenv("ROUTER_HEALING__STATE_FOLDER", str(tmp_path / "own"))
    assert {plan.settings.healing.state_folder for plan in plans.plan_machine().routers} == {tmp_path / "own"}


def test_the_second_router_has_immichs_api_alone_and_ports_of_its_own(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MT_PHOTOS_API_KEY", "key")
    environment.setenv("IMMICH_URL", "http://immich:2283")
    first, second = plans.plan_machine().routers
    assert set(first.listeners) == {"immich_ml", "mt_photos", "photos", "admin"}
    assert {name: one.port for name, one in second.listeners.items()} == {"immich_ml": 3004, "admin": 9902}
    assert [port.setting for port in second.ports] == ["MESH_SECOND_ROUTER_PORT", "MESH_SECOND_ROUTER_ADMIN_PORT"]
    assert second.settings.ocr_endpoints == first.settings.ocr_endpoints


def test_one_router_alone_on_request(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MESH_SECOND_ROUTER_PORT", "")
    assert [plan.name for plan in plans.plan_machine().routers] == ["router"]
    environment.setenv("MESH_SECOND_ROUTER_PORT", "many")
    with pytest.raises(CommandError, match=r"^MESH_SECOND_ROUTER_PORT: "):
        plans.plan_machine()


def test_a_port_that_cannot_be_known_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OCR_PORT", "0")
    with pytest.raises(CommandError, match="OCR_PORT=0"):
        plans.plan_machine()


def test_a_wrong_setting_is_told_by_the_name_it_was_set_by(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DEVICE", "toaster")
    with pytest.raises(CommandError, match=r"^DEVICE: Input should be 'auto'"):
        plans.plan_machine()
    environment.delenv("DEVICE")
    environment.setenv("OCR_BATCHING__MAX_QUEUE_SIZE", "0")
    with pytest.raises(CommandError, match=r"^OCR_BATCHING__MAX_QUEUE_SIZE: "):
        plans.plan_machine()


def test_a_listener_that_stays_closed_needs_no_port(environment: pytest.MonkeyPatch) -> None:
    assert 8060 not in {port.number for port in plans.plan_machine().routers[0].ports}
    environment.setenv("MT_PHOTOS_API_KEY", "key")
    assert 8060 in {port.number for port in plans.plan_machine().routers[0].ports}


def test_an_address_that_is_not_of_here_is_told_with_its_setting() -> None:
    (fault,) = preflight.busy_ports((plan(Port("203.0.113.1", 1, "ROUTER_LISTENERS__ADMIN__PORT")),))
    assert fault.startswith("cannot listen on 203.0.113.1:1 (Cannot assign requested address)")
    assert fault.endswith("set ROUTER_LISTENERS__ADMIN__HOST")


def test_a_gpu_that_is_not_there_is_told_before_anything_starts(environment: pytest.MonkeyPatch) -> None:
    assert preflight.missing_devices(plans.plan_machine().services) == []
    environment.setenv("DEVICE", "cuda")
    (fault,) = preflight.missing_devices(plans.plan_machine().services)
    assert "CUDAExecutionProvider" in fault
    assert "DEVICE=cuda make run" in fault


def test_two_runtimes_at_once_keep_it_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.package_faults() == []
    pip = [("onnxruntime", "1.32"), ("onnxruntime-gpu", "1.32"), ("opencv-python-headless", "5.0")]
    monkeypatch.setattr(installation, "installed_packages", lambda: pip)
    (fault,) = preflight.package_faults()
    assert fault.startswith("onnxruntime: 2 at once: onnxruntime 1.32, onnxruntime-gpu 1.32: only one may be installed")
    assert "uv sync" in fault


def plan(*own: Port) -> Plan:
    return Plan("ocr", "ocr_service", "127.0.0.1:1", own, 1.0)


@pytest.mark.parametrize(("owner", "told"), [("immich-mesh (pid 7)", True), ("nginx (pid 7)", False)])
def test_a_mesh_that_runs_already_is_told_before_its_ports(
    monkeypatch: pytest.MonkeyPatch, owner: str, told: bool
) -> None:
    monkeypatch.setattr(ports, "is_free", lambda host, number: False)
    monkeypatch.setattr(ports, "owner", lambda number: owner)
    faults = preflight.busy_ports((plan(Port("127.0.0.1", 3003, "A_PORT"), Port("127.0.0.1", 9901, "B_PORT")),))
    assert faults[0].startswith("the mesh runs here already") is told
    assert len(faults) == 2 + told


def test_a_busy_port_is_told_with_its_owner_and_the_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        (fault,) = preflight.busy_ports((plan(Port("127.0.0.1", number, "OCR_PORT")),))
        assert fault.startswith(f"port {number} is in use by ")
        assert f"(pid {os.getpid()})" in fault
        assert fault.endswith("set OCR_PORT")
    assert ports.is_free("127.0.0.1", number)
    assert ports.owner(number) == ""


def test_two_processes_with_one_port_are_told() -> None:
    both = (plan(Port("127.0.0.1", 0, "A")), plan(Port("127.0.0.1", 54321, "B")), plan(Port("127.0.0.1", 54321, "C")))
    assert preflight.busy_ports(both) == ["B and C are both 54321: change one"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("[::]", "127.0.0.1"), ("::1", "[::1]")],
)
def test_where_this_machine_reaches_a_listener(host: str, expected: str) -> None:
    assert reachable(host) == expected
