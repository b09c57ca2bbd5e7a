"""What `up` starts: one plan per process, from the same settings classes that the processes read themselves."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.cli.machine.plan import STOP_MARGIN_SECONDS, Plan, Port, RouterPlan, reachable
from mesh.cli.machine.routers import router_plans
from mesh.cli.machine.settings import (
    SERVICES,
    load_router_settings,
    of_each,
    service_settings,
    supervisor_settings,
    unknown_names,
)
from mesh.cli.output.outcome import CommandError, ExitCode
from router.config import DEFAULT_CONFIG_VARIABLE, RouterSettings

METRICS_PORTS = {"ocr": 9464, "clip": 9465, "face": 9466}
"""On one machine the services cannot share a port as pods do."""


@dataclass(frozen=True)
class MachinePlan:
    """Everything that one machine runs; the routers come last and stop first."""

    services: tuple[Plan, ...]
    routers: tuple[RouterPlan, ...]

    @property
    def plans(self) -> tuple[Plan, ...]:
        """All processes."""
        return (*self.services, *self.routers)

    @property
    def router_settings(self) -> RouterSettings:
        """Those of the first router, whose listeners are all of the mesh's but for the second router's own."""
        return self.routers[0].settings


def plan_machine(without: frozenset[str] = frozenset()) -> MachinePlan:
    """The plan for this process's environment, which is left as it is.

    Raises:
        CommandError: a setting is wrong, or `without` has an unknown name.
    """
    if unknown := without - set(SERVICES):
        raise CommandError(f"--without knows {', '.join(SERVICES)}, not {', '.join(sorted(unknown))}", ExitCode.USAGE)
    # Started where a file `common.py` or a folder `router` lies, Python would import that instead of ours.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    for unknown_name in unknown_names():  # named here, and not by each process again
        del environment[unknown_name.name]
    services = of_each(
        [name for name in SERVICES if name not in without], lambda name: _service_plan(name, environment)
    )
    settings, endpoints = _with_endpoints(load_router_settings(), services, without)
    settings, state = _with_state(settings)
    return MachinePlan(services, router_plans(settings, supervisor_settings(), {**environment, **endpoints, **state}))


def _with_endpoints(
    settings: RouterSettings, services: Sequence[Plan], without: frozenset[str]
) -> tuple[RouterSettings, dict[str, str]]:
    """The router's settings completed with where the services are, and the variables that say it.

    What a person has set stays. What is left out is served by nobody, and is refused at once instead of held.
    """
    addresses = {plan.name: plan.address for plan in services}
    from_file = bool(os.environ.get(DEFAULT_CONFIG_VARIABLE))
    found = {
        f"{name}_endpoints": addresses.get(name, "")
        for name in SERVICES
        if f"ROUTER_{name.upper()}_ENDPOINTS" not in os.environ and (name in without or not from_file)
    }
    update = {name: (address,) if address else () for name, address in found.items()}
    return settings.model_copy(update=update), {f"ROUTER_{name.upper()}": address for name, address in found.items()}


def _with_state(settings: RouterSettings) -> tuple[RouterSettings, dict[str, str]]:
    """The router's settings with a folder that both routers share, where they note which queues of Immich's they
    paused when there is no database."""
    if settings.healing.state_folder is not None:
        return settings, {}
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = home / "immich-mesh" / "routers"
    healing = settings.healing.model_copy(update={"state_folder": folder})
    return settings.model_copy(update={"healing": healing}), {"ROUTER_HEALING__STATE_FOLDER": str(folder)}


def _service_plan(name: str, environment: Mapping[str, str]) -> Plan:
    settings = service_settings(name)
    prefix = name.upper()
    if settings.port == 0:
        raise CommandError(f"{prefix}_PORT=0 gives a port that the router cannot know: set a number", ExitCode.USAGE)
    own = [Port(settings.host, settings.port, f"{prefix}_PORT")]
    variables = {}
    metrics_port = settings.metrics_port
    if "metrics_port" not in settings.model_fields_set:
        metrics_port = METRICS_PORTS[name]
        variables[f"{prefix}_METRICS_PORT"] = str(metrics_port)
    if metrics_port:
        own.append(Port(settings.metrics_host, metrics_port, f"{prefix}_METRICS_PORT"))
    return Plan(
        name,
        f"{name}_service",
        f"{reachable(settings.host)}:{settings.port}",
        tuple(own),
        settings.drain_seconds + STOP_MARGIN_SECONDS,
        {**environment, **variables},
    )
