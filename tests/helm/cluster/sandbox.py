"""Containers out of Linux namespaces: what a kubelet's runtime would make of a pod, for processes of this machine.

A pod has a network of its own (an address on a bridge, its own loopback). A container in it has a process table of its
own with its command as process 1, this machine's files as a read-only root with its volumes mounted where the manifest
says, the cluster's names in /etc/hosts, the user of the manifest and no privileges. Needs root.
"""

import itertools
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BRIDGE = f"mesh{os.getpid()}"
NETWORK = f"10.{100 + os.getpid() % 100}"
"""Of this process alone, so that two runs do not meet."""
VENV = Path(__file__).resolve().parents[3] / ".venv"

DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL")
QUIET: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)

MOUNTS = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/,upperdir={upper},workdir={work} {root}
mkdir -p {root}/run {root}/tmp
# The interpreter may lie in a folder of root's; the container's user has to find it.
for folder in /root /root/.pyenv; do [ -d "$folder" ] && chmod o+x {root}"$folder"; done
mount -t proc proc {root}/proc
mount --rbind /dev {root}/dev
mount --bind {hosts} {root}/etc/hosts
{volumes}
mount -o remount,ro {root}
cd {root}
exec chroot {root} {user} {command}
"""


def available() -> str:
    """Empty when namespaces can be used here; else why not."""
    if os.geteuid() != 0:
        return "needs root: pods are network and mount namespaces here"
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "setpriv", "ip")):
        return "needs util-linux and iproute2"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return tried.stderr.decode().strip()


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(words)}: {done.stderr.strip()}")


class Network:
    """A bridge with this machine on it; pods are plugged in."""

    def __init__(self) -> None:
        self._addresses = (f"{NETWORK}.{high}.{low}" for high in itertools.count(1) for low in range(1, 255))
        self._services = (f"{NETWORK}.255.{low}" for low in range(1, 255))

    def __enter__(self) -> "Network":
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "address", "add", f"{NETWORK}.0.1/16", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        return self

    def __exit__(self, *_: object) -> None:
        _run("ip", "link", "delete", BRIDGE)

    def pod(self) -> "PodNetwork":
        """A network for one pod."""
        return PodNetwork(next(self._addresses))

    def service_address(self) -> str:
        """An address for a Service, on this machine."""
        address = next(self._services)
        _run("ip", "address", "add", f"{address}/32", "dev", BRIDGE)
        return address


class PodNetwork:
    """What Kubernetes' pause container is: it holds the pod's network as long as the pod lives."""

    _numbers = itertools.count(1)

    def __init__(self, address: str) -> None:
        self.address = address
        self._pause = subprocess.Popen([*DIE_WITH_US, "unshare", "--net", "sleep", "infinity"], **QUIET)
        self.pid = self._pause.pid
        own, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{self.pid}/ns/net")
        while theirs.readlink() == own.readlink():
            if self._pause.poll() is not None:
                raise RuntimeError("unshare --net failed")
        outside = f"m{os.getpid()}p{next(self._numbers)}"
        _run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        _run("ip", "link", "set", outside, "master", BRIDGE, "up")
        inside = ("nsenter", "--target", str(self.pid), "--net", "ip")
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "address", "add", f"{address}/16", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")

    def close(self) -> None:
        """Lets the network go."""
        self._pause.kill()
        self._pause.wait()


@dataclass
class Mount:
    """A folder of this machine at a path of the container."""

    source: Path
    path: str
    read_only: bool = False


@dataclass
class ContainerSpec:
    """What to run."""

    command: Sequence[str]
    environment: Mapping[str, str]
    mounts: Sequence[Mount]
    user: int
    log: Path


class Container:
    """One running container."""

    def __init__(self, spec: ContainerSpec, network: PodNetwork, folder: Path, hosts: Path) -> None:
        self._spec = spec
        self._network = network
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        volumes = []
        for mount in spec.mounts:
            target = f"{folder / 'root'}{mount.path}"
            volumes.append(f"mkdir -p {target}; mount --bind {mount.source} {target}")
            if mount.read_only:
                volumes.append(f"mount -o remount,bind,ro {target}")
        script = MOUNTS.format(
            upper=folder / "upper",
            work=folder / "work",
            root=folder / "root",
            hosts=hosts,
            volumes="\n".join(volumes),
            user=shlex.join(self._as_user()),
            command=shlex.join([*self._with_environment(), *spec.command]),
        )
        spec.log.touch()
        spec.log.chmod(0o666)
        self._log = spec.log.open("ab")
        self.process = subprocess.Popen(
            [
                *DIE_WITH_US,
                *self._in_network(),
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child=SIGKILL",
                "sh",
                "-c",
                script,
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def _in_network(self) -> list[str]:
        return ["nsenter", "--target", str(self._network.pid), "--net"]

    def _as_user(self) -> list[str]:
        number = str(self._spec.user)
        user = ["--reuid", number, "--regid", number, "--clear-groups"]
        # Said again, since another user forgets it.
        return [*DIE_WITH_US, *user, "--no-new-privs", "--bounding-set=-all"]

    def _with_environment(self) -> list[str]:
        return ["env", "--ignore-environment", *(f"{name}={value}" for name, value in self._spec.environment.items())]

    def first_process(self) -> int | None:
        """The number, on this machine, of the container's process 1; None before it runs and after it ended."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            found = children.read_text().split()
        except FileNotFoundError:
            return None
        return int(found[0]) if found else None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to process 1, as a runtime does."""
        if (first := self.first_process()) is not None:
            os.kill(first, number)

    def exec_command(self, command: Sequence[str]) -> list[str]:
        """The words that run a command inside the container."""
        first = self.first_process()
        if first is None:
            return ["false"]
        inside = ["nsenter", "--target", str(first), "--net", "--mount", "--pid", "--root"]
        return [*inside, *self._as_user(), *self._with_environment(), *command]

    def kill(self) -> None:
        """Ends it at once."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()

    def output(self) -> str:
        """What it wrote."""
        return self._spec.log.read_text(errors="replace")
