"""What `up` starts: one plan per process, from the same settings classes that the processes read themselves."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from clip_service.config import ClipSettings
from face_service.config import FaceSettings
from mesh.cli.output.outcome import CommandError, ExitCode
from mesh.cli.supervisor import ports
from mesh.core.errors import UnavailableError
from mesh.core.faults import InvalidSettingsError, read_settings
from mesh.core.settings import Device, ServiceSettings
from mesh.hub.catalogue import Family
from ocr_service.config import OcrSettings
from router.config import DEFAULT_CONFIG_VARIABLE, ListenerSettings, RouterSettings, config_path
from router.config.file import ConfigError, load

T = TypeVar("T")

METRICS_PORTS = {"OCR_METRICS_PORT": "9464", "CLIP_METRICS_PORT": "9465", "FACE_METRICS_PORT": "9466"}
"""On one machine the services cannot share a port as pods do."""

SERVICES: dict[str, type[ServiceSettings]] = {"ocr": OcrSettings, "clip": ClipSettings, "face": FaceSettings}
FAMILIES = {"ocr": Family.OCR, "clip": Family.CLIP, "face": Family.FACE}
"""What people call a family, which is also its service's name."""
HEALTH_NAMES = {
    "ocr": "immich_mesh.ocr.v1.OcrService",
    "clip": "immich_mesh.clip.v1.ClipService",
    "face": "immich_mesh.face.v1.FaceService",
}
STOP_MARGIN_SECONDS = 5.0
"""What a process needs beyond its own drain time to close."""


@dataclass(frozen=True)
class Port:
    """A port a process listens on, and the setting that changes it."""

    host: str
    number: int
    setting: str


@dataclass(frozen=True)
class Plan:
    """One process to run.

    Attributes:
        name: `ocr`, `clip`, `face` or `router`.
        module: run with `python -m`.
        address: `host:port` to call it at: gRPC of a service, HTTP of the router.
        ports: all that it listens on.
        stop_seconds: how long it may take to drain.
    """

    name: str
    module: str
    address: str
    ports: tuple[Port, ...]
    stop_seconds: float


@dataclass(frozen=True)
class MachinePlan:
    """Everything that one machine runs; the router comes last and stops first."""

    environment: Mapping[str, str]
    services: tuple[Plan, ...]
    router: Plan
    router_settings: RouterSettings


def plan_machine(without: frozenset[str] = frozenset()) -> MachinePlan:
    """The plan for this environment, which is completed first (metrics ports, endpoints).

    Raises:
        CommandError: a setting is wrong, or `without` has an unknown name.
    """
    if unknown := without - set(SERVICES):
        raise CommandError(f"--without knows {', '.join(SERVICES)}, not {', '.join(sorted(unknown))}", ExitCode.USAGE)
    for name, value in METRICS_PORTS.items():
        os.environ.setdefault(name, value)
    services = _of_each([name for name in SERVICES if name not in without], _service_plan)
    if not os.environ.get(DEFAULT_CONFIG_VARIABLE):
        addresses = {plan.name: plan.address for plan in services}
        for name in SERVICES:  # what is left out is served by nobody, and is refused at once instead of held
            os.environ.setdefault(f"ROUTER_{name.upper()}_ENDPOINTS", addresses.get(name, ""))
    for name in without:  # also where a file names the endpoints
        os.environ.setdefault(f"ROUTER_{name.upper()}_ENDPOINTS", "")
    settings = load_router_settings()
    return MachinePlan(dict(os.environ), services, _router_plan(settings), settings)


def load_router_settings() -> RouterSettings:
    """The router's settings, from its file and environment. Raises CommandError."""
    try:
        return load(config_path())
    except ConfigError as error:
        raise CommandError.of(error.problems, ExitCode.USAGE) from None


