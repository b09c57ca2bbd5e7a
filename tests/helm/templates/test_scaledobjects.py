"""templates/scaledobjects.yaml"""

from tests.helm.conftest import Render


def test_keda_takes_the_place_of_the_autoscaler(render: Render) -> None:
    cron = {
        "type": "cron",
        "metadata": {"timezone": "UTC", "start": "0 1 * * *", "end": "0 5 * * *", "desiredReplicas": "3"},
    }
    keda = {
        "enabled": True,
        "prometheusAddress": "http://prometheus:9090",
        "pollingInterval": 5,
        "cooldownPeriod": 60,
        "triggers": [cron],
    }
    scaling = {
        "enabled": True,
        "minReplicas": 2,
        "maxReplicas": 5,
        "targetQueueLength": 8,
        "keda": keda,
        "behavior": {"scaleUp": {}},
    }
    release = render({"clip": {"autoscaling": scaling}})
    assert release.all("HorizontalPodAutoscaler") == []
    spec = release.find("ScaledObject", "mesh-immich-mesh-clip")["spec"]
    assert spec["scaleTargetRef"] == {"name": "mesh-immich-mesh-clip"}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["pollingInterval"], spec["cooldownPeriod"]) == (
        2,
        5,
        5,
        60,
    )
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == {"scaleUp": {}}
    cpu, queue, theirs = spec["triggers"]
    assert cpu == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}}
    assert queue["metadata"]["serverAddress"] == "http://prometheus:9090"
    assert (
        queue["metadata"]["query"]
        == 'sum(immich_mesh_queue_length{namespace="immich",service="mesh-immich-mesh-clip"})'
    )
    assert queue["metadata"]["threshold"] == "8"
    assert theirs == cron


def test_to_nothing_it_goes_by_what_the_routers_know(render: Render) -> None:
    scaling = {"enabled": True, "minReplicas": 0, "targetCPUUtilizationPercentage": 0, "targetQueueLength": 4}
    release = render({"face": {"autoscaling": {**scaling, "keda": {"enabled": True}}}})
    spec = release.find("ScaledObject", "mesh-immich-mesh-face")["spec"]
    assert spec["minReplicaCount"] == 0
    _, held, active, used = (one["metadata"] for one in spec["triggers"])
    assert active["query"] == 'sum(immich_mesh_upstream_active_requests{namespace="immich",cluster="face"})'
    assert active["threshold"] == "4"
    assert held["query"] == 'sum(immich_mesh_upstream_held_requests{namespace="immich",cluster="face"})'
    assert held["threshold"] == "4"
    assert 'increase(immich_mesh_upstream_tries_total{namespace="immich",cluster="face"}[2m])' in used["query"]
    assert "replicas" not in release.find("Deployment", "mesh-immich-mesh-face")["spec"]
