"""The routers' listening sockets, opened once and handed to each life of a router.

The supervisor never accepts on them. While a router is away its connections wait in the kernel instead of being
refused, and the next router answers them.
"""

import socket
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from mesh.cli.machine.plan import RouterPlan, reachable
from mesh.cli.output.outcome import CommandError
from mesh.core.sockets import listening_socket, reason
from router.config import ListenerSettings


@dataclass(frozen=True)
class BoundRouter:
    """A router's plan, its ports as they are, and the sockets by the name of their listener."""

    plan: RouterPlan
    sockets: dict[str, socket.socket]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What its process inherits."""
        return tuple(one.fileno() for one in self.sockets.values())

    def close(self) -> None:
        """Takes no more connections, once the router has closed its copies too."""
        for one in self.sockets.values():
            one.close()


def _open(name: str, listener: ListenerSettings) -> socket.socket:
    try:
        return listening_socket(listener.host, listener.port)
    except OSError as error:
        where = f"{listener.host}:{listener.port}"
        settings = f"ROUTER_LISTENERS__{name.upper()}__PORT or _HOST"
        raise CommandError(f"cannot listen on {where} ({reason(error)}): set {settings}") from None


def bind(plan: RouterPlan) -> BoundRouter:
    """Opens the sockets of a router's listeners. Raises CommandError: a port is taken."""
    with ExitStack() as opened:
        sockets = {name: opened.enter_context(_open(name, listener)) for name, listener in plan.listeners.items()}
        opened.pop_all()
    inherited = {f"ROUTER_LISTENERS__{name.upper()}__FD": str(one.fileno()) for name, one in sockets.items()}
    ports = {name: int(one.getsockname()[1]) for name, one in sockets.items()}
    listeners = plan.settings.listeners
    changed = {name: getattr(listeners, name).model_copy(update={"port": port}) for name, port in ports.items()}
    settings = plan.settings.model_copy(update={"listeners": listeners.model_copy(update=changed)})
    address = plan.address
    if "immich_ml" in ports:
        address = f"{reachable(listeners.immich_ml.host)}:{ports['immich_ml']}"
    bound = replace(plan, settings=settings, address=address, environment={**plan.environment, **inherited})
    return BoundRouter(bound, sockets)


def bind_all(plans: Sequence[RouterPlan]) -> tuple[BoundRouter, ...]:
    """All routers' sockets, or none. Raises CommandError."""
    with ExitStack() as opened:
        bound = tuple(opened.enter_context(closing(bind(plan))) for plan in plans)
        opened.pop_all()
    return bound
