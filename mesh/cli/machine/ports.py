"""Whether a port is free, and who has it when it is not."""

import errno
import fcntl
import socket
import struct
from pathlib import Path

from mesh.core.sockets import listening_socket

SIOCGIFADDR = 0x8915
"""Linux's request for the address of a network interface, see netdevice(7)."""
TCP_LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `host:port` now; port 0 always. Raises OSError for an address not of here."""
    try:
        listening_socket(host, port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def owner(port: int) -> str:
    """The process that listens on a port, as `name (pid N)`; empty where that cannot be seen (other users', macOS)."""
    sockets = _listening_inodes(port)
    if not sockets:
        return ""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(str(link.readlink()) in sockets for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # ended meanwhile, or another user's
    return ""


def _listening_inodes(port: int) -> set[str]:
    """The sockets that listen on `port`, as /proc/<pid>/fd links name them."""
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for row in table.read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == TCP_LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def lan_address() -> str:
    """The address under which other machines reach this one; 127.0.0.1 without a network. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET: only asks the kernel which way it would go
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def interface_address(name: str) -> str:
    """The IPv4 address of a network interface, such as Docker's bridge `docker0`; empty where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            reply = fcntl.ioctl(asked.fileno(), SIOCGIFADDR, struct.pack("256s", name.encode()))
        except OSError:
            return ""
    return socket.inet_ntoa(reply[20:24])
