"""templates/resourceclaimtemplates.yaml: cards by dynamic resource allocation instead of a device plugin."""

from typing import Any

import pytest
from helm_sdkpy.exceptions import InstallError

from tests.helm.cluster import api
from tests.helm.cluster.engine import Helm
from tests.helm.conftest import Render

DRA = {"enabled": True, "sharing": "dra", "runtimeClassName": "nvidia"}


def pod(release: Any, slug: str) -> dict[str, Any]:
    return release.find("Deployment", f"mesh-immich-mesh-{slug}")["spec"]["template"]["spec"]


def test_each_pod_claims_one_device_of_the_class(render: Render) -> None:
    memory = "device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('12Gi')) >= 0"
    release = render({"clip": {"gpu": {**DRA, "dra": {"selectors": [memory]}}}})
    (claim,) = release.all("ResourceClaimTemplate")
    (request,) = claim["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["deviceClassName"] == "gpu.nvidia.com"
    assert request["exactly"]["selectors"] == [{"cel": {"expression": memory}}]
    found = pod(release, "clip")
    assert found["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": claim["metadata"]["name"]}]
    resources = found["containers"][0]["resources"]
    assert resources["claims"] == [{"name": "gpu"}]
    assert not [name for kind in ("requests", "limits") for name in resources[kind] if "/" in name]
    assert found["containers"][0]["image"].endswith("-cuda")


def test_a_rollout_needs_no_second_card(render: Render) -> None:
    release = render({"clip": {"gpu": DRA}})
    strategy = release.find("Deployment", "mesh-immich-mesh-clip")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_pods_share_a_claim_that_is_there(render: Render) -> None:
    shared = {**DRA, "memoryLimit": "2Gi", "dra": {"claimName": "the-card"}}
    release = render({"defaults": {"gpu": {"sharing": "dra"}}, "ocr": {"gpu": shared}, "face": {"gpu": shared}})
    assert release.all("ResourceClaimTemplate") == []
    for slug in ("ocr", "face"):
        assert pod(release, slug)["resourceClaims"] == [{"name": "gpu", "resourceClaimName": "the-card"}]
    assert "resourceClaims" not in pod(release, "clip")


def test_intels_cards_are_claimed_by_their_class(render: Render) -> None:
    gpu = {"enabled": True, "sharing": "dra", "dra": {"deviceClassName": "gpu.intel.com"}}
    release = render({"ocr": {"device": "openvino:GPU", "gpu": gpu}})
    (claim,) = release.all("ResourceClaimTemplate")
    assert claim["spec"]["spec"]["devices"]["requests"][0]["exactly"]["deviceClassName"] == "gpu.intel.com"


@pytest.mark.parametrize("version", ["1.29", "1.33"])
def test_an_older_cluster_is_told_so(version: str) -> None:
    with api.running(version) as server, pytest.raises(InstallError, match=r"dra needs Kubernetes 1\.34"):
        Helm(server).install({"clip": {"gpu": DRA}})
