"""Listening sockets: a router opens its own, or inherits those that `immich-mesh up` keeps while it is away."""

import os
import socket

BACKLOG = 1024
"""Connections that wait for a process to accept them, also while there is none."""


def bare_host(host: str) -> str:
    """An address without the brackets that URLs put around IPv6."""
    return host.removeprefix("[").removesuffix("]")


def reason(error: OSError) -> str:
    """Why a socket could not be opened, without the address, which Python adds to the system's words."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def listening_socket(host: str, port: int) -> socket.socket:
    """A TCP socket that listens on `host:port`; port 0 takes any free one. `::` and no host mean IPv6 and IPv4.

    Raises OSError: the port is taken, or the address is none of this machine.
    """
    if bare_host(host) in {"", "::"} and socket.has_dualstack_ipv6():
        return socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True, reuse_port=False
        )
    family, _, _, _, address = socket.getaddrinfo(
        bare_host(host) or "0.0.0.0",  # noqa: S104 - what no host means
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )[0]
    return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=BACKLOG)