def all_service_settings() -> dict[Family, ServiceSettings]:
    """The settings of every service. Raises CommandError with the faults of all of them."""
    return dict(zip(FAMILIES.values(), _of_each(tuple(FAMILIES), service_settings), strict=True))


def service_settings(name: str) -> ServiceSettings:
    """The settings of one service, as it reads them itself. Raises CommandError."""
    try:
        return read_settings(SERVICES[name])
    except InvalidSettingsError as error:
        raise CommandError.of(error.faults, ExitCode.USAGE) from None


def missing_devices(services: tuple[Plan, ...]) -> list[str]:
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


def _of_each(names: Sequence[str], make: Callable[[str], T]) -> tuple[T, ...]:
    """What `make` gives for each name. Raises CommandError with the faults of all, so that one try mends them."""
    made: list[T] = []
    faults: list[str] = []
    for name in names:
        try:
            made.append(make(name))
        except CommandError as error:
            faults += error.faults
    if faults:
        raise CommandError.of(faults, ExitCode.USAGE)
    return tuple(made)


def _service_plan(name: str) -> Plan:
    settings = service_settings(name)
    prefix = name.upper()
    if settings.port == 0:
        raise CommandError(f"{prefix}_PORT=0 gives a port that the router cannot know: set a number", ExitCode.USAGE)
    own = [Port(settings.host, settings.port, f"{prefix}_PORT")]
    if settings.metrics_port:
        own.append(Port(settings.metrics_host, settings.metrics_port, f"{prefix}_METRICS_PORT"))
    address = f"{reachable(settings.host)}:{settings.port}"
    return Plan(name, f"{name}_service", address, tuple(own), settings.drain_seconds + STOP_MARGIN_SECONDS)


def _router_plan(settings: RouterSettings) -> Plan:
    listeners: dict[str, ListenerSettings] = {
        name: getattr(settings.listeners, name) for name in type(settings.listeners).model_fields
    }
    own = [
        Port(listener.host, listener.port, f"ROUTER_LISTENERS__{name.upper()}__PORT")
        for name, listener in listeners.items()
        if listener.enabled and name not in _closed(settings)
    ]
    if settings.metrics_port:
        own.append(Port(settings.metrics_host, settings.metrics_port, "ROUTER_METRICS_PORT"))
    main = settings.listeners.immich_ml
    address = f"{reachable(main.host)}:{main.port}"
    return Plan("router", "router", address, tuple(own), settings.drain_seconds + STOP_MARGIN_SECONDS)


def _closed(settings: RouterSettings) -> set[str]:
    """The listeners that stay closed because what they need is not set."""
    listeners = settings.listeners
    needs = {"mt_photos": listeners.mt_photos.api_key, "photos": listeners.photos.immich_url}
    return {name for name, needed in needs.items() if not needed}


def reachable(host: str) -> str:
    """The address at which this machine itself reaches a server that listens on `host`."""
    if host in {"0.0.0.0", "", "::"}:  # noqa: S104 - read, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def busy_ports(plans: tuple[Plan, ...]) -> list[str]:
    """What is wrong with the plans' ports, one sentence each: taken by somebody, or by each other."""
    faults = []
    seen: dict[int, str] = {}
    for port in (port for plan in plans for port in plan.ports if port.number):
        if port.number in seen:
            faults.append(f"{seen[port.number]} and {port.setting} are both {port.number}: change one")
        elif fault := _fault(port):
            faults.append(fault)
        seen[port.number] = port.setting
    return faults


def _fault(port: Port) -> str:
    """What keeps a process from listening on a port; empty for nothing."""
    try:
        if ports.is_free(port.host, port.number):
            return ""
    except OSError as error:
        host_setting = port.setting.removesuffix("PORT") + "HOST"
        return f"cannot listen on {port.host}:{port.number} ({error.strerror}): set {host_setting}"
    who = ports.owner(port.number) or "another process"
    return f"port {port.number} is in use by {who}: stop that, or set {port.setting}"
