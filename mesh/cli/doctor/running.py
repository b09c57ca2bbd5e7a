"""What answers at the addresses of this machine's mesh, where all of it is installed: a service alone asks no HTTP."""

import asyncio
from collections.abc import Iterator

from mesh.cli.doctor.finding import Finding, bad, good, note
from mesh.cli.machine import ports
from mesh.cli.machine.plan import Plan
from mesh.cli.machine.plans import MachinePlan
from mesh.cli.machine.preflight import busy_ports
from mesh.cli.supervisor.probes import HEALTH_NAMES, Level, ProcessCondition, RouterProbe, ServiceProbe
from mesh.core.rpc.tokens import BearerToken


async def check_running(machine: MachinePlan) -> list[Finding]:
    """What answers at the mesh's addresses; a port that something else holds."""
    plans = machine.plans
    conditions = await asyncio.gather(*(_condition(machine, plan) for plan in plans))
    return [finding for plan, condition in zip(plans, conditions, strict=True) for finding in _judge(plan, condition)]


async def _condition(machine: MachinePlan, plan: Plan) -> ProcessCondition | None:
    settings = machine.router_settings
    if plan in machine.routers:
        hosts = settings.listeners.immich_ml.secret_hosts
        async with RouterProbe(f"http://{plan.address}", hosts[0].get_secret_value() if hosts else None) as router:
            return await router.check()
    token = BearerToken.of(settings.auth_token, settings.auth_token_file)
    async with ServiceProbe(plan.address, HEALTH_NAMES[plan.name], settings.upstream_tls, token) as service:
        return await service.check()


def _judge(plan: Plan, condition: ProcessCondition | None) -> Iterator[Finding]:
    if condition and condition.level is Level.READY:
        yield good(plan.name, f"answers at {plan.address}: {condition.text}")
        return
    unusable = [fault for fault in busy_ports([plan]) if fault.startswith("cannot listen")]
    if unusable:
        yield from (bad(plan.name, fault, "an address of this machine, 0.0.0.0 or ::") for fault in unusable)
        return
    if condition and condition.level is Level.COMING:
        yield note(plan.name, f"answers at {plan.address}, not ready yet: {condition.text}", "wait")
        return
    taken = [port for port in plan.ports if port.number and not ports.is_free(port.host, port.number)]
    if not taken:
        yield note(plan.name, f"is not running (nothing at {plan.address}); its ports are free", "immich-mesh up")
    elif condition:
        yield bad(
            plan.name, f"answers at {plan.address}, but: {condition.text}", "see the line of its model or its logs"
        )
    else:
        for port in taken:
            who = ports.owner(port.number) or "another process"
            text = f"port {port.number} is held by {who}, which does not answer as the mesh does"
            yield note(plan.name, text, f"wait when it is the mesh starting; else stop it, or set {port.setting}")
