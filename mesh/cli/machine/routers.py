"""The routers of one machine: the first has all listeners, the second is Immich's second URL."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mesh.cli.machine.plan import EVERYWHERE, STOP_MARGIN_SECONDS, Port, RouterPlan, open_listeners, reachable
from mesh.cli.machine.ports import lan_address
from mesh.cli.machine.supervisor_settings import SupervisorSettings
from router.config import RouterSettings

SETTING_OF_SECOND = {
    "ROUTER_LISTENERS__IMMICH_ML__PORT": "MESH_SECOND_ROUTER_PORT",
    "ROUTER_LISTENERS__ADMIN__PORT": "MESH_SECOND_ROUTER_ADMIN_PORT",
}


def router_plans(
    settings: RouterSettings, own: SupervisorSettings, environment: Mapping[str, str]
) -> tuple[RouterPlan, ...]:
    """The routers of one machine. The second has Immich's API and an admin page, on ports of its own.

    Each is told the addresses of both, which its admin page shows.
    """
    ml = settings.listeners.immich_ml
    second_port = own.second_router_port if ml.enabled else None
    ports = (ml.port,) if second_port is None else (ml.port, second_port)
    urls = ml.urls or tuple(f"http://{public(ml.host)}:{port}" for port in ports)
    environment = {**environment, "ROUTER_LISTENERS__IMMICH_ML__URLS": ",".join(urls)}
    changed = settings.listeners.model_copy(update={"immich_ml": ml.model_copy(update={"urls": urls})})
    settings = settings.model_copy(update={"listeners": changed})
    first = _router_plan("router", settings, environment)
    if second_port is None:
        return (first,)
    listeners = settings.listeners
    admin_port = own.second_router_admin_port
    changes: dict[str, dict[str, Any]] = {
        "immich_ml": {"port": second_port},
        "admin": {"enabled": False} if admin_port is None else {"port": admin_port},
        "mt_photos": {"enabled": False},
        "photos": {"enabled": False},
    }
    update: dict[str, Any] = {
        "listeners": listeners.model_copy(
            update={name: getattr(listeners, name).model_copy(update=change) for name, change in changes.items()}
        )
    }
    variables = {
        f"ROUTER_LISTENERS__{name.upper()}__{key.upper()}": str(value).lower()
        for name, change in changes.items()
        for key, value in change.items()
    }
    if settings.metrics_port:
        update["metrics_port"] = settings.metrics_port + 1
        variables["ROUTER_METRICS_PORT"] = str(settings.metrics_port + 1)
    second = _router_plan("router-2", settings.model_copy(update=update), {**environment, **variables})
    return first, replace(second, ports=tuple(_renamed(port) for port in second.ports))


def public(host: str) -> str:
    """The address at which other machines reach a listener, as far as this one can tell."""
    return lan_address() if host in EVERYWHERE else reachable(host)


def _renamed(port: Port) -> Port:
    """A port of the second router, with the setting that changes it."""
    return replace(port, setting=SETTING_OF_SECOND.get(port.setting, port.setting))


def _router_plan(name: str, settings: RouterSettings, environment: Mapping[str, str]) -> RouterPlan:
    own = [
        Port(listener.host, listener.port, f"ROUTER_LISTENERS__{listener_name.upper()}__PORT")
        for listener_name, listener in open_listeners(settings).items()
    ]
    if settings.metrics_port:
        own.append(Port(settings.metrics_host, settings.metrics_port, "ROUTER_METRICS_PORT"))
    main = settings.listeners.immich_ml
    return RouterPlan(
        name,
        "router",
        f"{reachable(main.host)}:{main.port}",
        tuple(own),
        settings.drain_seconds + STOP_MARGIN_SECONDS,
        environment,
        settings=settings,
    )
