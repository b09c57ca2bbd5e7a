"""A network of its own for a process: loopback, and a name server that knows no name and writes down what it is asked.

    unshare --user --map-root-user --net --mount python -m tests.doubles.sealed_network FILE COMMAND...

Runs COMMAND and ends with its exit status; FILE then holds the names, one a line, as they were asked for. Names that
native code resolves are seen too. Stands on user namespaces: `available` says whether this machine has them.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SEALED = ("unshare", "--user", "--map-root-user", "--net", "--mount")
GET_FLAGS, SET_FLAGS, IS_UP = 0x8913, 0x8914, 1
NAME_UNKNOWN = b"\x81\x83"


def available() -> bool:
    """Whether a process may be given a network of its own."""
    try:
        return subprocess.run([*SEALED, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = fcntl.ioctl(any_socket, GET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        (given,) = struct.unpack_from("H", flags, 16)
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14x", b"lo", given | IS_UP))


def _asked_for(query: bytes) -> str:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels)


def _answer(server: socket.socket, names: Path) -> None:
    while True:
        query, caller = server.recvfrom(4096)
        with names.open("a") as file:
            file.write(f"{_asked_for(query)}\n")
        server.sendto(query[:2] + NAME_UNKNOWN + query[4:6] + bytes(6) + query[12:], caller)


def main(names: Path, command: list[str]) -> int:
    """Runs the command in the namespaces that this process was put into."""
    _loopback_up()
    with tempfile.NamedTemporaryFile("w") as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, os.path.realpath("/etc/resolv.conf")], check=True)
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
        names.touch()
        threading.Thread(target=_answer, args=(server, names), daemon=True).start()
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
