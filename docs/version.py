"""The version stands in pyproject.toml; this carries it to every other place that names it.

    python docs/version.py            # write
    python docs/version.py --check    # exit 1 where a place says another one
    python docs/version.py --print    # the version

Standard library alone: the release workflow runs it before anything is installed.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

IMAGE = r"(\bimmich-mesh-(?:[a-z]+|\$target):)"
PLACES = {
    "Dockerfile": (r"(^ARG VERSION=)", IMAGE),
    "compose.yaml": (r"(MESH_VERSION:-)",),
    "immich.override.yaml": (r"(MESH_VERSION:-)",),
    "docker/gpu.intel.yaml": (r"(MESH_VERSION:-)",),
    "docker/gpu.nvidia.yaml": (r"(MESH_VERSION:-)",),
    "helm/immich-mesh/Chart.yaml": (r"(^version: )", r"(^appVersion: \")"),
    "docs/docker.md": (IMAGE,),
    "docs/kubernetes.md": (IMAGE,),
}
"""File to what stands before the version in it; each must be found."""


def project_version() -> str:
    """What pyproject.toml says."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return version


def main() -> int:
    """Writes, checks or prints. The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 where a place is out of date")
    parser.add_argument("--print", action="store_true", help="print the version")
    options = parser.parse_args()
    version = project_version()
    if options.print:
        print(version)
        return 0
    wrong = []
    for name, patterns in PLACES.items():
        path = ROOT / name
        text = fresh = path.read_text("utf-8")
        for pattern in patterns:
            fresh, found = re.subn(pattern + r"\d+\.\d+\.\d+", rf"\g<1>{version}", fresh, flags=re.MULTILINE)
            if not found:
                raise SystemExit(f"{name}: no version after {pattern}")
        if fresh != text and options.check:
            wrong.append(name)
        elif fresh != text:
            path.write_text(fresh, "utf-8")
    if wrong:
        print(f"not version {version}: {', '.join(wrong)}; run make generate", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
