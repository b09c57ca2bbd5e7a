"""What the machine has: memory, disk, GPU; and whether inference can run where it was asked for."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from mesh.cli.doctor.finding import Finding, bad, good, note
from mesh.cli.doctor.installation import REINSTALL
from mesh.core.cores import usable_cores
from mesh.core.errors import MeshError
from mesh.core.settings import Device, ServiceSettings

GB = 1_000_000_000
LEAST_MEMORY_GB = 2.0
"""OCR, CLIP and faces loaded at a time on CPU."""
WRITABLE = "change its owner, or set MESH_CACHE_FOLDER to a folder that can be written to"
FULL_DISK_GB = 0.1
LEAST_DISK_GB = 3.0
"""The default models, downloaded and converted."""


def check_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> Iterator[Finding]:
    """Memory that is available, and the limit of a container."""
    available = available_memory_gb(meminfo, cgroup)
    if available is None:
        yield note("memory", "cannot be seen here")
        return
    text = f"{available:.1f} GB available, {usable_cores()} cores usable"
    if available < LEAST_MEMORY_GB:
        remedy = "leave out a service (`immich-mesh up --without face`), or set *_MEMORY_BUDGET_BYTES"
        yield note("memory", f"{text}: all models together want about {LEAST_MEMORY_GB:.0f} GB", remedy)
    else:
        yield good("memory", text)


def available_memory_gb(meminfo: Path, cgroup: Path) -> float | None:
    """What this machine, or the container's limit, leaves free; None where neither can be read."""
    try:
        rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        available = int(rows["MemAvailable"].split()[0]) * 1024 / GB
    except (OSError, KeyError, ValueError):
        return None
    try:
        limit = int((cgroup / "memory.max").read_text()) - int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no limit is written as `max`
        return available
    return min(available, limit / GB)


def check_disk(folder: Path) -> Iterator[Finding]:
    """Room for models, and the right to write them."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free / GB
    except OSError as error:  # a parent that may not be looked into
        yield bad("model cache", f"{folder}: {error.strerror}", WRITABLE)
        return
    text = f"{folder}, {free:.1f} GB free"
    if not existing.is_dir():
        yield bad("model cache", f"{folder}: {existing} is a file", WRITABLE)
    elif not os.access(existing, os.W_OK):
        yield bad("model cache", f"{text}: not writable", WRITABLE)
    elif free < FULL_DISK_GB:
        yield bad("model cache", f"{text}: the disk is full", "free some, or set MESH_CACHE_FOLDER to another disk")
    elif free < LEAST_DISK_GB:
        yield note("model cache", text, "the default models need about 3 GB: free some, or set MESH_CACHE_FOLDER")
    else:
        yield good("model cache", text)


def check_device(services: dict[str, ServiceSettings]) -> Iterator[Finding]:
    """Whether each service's device is there, and whether a GPU lies idle."""
    from mesh.serving.runtimes.devices import describe_runtimes, require_device
    from mesh.serving.runtimes.session import RuntimeSettings

    try:
        yield good("runtimes", ", ".join(describe_runtimes()))
    except ImportError as error:
        yield bad("runtimes", f"onnxruntime cannot be loaded: {error}", REINSTALL)
        return
    gpus, unused = gpu_names(), True
    for name, settings in services.items():
        try:
            runtime = require_device(RuntimeSettings.of(settings))
        except MeshError as error:
            yield bad(f"{name} device", error.message, f"or leave {name.upper()}_DEVICE and DEVICE unset for the CPU")
        else:
            on = "the processor" if runtime.device is Device.AUTO else runtime.device.value
            yield good(f"{name} device", f"{settings.device.value}: a graph runs on {on}")
            unused = unused and runtime.device.is_processor
    if gpus and unused:
        yield note("GPU", f"{', '.join(gpus)} is not used", "DEVICE=cuda make run")
    elif gpus:
        yield good("GPU", ", ".join(gpus))


def gpu_names() -> list[str]:
    """NVIDIA GPUs with their memory, as nvidia-smi shows them; empty without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
