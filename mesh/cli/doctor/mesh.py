"""The mesh itself: its settings and its models."""

from collections.abc import Iterator

import httpx

from mesh.cli.doctor.finding import Finding, bad, good, note
from mesh.cli.doctor.hardware import WRITABLE
from mesh.cli.doctor.parts import Parts
from mesh.cli.machine.plans import MachinePlan, plan_machine
from mesh.cli.machine.settings import FAMILIES, load_router_settings, service_settings, unknown_names
from mesh.cli.output.outcome import CommandError
from mesh.core.errors import MeshError
from mesh.core.settings import ServiceSettings
from mesh.hub import catalogue
from mesh.hub.catalogue import SourceKind
from mesh.hub.store import ModelStore

HUB_SECONDS = 4.0


def check_settings(parts: Parts) -> tuple[list[Finding], dict[str, ServiceSettings], MachinePlan | None]:
    """Reads the settings of the processes here. Returns what was found and what could be read."""
    findings: list[Finding] = []
    services: dict[str, ServiceSettings] = {}
    for name in parts.services:
        try:
            services[name] = service_settings(name)
        except CommandError as error:
            findings += [bad(f"{name} settings", fault, "correct that variable") for fault in error.faults]
    machine = None
    if not findings:
        try:
            if parts.whole:
                machine = plan_machine()
            elif "router" in parts.processes:
                load_router_settings()
            findings.append(good("settings", f"of {', '.join(parts.processes)} are valid"))
        except CommandError as error:
            remedy = "correct the variable, or the place in the file"
            findings += [bad("router settings", fault, remedy) for fault in error.faults]
    return findings, services, machine


def check_names() -> Iterator[Finding]:
    """Names in the environment that look like settings and are none."""
    for found in unknown_names():
        yield note("settings", str(found), "correct or remove it: docs/settings.md lists what is read")


def check_models(services: dict[str, ServiceSettings]) -> Iterator[Finding]:
    """Whether each default model is cached, or can be fetched."""
    absent: list[tuple[str, ServiceSettings]] = []
    for name, settings in services.items():
        store = ModelStore.of(settings)
        try:
            folder = store.find(FAMILIES[name], settings.model_name)
        except MeshError as error:
            yield bad(
                f"{name} model", error.message, f"set {name.upper()}_MODEL_NAME to another (immich-mesh models list)"
            )
            continue
        except OSError as error:
            yield bad(f"{name} model", f"{settings.cache_folder} cannot be used: {error.strerror or error}", WRITABLE)
            continue
        if folder is not None:
            yield good(f"{name} model", f"{settings.model_name}, found in {folder}")
        else:
            absent.append((name, settings))
    reachable: dict[str, str] = {}
    for name, settings in absent:
        if not settings.offline and settings.hf_endpoint not in reachable:
            reachable[settings.hf_endpoint] = hub_fault(settings.hf_endpoint)
        yield absent_model(name, settings, reachable.get(settings.hf_endpoint, ""))


def absent_model(name: str, settings: ServiceSettings, fault: str) -> Finding:
    """What it means that a default model is not cached, `fault` being what keeps the hub from being reached."""
    entry = catalogue.find(FAMILIES[name], settings.model_name)
    text = f"{settings.model_name} is not in {settings.cache_folder}"
    pull = f"on a connected machine: immich-mesh models pull {settings.model_name}; then copy the folder here"
    if entry is None:
        return bad(f"{name} model", f"{text}, and the catalogue does not know it", "immich-mesh models list")
    if entry.source.kind is SourceKind.PACKAGE:
        return bad(f"{name} model", f"{text}, and its package is missing", "run `make run`")
    if settings.offline:
        return bad(f"{name} model", f"{text}, and the mesh is offline", pull)
    if fault:
        return bad(
            f"{name} model",
            f"{text}, and {settings.hf_endpoint} cannot be reached ({fault})",
            f"set HF_ENDPOINT to a mirror, e.g. https://hf-mirror.com; or {pull}",
        )
    size = f"{entry.size_bytes / 1e6:.0f} MB" if entry.size_bytes else "size unknown"
    return note(
        f"{name} model", f"{text}: fetched at first use ({size})", f"now: immich-mesh models pull {settings.model_name}"
    )


def hub_fault(endpoint: str) -> str:
    """Why the hub cannot be reached, or nothing when it answers whatever it answers."""
    try:
        httpx.head(endpoint, timeout=HUB_SECONDS, follow_redirects=True)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return ""
