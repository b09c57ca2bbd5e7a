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


def test_it_scales_by_the_queue(render: Render) -> None:
    scaling = {"enabled": True, "targetCPUUtilizationPercentage": 0, "targetQueueLength": 12}
    spec = render({"clip": {"autoscaling": scaling}}).find("HorizontalPodAutoscaler", "mesh-immich-mesh-clip")["spec"]
    (metric,) = spec["metrics"]
    assert metric["pods"] == {
        "metric": {"name": "immich_mesh_queue_length"},
        "target": {"type": "AverageValue", "averageValue": "12"},
    }
