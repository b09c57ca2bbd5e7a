"""templates/poddisruptionbudgets.yaml"""

from tests.helm.conftest import Render


def test_the_router_has_one_by_default(render: Render) -> None:
    (budget,) = render().all("PodDisruptionBudget")
    assert budget["metadata"]["name"] == "mesh-immich-mesh-router"
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_what_must_stay_wins_over_what_may_go(render: Render) -> None:
    values = {
        "router": {"podDisruptionBudget": {"minAvailable": "50%"}},
        "ocr": {"podDisruptionBudget": {"enabled": True}, "replicaCount": 3},
    }
    release = render(values)
    spec = release.find("PodDisruptionBudget", "mesh-immich-mesh-router")["spec"]
    assert spec["minAvailable"] == "50%"
    assert "maxUnavailable" not in spec
    selector = release.find("PodDisruptionBudget", "mesh-immich-mesh-ocr")["spec"]["selector"]["matchLabels"]
    assert selector == release.find("Deployment", "mesh-immich-mesh-ocr")["spec"]["selector"]["matchLabels"]
