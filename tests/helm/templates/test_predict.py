"""templates/tests/predict.yaml: what `helm test` will run (tests/helm/test_running.py runs it)."""

import base64
import struct
from typing import Any

from tests.helm.conftest import CHART, Render


def test_the_pod_asks_the_router_for_every_installed_task(render: Render) -> None:
    release = render({"face": {"enabled": False}, "tests": {"timeoutSeconds": 33}})
    pod = release.find("Pod", "mesh-immich-mesh-test-predict")
    arguments = pod["spec"]["containers"][0]["args"]
    assert "--url=http://mesh-immich-mesh-router.immich.svc.cluster.local:3003" in arguments
    assert "--timeout=33" in arguments
    assert arguments[-2:] == ["ocr", "clip"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_script_and_photo_are_mounted_as_they_are_in_the_chart(render: Render) -> None:
    files: dict[str, Any] = render().find("ConfigMap", "mesh-immich-mesh-test-predict")
    assert files["data"]["predict.py"] == (CHART / "files" / "predict.py").read_text()
    photo = base64.b64decode(files["binaryData"]["photo.png"])
    assert photo == (CHART / "files" / "photo.png").read_bytes()
    assert struct.unpack(">II", photo[16:24]) == (480, 160)


def test_there_is_none_without_a_router(render: Render) -> None:
    assert render({"router": {"enabled": False}}).all("Pod") == []
