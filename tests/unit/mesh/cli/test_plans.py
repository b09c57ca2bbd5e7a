"""What one machine runs, and whether its ports are free."""

import os
import socket
from collections.abc import Iterator

import pytest

from mesh.cli.output.outcome import CommandError
from mesh.cli.supervisor import plans, ports
from mesh.cli.supervisor.plans import Plan, Port
from router.config import RouterSettings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment without settings of ours; what a plan adds is taken away again."""
    for name in list(os.environ):
        if name.startswith(("OCR_", "CLIP_", "FACE_", "ROUTER_", "MESH_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(plans, "load_router_settings", RouterSettings)
    before = dict(os.environ)
    yield monkeypatch
    for name in set(os.environ) - set(before):
        del os.environ[name]


def test_every_process_has_ports_of_its_own(environment: pytest.MonkeyPatch) -> None:
    machine = plans.plan_machine()
    numbers = [port.number for plan in (*machine.services, machine.router) for port in plan.ports]
    assert len(numbers) == len(set(numbers))
    assert {50051, 50052, 50053, 9464, 9465, 9466, 3003, 9901} <= set(numbers)
    assert [plan.module for plan in machine.services] == ["ocr_service", "clip_service", "face_service"]


def test_the_router_is_told_where_a_moved_service_is(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLIP_PORT", "7777")
    machine = plans.plan_machine()
    assert machine.router_settings.clip_endpoints == ("127.0.0.1:7777",)
    assert machine.environment["ROUTER_CLIP_ENDPOINTS"] == "127.0.0.1:7777"


def test_what_the_user_set_is_left_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLIP_METRICS_PORT", "1234")
    environment.setenv("ROUTER_OCR_ENDPOINTS", "10.0.0.1:50051")
    machine = plans.plan_machine()
    assert machine.environment["CLIP_METRICS_PORT"] == "1234"
    assert machine.router_settings.ocr_endpoints == ("10.0.0.1:50051",)


def test_a_service_can_be_left_out_and_unknown_names_are_refused(environment: pytest.MonkeyPatch) -> None:
    assert [plan.name for plan in plans.plan_machine(frozenset({"face"})).services] == ["ocr", "clip"]
    assert set(plans.plan_machine(frozenset({"face"})).router_settings.all_clusters()) == {"ocr", "clip"}
    with pytest.raises(CommandError, match="--without knows ocr, clip, face, not faces"):
        plans.plan_machine(frozenset({"faces"}))


def test_a_port_that_cannot_be_known_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OCR_PORT", "0")
    with pytest.raises(CommandError, match="OCR_PORT=0"):
        plans.plan_machine()


def test_a_wrong_setting_is_told_by_the_name_it_was_set_by(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DEVICE", "toaster")
    with pytest.raises(CommandError, match=r"^DEVICE: Input should be 'cpu'"):
        plans.plan_machine()
    environment.delenv("DEVICE")
    environment.setenv("OCR_BATCHING__MAX_QUEUE_SIZE", "0")
    with pytest.raises(CommandError, match=r"^OCR_BATCHING__MAX_QUEUE_SIZE: "):
        plans.plan_machine()


def test_a_listener_that_stays_closed_needs_no_port(environment: pytest.MonkeyPatch) -> None:
    assert 8060 not in {port.number for port in plans.plan_machine().router.ports}
    environment.setenv("MT_PHOTOS_API_KEY", "key")
    assert 8060 in {port.number for port in plans.plan_machine().router.ports}


def test_an_address_that_is_not_of_here_is_told_with_its_setting() -> None:
    (fault,) = plans.busy_ports((plan(Port("203.0.113.1", 1, "ROUTER_LISTENERS__ADMIN__PORT")),))
    assert fault.startswith("cannot listen on 203.0.113.1:1 (Cannot assign requested address)")
    assert fault.endswith("set ROUTER_LISTENERS__ADMIN__HOST")


def test_a_gpu_that_is_not_there_is_told_before_anything_starts(environment: pytest.MonkeyPatch) -> None:
    assert plans.missing_devices(plans.plan_machine().services) == []
    environment.setenv("DEVICE", "cuda")
    (fault,) = plans.missing_devices(plans.plan_machine().services)
    assert "CUDAExecutionProvider" in fault
    assert "DEVICE=cuda make run" in fault


def plan(*own: Port) -> Plan:
    return Plan("ocr", "ocr_service", "127.0.0.1:1", own, 1.0)


def test_a_busy_port_is_told_with_its_owner_and_the_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        (fault,) = plans.busy_ports((plan(Port("127.0.0.1", number, "OCR_PORT")),))
        assert fault.startswith(f"port {number} is in use by ")
        assert f"(pid {os.getpid()})" in fault
        assert fault.endswith("set OCR_PORT")
    assert ports.is_free("127.0.0.1", number)
    assert ports.owner(number) == ""


def test_two_processes_with_one_port_are_told() -> None:
    both = (plan(Port("127.0.0.1", 0, "A")), plan(Port("127.0.0.1", 54321, "B")), plan(Port("127.0.0.1", 54321, "C")))
    assert plans.busy_ports(both) == ["B and C are both 54321: change one"]


@pytest.mark.parametrize(("host", "expected"), [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]")])
def test_where_this_machine_reaches_a_listener(host: str, expected: str) -> None:
    assert plans.reachable(host) == expected
