"""templates/scaledobjects.yaml"""

from tests.helm.conftest import Render


def of(cluster: str) -> str:
    """The routers' series of one cluster, in this release."""
    return f'{{namespace="immich",service=~"mesh-immich-mesh-router|mesh-immich-mesh-router-2",cluster="{cluster}"}}'


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
        "targetOutstandingRequests": 8,
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
    assert queue["metadata"]["query"] == f"sum(immich_mesh_upstream_outstanding_requests{of('clip')})"
    assert queue["metadata"]["threshold"] == "8"
    assert "fallback" not in spec
    assert theirs == cron


def test_the_last_pod_stays_while_it_is_in_use(render: Render) -> None:
    scaling = {"enabled": True, "minReplicas": 0, "targetCPUUtilizationPercentage": 0, "targetOutstandingRequests": 4}
    release = render({"face": {"autoscaling": {**scaling, "keda": {"enabled": True}}}})
    spec = release.find("ScaledObject", "mesh-immich-mesh-face")["spec"]
    assert spec["minReplicaCount"] == 0
    outstanding, used = (one["metadata"] for one in spec["triggers"])
    assert outstanding["query"] == f"sum(immich_mesh_upstream_outstanding_requests{of('face')})"
    assert outstanding["threshold"] == "4"
    assert outstanding["ignoreNullValues"] == "false"
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 1}
    assert used["query"] == f"sum(increase(immich_mesh_upstream_tries_total{of('face')}[2m])) > bool 0"
    assert "replicas" not in release.find("Deployment", "mesh-immich-mesh-face")["spec"]
