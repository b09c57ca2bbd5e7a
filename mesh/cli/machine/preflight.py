"""What keeps a machine's processes from starting, found before any is started: devices and ports."""

from collections.abc import Sequence

from mesh.cli.doctor.finding import Verdict
from mesh.cli.doctor.installation import check_packages
from mesh.cli.machine import ports
from mesh.cli.machine.plan import Plan, Port
from mesh.cli.machine.settings import service_settings
from mesh.core.errors import UnavailableError
from mesh.core.settings import Device
from mesh.core.sockets import reason


def package_faults() -> list[str]:
    """None or two of onnxruntime or OpenCV. Two write over each other's files, and are what pip alone installs."""
    return [f"{one.subject}: {one.text}: {one.remedy}" for one in check_packages() if one.verdict is Verdict.BAD]


def missing_devices(services: Sequence[Plan]) -> list[str]:
    """What keeps services from their devices, one sentence each: restarting brings no GPU."""
    faults = []
    for plan in services:
        settings = service_settings(plan.name)
        if settings.device in (Device.AUTO, Device.CPU):
            continue
        from mesh.serving.runtimes.devices import require_device  # runtimes, for those with a device of their own
        from mesh.serving.runtimes.session import RuntimeSettings

        try:
            require_device(RuntimeSettings.of(settings))
        except UnavailableError as error:
            faults.append(error.message)
    return list(dict.fromkeys(faults))


def busy_ports(plans: Sequence[Plan]) -> list[str]:
    """What is wrong with the plans' ports, one sentence each: taken by somebody, or by each other."""
    faults = []
    seen: dict[int, str] = {}
    for port in (port for plan in plans for port in plan.ports if port.number):
        if port.number in seen:
            faults.append(f"{seen[port.number]} and {port.setting} are both {port.number}: change one")
        elif fault := _fault(port):
            faults.append(fault)
        seen[port.number] = port.setting
    if any("in use by immich-mesh (" in fault for fault in faults):  # it holds the routers' sockets
        faults.insert(0, "the mesh runs here already: `immich-mesh ps` shows it")
    return faults


def _fault(port: Port) -> str:
    """What keeps a process from listening on a port; empty for nothing."""
    try:
        if ports.is_free(port.host, port.number):
            return ""
    except OSError as error:
        host_setting = port.setting.removesuffix("PORT") + "HOST"
        return f"cannot listen on {port.host}:{port.number} ({reason(error)}): set {host_setting}"
    who = ports.owner(port.number) or "another process"
    return f"port {port.number} is in use by {who}: stop that, or set {port.setting}"
