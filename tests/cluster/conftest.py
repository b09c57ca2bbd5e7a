"""A release of the chart in the cluster that KUBECONFIG leads to: `make test-cluster`. Without one, that is said.

The images are taken from MESH_TEST_REGISTRY and MESH_TEST_TAG, the models from MESH_TEST_HUB (a mirror, or the hub).
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

CHART = Path(__file__).resolve().parents[2] / "helm" / "immich-mesh"
NAMESPACE = "immich-mesh-test"
RELEASE = "mesh"

if find_spec("aws_cdk") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.helm.cluster.binaries import HELM_4, binaries

    @dataclass(frozen=True)
    class Cluster:
        """The cluster by its own tools."""

        values: tuple[str, ...]

        def run(self, program: str, *words: str | Path, given: str | None = None) -> str:
            """A command's output. Fails with what it said."""
            environment = {name: value for name, value in os.environ.items() if name != "HELM_DRIVER"}
            command = [binaries(HELM_4) / program, "--namespace", NAMESPACE, *words]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, input=given, env=environment, timeout=2400
            )
            assert done.returncode == 0, f"{program} {' '.join(map(str, words))}:\n{done.stdout}\n{done.stderr}"
            return done.stdout + done.stderr

        def kubectl(self, *words: str | Path, given: str | None = None) -> str:
            """`kubectl` in the test's namespace."""
            return self.run("kubectl", *words, given=given)

        def upgrade(self, *words: str) -> str:
            """`helm upgrade --install`, until all is ready."""
            return self.run(
                "helm", "upgrade", "--install", RELEASE, CHART, "-f", CHART / "values-cpu.yaml", *self.values, *words,
                "--wait", "--timeout", "30m",
            )  # fmt: skip

    def unreachable() -> str:
        """Why there is no cluster to test; empty when there is."""
        if not os.environ.get("KUBECONFIG"):
            return "KUBECONFIG is not set"
        asked = [binaries(HELM_4) / "kubectl", "get", "--raw", "/readyz", "--request-timeout=10s"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr.strip() or done.stdout.strip()

    def pytest_sessionstart() -> None:
        if why := unreachable():
            pytest.exit(f"there is no cluster: {why}", returncode=1)

    @pytest.fixture(scope="session")
    def cluster() -> Iterator[Cluster]:
        """The release, installed under the restricted profile of Pod Security; gone afterwards, namespace and all."""
        values = [
            *("--set", f"image.registry={os.environ.get('MESH_TEST_REGISTRY', '')}"),
            *("--set", f"image.tag={os.environ.get('MESH_TEST_TAG', '')}"),
            *("--set", "defaults.replicaCount=null"),
        ]
        if hub := os.environ.get("MESH_TEST_HUB"):
            values += ["--set", f"models.hubEndpoint={hub}"]
        made = Cluster(tuple(values))
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
        made.kubectl("apply", "-f", "-", given=json.dumps(namespace))
        try:
            made.upgrade()
            yield made
        finally:
            made.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=10m")
