"""templates/autoscaling.yaml"""

from tests.helm.conftest import Render

BEHAVIOR = {"scaleDown": {"stabilizationWindowSeconds": 600}}


def test_there_is_none_unless_asked(render: Render) -> None:
    assert render().all("HorizontalPodAutoscaler") == []


def test_it_scales_by_cpu(render: Render) -> None:
    scaling = {
        "enabled": True,
        "minReplicas": 2,
        "maxReplicas": 9,
        "targetCPUUtilizationPercentage": 55,
        "behavior": BEHAVIOR,
    }
    spec = render({"router": {"autoscaling": scaling}}).find("HorizontalPodAutoscaler", "mesh-immich-mesh-router")[
        "spec"
    ]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mesh-immich-mesh-router"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 9)
    (metric,) = spec["metrics"]
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 55}}
    assert spec["behavior"] == BEHAVIOR


def test_it_scales_by_what_the_routers_have_outstanding(render: Render) -> None:
    scaling = {"enabled": True, "targetCPUUtilizationPercentage": 0, "targetOutstandingRequests": 12}
    spec = render({"clip": {"autoscaling": scaling}}).find("HorizontalPodAutoscaler", "mesh-immich-mesh-clip")["spec"]
    (metric,) = spec["metrics"]
    routers = ["mesh-immich-mesh-router", "mesh-immich-mesh-router-2"]
    assert metric == {
        "type": "External",
        "external": {
            "metric": {
                "name": "immich_mesh_upstream_outstanding_requests",
                "selector": {
                    "matchLabels": {"cluster": "clip"},
                    "matchExpressions": [{"key": "service", "operator": "In", "values": routers}],
                },
            },
            "target": {"type": "AverageValue", "averageValue": "12"},
        },
    }


def test_the_front_door_asks_too(render: Render) -> None:
    scaling = {"enabled": True, "targetOutstandingRequests": 12}
    release = render({"clip": {"autoscaling": scaling}, "immich": {"url": "http://immich:2283"}})
    spec = release.find("HorizontalPodAutoscaler", "mesh-immich-mesh-clip")["spec"]
    _, metric = spec["metrics"]
    (services,) = metric["external"]["metric"]["selector"]["matchExpressions"]
    assert "mesh-immich-mesh-front-door" in services["values"]
