"""templates/poddisruptionbudgets.yaml"""

from tests.helm.cluster.selectors import selects
from tests.helm.conftest import Render


def test_the_router_has_one_by_default(render: Render) -> None:
    (budget,) = render().all("PodDisruptionBudget")
    assert budget["metadata"]["name"] == "mesh-immich-mesh-router"
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_it_covers_both_routers_so_that_one_stays(render: Render) -> None:
    release = render({"immich": {"url": "http://immich:2283"}})
    (budget,) = release.all("PodDisruptionBudget")
    selector = budget["spec"]["selector"]
    assert {
        one["metadata"]["name"]
        for one in release.all("Deployment")
        if selects(selector, one["spec"]["template"]["metadata"]["labels"])
    } == {"mesh-immich-mesh-router", "mesh-immich-mesh-router-2"}


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
