"""Python, and the packages of which exactly one kind may be installed."""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import distributions

from mesh.cli.doctor.finding import Finding, bad, good, note
from mesh.cli.output.outcome import one_line
from mesh.core.version import mesh_version

SUPPORTED_PYTHONS = ((3, 11), (3, 12))
REINSTALL = "run `make run` (or `make setup`, or `uv sync`): it installs exactly what uv.lock says"


def check_python() -> Iterator[Finding]:
    """Version and place of the interpreter."""
    text = f"{platform.python_version()} at {sys.executable}, Immich Mesh {mesh_version()}"
    if sys.version_info[:2] in SUPPORTED_PYTHONS:
        yield good("Python", text)
    else:
        yield bad("Python", text, "use Python 3.11 or 3.12")


def check_imports(modules: Iterable[str]) -> Iterator[Finding]:
    """Whether what the processes here need can be imported."""
    faults = {}
    for module in modules:
        try:
            import_module(module)
        except (ImportError, OSError) as error:  # OSError: a library of the system, loaded by hand
            faults[module] = one_line(str(error))
    for module, fault in faults.items():
        yield bad("imports", f"{module} cannot be imported: {fault}", REINSTALL)
    if not faults:
        yield good("imports", "all that router and services need")


def installed_packages() -> list[tuple[str, str]]:
    """(normalised name, version) of every distribution that this Python sees."""
    return [(dist.name.lower().replace("_", "-"), dist.version) for dist in distributions()]


def check_packages(packages: Iterable[tuple[str, str]] | None = None) -> Iterator[Finding]:
    """One onnxruntime and one OpenCV: distributions of either overwrite each other's files, and the last one wins.

    Args:
        packages: (name, version) of what is installed; None asks this Python.
    """
    installed = sorted(set(installed_packages() if packages is None else packages))
    runtimes = [entry for entry in installed if _is_runtime(entry[0])]
    yield _exactly_one("onnxruntime", runtimes, "the extra `cpu`, or `cuda` for a GPU")
    opencvs = [entry for entry in installed if entry[0].startswith("opencv-")]
    finding = _exactly_one("OpenCV", opencvs, "opencv-python-headless")
    yield finding
    if len(opencvs) == 1 and "headless" not in opencvs[0][0]:
        yield note("OpenCV", f"{opencvs[0][0]} needs X libraries that a server lacks", REINSTALL)


def _is_runtime(name: str) -> bool:
    """Whether a distribution fills the folder `onnxruntime` (tools and extensions have folders of their own)."""
    return name == "onnxruntime" or (
        name.startswith("onnxruntime-") and name not in {"onnxruntime-extensions", "onnxruntime-tools"}
    )


def _exactly_one(subject: str, found: list[tuple[str, str]], what: str) -> Finding:
    text = ", ".join(f"{name} {version}" for name, version in found)
    if not found:
        return bad(subject, "not installed", f"install {what}: {REINSTALL}")
    if len(found) > 1:
        return bad(
            subject,
            f"{len(found)} at once: {text}",
            f"only one may be installed, and pip alone installs both: {REINSTALL}",
        )
    return good(subject, text)
